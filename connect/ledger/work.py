"""What a daemon may take up now."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists

from connect.ledger import runs, slices
from connect.ledger.records import RunRecord
from connect.ledger.tables import RUNS
from connect.vocabulary import Mode

_SENDS = "message "
"""How the runs of `connect send` are called. Their people are in the memory of a process that is gone: see
`connect.cli.send`. No campaign has a space in its name."""


def work(connection: Connection, target: str, mode: Mode, now: datetime) -> list[RunRecord]:
    """Oldest fire time first."""
    of_campaigns = and_(
        RUNS.c.target == target, RUNS.c.mode == mode.value, ~RUNS.c.campaign.startswith(_SENDS, autoescape=True)
    )
    found = [*_turns(connection, of_campaigns), *_going_on(connection, of_campaigns, now)]
    return sorted(found, key=lambda run: (run.fire_time, run.id))


def _turns(connection: Connection, of_campaigns: ColumnElement[bool]) -> list[RunRecord]:
    """The oldest queued run of each campaign that has none unfinished."""
    other = RUNS.alias("other")
    same = and_(*(other.c[name] == RUNS.c[name] for name in ("target", "mode", "campaign")))
    earlier = exists().where(same, runs.is_queued(other), other.c.fire_time < RUNS.c.fire_time)
    at_work = exists().where(same, runs.is_unfinished(other))
    return runs.where(connection, of_campaigns, runs.is_queued(RUNS), ~earlier, ~at_work)


def _going_on(connection: Connection, of_campaigns: ColumnElement[bool], now: datetime) -> list[RunRecord]:
    """Running ones of which a slice may be claimed."""
    running = {run.id: run for run in runs.where(connection, of_campaigns, runs.is_running(RUNS))}
    claimable = {
        slice.run_id for slice in slices.of_runs(connection, list(running)) if slices.may_be_claimed(slice, now)
    }
    return [run for run in running.values() if run.id in claimable]
