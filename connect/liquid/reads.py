"""What a template may read of its data, at most: asked before it is compiled, and by those who fetch the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from liquid import Expression, Node, RenderContext
from liquid.builtin.expressions import LoopExpression, Path, StringLiteral
from liquid.builtin.tags.case_tag import CaseNode
from liquid.builtin.tags.render_tag import RenderNode

from connect.liquid.context import OBJECTS
from connect.liquid.environment import Environment
from connect.liquid.layout import BlockNode, LayoutNode
from connect.liquid.tags import OutputNode, RandomNode, SkipNode

_OF_A_PERSON = ("user", "event", "url")


@dataclass(slots=True)
class Reads:
    """A walk through a template and everything that it can render."""

    environment: Environment
    columns: set[str] = field(default_factory=set)
    whole: bool = False
    """The row is used as one object, or by a name that only the data knows."""
    constant: bool = True
    continues: bool = False
    prints: int = 0
    _seen: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, nodes: Iterable[Node], environment: Environment) -> Reads:
        reads = cls(environment)
        reads._walk(nodes, environment.static_context())
        return reads

    def _walk(self, nodes: Iterable[Node], static: RenderContext) -> None:
        for node in nodes:
            if id(node) in self._seen:
                continue
            self._seen.add(id(node))
            self._node(node)
            self._walk(self._within(node, static), static)

    def _node(self, node: Node) -> None:
        self.prints += isinstance(node, OutputNode)
        if isinstance(node, (RandomNode, SkipNode)):
            self.constant = False
        made = [*node.template_scope(), *node.block_scope()]
        if isinstance(node, RenderNode):
            made += [*(argument.name for argument in node.args), *([node.alias] if node.alias else [])]  # type: ignore[list-item]
        if any(name in OBJECTS for name in made):
            self.whole, self.constant = True, False
        for expression in _expressions(node):
            self._expression(expression)

    def _within(self, node: Node, static: RenderContext) -> Iterable[Node]:
        if isinstance(node, RenderNode):
            return self.environment.get_template(str(getattr(node.name, "value", node.name))).nodes
        if isinstance(node, LayoutNode) and node.plan is not None:
            blocks = [block for definitions in node.plan.blocks.values() for block in definitions]
            return [*node.plan.statements, *node.plan.base, *blocks]
        return [node.block] if isinstance(node, BlockNode) else node.children(static, include_partials=False)

    def _expression(self, expression: Expression) -> None:
        if isinstance(expression, LoopExpression) and isinstance(expression.offset, StringLiteral):
            self.continues = self.continues or expression.offset.value == "continue"
        if isinstance(expression, Path):
            self._path(expression)
        for child in expression.children():
            self._expression(child)

    def _path(self, path: Path) -> None:
        root = path.path[0]
        if not isinstance(root, str):
            self.whole, self.constant = True, False
        elif root in _OF_A_PERSON:
            self.constant = False
        if root in self.environment.rows:
            if len(path.path) > 1 and isinstance(path.path[1], str):
                self.columns.add(path.path[1])
            else:
                self.whole = True


def _expressions(node: Node) -> Iterator[Expression]:
    yield from node.expressions()
    if isinstance(node, CaseNode):
        for part in node.blocks:
            yield from part.expressions()
