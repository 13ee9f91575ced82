"""python-liquid's expressions with our rules, put in place once, when a template is compiled.

A parse tree's nodes change their class: ours add no fields, only another way to evaluate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any

from liquid import Expression, Node
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Nil, Path
from liquid.builtin.expressions.filtered import Filter as FilterCall
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LtExpression,
    NeExpression,
    _le,
    _lt,
)
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.tags.case_tag import _AnyExpression
from liquid.exceptions import LiquidError

from connect.liquid.dates import instant, read
from connect.liquid.filters import FORGIVING
from connect.liquid.limits import measure
from connect.liquid.trouble import BadValue, NameLacking, TooLarge
from connect.liquid.undefined import Missing

if TYPE_CHECKING:
    from liquid import RenderContext

COMPARISONS = (
    EqExpression,
    NeExpression,
    LtExpression,
    GtExpression,
    LeExpression,
    GeExpression,
    ContainsExpression,
)


class NeededPath(Path):
    """A name that must be in the data: one side of a comparison with a value."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        value = super().evaluate(context)
        if isinstance(value, Missing):
            raise NameLacking(self.token)
        return value


class Call(FilterCall):
    """A filter in its place: whatever goes wrong in it is found here."""

    __slots__ = ()

    def evaluate(self, left: object, context: RenderContext) -> object:
        positional, keywords = self.evaluate_args(context)
        try:
            return context.filter(self.name, self.token)(left, *positional, **keywords)
        except LiquidError as error:
            if error.token is None:
                error.token = self.token
            raise


class CallBeforeDefault(Call):
    """A filter that a `default` follows: what is not there goes on to the default untouched."""

    __slots__ = ()

    def evaluate(self, left: object, context: RenderContext) -> object:
        if isinstance(left, Missing) or (left is None and context.env.nulls == "refuse"):  # type: ignore[attr-defined]
            return left
        return super().evaluate(left, context)


class Loop(LoopExpression):
    """A loop whose length is known to be bearable before `reversed` makes a list of it."""

    __slots__ = ()

    def _to_iter(self, obj: object, context: RenderContext) -> tuple[Iterator[Any], int]:
        try:
            measure(obj)
        except TooLarge as error:
            error.token = self.token
            raise
        return super()._to_iter(obj, context)


def comparable(left: object, right: object) -> tuple[object, object]:
    """Both sides as epoch seconds if one is a date or time; text beside one is read as a date."""
    if isinstance(left, date) or isinstance(right, date):
        with suppress(BadValue):
            return instant(read(left)).timestamp(), instant(read(right)).timestamp()
    return left, right


class Less(LtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        left, right = comparable(self.left.evaluate(context), self.right.evaluate(context))
        return _lt(self.token, left, right)


class Greater(GtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        left, right = comparable(self.left.evaluate(context), self.right.evaluate(context))
        return _lt(self.token, right, left)


class AtMost(LeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        left, right = comparable(self.left.evaluate(context), self.right.evaluate(context))
        return _le(left, right)


class AtLeast(GeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        left, right = comparable(self.left.evaluate(context), self.right.evaluate(context))
        return _le(right, left)


_ORDERINGS: dict[type[Expression], type[Expression]] = {
    LtExpression: Less,
    GtExpression: Greater,
    LeExpression: AtMost,
    GeExpression: AtLeast,
}


def bind(nodes: Iterable[Node], static: RenderContext) -> None:
    """Put our classes in place in a parsed tree, and in what it encloses (not in the templates that it renders)."""
    for node in nodes:
        for expression in node.expressions():
            _bind(expression)
        bind(node.children(static, include_partials=False), static)


def _bind(expression: Expression) -> None:
    for child in expression.children():
        _bind(child)
    if isinstance(expression, FilteredExpression):
        expression.filters = _calls(expression.filters or [])
    elif isinstance(expression, COMPARISONS):
        _bind_comparison(expression)
    elif isinstance(expression, _AnyExpression):
        for side in (expression.left, *expression.expressions):
            _need(side)
    elif type(expression) is LoopExpression:
        expression.__class__ = Loop


def _calls(filters: list[FilterCall]) -> list[FilterCall]:
    last = max((index for index, call in enumerate(filters) if call.name in FORGIVING), default=-1)
    kinds = [CallBeforeDefault if index < last else Call for index in range(len(filters))]
    return [kind(call.token, call.name, call.args) for kind, call in zip(kinds, filters, strict=True)]


def _bind_comparison(expression: Expression) -> None:
    if not compares_with_nothing(expression):
        for side in expression.children():
            _need(side)
    expression.__class__ = _ORDERINGS.get(type(expression), type(expression))


def compares_with_nothing(comparison: Expression) -> bool:
    """`user.x == nil`, `== blank`, `== empty`: a question whether it is there."""
    return any(isinstance(side, (Nil, Empty, Blank)) for side in comparison.children())


def _need(side: Expression) -> None:
    if type(side) is Path:
        side.__class__ = NeededPath
