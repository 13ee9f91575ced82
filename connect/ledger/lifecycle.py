"""How runs and their slices begin and end, inside a transaction of the caller.

Beside each change stands how to find out, when a commit had no answer, whether it was made. Locks are always taken in
this order: the place of runs, slices, runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connect.ledger import calls, caps, intents, runs, schedules, slices, tallies
from connect.ledger.owner import Owner
from connect.ledger.records import NewRun, NewSlice, RunRecord, Schedule, Slice, Tally
from connect.ledger.refusals import CapHeld, RunExists
from connect.ledger.scope import Scope
from connect.vocabulary import RunState


def create(connection: Connection, scope: Scope, run: NewRun, again: bool) -> RunRecord:
    """Only what runs at once has slices. Raises RunExists, or CallKnown."""
    scope.one_at_a_time(connection)
    if run.named:
        calls.claim(connection, run.named, run.id, scope.now(connection))
    if run.called:
        run = replace(run, fire_time=runs.next_free(connection, scope.target, run))
    other = runs.in_the_way(connection, scope.target, run, again)
    if other:
        raise RunExists(other)
    runs.insert_new(connection, scope.target, run, scope.clock.now())
    if run.state is RunState.running:
        slices.insert_new(connection, run.id, run.slices, scope.clock.now())
    tallies.add(connection, run.id, run.tallies)
    return runs.get(connection, run.id)


def is_created(connection: Connection, scope: Scope, made: RunRecord) -> bool:
    scope.one_at_a_time(connection)
    return bool(runs.beginning_with(connection, scope.target, made.id))


def follow(
    connection: Connection, scope: Scope, schedule: Schedule, new: Sequence[NewRun], instead_of: Schedule | None = None
) -> Schedule | None:
    """A schedule with the runs that it gives. None where somebody else has changed it, or the one before it."""
    if any(run.state not in (RunState.queued, RunState.skipped) for run in new):
        raise ValueError("what a schedule gives is queued or skipped")
    if instead_of is None:
        after = schedules.put(connection, scope.target, schedule)
    else:
        after = schedules.succeed(connection, scope.target, schedule, instead_of)
    if after is not None and new:
        runs.insert_missing(connection, scope.target, new, scope.clock.now())
    return after


def start(
    connection: Connection,
    scope: Scope,
    run_id: str,
    audience_rows: int | None,
    settled: Sequence[Tally],
    new: Sequence[NewSlice],
    not_if_live: bool = False,
) -> RunRecord:
    """A queued run has its turn. Raises RunExists with the run that has it, be it this one already."""
    scope.one_at_a_time(connection)
    run = runs.must_go_on(connection, run_id)
    other = _ahead_of(connection, run, not_if_live)
    if other:
        raise RunExists(other)
    runs.begin(connection, run_id, audience_rows, scope.clock.now())
    slices.insert_new(connection, run_id, new, scope.clock.now())
    tallies.add(connection, run_id, settled)
    return runs.get(connection, run_id)


def _ahead_of(connection: Connection, run: RunRecord, not_if_live: bool) -> RunRecord | None:
    """What keeps a run from starting."""
    if run.state is not RunState.queued:
        return run
    other = None if run.beside else runs.at_work(connection, run.target, run.mode, run.campaign)
    if other is None and not_if_live:
        return runs.has_reached(connection, run.target, run.mode, run.campaign)
    return other


def is_started(connection: Connection, scope: Scope, started: RunRecord) -> bool:
    scope.one_at_a_time(connection)
    now = runs.get(connection, started.id)
    return now.state is not RunState.queued and now.started_at == started.started_at


def finish(
    connection: Connection,
    scope: Scope,
    run_id: str,
    state: RunState,
    reason: str,
    holder: Slice | None,
    only_from: RunState | None = None,
) -> bool:
    """Whoever works on the run loses its lease. Raises LeaseLost when `holder` has none.

    False, and nothing happens, where the run has left the state that this is for.
    """
    scope.one_at_a_time(connection)  # a run that is queued does not start meanwhile
    slices.hold(connection, run_id)
    if holder:
        slices.fence(connection, holder)
    if only_from and runs.get(connection, run_id, hold=True).state is not only_from:
        return False
    slices.end(connection, run_id)  # first: from now on nobody writes what would not be counted
    left = [slice.id for slice in slices.of_run(connection, run_id) if not slice.ended]
    _count_what_is_left(connection, run_id, left)
    runs.end(connection, run_id, state, reason, scope.clock.now())
    return True


def is_finished(connection: Connection, run_id: str, state: RunState, reason: str) -> bool:
    slices.hold(connection, run_id)
    run = runs.get(connection, run_id)
    return (run.state, run.reason) == (state, reason)


def claim(connection: Connection, scope: Scope, run_id: str, owner: Owner, lease: timedelta) -> Slice:
    """Raises SliceHeld, SlicesClosed or CapHeld."""
    _must_have_its_cap(connection, scope, run_id)
    slices.hold(connection, run_id)
    runs.must_have_begun(connection, run_id)
    claimed, taken_over = slices.claim(connection, run_id, owner, scope.now(connection), lease)
    if taken_over:
        runs.tell_recoveries(connection, run_id)
    return claimed


def _must_have_its_cap(connection: Connection, scope: Scope, run_id: str) -> None:
    """Of two that are claimed at once, one must see the other."""
    run = runs.get(connection, run_id)
    if run.cap:
        scope.one_at_a_time(connection)
        if holder := caps.holder(connection, run, scope.now(connection)):
            raise CapHeld(run_id, holder)


def park(
    connection: Connection,
    scope: Scope,
    slice: Slice,
    opens_at: datetime | None,
    closes_at: datetime | None,
    reason: str,
) -> Slice:
    """Nobody works on it until it opens. Raises LeaseLost."""
    slices.fence(connection, slice)
    parked = slices.park(connection, slice, opens_at, closes_at)
    runs.note(connection, slice.run_id, reason, scope.clock.now())
    return parked


def stands(connection: Connection, slice: Slice) -> bool:
    """Whether a slice is just as it was claimed or parked."""
    slices.hold(connection, slice.run_id)
    return slice in slices.of_run(connection, slice.run_id)


def end_slice(connection: Connection, scope: Scope, slice: Slice) -> bool:
    """Whether it was the last; the run is completed then. Raises LeaseLost."""
    slices.hold(connection, slice.run_id)  # all of them: of two that end at once, one must see that it is the last
    slices.fence(connection, slice)
    _count_what_is_left(connection, slice.run_id, [slice.id])
    slices.mark_ended(connection, slice)
    is_last = all(each.ended for each in slices.of_run(connection, slice.run_id))
    if is_last:
        runs.end(connection, slice.run_id, RunState.completed, "", scope.clock.now())
    return is_last


def slice_is_ended(connection: Connection, slice: Slice) -> bool:
    slices.hold(connection, slice.run_id)
    return any(each.ended for each in slices.of_run(connection, slice.run_id) if each.id == slice.id)


def _count_what_is_left(connection: Connection, run_id: str, slice_ids: Sequence[int]) -> None:
    tallies.add(connection, run_id, intents.left_over(connection, slice_ids))
    intents.erase(connection, slice_ids)
