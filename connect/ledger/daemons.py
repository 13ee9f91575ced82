"""Daemons: who says now and then that it is alive, inside a transaction of the caller."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from connect.ledger.many import insert_on
from connect.ledger.records import DaemonRecord
from connect.ledger.tables import DAEMONS
from connect.vocabulary import Mode

REMEMBERED = timedelta(days=1)
"""How long one that says nothing more is shown as missing."""


def beat(connection: Connection, daemon: DaemonRecord, now: datetime) -> None:
    row = asdict(replace(daemon, beat_at=now)) | {"mode": daemon.mode.value}
    new = insert_on(connection, DAEMONS).values(row)
    connection.execute(new.on_conflict_do_update(index_elements=[DAEMONS.c.owner], set_=row))


def leave(connection: Connection, owner: str) -> None:
    connection.execute(delete(DAEMONS).where(DAEMONS.c.owner == owner))


def read(connection: Connection) -> list[DaemonRecord]:
    """The oldest first."""
    rows = connection.execute(select(DAEMONS).order_by(DAEMONS.c.started_at, DAEMONS.c.owner))
    return [DaemonRecord(**{**row._mapping, "mode": Mode(row.mode)}) for row in rows]


def forget(connection: Connection, now: datetime) -> None:
    """Those that have said nothing for a day."""
    connection.execute(delete(DAEMONS).where(DAEMONS.c.beat_at < now - REMEMBERED))
