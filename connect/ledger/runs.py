"""Runs and their states, inside a transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from connect.errors import UserError
from connect.ledger.many import insert_on
from connect.ledger.records import NewRun, RunRecord, StateChange
from connect.ledger.refusals import RunEnded, RunPaused
from connect.ledger.tables import RUNS, SLICES, STATES, TALLIES
from connect.vocabulary import Mode, Outcome, RunState

MOST_STATES = 500
"""State changes kept for a run: one that waits for a rate all night must not grow the ledger."""

_UNFINISHED = [RunState.running.value, RunState.paused.value, RunState.stopped.value]
"""In the order of the indexes `unfinished_runs` and `one_unfinished_run`."""
_NEWEST_FIRST = (RUNS.c.started_at.desc(), RUNS.c.id.desc())


def insert_new(connection: Connection, target: str, run: NewRun, now: datetime) -> None:
    connection.execute(insert(RUNS), _row(target, run, now))
    _record(connection, run.id, run.state, run.reason, now)


def insert_missing(connection: Connection, target: str, new: Sequence[NewRun], now: datetime) -> None:
    """Those whose fire time has no run yet, with their states."""
    place = [RUNS.c[name] for name in ("target", "mode", "campaign", "fire_time")]
    inserting = insert_on(connection, RUNS).on_conflict_do_nothing(index_elements=place)
    connection.execute(inserting, [_row(target, run, now) for run in new])
    first = select(RUNS.c.id, literal(1), RUNS.c.started_at, RUNS.c.state, RUNS.c.reason)
    for start in range(0, len(new), 500):
        mine = first.where(RUNS.c.id.in_([run.id for run in new[start : start + 500]]))
        connection.execute(insert(STATES).from_select(["run_id", "number", "at", "state", "reason"], mine))


def _row(target: str, run: NewRun, now: datetime) -> dict[str, object]:
    sealed = not run.state.ended
    return {
        "id": run.id,
        "target": target,
        "mode": run.mode.value,
        "campaign": run.campaign,
        "fire_time": run.fire_time,
        "manual": run.manual,
        "state": run.state.value,
        "reason": run.reason,
        "digest": run.digest,
        "campaign_json": run.campaign_json,
        "salt": run.salt if sealed else None,
        "secret": run.secret if sealed else None,
        "audience_rows": run.audience_rows,
        "started_at": now,
        "ended_at": now if run.state.ended else None,
        "recoveries": 0,
        "since": run.since,
        "until": run.until,
        "beside": run.beside,
        "cap": run.cap,
        "parameters": run.parameters if sealed else None,
        "fleeting": run.fleeting,
    }


def in_the_way(connection: Connection, target: str, run: NewRun, again: bool) -> RunRecord | None:
    """The run because of which a new one can not be made, if any."""
    found = at(connection, target, run.mode, run.campaign, run.fire_time)
    if found or run.beside or run.state is not RunState.running:
        return found  # one that waits, or is skipped, is in nobody's way, nor anybody in its
    # A queued one is about to begin: who goes ahead of it writes to everybody twice, also where that is asked for.
    waits = queued(connection, target, run.mode, run.campaign)
    return at_work(connection, target, run.mode, run.campaign) or (
        waits[0] if waits else None if again else has_reached(connection, target, run.mode, run.campaign)
    )


def get(connection: Connection, run_id: str, *, hold: bool = False) -> RunRecord:
    """A run; with `hold`, nobody else changes it until the transaction ends."""
    found = _select(connection, RUNS.c.id == run_id, hold=hold)
    if not found:
        raise UserError.of("unknown-run", f"there is no run {run_id}", "`connect runs list` lists them")
    return found[0]


def beginning_with(connection: Connection, target: str, prefix: str) -> list[RunRecord]:
    """At most three: enough to tell that a prefix is not unique. An empty prefix finds nothing."""
    if not prefix:
        return []
    return _select(connection, RUNS.c.target == target, RUNS.c.id.startswith(prefix, autoescape=True), limit=3)


def newest(
    connection: Connection,
    target: str,
    campaign: str | None,
    limit: int,
    state: RunState | None = None,
    behind: tuple[datetime, str] | None = None,
) -> list[RunRecord]:
    wanted = [RUNS.c.target == target]
    wanted += [] if campaign is None else [RUNS.c.campaign == campaign]
    wanted += [] if state is None else [RUNS.c.state == state.value]
    if behind is not None:
        started_at, run_id = behind
        later = and_(RUNS.c.started_at == started_at, RUNS.c.id < run_id)
        wanted.append(or_(RUNS.c.started_at < started_at, later))
    return _select(connection, *wanted, limit=limit)


def at(connection: Connection, target: str, mode: Mode, campaign: str, fire_time: datetime) -> RunRecord | None:
    return _first(connection, *_of(target, mode, campaign), RUNS.c.fire_time == fire_time)


def next_free(connection: Connection, target: str, run: NewRun) -> datetime:
    """The first instant from its fire time on that no run of its campaign has."""
    mine = (*_of(target, run.mode, run.campaign), RUNS.c.fire_time >= run.fire_time)
    free = run.fire_time
    for taken in connection.execute(select(RUNS.c.fire_time).where(*mine).order_by(RUNS.c.fire_time)).scalars():
        if taken != free:
            break
        free += timedelta(microseconds=1)
    return free


def unfinished(connection: Connection, target: str, mode: Mode, campaign: str) -> RunRecord | None:
    """The one of the oldest fire time: there are several where runs are made to overlap."""
    found = where(connection, *_of(target, mode, campaign), is_unfinished(RUNS), ~RUNS.c.fleeting)
    return min(found, key=lambda run: run.fire_time, default=None)


def at_work(connection: Connection, target: str, mode: Mode, campaign: str) -> RunRecord | None:
    """The one unfinished run for which others wait."""
    return _first(connection, *_of(target, mode, campaign), is_at_work(RUNS))


def queued(connection: Connection, target: str, mode: Mode, campaign: str) -> list[RunRecord]:
    """Oldest fire time first."""
    found = where(connection, *_of(target, mode, campaign), is_queued(RUNS))
    return sorted(found, key=lambda run: run.fire_time)


def last_completed(connection: Connection, target: str, mode: Mode, campaign: str) -> RunRecord | None:
    """Not one that was for the people of a call: how many those were says nothing about its audience."""
    completed = (RUNS.c.state == RunState.completed.value, ~RUNS.c.fleeting)
    return _first(connection, *_of(target, mode, campaign), *completed)


def has_run_live(connection: Connection, target: str, campaign: str) -> RunRecord | None:
    """A run that ended before it could reach anybody does not count: its mistake is mended, and it is run again.

    Nor does one that waits for its turn, or was skipped.
    """
    near_somebody = [Outcome.sent.value, Outcome.unknown.value]
    reached = exists().where(TALLIES.c.run_id == RUNS.c.id, TALLIES.c.outcome.in_(near_somebody))
    began = RUNS.c.state.in_([*_UNFINISHED, RunState.completed.value])
    return _first(connection, *_of(target, Mode.live, campaign), or_(began, reached))


def has_reached(connection: Connection, target: str, mode: Mode, campaign: str) -> RunRecord | None:
    """As `has_run_live`, for a run in this mode: outside of live nobody minds another."""
    return has_run_live(connection, target, campaign) if mode is Mode.live else None


def must_go_on(connection: Connection, run_id: str) -> RunRecord:
    """Holds a run. Raises RunEnded, or UserError when it does not exist."""
    run = get(connection, run_id, hold=True)
    if run.state.ended:
        raise RunEnded(run_id, run.state)
    return run


def must_have_begun(connection: Connection, run_id: str) -> RunRecord:
    """Holds a run. Raises UserError when it waits for its turn, has ended, or does not exist."""
    run = must_go_on(connection, run_id)
    if run.state is RunState.queued:
        raise UserError.of(
            "run-queued",
            f"run {run_id} waits for its turn",
            f"it starts when the run before it has ended; `connect runs cancel {run_id}` ends it",
        )
    return run


def must_not_be_paused(run: RunRecord) -> None:
    """Raises RunPaused."""
    if run.state is RunState.paused:
        raise RunPaused(run.id)


def begin(connection: Connection, run_id: str, audience_rows: int | None, now: datetime) -> None:
    """A queued run is running."""
    changes = {"audience_rows": audience_rows, "started_at": now}
    connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(**changes))
    set_state(connection, run_id, RunState.running, "", now)


def set_state(connection: Connection, run_id: str, state: RunState, reason: str, now: datetime) -> None:
    must_go_on(connection, run_id)
    connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(state=state.value, reason=reason))
    _record(connection, run_id, state, reason, now)


def note(connection: Connection, run_id: str, text: str, now: datetime) -> None:
    run = get(connection, run_id, hold=True)
    # What is paused or stopped says why, and goes on saying so while the last of its workers leave.
    if run.state in (RunState.running, RunState.queued) and run.reason != text:
        set_state(connection, run_id, run.state, text, now)


def end(connection: Connection, run_id: str, state: RunState, reason: str, now: datetime) -> None:
    set_state(connection, run_id, state, reason, now)
    erased: dict[str, object] = {"salt": None, "secret": None, "parameters": None}
    connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(**erased, ended_at=now))


def tell_recoveries(connection: Connection, run_id: str) -> None:
    """The most that a slice of it has: one that dies again and again shows, also where others get on."""
    most = select(func.max(SLICES.c.recoveries)).where(SLICES.c.run_id == run_id).scalar_subquery()
    connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(recoveries=most))


def states(connection: Connection, run_id: str) -> list[StateChange]:
    rows = connection.execute(select(STATES).where(STATES.c.run_id == run_id).order_by(STATES.c.number))
    return [StateChange(row.at, RunState(row.state), row.reason) for row in rows]


def count(connection: Connection, target: str) -> str:
    """How many runs there are, in words."""
    query = select(RUNS.c.state, func.count()).where(RUNS.c.target == target).group_by(RUNS.c.state)
    counts = {row[0]: int(row[1]) for row in connection.execute(query)}
    told = ", ".join(f"{counts[state.value]} {state}" for state in RunState if state.value in counts)
    number = sum(counts.values())
    return f"{number} run{'s' if number > 1 else ''} ({told})" if counts else "no runs"


def _record(connection: Connection, run_id: str, state: RunState, reason: str, now: datetime) -> None:
    mine = STATES.c.run_id == run_id
    number = connection.execute(select(func.coalesce(func.max(STATES.c.number), 0) + 1).where(mine)).scalar_one()
    row = {"run_id": run_id, "number": number, "at": now, "state": state.value, "reason": reason}
    connection.execute(insert(STATES), row)
    # The first one stays: it says when the run began.
    connection.execute(delete(STATES).where(mine, STATES.c.number > 1, STATES.c.number <= number - MOST_STATES))


def _of(target: str, mode: Mode, campaign: str) -> tuple[ColumnElement[bool], ...]:
    return (RUNS.c.target == target, RUNS.c.mode == mode.value, RUNS.c.campaign == campaign)


# As literals, for the planner: it uses a partial index only where the query says what the index says.


def is_queued(table: FromClause) -> ColumnElement[bool]:
    return table.c.state == literal(RunState.queued.value, literal_execute=True)


def is_running(table: FromClause) -> ColumnElement[bool]:
    return and_(is_unfinished(table), table.c.state == RunState.running.value)


def is_unfinished(table: FromClause) -> ColumnElement[bool]:
    return table.c.state.in_([literal(state, literal_execute=True) for state in _UNFINISHED])


def is_at_work(table: FromClause) -> ColumnElement[bool]:
    return and_(is_unfinished(table), ~table.c.beside)


def where(connection: Connection, *conditions: ColumnElement[bool]) -> list[RunRecord]:
    """Newest first."""
    return _select(connection, *conditions)


def _first(connection: Connection, *conditions: ColumnElement[bool]) -> RunRecord | None:
    return next(iter(_select(connection, *conditions, limit=1)), None)


def _select(
    connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None, hold: bool = False
) -> list[RunRecord]:
    query = select(RUNS).where(and_(*conditions)).order_by(*_NEWEST_FIRST).limit(limit)
    if hold:
        query = query.with_for_update(key_share=True)
    return [_record_of(row) for row in connection.execute(query)]


def _record_of(row: Row[*tuple[object, ...]]) -> RunRecord:
    fields = dict(row._mapping)
    return RunRecord(**{**fields, "mode": Mode(row.mode), "state": RunState(row.state)})
