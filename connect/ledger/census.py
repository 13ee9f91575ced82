"""How things stand, in numbers, for whoever measures: inside a transaction of the caller.

It is asked every few seconds, of ledgers with a million runs: each question is answered by an index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, func, or_, select

from connect.ledger import daemons, optouts, runs
from connect.ledger.records import Census, LastRun
from connect.ledger.tables import RUNS, TALLIES
from connect.vocabulary import Channel, Mode, Outcome, RunState

_MOST_RUNS = 500
"""Of one campaign, through which the last one that was completed is looked for."""


def take(connection: Connection, target: str, campaigns: Sequence[str], now: datetime) -> Census:
    """Of these campaigns the last live run."""
    going_on = _going_on(connection, target)
    return Census(
        now=now,
        runs=Counter((Mode(row.mode), RunState(row.state)) for row in going_on),
        queued_since=_oldest(going_on),
        last=tuple(_last_runs(connection, target, campaigns)),
        held=optouts.count(connection),
        daemons=tuple(daemons.read(connection)),
    )


def _going_on(connection: Connection, target: str) -> list[Row[tuple[str, str, datetime]]]:
    """Runs that have not ended: (mode, state, fire time)."""
    columns = (RUNS.c.mode, RUNS.c.state, RUNS.c.fire_time)
    not_ended = or_(runs.is_unfinished(RUNS), runs.is_queued(RUNS))
    return list(connection.execute(select(*columns).where(RUNS.c.target == target, not_ended)))


def _oldest(going_on: Sequence[Row[tuple[str, str, datetime]]]) -> dict[Mode, datetime]:
    """For each mode, the oldest fire time that waits for its turn."""
    found: dict[Mode, datetime] = {}
    for row in going_on:
        if row.state == RunState.queued:
            mode = Mode(row.mode)
            found[mode] = min(found.get(mode, row.fire_time), row.fire_time)
    return found


def _last_runs(connection: Connection, target: str, campaigns: Sequence[str]) -> Iterator[LastRun]:
    for campaign in campaigns:
        last = _newest(connection, target, campaign, 1)
        if last:
            yield LastRun(
                campaign,
                last[0].id,
                RunState(last[0].state),
                _completed_at(connection, target, campaign),
                _deliveries(connection, last[0].id),
            )


def _newest(connection: Connection, target: str, campaign: str, limit: int) -> list[Row[tuple[str, str, datetime]]]:
    """Of the latest fire times: (id, state, when it ended). In the order of the constraint `one_run_per_fire_time`."""
    of_campaign = (RUNS.c.target == target, RUNS.c.mode == Mode.live.value, RUNS.c.campaign == campaign)
    newest = select(RUNS.c.id, RUNS.c.state, RUNS.c.ended_at).where(*of_campaign)
    return list(connection.execute(newest.order_by(RUNS.c.fire_time.desc()).limit(limit)))


def _completed_at(connection: Connection, target: str, campaign: str) -> datetime | None:
    for limit in (1, _MOST_RUNS):
        for row in _newest(connection, target, campaign, limit):
            if row.state == RunState.completed:
                ended: datetime = row.ended_at
                return ended
    return None


def _deliveries(connection: Connection, run_id: str) -> dict[tuple[Channel, Outcome], int]:
    kind = (TALLIES.c.channel, TALLIES.c.outcome)
    counted = select(*kind, func.sum(TALLIES.c.count)).where(TALLIES.c.run_id == run_id).group_by(*kind)
    return {(Channel(row[0]), Outcome(row[1])): int(row[2]) for row in connection.execute(counted)}
