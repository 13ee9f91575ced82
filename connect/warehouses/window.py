"""The window of an event query: it asks for both ends, and no event at an edge is in two windows or in none.

One window ends where the next begins, to the microsecond. So one of the two ends has to be left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from connect.errors import Problem
from connect.project.text import Text

SINCE, UNTIL = "since", "until"
NAMES = (SINCE, UNTIL)
"""The parameters that only the query of an event trigger may bind."""

Markers = Mapping[str, Collection[int]]
"""Parameter → where it stands in the query."""
_LONGEST = 60


def problems(sql: Text, statement: exp.Expr, markers: Markers, dialect: str) -> Iterator[Problem]:
    """What is wrong with the window of an event query, whose every `:name` is parsed as the column `_name`."""
    missing = [f"`:{name}`" for name in NAMES if name not in markers]
    if missing:
        message = (
            f"an event trigger asks for the events of one window of time, and this query does not bind {missing[0]}"
        )
        message += f" nor {missing[1]}" if len(missing) > 1 else ""
        yield Problem("event-window", message, _hint("happened_at"), sql.at(0))
        return
    for window in _windows(statement, markers):
        yield from _judged(sql, window, dialect)


@dataclass(frozen=True, slots=True)
class _Window:
    """Two comparisons that stand side by side, of one expression with both ends."""

    of: exp.Expr
    closed: tuple[bool, bool]
    """Whether an event at `:since`, and one at `:until`, is in it."""
    places: tuple[int, int]


def _judged(sql: Text, window: _Window, dialect: str) -> Iterator[Problem]:
    since, until = window.closed
    if since != until:
        return
    many = "two windows: this has both of its ends" if since else "no window: this has neither of its ends"
    place = window.places[0] if since else window.places[1]
    written = window.of.sql(dialect)
    hint = _hint(written if len(written) <= _LONGEST else "happened_at")
    yield Problem("event-edges", f"an event at the very edge would be in {many}", hint, sql.at(place))


def _hint(expression: str) -> str:
    return f"write `where {expression} > :since and {expression} <= :until`"


def _windows(statement: exp.Expr, markers: Markers) -> Iterator[_Window]:
    for node in statement.walk():
        if isinstance(node, (exp.Between, exp.And)) and not _is_inside(node, exp.Not):
            if isinstance(node, exp.Between):
                yield from _between(node, markers)
            elif not _is_inside(node, exp.And):
                yield from _compared(node, markers)


def _is_inside(node: exp.Expr, kind: type[exp.Expr]) -> bool:
    """Whether it is directly in one of this kind, but for parentheses."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return isinstance(parent, kind)


def _between(node: exp.Between, markers: Markers) -> Iterator[_Window]:
    low, high = _end(node.args["low"], markers), _end(node.args["high"], markers)
    if low and high and (low[0], high[0]) == NAMES:
        yield _Window(node.this, (True, True), (low[1], high[1]))


_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE}
_OF: dict[str, tuple[type[exp.Expr], type[exp.Expr]]] = {SINCE: (exp.GT, exp.GTE), UNTIL: (exp.LT, exp.LTE)}
"""How an expression is compared with each end: without it, and with it."""


def _compared(conjunction: exp.And, markers: Markers) -> Iterator[_Window]:
    """The windows in what is joined by AND: of each expression that is compared with both ends."""
    found: dict[str, dict[str, tuple[exp.Expr, bool, int]]] = {}
    for comparison in conjunction.flatten():
        if type(comparison) in _FLIPPED:
            _note(comparison, markers, found)
    for ends in found.values():
        if len(ends) == len(NAMES):
            (of, at_since, since), (_, at_until, until) = ends[SINCE], ends[UNTIL]
            yield _Window(of, (at_since, at_until), (since, until))


def _note(comparison: exp.Expr, markers: Markers, found: dict[str, dict[str, tuple[exp.Expr, bool, int]]]) -> None:
    kind, of, end = type(comparison), comparison.this, _end(comparison.expression, markers)
    if end is None:
        kind, of, end = _FLIPPED[kind], comparison.expression, _end(comparison.this, markers)
    if end is not None and kind in _OF[end[0]]:
        found.setdefault(of.sql().casefold(), {})[end[0]] = (of, kind is _OF[end[0]][1], end[1])


def _end(node: exp.Expr, markers: Markers) -> tuple[str, int] | None:
    """(`since` or `until`, its place) where the expression is nothing else, but for parentheses and casts."""
    while isinstance(node, (exp.Paren, exp.Cast)):
        node = node.this
    if not isinstance(node, exp.Column):
        return None
    place = node.this.meta.get("start")
    return next(((name, place) for name in NAMES if place in markers[name]), None)
