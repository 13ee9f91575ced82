"""SQL that an engine reads otherwise than it looks: sums with dates, and comments that are run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from connect.errors import Problem
from connect.project.text import Text

# Both by sqlglot's names of the engines.
_DATES_ARE_NUMBERS = frozenset({"mysql"})
"""`date '2026-01-30' + 3` is 20260133 there, and no error."""
_COMMENTS_ARE_RUN = {"mysql": ("!", "M!")}
"""How a comment begins whose text is run: https://mariadb.com/kb/en/comment-syntax/"""

_DATES = ("fire_date", "fire_time", "since", "until")


def problems(
    sql: Text, tokens: Sequence[Token], statement: exp.Expr, markers: Mapping[str, Sequence[int]], dialect: str
) -> Iterator[Problem]:
    """What is wrong with a query whose every `:name` is parsed as the column `_name`."""
    if dialect in _DATES_ARE_NUMBERS:
        yield from _sums(sql, statement, markers)
    begins = _COMMENTS_ARE_RUN.get(dialect)
    if begins and any(comment.startswith(begins) for token in tokens for comment in token.comments):
        place = min(at for begin in begins if (at := sql.source.find(f"/*{begin}")) >= 0)
        message = "this comment is SQL that the server runs, and that nobody has checked"
        yield Problem("comment-runs", message, "write what it says as SQL, or remove it", sql.at(place))


def _sums(sql: Text, statement: exp.Expr, markers: Mapping[str, Sequence[int]]) -> Iterator[Problem]:
    places = {place: name for name in _DATES for place in markers.get(name, ())}
    for node in statement.find_all(exp.Add, exp.Sub):
        sides = [node.this, node.expression]
        for term, other in (sides, sides[::-1]):
            place = _place(term)
            if place in places and not isinstance(other, exp.Interval):
                yield _meant(sql, places[place], place, isinstance(node, exp.Add))


def _place(term: exp.Expr) -> int:
    while isinstance(term, exp.Paren):
        term = term.this
    return int(term.this.meta.get("start", -1)) if isinstance(term, exp.Column) else -1


def _meant(sql: Text, name: str, place: int, is_sum: bool) -> Problem:
    message = f"this engine takes `:{name}` in a sum for the number of its digits, which is no date afterwards"
    return Problem("date-sum", message, f"write `:{name} {'+' if is_sum else '-'} interval 3 day`", sql.at(place))
