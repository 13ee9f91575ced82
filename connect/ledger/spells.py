"""Spells of time in which a server may have written events that it never came to count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from connect.ledger import seen
from connect.ledger.many import insert_on
from connect.ledger.records import Spell
from connect.ledger.tables import SPELLS

KEPT = seen.KEPT + timedelta(days=1)
"""An event that was not counted may be reported again for so long."""


def keep(connection: Connection, spells: Iterable[Spell]) -> None:
    for row in map(asdict, spells):
        new = insert_on(connection, SPELLS).values(row)
        connection.execute(new.on_conflict_do_update(index_elements=[SPELLS.c.name], set_=row))


def read(connection: Connection) -> list[Spell]:
    """The oldest first."""
    rows = connection.execute(select(SPELLS).order_by(SPELLS.c.since, SPELLS.c.name))
    return [Spell(**row._mapping) for row in rows]


def end(connection: Connection, name: str) -> None:
    connection.execute(delete(SPELLS).where(SPELLS.c.name == name))


def forget(connection: Connection, now: datetime) -> None:
    connection.execute(delete(SPELLS).where(SPELLS.c.until < now - KEPT))
