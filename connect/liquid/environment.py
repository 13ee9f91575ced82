"""The one Liquid environment: python-liquid with our limits, filters, tags and names, strict throughout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import liquid
from liquid import BoundTemplate, Mode, Node, RenderContext, Tag, Token, TokenStream, Undefined
from liquid.ast import IllegalNode
from liquid.builtin import register
from liquid.exceptions import LiquidError

from connect.liquid import layout, limits, tags
from connect.liquid.context import Context
from connect.liquid.filters import FILTERS, guarded
from connect.liquid.undefined import Missing

UndefinedPolicy = Literal["refuse", "blank"]
NullsPolicy = Literal["blank", "refuse"]


_TAGS: tuple[type[Tag], ...] = (
    tags.Output,
    tags.EchoTag,
    tags.CycleTag,
    tags.IfTag,
    tags.UnlessTag,
    tags.RenderTag,
    tags.SkipTag,
    tags.RandomTag,
    layout.LayoutTag,
    layout.BlockTag,
)


class _Placed(Tag):
    """A tag that reports what is wrong in it at a place in the user's file, and parsing goes on behind its end."""

    def get_node(self, stream: TokenStream) -> Node:
        token = stream.current
        try:
            return self.parse(stream)
        except LiquidError as error:
            if error.token is None or error.token.start_index < 0:
                error.token = token
            self.env.error(error)
            if self.block:
                _pass_over(stream, self.name, self.end or f"end{self.name}")
            return IllegalNode(token)


def _pass_over(stream: TokenStream, name: str, end: str) -> None:
    """Go to the end of this block, past blocks of the same name within it."""
    depth = 0
    while stream.current is not stream.eof:
        if stream.current.is_tag(end):
            if depth == 0:
                return
            depth -= 1
        depth += stream.current.is_tag(name)
        next(stream)


class Environment(liquid.Environment):
    """What a template is parsed and rendered in; one for each way to treat HTML, missing names and nulls."""

    block_nesting_limit = limits.BLOCK_NESTING
    context_depth_limit = limits.CONTEXT_DEPTH
    loop_iteration_limit = limits.LOOP_ITERATIONS
    local_namespace_limit = limits.LOCAL_NAMESPACE_BYTES
    output_stream_limit = limits.OUTPUT_BYTES

    def __init__(
        self,
        *,
        escape: bool,
        undefined: UndefinedPolicy,
        nulls: NullsPolicy,
        nodes: Callable[[str], list[Node]],
        events: bool = False,
    ) -> None:
        self.nulls = nulls
        self.rows = ("user", "event") if events else ("user",)
        """The objects that are the row, so that what is below them are columns."""
        self._nodes = nodes
        self._templates: dict[str, BoundTemplate] = {}
        self._found: list[LiquidError] | None = None
        super().__init__(
            tolerance=Mode.STRICT, autoescape=escape, undefined=Missing if undefined == "refuse" else Undefined
        )

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        register(self)
        del self.tags["include"]
        for tag in _TAGS:
            self.add_tag(tag)
        self.filters = {name: guarded(filter_, self) for name, filter_ in FILTERS.items()}

    def add_tag(self, tag: type[Tag]) -> None:
        super().add_tag(type(tag.__name__, (_Placed, tag), {}))

    def parse_all(self, source: str) -> tuple[list[Node], list[LiquidError]]:
        """The parse tree, and everything that is wrong with it."""
        self._found = []
        try:
            return self._parse(source), self._found
        finally:
            self._found = None

    def error(self, exc: type[LiquidError] | LiquidError, msg: str | None = None, token: Token | None = None) -> None:
        """While parsing, remember; while rendering, raise."""
        error = exc if isinstance(exc, LiquidError) else exc(msg, token=token)
        if error.token is None:
            error.token = token
        if self._found is None:
            raise error
        self._found.append(error)

    def bound(self, nodes: list[Node], name: str = "") -> BoundTemplate:
        return BoundTemplate(self, nodes, name=name)

    def get_template(
        self,
        name: str,
        *,
        globals: Mapping[str, object] | None = None,
        context: RenderContext | None = None,
        **kwargs: object,
    ) -> BoundTemplate:
        if name not in self._templates:
            self._templates[name] = self.bound(self._nodes(name), name)
        return self._templates[name]

    def static_context(self) -> RenderContext:
        """A context that python-liquid asks for when a tree is only looked at."""
        return Context(self.bound([]))


def registered_blocks(environment: liquid.Environment) -> Iterable[tuple[str, str]]:
    """(tag, its end tag) of each block."""
    for tag in environment.tags.values():
        if tag.block:
            yield tag.name, tag.end or f"end{tag.name}"
