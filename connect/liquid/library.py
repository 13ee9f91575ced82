"""The templates of a project, parsed once, and the texts that use them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from liquid import Node, RenderContext, Token
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode

from connect.errors import Problem, UserError
from connect.liquid.environment import Environment, NullsPolicy, UndefinedPolicy
from connect.liquid.expressions import bind
from connect.liquid.layout import BlockNode, LayoutNode, Plan
from connect.liquid.names import Survey
from connect.liquid.parsing import nearest, parse
from connect.liquid.source import place
from connect.liquid.template import Template
from connect.project.text import Text


@dataclass(slots=True)
class Part:
    """One parsed text: a template of the library, or a text that uses them."""

    text: Text
    nodes: list[Node]
    problems: list[Problem]
    layout: LayoutNode | None = None
    blocks: dict[str, BlockNode] = field(default_factory=dict)


class Library:
    """The files under templates/, each parsed at most once; and so are the texts that use them. For any thread."""

    def __init__(self, templates: Mapping[str, Text], *, events: bool = False) -> None:
        """events: each row is that of an event, and its columns are also `event.*`."""
        self._templates, self._events = dict(templates), events
        self._parts: dict[str, Part] = {}
        self._linking: list[str] = []
        self._environments: dict[tuple[bool, UndefinedPolicy, NullsPolicy], Environment] = {}
        self._grammar = self._environment(False, "refuse", "blank")
        self._static = self._grammar.static_context()
        self._texts: dict[Text, Part] = {}
        self._compiled: dict[tuple[Text, bool, UndefinedPolicy, NullsPolicy], Template] = {}
        self._guard = threading.RLock()

    @cached_property
    def of_events(self) -> Library:
        """The same templates for campaigns with an event trigger."""
        return self if self._events else Library(self._templates, events=True)

    def compile(
        self,
        text: Text,
        *,
        escape: bool,
        undefined: UndefinedPolicy = "refuse",
        nulls: NullsPolicy = "blank",
    ) -> Template:
        """The text, ready to render. Raises UserError with every problem in it and in the templates that it uses.

        escape: HTML-escape what is printed. undefined, nulls: what becomes of names that the data lacks, and of nulls
        that are printed without a default.
        """
        key = (text, escape, undefined, nulls)
        with self._guard:
            if key not in self._compiled:
                self._compiled[key] = self._made(*key)
            return self._compiled[key]

    def _made(self, text: Text, escape: bool, undefined: UndefinedPolicy, nulls: NullsPolicy) -> Template:
        part = self._text(text)
        survey = self._survey(part)
        problems = list(dict.fromkeys((*part.problems, *survey.problems)))
        if problems:
            raise UserError(*problems)
        environment = self._environment(escape, undefined, nulls)
        return Template(text, tuple(survey.names), environment.bound(part.nodes))

    def used(self, text: Text) -> frozenset[str]:
        """The names of the templates that a text reaches, through whatever they reach themselves."""
        with self._guard:
            return frozenset(self._survey(self._text(text)).templates)

    def part(self, name: str) -> Part | None:
        """The parsed template of this name; None if there is none."""
        if name not in self._parts and name in self._templates:
            self._linking.append(name)
            self._parts[name] = self._parsed(self._templates[name])
            self._linking.pop()
        return self._parts.get(name)

    def missing(self, name: str, token: Token) -> Problem:
        hint = nearest(name, self._templates) or "templates are found under templates/, by their path in it"
        return Problem("missing-template", f"there is no template `{name}`", hint, place(token))

    def ancestors(self, node: LayoutNode) -> set[str]:
        """The layout of this name, its own layout, and so on."""
        names: set[str] = set()
        current: LayoutNode | None = node
        while current is not None and current.name.value not in names:
            names.add(current.name.value)
            part = self._parts.get(current.name.value)
            current = part.layout if part else None
        return names

    def _environment(self, escape: bool, undefined: UndefinedPolicy, nulls: NullsPolicy) -> Environment:
        key = (escape, undefined, nulls)
        if key not in self._environments:
            self._environments[key] = Environment(
                escape=escape, undefined=undefined, nulls=nulls, nodes=self._nodes, events=self._events
            )
        return self._environments[key]

    def _nodes(self, name: str) -> list[Node]:
        part = self.part(name)
        assert part is not None  # compile() has seen every name that can be rendered
        return part.nodes

    def _survey(self, part: Part) -> Survey:
        survey = Survey(self, self._static)
        survey.walk(part.nodes)
        return survey

    def _text(self, text: Text) -> Part:
        if text not in self._texts:
            self._texts[text] = self._parsed(text)
        return self._texts[text]

    def _parsed(self, text: Text) -> Part:
        nodes, problems = parse(self._grammar, text)
        bind(nodes, self._static)
        part = Part(text, nodes, problems)
        _find_blocks(part, nodes, self._static)
        self._link(part)
        return part

    def _link(self, part: Part) -> None:
        """Join a text to its layout."""
        layouts = [node for node in _all_nodes(part.nodes, self._static) if isinstance(node, LayoutNode)]
        if not layouts:
            return
        node = layouts[0]
        if len(layouts) > 1 or node is not _first(part.nodes):
            message = "a template has one layout, and nothing stands before it"
            part.problems.append(Problem("liquid-syntax", message, "move it to the top", place(layouts[-1].token)))
            return
        parent = self._parent(part, node)
        if parent is not None:
            part.layout, node.plan = node, _plan(part, parent)
            part.problems += _outside_blocks(part)

    def _parent(self, part: Part, node: LayoutNode) -> Part | None:
        name = node.name.value
        if name in self._linking:
            chain = " → ".join((*self._linking, name))
            part.problems.append(Problem("layout-cycle", f"layouts go in a circle: {chain}", "", place(node.token)))
            return None
        parent = self.part(name)
        if parent is None:
            part.problems.append(self.missing(name, node.name.token))
            return None
        part.problems += parent.problems
        known = _definitions(parent)
        for block in part.nodes:
            if isinstance(block, BlockNode) and block.name not in known:
                part.problems.append(_unknown_block(block, name, known))
        return parent


def _definitions(part: Part) -> dict[str, tuple[BlockNode, ...]]:
    """For each block its definitions in this template and those around it, the innermost first."""
    outer = dict(part.layout.plan.blocks) if part.layout and part.layout.plan else {}
    return outer or {name: (block,) for name, block in part.blocks.items()}


def _plan(part: Part, parent: Part) -> Plan:
    around = _definitions(parent)
    blocks = around | {name: (block, *around.get(name, ())) for name, block in part.blocks.items()}
    statements = tuple(node for node in part.nodes if not isinstance(node, (BlockNode, LayoutNode)))
    plan = parent.layout.plan if parent.layout else None
    if plan is None:
        return Plan(statements, tuple(parent.nodes), blocks)
    return Plan((*statements, *plan.statements), plan.base, blocks)


def _outside_blocks(part: Part) -> list[Problem]:
    hint = "put it into a {% block %} of the layout"
    return [
        Problem("outside-block", "this is never printed: it stands outside the blocks", hint, place(node.token))
        for node in part.nodes
        if not node.blank and not isinstance(node, (BlockNode, LayoutNode))
    ]


def _unknown_block(block: BlockNode, layout: str, known: Iterable[str]) -> Problem:
    message = f"the layout `{layout}` has no block `{block.name}`"
    return Problem("unknown-block", message, nearest(block.name, known), place(block.name.token))


def _find_blocks(part: Part, nodes: Iterable[Node], static: RenderContext) -> None:
    for node in _all_nodes(nodes, static):
        if not isinstance(node, BlockNode):
            continue
        if node.name in part.blocks:
            message = f"the block `{node.name}` is defined twice"
            part.problems.append(Problem("liquid-syntax", message, "", place(node.name.token)))
        part.blocks[node.name] = node


def _all_nodes(nodes: Iterable[Node], static: RenderContext) -> Iterable[Node]:
    for node in nodes:
        yield node
        yield from _all_nodes(node.children(static, include_partials=False), static)


def _first(nodes: Iterable[Node]) -> Node | None:
    """The first node that is more than blanks and comments."""
    return next((node for node in nodes if not _nothing(node)), None)


def _nothing(node: Node) -> bool:
    text = getattr(node, "text", None)
    return isinstance(node, (CommentNode, DocNode)) or (isinstance(text, str) and not text.strip())
