"""What a template asks of its data, and of other templates, found without rendering it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liquid import ConditionalBlockNode, Expression, Node
from liquid.builtin.expressions import FilteredExpression, KeywordArgument, Path
from liquid.builtin.expressions import Literal as LiteralExpression
from liquid.builtin.expressions.filtered import Filter as FilterCall
from liquid.builtin.expressions.logical import (
    BooleanExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    NeExpression,
)
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.render_tag import RenderNode

from connect.errors import Location, Problem
from connect.liquid.expressions import COMPARISONS, compares_with_nothing
from connect.liquid.filters import FILTERS, FORGIVING, literal_trouble
from connect.liquid.layout import BlockNode, LayoutNode
from connect.liquid.parsing import nearest, not_yet_supported
from connect.liquid.source import place

if TYPE_CHECKING:
    from liquid import RenderContext

    from connect.liquid.library import Library

_CONDITIONS = (BooleanExpression, LogicalAndExpression, LogicalOrExpression, LogicalNotExpression)
_LATER = {"t": "translations", "translate": "translations"}


@dataclass(frozen=True, slots=True)
class Name:
    """One place at which a template names something of its data."""

    path: tuple[str, ...]
    """`user.first_name` is ("user", "first_name"). It ends where the rest depends on a value: `user[params.column]`."""
    location: Location
    defaulted: bool
    """It may be absent: a `default` follows, it is only asked whether it is there, or that was asked around it."""
    printed: bool


@dataclass(frozen=True, slots=True)
class _Use:
    """How an expression is used where it stands."""

    printed: bool = False
    defaulted: bool = False


@dataclass(frozen=True, slots=True)
class _Scope:
    """Names that templates made themselves: by assignment (shared by a whole template), and by enclosing blocks."""

    assigned: set[str]
    enclosing: frozenset[str] = frozenset()
    guarded: frozenset[tuple[str, ...]] = frozenset()
    """Paths that an enclosing `{% if %}` has found to be there."""

    def guarding(self, condition: Expression) -> _Scope:
        return replace(self, guarded=self.guarded | frozenset(_found_there(condition)))

    def within(self, names: Iterable[str]) -> _Scope:
        return replace(self, enclosing=self.enclosing | frozenset(names))

    def __contains__(self, name: object) -> bool:
        return name in self.assigned or name in self.enclosing


class Survey:
    """A walk through a template and all that it renders: names, templates used, and problems."""

    def __init__(self, library: Library, static: RenderContext) -> None:
        self.names: dict[Name, None] = {}
        self.templates: set[str] = set()
        self.problems: list[Problem] = []
        self._library = library
        self._static = static
        self._blocks: dict[str, tuple[BlockNode, ...]] = {}
        self._seen: set[tuple[str, frozenset[str]]] = set()

    def walk(self, nodes: Iterable[Node], scope: _Scope | None = None) -> None:
        scope = _Scope(set()) if scope is None else scope
        for node in nodes:
            self._node(node, scope)

    def _node(self, node: Node, scope: _Scope) -> None:
        use = _Use(printed=isinstance(node, OutputNode))
        for expression in node.expressions():
            self._expression(expression, scope, use)
        scope.assigned.update(node.template_scope())
        if isinstance(node, RenderNode):
            self._render(node)
        elif isinstance(node, LayoutNode):
            self._layout(node, scope)
        elif isinstance(node, BlockNode):
            self._block(self._blocks.get(node.name) or (node,), scope)
        elif isinstance(node, IfNode):
            self._if(node, scope)
        elif isinstance(node, ConditionalBlockNode):
            self.walk([node.block], scope.guarding(node.expression))
        else:
            children = node.children(self._static, include_partials=False)
            self.walk(children, scope.within(node.block_scope()))

    def _if(self, node: IfNode, scope: _Scope) -> None:
        self.walk([node.consequence], scope.guarding(node.condition))
        self.walk([*node.alternatives, *([node.default] if node.default else [])], scope)

    def _render(self, node: RenderNode) -> None:
        name = str(getattr(node.name, "value", node.name))
        self.templates.add(name)
        part = self._library.part(name)
        if part is None:
            self.problems.append(self._library.missing(name, node.name.token))
            return
        given = frozenset((*(argument.name for argument in node.args), *([str(node.alias)] if node.alias else [])))
        given |= {"forloop"} if node.loop else frozenset()
        if (name, given) not in self._seen:
            self._seen.add((name, given))
            self.problems += part.problems
            outer, self._blocks = self._blocks, {}
            self.walk(part.nodes, _Scope(set(), given))
            self._blocks = outer

    def _layout(self, node: LayoutNode, scope: _Scope) -> None:
        self.templates |= self._library.ancestors(node)
        if node.plan is None:
            return  # the part that it stands in has the problem already
        self.walk(node.plan.statements, scope)
        outer, self._blocks = self._blocks, dict(node.plan.blocks)
        self.walk(node.plan.base, scope)
        self._blocks = outer

    def _block(self, definitions: tuple[BlockNode, ...], scope: _Scope) -> None:
        """Only what is rendered counts: the innermost definition, and those that `block.super` reaches."""
        inner = _Scope(set(), scope.within(scope.assigned | {"block"}).enclosing)
        self.walk([definitions[0].block], inner)
        if len(definitions) > 1 and self._asks_super([definitions[0].block]):
            self._block(definitions[1:], scope)

    def _asks_super(self, nodes: Iterable[Node]) -> bool:
        return any(
            any(_mentions_super(expression) for expression in node.expressions())
            or self._asks_super(node.children(self._static, include_partials=False))
            for node in nodes
        )

    def _expression(self, expression: Expression, scope: _Scope, use: _Use) -> None:
        if isinstance(expression, FilteredExpression):
            self._filtered(expression, scope, use)
        elif isinstance(expression, Path):
            self._path(expression, scope, use)
        else:
            inner = _Use(defaulted=_asks_whether_there(expression))
            for child in expression.children():
                self._expression(child, scope, inner)

    def _filtered(self, expression: FilteredExpression, scope: _Scope, use: _Use) -> None:
        calls = expression.filters or []
        defaulted = any(call.name in FORGIVING for call in calls)
        self._expression(expression.left, scope, replace(use, defaulted=defaulted))
        for index, call in enumerate(calls):
            self._call(call)
            later = any(other.name in FORGIVING for other in calls[index + 1 :])
            printed = use.printed and (call.name in FORGIVING or _takes_text(call))
            for argument in call.args:
                self._expression(argument.value, scope, _Use(printed=printed, defaulted=later))

    def _path(self, path: Path, scope: _Scope, use: _Use) -> None:
        for segment in path.path:
            if isinstance(segment, Path):
                self._path(segment, scope, _Use())
        root, found = path.path[0], place(path.token)
        if not isinstance(root, str) or root in scope or found is None:
            return
        if root == "feed":
            self.problems.append(not_yet_supported("the object `feed`", "feeds", path.token))
        fixed = _fixed(path)
        self.names[Name(fixed, found, use.defaulted or fixed in scope.guarded, use.printed)] = None

    def _call(self, call: FilterCall) -> None:
        known = FILTERS.get(call.name)
        if call.name in _LATER:
            self.problems.append(not_yet_supported(f"the filter `{call.name}`", _LATER[call.name], call.token))
        elif known is None:
            hint = nearest(call.name, FILTERS)
            self.problems.append(
                Problem("unknown-filter", f"there is no filter `{call.name}`", hint, place(call.token))
            )
        else:
            self._arguments(call)

    def _arguments(self, call: FilterCall) -> None:
        known = FILTERS[call.name]
        keywords = [argument.name for argument in call.args if isinstance(argument, KeywordArgument)]
        values = [argument.value for argument in call.args]
        if not known.accepts(len(call.args) - len(keywords), keywords):
            message, hint = (
                f"the filter `{call.name}` does not take these arguments",
                "see the reference for its example",
            )
            self.problems.append(Problem("filter-arguments", message, hint, place(call.token)))
        elif all(isinstance(value, LiteralExpression) for value in values):
            bad = literal_trouble(known, [getattr(value, "value", None) for value in values])
            if bad is not None:
                message = f"the filter `{call.name}`: {bad.message}"
                self.problems.append(Problem("filter-arguments", message, bad.hint, place(call.token)))


def _takes_text(call: FilterCall) -> bool:
    """`append: user.last_name` prints its argument as well."""
    return call.name in FILTERS and FILTERS[call.name].text


def _fixed(path: Path) -> tuple[str, ...]:
    fixed: list[str] = []
    for segment in path.path:
        if isinstance(segment, Path):
            break
        fixed.append(str(segment))
    return tuple(fixed)


def _asks_whether_there(expression: Expression) -> bool:
    if isinstance(expression, COMPARISONS):
        return compares_with_nothing(expression)
    return isinstance(expression, _CONDITIONS)


def _found_there(condition: Expression) -> Iterator[tuple[str, ...]]:
    """The paths that must hold something where a condition is true."""
    if isinstance(condition, BooleanExpression):
        yield from _found_there(condition.expression)
    elif isinstance(condition, LogicalAndExpression):
        yield from _found_there(condition.left)
        yield from _found_there(condition.right)
    elif isinstance(condition, Path):
        yield _fixed(condition)
    elif isinstance(condition, NeExpression) and compares_with_nothing(condition):
        yield from (_fixed(side) for side in condition.children() if isinstance(side, Path))


def _mentions_super(expression: Expression) -> bool:
    if isinstance(expression, Path):
        return expression.path[:2] == ["block", "super"]
    return any(_mentions_super(child) for child in expression.children())
