"""Calls of the API that named themselves, inside a transaction of the caller: keyed hashes, kept for some days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from connect.ledger.records import Named
from connect.ledger.refusals import CallKnown
from connect.ledger.tables import CALLS

KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made."""

    request: bytes
    run_id: str


def find(connection: Connection, name: bytes) -> Call | None:
    row = connection.execute(select(CALLS.c.request, CALLS.c.run_id).where(CALLS.c.name == name)).first()
    return Call(row.request, row.run_id) if row else None


def forget(connection: Connection, now: datetime) -> None:
    connection.execute(delete(CALLS).where(CALLS.c.at < now - KEPT))


def claim(connection: Connection, named: Named, run_id: str, now: datetime) -> None:
    """From now on this name is this run's. Raises CallKnown where it is another's. Forgets what is old."""
    forget(connection, now)
    known = find(connection, named.name)
    if known is not None:
        raise CallKnown(known.run_id, known.request)
    row = {"name": named.name, "request": named.request, "run_id": run_id, "at": now}
    connection.execute(insert(CALLS), row)
