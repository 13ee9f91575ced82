"""The tags that are ours or behave otherwise here: output, skip, random, render."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from liquid import Expression, Mode, Node, Tag, Token, TokenStream
from liquid.builtin.expressions import Identifier, StringLiteral, parse_primitive
from liquid.builtin.output import Output as PlainOutput
from liquid.builtin.output import OutputNode as PlainOutputNode
from liquid.builtin.tags.cycle_tag import CycleNode as PlainCycleNode
from liquid.builtin.tags.cycle_tag import CycleTag as PlainCycleTag
from liquid.builtin.tags.echo_tag import EchoTag as PlainEchoTag
from liquid.builtin.tags.if_tag import IfTag as PlainIfTag
from liquid.builtin.tags.render_tag import RenderNode
from liquid.builtin.tags.render_tag import RenderTag as PlainRenderTag
from liquid.builtin.tags.unless_tag import UnlessTag as PlainUnlessTag
from liquid.exceptions import LiquidSyntaxError
from liquid.token import TOKEN_TAG

from connect.liquid.context import Context
from connect.liquid.numbers import integer
from connect.liquid.printing import printed, text_of
from connect.liquid.structures import structure
from connect.liquid.trouble import BadValue, FilterTrouble, NameLacking, NullMet, Skip
from connect.liquid.undefined import Missing

if TYPE_CHECKING:
    from liquid import RenderContext

LONGEST_REASON = 60
_HIGHEST_RANDOM = 2**53


class OutputNode(PlainOutputNode):
    """`{{ … }}`: nulls are refused where the message says so, and values print as text_of has it."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _print(self.expression.evaluate(context), self.expression.token, context, buffer)

    def structure(self, context: RenderContext) -> object:
        """The value as JSON has it, where it is not printed."""
        value, token = self.expression.evaluate(context), self.expression.token
        _refuse_null(value, token, context)
        if isinstance(value, Missing):
            raise NameLacking(value.token)
        try:
            return structure(value)
        except BadValue as bad:
            raise _placed(bad, token) from None


def _print(value: object, token: Token, context: RenderContext, buffer: TextIO) -> int:
    _refuse_null(value, token, context)
    try:
        return buffer.write(printed(value, context.autoescape))
    except BadValue as bad:
        raise _placed(bad, token) from None


def _refuse_null(value: object, token: Token, context: RenderContext) -> None:
    if value is None and context.env.nulls == "refuse":  # type: ignore[attr-defined]
        raise NullMet(token)


def _placed(bad: BadValue, token: Token) -> FilterTrouble:
    trouble = FilterTrouble(bad)
    trouble.token = token
    return trouble


class Output(PlainOutput):
    node_class = OutputNode


class EchoTag(PlainEchoTag):
    node_class = OutputNode  # type: ignore[assignment]


class CycleNode(PlainCycleNode):
    """Prints as everything prints."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        values = [argument.evaluate(context) for argument in self.args]
        group = text_of(self.group.evaluate(context)) if self.group else ""
        index = context.cycle(group or str([text_of(value) for value in values]), len(values))
        return _print(values[index], self.token, context, buffer) if index < len(values) else 0


class CycleTag(PlainCycleTag):
    node_class = CycleNode


class IfTag(PlainIfTag):
    mode = Mode.STRICT  # what stands behind `else` is a mistake, not to be ignored


class UnlessTag(PlainUnlessTag):
    mode = Mode.STRICT


class SkipNode(Node):
    __slots__ = ("reason",)

    def __init__(self, token: Token, reason: str) -> None:
        super().__init__(token)
        self.reason = reason

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        raise Skip(self.reason)


class SkipTag(Tag):
    """`{% skip "sold out" %}`. The reason is counted in reports, so it is literal: never a value of the audience."""

    name = "skip"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        tokens = stream.into_inner(tag=token, eat=False)
        reason = parse_primitive(self.env, tokens)
        tokens.expect_eos()
        if not isinstance(reason, StringLiteral):
            raise LiquidSyntaxError('the reason of `skip` must be quoted: {% skip "sold out" %}', token=reason.token)
        text = reason.value.strip()
        if not 1 <= len(text) <= LONGEST_REASON or not text.isprintable():
            raise LiquidSyntaxError(f"the reason of `skip` must have 1 to {LONGEST_REASON} characters", token=token)
        return SkipNode(token, text)


def random_limit(value: object) -> int:
    """The highest number that may be drawn. Raises BadValue."""
    limit = integer(value, "the argument of `random`")
    if not 0 <= limit <= _HIGHEST_RANDOM:
        raise BadValue("the argument of `random` must be between 0 and 2**53")
    return limit


class RandomNode(Node):
    __slots__ = ("highest",)

    def __init__(self, token: Token, highest: Expression) -> None:
        super().__init__(token)
        self.highest = highest
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        return buffer.write(str(context.state.random(self.token, self._limit(context))))

    def _limit(self, context: RenderContext) -> int:
        value = self.highest.evaluate(context)
        if isinstance(value, Missing):
            raise NameLacking(value.token)
        try:
            return random_limit(value)
        except BadValue as bad:
            raise _placed(bad, self.token) from None

    def expressions(self) -> Iterable[Expression]:
        yield self.highest


class RandomTag(Tag):
    """`{% random 20 %}`: 0 to 20, the same for the same person and run."""

    name = "random"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        tokens = stream.into_inner(tag=token, eat=False)
        highest = parse_primitive(self.env, tokens)
        tokens.expect_eos()
        return RandomNode(token, highest)


class RenderTag(PlainRenderTag):
    """`{% render "card.html" %}`. The name is literal, so that everything that can be rendered is known beforehand."""

    def parse(self, stream: TokenStream) -> Node:
        node = super().parse(stream)
        assert isinstance(node, RenderNode)
        if not isinstance(node.name, StringLiteral):
            raise LiquidSyntaxError('the template\'s name must be quoted: {% render "card.html" %}', token=node.token)
        if node.var is not None and node.alias is None:
            node.alias = Identifier(_stem(node.name.value), token=node.name.token)
        return node


def _stem(name: str) -> str:
    """What `{% render "cards/product.html" for products %}` calls each product."""
    return name.rsplit("/", 1)[-1].split(".", 1)[0]
