"""What has been counted, remembered as keyed hashes for some days: what is reported again counts once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, delete, select

from connect.ledger.tables import EPOCH, SEEN

KEPT = timedelta(days=7)
"""Providers try again for three days at most."""

PARTS = 256
"""By the first byte of a name."""

Names = tuple[bytes, ...]
"""One thing under the project's secret, and then under its older ones."""

_AT_ONCE = 512


def add(connection: Connection, things: Sequence[Names], now: datetime) -> set[bytes]:
    """Remember these; returns the first names of those that were not known, under whichever secret."""
    older = [name for names in things for name in names[1:]]
    known = _known(connection, older) if older else frozenset()
    # Sorted: two servers then wait for each other's rows, and never both for both.
    new = sorted({names[0] for names in things if known.isdisjoint(names[1:])})
    return {name for some in _parts(new) for name in _insert(connection, some, _day(now))}


def known(connection: Connection, things: Sequence[Names]) -> set[bytes]:
    """The first names of those that are remembered, under whichever secret."""
    found = _known(connection, sorted({name for names in things for name in names}))
    return {names[0] for names in things if not found.isdisjoint(names)}


def forget(connection: Connection, now: datetime, part: int) -> None:
    """Forget what is too old, of one of `PARTS`: all of it at once would hold up whoever counts."""
    mine = SEEN.c.name >= bytes([part])
    if part + 1 < PARTS:
        mine &= SEEN.c.name < bytes([part + 1])
    connection.execute(delete(SEEN).where(mine, SEEN.c.day < _day(now - KEPT)))


def _day(now: datetime) -> int:
    return (now - EPOCH).days


def _parts(names: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """A power of two each, the last name as often as that takes: drivers keep a statement for each number."""
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        full = 1 << (len(some) - 1).bit_length()
        yield [*some, *[some[-1]] * (full - len(some))]


def _known(connection: Connection, names: Sequence[bytes]) -> frozenset[bytes]:
    found = (connection.execute(select(SEEN.c.name).where(SEEN.c.name.in_(some))).scalars() for some in _parts(names))
    return frozenset(bytes(name) for names in found for name in names)


def _insert(connection: Connection, names: Sequence[bytes], day: int) -> Iterator[bytes]:
    """One statement that says which of them are new: between two, another server could count the same."""
    style = connection.dialect.paramstyle
    found = connection.exec_driver_sql(_statement(len(names), style), (day, *names))
    return (bytes(name) for name in found.scalars())


@cache
def _statement(count: int, style: str) -> str:
    """By hand: SQLAlchemy takes longer to write so many values than the database to insert them."""
    day, name = ("?", "?") if style == "qmark" else ("%s::integer", "%s::bytea")
    rows = ", ".join([f"({name})"] * count)
    values = f"WITH day(day) AS (VALUES ({day})), given(name) AS (VALUES {rows})"
    return (
        f"{values} INSERT INTO {SEEN.name} (name, day) SELECT given.name, day.day FROM given, day WHERE true"
        " ON CONFLICT DO NOTHING RETURNING name"
    )
