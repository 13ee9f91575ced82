"""What a daemon may take up now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, FromClause, and_, exists, or_

from connect.ledger import caps, runs, slices
from connect.ledger.records import RunRecord, Slice
from connect.ledger.tables import RUNS, SCHEDULES
from connect.vocabulary import Mode, RunState

_SENDS = "message "
"""How the runs of messages are called, which earlier versions did not mark as fleeting. No campaign has a space in
its name."""


def work(connection: Connection, target: str, mode: Mode, now: datetime) -> list[RunRecord]:
    """Oldest fire time first."""
    not_fleeting = and_(~RUNS.c.fleeting, ~RUNS.c.campaign.startswith(_SENDS, autoescape=True))
    of_campaigns = and_(RUNS.c.target == target, RUNS.c.mode == mode.value, not_fleeting)
    found = [*_turns(connection, of_campaigns), *_going_on(connection, of_campaigns, now)]
    return sorted(found, key=lambda run: (run.fire_time, run.id))


def _turns(connection: Connection, of_campaigns: ColumnElement[bool]) -> list[RunRecord]:
    """The oldest queued run of each campaign that has none unfinished, and all that need not wait for others.

    None of a campaign that was paused by hand.
    """
    other = RUNS.alias("other")
    earlier = exists().where(_same(other), runs.is_queued(other), ~other.c.beside, other.c.fire_time < RUNS.c.fire_time)
    at_work = exists().where(_same(other), runs.is_at_work(other))
    paused = exists().where(_same(SCHEDULES), SCHEDULES.c.paused)
    has_its_turn = or_(RUNS.c.beside, and_(~earlier, ~at_work))
    return runs.where(connection, of_campaigns, runs.is_queued(RUNS), has_its_turn, ~paused)


def _same(table: FromClause) -> ColumnElement[bool]:
    """Of the same campaign and mode."""
    return and_(*(table.c[name] == RUNS.c[name] for name in ("target", "mode", "campaign")))


def _going_on(connection: Connection, of_campaigns: ColumnElement[bool], now: datetime) -> list[RunRecord]:
    """Running ones of which a slice may be claimed, and whose cap nobody holds."""
    found = runs.where(connection, of_campaigns, runs.is_running(RUNS))
    running = {run.id: run for run in found if caps.holder(connection, run, now) is None}
    claimable = {
        slice.run_id for slice in slices.of_runs(connection, list(running)) if slices.may_be_claimed(slice, now)
    }
    return [run for run in running.values() if run.id in claimable]


_BEGINS_WITHIN = timedelta(minutes=1)
"""Between its row and the claim of its slice a run is nobody's."""


def abandoned(connection: Connection, target: str, now: datetime) -> list[RunRecord]:
    """Fleeting runs of processes that are gone."""
    found = runs.where(connection, RUNS.c.target == target, RUNS.c.fleeting, runs.is_unfinished(RUNS))
    return [run for run in found if _is_abandoned(connection, run, now)]


def _is_abandoned(connection: Connection, run: RunRecord, now: datetime) -> bool:
    mine = slices.of_run(connection, run.id)
    left = run.state is not RunState.running or any(slice.owner for slice in mine)
    begun = left or now - run.started_at > _BEGINS_WITHIN
    return begun and all(slices.is_free(slice, now) for slice in mine)


def interrupted(connection: Connection, target: str, now: datetime) -> frozenset[str]:
    """The ids of running ones that are nobody's any more, though nobody let go of them."""
    running = [run.id for run in runs.where(connection, RUNS.c.target == target, runs.is_running(RUNS))]
    found: dict[str, list[Slice]] = {run_id: [] for run_id in running}
    for slice in slices.of_runs(connection, running):
        found[slice.run_id].append(slice)
    return frozenset(run_id for run_id, mine in found.items() if _is_interrupted(mine, now))


def _is_interrupted(mine: Sequence[Slice], now: datetime) -> bool:
    held = [slice for slice in mine if slice.owner and not slice.ended]
    return bool(held) and all(slices.is_free(slice, now) for slice in held)
