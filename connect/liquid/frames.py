"""What a name stands for at a place in a template: the contexts of python-liquid, known before anything is rendered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from liquid import Node, RenderContext
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.decrement_tag import DecrementNode
from liquid.builtin.tags.increment_tag import IncrementNode

from connect.liquid.context import OBJECTS
from connect.liquid.layout import BlockNode, LayoutNode
from connect.liquid.writing import Constants, NotCompiled


@dataclass(slots=True)
class Loop:
    """A loop around the place: its `forloop` is made of an index and a length, where it is asked for."""

    name: str
    index: str
    length: str
    parent: Loop | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The `tablerowloop` of a table around the place: python-liquid's own, by its variable."""

    variable: str


@dataclass(frozen=True, slots=True)
class Super:
    """The object `block` inside a block: the definitions around it, and the frame that they are rendered in."""

    definitions: tuple[BlockNode, ...]
    frame: Frame


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    certain: bool = True
    """It has a value whenever this place is reached; else it may be UNSET, and the name stand for something else."""


Meaning = Variable | Loop | Table | Super


@dataclass(slots=True)
class Frame:
    """One of python-liquid's contexts: a template, what it renders, or a block."""

    constants: Constants
    depth: int = 0
    within: Frame | None = None
    """For a block, what it is in: it sees all of that. For a rendered template, what renders it."""
    is_block: bool = False
    given: dict[str, Meaning] = field(default_factory=dict)
    """Names that it was given: arguments of `render`, and `block`."""
    blocks: Mapping[str, tuple[BlockNode, ...]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    counters: dict[str, str] = field(default_factory=dict)
    scopes: list[dict[str, Meaning]] = field(default_factory=list)
    """What enclosing loops name, the innermost last."""
    loops: list[Loop] = field(default_factory=list)
    product: str = ""
    """How often the place is reached at most, by the lengths of the loops around it; empty for once."""
    cycles: str = ""
    changed: str = ""
    stops: str = ""

    def collect(self, nodes: Iterable[Node], static: RenderContext) -> None:
        """Find every variable and counter that these nodes can make."""
        for node in _in_frame(nodes, static):
            if isinstance(node, (AssignNode, CaptureNode)):
                self._make(self.variables, str(node.name))
            elif isinstance(node, (IncrementNode, DecrementNode)):
                self._make(self.counters, str(node.name))

    def _make(self, names: dict[str, str], name: str) -> None:
        not_an_object(name)
        if name not in names:
            names[name] = self.constants.fresh("x")

    def meanings(self, name: str) -> Iterator[Meaning]:
        """What the name can stand for, first the nearest; what is behind one that is certain never counts."""
        for scope in reversed(self.scopes):
            if name in scope:
                yield scope[name]
        if name in self.variables:
            yield Variable(self.variables[name], certain=False)
        yield from self._outer(name)
        if name in self.counters:
            yield Variable(self.counters[name], certain=False)

    def _outer(self, name: str) -> Iterator[Meaning]:
        if name in self.given:
            yield self.given[name]
        if self.within is not None:
            # python-liquid makes a block's globals of all that is around it, and `render` hands globals on
            yield from self.within.meanings(name) if self.is_block else self.within._outer(name)

    def entry(self) -> list[str]:
        """The statements that make it empty."""
        made = [*self.variables.values(), *self.counters.values()]
        lines = [f"{' = '.join(made)} = UNSET"] if made else []
        lines += [f"{self.cycles} = {{}}"] if self.cycles else []
        lines += [f"{self.stops} = Stops()"] if self.stops else []
        return lines + ([f"{self.changed} = joined(())"] if self.changed else [])


def not_an_object(name: str) -> None:
    if name in OBJECTS:
        raise NotCompiled("an object's name is given to something else")


def _in_frame(nodes: Iterable[Node], static: RenderContext) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, LayoutNode) and node.plan is not None:
            yield from _in_frame((*node.plan.statements, *node.plan.base), static)
        elif not isinstance(node, BlockNode):
            yield from _in_frame(node.children(static, include_partials=False), static)
