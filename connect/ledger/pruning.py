"""Old runs are taken out, except those that a campaign still needs: they say that it has run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, delete, exists, or_, select

from connect.ledger.tables import EVENTS, INTENTS, RUNS, SLICES, STATES, TALLIES
from connect.vocabulary import Outcome, RunState

_ENDED = [state.value for state in RunState if state.ended]
_NEAR_SOMEBODY = [Outcome.sent.value, Outcome.unknown.value]


def prune(connection: Connection, target: str, before: datetime) -> int:
    """Delete runs that ended before an instant, with all that belongs to them; returns how many.

    A run stays until a later one of its campaign and mode tells as much as it does: that the campaign has run, how
    big its audience was, and that its fire time is not due any more.
    """
    old = RUNS.alias("old")
    superseded = exists().where(_supersedes(RUNS.alias("newer"), old))
    query = select(old.c.id).where(old.c.target == target, old.c.ended_at < before, superseded)
    ids = list(connection.execute(query).scalars())
    for some in _batches(ids):
        _delete(connection, some)
    return len(ids)


def _supersedes(newer: FromClause, old: FromClause) -> ColumnElement[bool]:
    same = and_(*(newer.c[name] == old.c[name] for name in ("target", "mode", "campaign")))
    later_fire_time = and_(newer.c.manual.is_(False), newer.c.fire_time > old.c.fire_time)
    return and_(
        same,
        newer.c.state.in_(_ENDED),
        newer.c.started_at > old.c.started_at,
        or_(old.c.manual, later_fire_time),
        _tells(newer) >= _tells(old),
    )


def _tells(run: FromClause) -> ColumnElement[int]:
    """2: it completed. 1: it may have reached somebody. 0: it ended before it could."""
    theirs = (TALLIES.c.run_id == run.c.id, TALLIES.c.outcome.in_(_NEAR_SOMEBODY))
    reached = select(TALLIES.c.run_id).where(*theirs).correlate(run).exists()
    return case((run.c.state == RunState.completed.value, 2), (reached, 1), else_=0)


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + 500] for start in range(0, len(ids), 500))


def _delete(connection: Connection, ids: Sequence[str]) -> None:
    theirs = select(SLICES.c.id).where(SLICES.c.run_id.in_(ids))
    connection.execute(delete(INTENTS).where(INTENTS.c.slice_id.in_(theirs)))
    for table in (SLICES, TALLIES, STATES, EVENTS):
        connection.execute(delete(table).where(table.c.run_id.in_(ids)))
    connection.execute(delete(RUNS).where(RUNS.c.id.in_(ids)))
