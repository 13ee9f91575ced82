"""Runs that share a cap: one at a time, or two of them would see room for the same message."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from connect.ledger import intents, runs, slices
from connect.ledger.records import RunRecord
from connect.ledger.tables import RUNS

ALL = "all"


def share(one: str, other: str) -> bool:
    """Whether the deliveries of one may decide about people of the other. Two topics, or two campaigns, share none."""
    if not (one and other):
        return False
    (kind, _, name), (kind_of_other, _, name_of_other) = one.partition(":"), other.partition(":")
    return kind == ALL or kind != kind_of_other or name == name_of_other


def holder(connection: Connection, run: RunRecord, now: datetime) -> RunRecord | None:
    """Who shares the cap of a run, and works now, or has deliveries that are not written yet."""
    if not run.cap:
        return None
    return next((other for other in _unsettled(connection, run) if _holds(connection, other, now)), None)


def _unsettled(connection: Connection, run: RunRecord) -> Iterable[RunRecord]:
    of_others = (RUNS.c.target == run.target, RUNS.c.mode == run.mode.value, RUNS.c.id != run.id, RUNS.c.cap != "")
    found = runs.where(connection, *of_others, runs.is_unfinished(RUNS))
    return [other for other in found if share(run.cap, other.cap)]


def _holds(connection: Connection, run: RunRecord, now: datetime) -> bool:
    mine = slices.of_run(connection, run.id)
    if any(not slice.ended and slice.owner and not slices.is_free(slice, now) for slice in mine):
        return True
    return any(intents.are_there(connection, slice.id) for slice in mine)
