"""Template inheritance: `{% layout "base.html" %}` and `{% block name %}`, resolved when templates are compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from liquid import Node, Tag, Token, TokenStream
from liquid.ast import BlockNode as Statements
from liquid.builtin.expressions import Identifier, StringLiteral, parse_name, parse_primitive
from liquid.exceptions import LiquidSyntaxError, StopRender
from liquid.output import NullIO
from liquid.parser import get_parser
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG
from markupsafe import Markup

from connect.liquid.context import Context

if TYPE_CHECKING:
    from liquid import RenderContext

    Blocks = Mapping[str, tuple["BlockNode", ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a template with a layout is rendered: its own statements, then the outermost template with these blocks."""

    statements: tuple[Node, ...]
    """What stands outside blocks and prints nothing: assigns, captures, skips."""
    base: tuple[Node, ...]
    blocks: Blocks
    """For each block its definitions, the innermost template's first; the others are reached by `block.super`."""


class LayoutNode(Node):
    __slots__ = ("name", "plan")

    def __init__(self, token: Token, name: StringLiteral) -> None:
        super().__init__(token)
        self.name = name
        self.plan: Plan | None = None  # set once its template is linked to the layout

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        assert self.plan is not None
        unseen = NullIO()
        for node in self.plan.statements:
            node.render(context, unseen)
        context.blocks = self.plan.blocks
        for node in self.plan.base:
            node.render(context, buffer)
        raise StopRender


class LayoutTag(Tag):
    name = "layout"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        tokens = stream.into_inner(tag=token, eat=False)
        name = parse_primitive(self.env, tokens)
        tokens.expect_eos()
        if not isinstance(name, StringLiteral):
            raise LiquidSyntaxError('the layout\'s name must be quoted: {% layout "base.html" %}', token=name.token)
        return LayoutNode(token, name)


class BlockNode(Node):
    __slots__ = ("block", "name")

    def __init__(self, token: Token, name: Identifier, block: Statements) -> None:
        super().__init__(token)
        self.name = name
        self.block = block
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        return _render(context.blocks.get(self.name) or (self,), context, buffer)

    def children(self, static_context: RenderContext, *, include_partials: bool = True) -> Iterable[Node]:
        yield self.block

    def block_scope(self) -> Iterable[Identifier]:
        yield Identifier("block", token=self.token)


class BlockTag(Tag):
    name = "block"
    block = True
    end = "endblock"

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        tokens = stream.into_inner(tag=token)
        name = parse_name(self.env, tokens)
        tokens.expect_eos()
        block = get_parser(self.env).parse_block(stream, (self.end,))
        stream.expect(TOKEN_TAG, self.end)
        self._end(stream, name)
        return BlockNode(token, name, block)

    def _end(self, stream: TokenStream, name: Identifier) -> None:
        """`{% endblock name %}`: the name is optional, and has to be right."""
        if stream.peek.kind != TOKEN_EXPRESSION:
            return
        next(stream)
        ended = parse_name(self.env, stream.into_inner(eat=False))
        if ended != name:
            raise LiquidSyntaxError(f"expected `endblock {name}`, found `endblock {ended}`", token=ended.token)


def _render(definitions: tuple[BlockNode, ...], context: Context, buffer: TextIO) -> int:
    outer = Outer(definitions[1:], context, buffer)
    inner = context.copy({"block": outer}, carry_loop_iterations=True, block_scope=True)
    return definitions[0].block.render(inner, buffer)


class Outer(Mapping[str, object]):
    """The object `block` inside a block: `block.super` is what the layout's own block prints."""

    def __init__(self, definitions: tuple[BlockNode, ...], context: Context, buffer: TextIO) -> None:
        self._definitions = definitions
        self._context = context
        self._buffer = buffer

    def __getitem__(self, key: str) -> object:
        if key != "super":
            raise KeyError(key)
        if not self._definitions:
            return ""
        written = self._context.get_buffer(self._buffer)
        _render(self._definitions, self._context, written)
        return Markup(written.getvalue()) if self._context.autoescape else written.getvalue()

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(("super",))
