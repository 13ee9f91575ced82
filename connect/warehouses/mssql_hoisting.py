"""What may not stand in a subquery of SQL Server, and stands there when a query is wrapped: `with`, and `order by`.

The text is cut and put together again, so that every part of it stays as the user wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot.tokenizer_core import Token, TokenType

from connect.errors import Problem
from connect.warehouses.interface import SqlError

_LIMITS = (TokenType.TOP, TokenType.OFFSET, TokenType.FOR)
"""With these a subquery may be in order."""


def hoisted(sql: str) -> str:
    """The same query with every common table expression at its beginning. Raises SqlError where two have one name."""
    tokens = sqlglot.tokenize(sql, read="tsql")
    cuts, expressions = _cuts(sql, tokens)
    if not cuts:
        return sql
    rest = _without(sql, 0, len(sql), [(cut.start, cut.end) for cut in cuts])
    if not expressions:
        return rest
    _check(tokens, expressions)
    unique = list(dict.fromkeys(one.text for one in expressions))
    begins = next((token for token in tokens[:1] if token.token_type is TokenType.WITH), None)
    if begins is None:
        return f"with {_listed(unique)}\n{rest}"
    return f"with {_listed(unique)},\n{rest[begins.end + 1 :].lstrip()}"


def _listed(expressions: Sequence[str]) -> str:
    return ",\n".join(expressions)


@dataclass(frozen=True, slots=True)
class _Cut:
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Expression:
    """A common table expression: its name and its text, and the subquery that it is for."""

    name: str
    text: str
    start: int
    end: int


def _without(sql: str, start: int, end: int, cuts: Sequence[tuple[int, int]]) -> str:
    parts, place = [], start
    for left, right in sorted(cuts):
        if place <= left and right <= end:
            parts.append(sql[place:left])
            place = right
    return "".join([*parts, sql[place:end]])


def _cuts(sql: str, tokens: Sequence[Token]) -> tuple[list[_Cut], list[_Expression]]:
    """What is taken out of the text, and the common table expressions of it, the inner ones first."""
    cuts: list[_Cut] = []
    expressions: list[_Expression] = []
    for opening, closing in _subqueries(tokens):
        if tokens[opening + 1].token_type is TokenType.WITH:
            select = _select(tokens, opening + 2, closing)
            for first, last in _parts(tokens, opening + 2, select):
                start, end = tokens[first].start, tokens[last].end + 1
                text = _without(sql, start, end, [(cut.start, cut.end) for cut in cuts])
                expressions.append(_Expression(tokens[first].text, text, tokens[opening].start, tokens[closing].end))
            cuts.append(_Cut(tokens[opening + 1].start, tokens[select].start))
        ordering = _ordering(tokens, opening, closing)
        if ordering is not None:
            cuts.append(_Cut(tokens[ordering].start, tokens[closing - 1].end + 1))
    outer = [cut for cut in cuts if not any(_holds(other, cut) for other in cuts)]
    return outer, expressions


def _holds(outer: _Cut, inner: _Cut) -> bool:
    return outer is not inner and outer.start <= inner.start and inner.end <= outer.end


def _subqueries(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """The parentheses around a query, the inner ones first."""
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            opened.append(place)
        elif token.token_type is TokenType.R_PAREN and opened:
            opening = opened.pop()
            if tokens[opening + 1].token_type in (TokenType.SELECT, TokenType.WITH):
                yield opening, place


def _at_the_top(tokens: Sequence[Token], start: int, end: int) -> Iterator[int]:
    """The places that are in no parentheses of their own."""
    depth = 0
    for place in range(start, end):
        kind = tokens[place].token_type
        depth -= kind is TokenType.R_PAREN
        if not depth:
            yield place
        depth += kind is TokenType.L_PAREN


def _select(tokens: Sequence[Token], start: int, end: int) -> int:
    """Where the query begins behind its common table expressions."""
    return next(place for place in _at_the_top(tokens, start, end) if tokens[place].token_type is TokenType.SELECT)


def _parts(tokens: Sequence[Token], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The first and the last token of each common table expression; what a comma inside of `x (a, b)` parts is one."""
    first = start
    for place in _at_the_top(tokens, start, end):
        if tokens[place].token_type is TokenType.COMMA:
            yield first, place - 1
            first = place + 1
    yield first, end - 1


def _ordering(tokens: Sequence[Token], opening: int, closing: int) -> int | None:
    """Where a subquery is put in order for nothing."""
    places = list(_at_the_top(tokens, opening + 1, closing))
    if any(tokens[place].token_type in _LIMITS for place in places):
        return None
    return next((place for place in places if tokens[place].token_type is TokenType.ORDER_BY), None)


def _check(tokens: Sequence[Token], expressions: Sequence[_Expression]) -> None:
    """A name that means something else in another part of the query would mean the same everywhere."""
    texts: dict[str, str] = {}
    for one in expressions:
        name = one.name.casefold()
        elsewhere = (
            token for token in tokens if token.text.casefold() == name and not one.start < token.start < one.end
        )
        same = [other for other in expressions if other.text == one.text]
        strange = [token for token in elsewhere if not any(other.start < token.start < other.end for other in same)]
        if texts.setdefault(name, one.text) != one.text or any(_is_relation(tokens, token) for token in strange):
            raise SqlError(Problem("sql-error", *_ambiguous(one.name)))


_BEFORE_A_RELATION = (TokenType.FROM, TokenType.JOIN, TokenType.COMMA, TokenType.WITH)


def _is_relation(tokens: Sequence[Token], token: Token) -> bool:
    place = tokens.index(token)
    return place > 0 and tokens[place - 1].token_type in _BEFORE_A_RELATION


def _ambiguous(name: str) -> tuple[str, str]:
    said = f"SQL Server has all `with` of a query in one place, and there `{name}` would have two meanings"
    return said, f"give the common table expression `{name}` a name that no other query or table has"
