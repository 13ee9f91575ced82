"""Schedules: how far the trigger of each campaign was followed, inside a transaction of the caller."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, Update, delete, select, update

from connect.ledger.many import Insert, insert_on
from connect.ledger.records import Schedule
from connect.ledger.tables import SCHEDULES
from connect.vocabulary import Mode

_FIELDS = [SCHEDULES.c[field.name] for field in fields(Schedule)]


def of_mode(connection: Connection, target: str, mode: Mode) -> dict[str, Schedule]:
    """By campaign."""
    query = select(*_FIELDS).where(SCHEDULES.c.target == target, SCHEDULES.c.mode == mode.value)
    return {row.campaign: _record_of(row) for row in connection.execute(query)}


def put(connection: Connection, target: str, schedule: Schedule) -> Schedule | None:
    """Written with its next version; None, and nothing is, where the ledger has another than its own."""
    after = replace(schedule, version=schedule.version + 1)
    row = asdict(after) | {"target": target, "mode": schedule.mode.value}
    written = connection.execute(_writing(connection, schedule.version, row).returning(SCHEDULES.c.version))
    return after if written.first() is not None else None


def succeed(connection: Connection, target: str, new: Schedule, old: Schedule) -> Schedule | None:
    """A new schedule and what is left of the one that it follows: both, or None and nothing is written."""
    after = put(connection, target, new)
    if after is None or put(connection, target, old) is not None:
        return after
    mine = (SCHEDULES.c.target == target, SCHEDULES.c.mode == new.mode.value, SCHEDULES.c.campaign == new.campaign)
    connection.execute(delete(SCHEDULES).where(*mine))
    return None


def _writing(connection: Connection, version: int, row: dict[str, Any]) -> Insert | Update:
    if not version:
        return insert_on(connection, SCHEDULES).values(row).on_conflict_do_nothing()
    mine = (SCHEDULES.c[name] == row[name] for name in ("target", "mode", "campaign"))
    return update(SCHEDULES).where(*mine, SCHEDULES.c.version == version).values(row)


def is_put(connection: Connection, target: str, after: Schedule | None) -> bool:
    """Whether the ledger says just that. Where a second daemon decided the same, it is all the same."""
    if after is None:
        return False  # nothing was written, and it may be tried again
    mine = (SCHEDULES.c.target == target, SCHEDULES.c.mode == after.mode.value, SCHEDULES.c.campaign == after.campaign)
    found = connection.execute(select(*_FIELDS).where(*mine).with_for_update()).first()
    return found is not None and _record_of(found) == after


def _record_of(row: Row[Any]) -> Schedule:
    return Schedule(**{**row._mapping, "mode": Mode(row.mode)})
