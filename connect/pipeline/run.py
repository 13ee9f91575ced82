"""One campaign, the whole way. Read this first.

    claim      the run has its row in the ledger, and this process the lease of one of its slices
    copy       with `snapshot`: the audience, into a table of the warehouse, before anybody is read
    sweep      the slice's rows come from the warehouse in the order of the hash space
    compose    each person's deliveries end at a gate, or are rendered
    dispatch   intents, provider, receipts
    settle     outcomes and tallies; the cursor moves over what is settled
    finish     with the last slice: the run's secrets are erased, the copy is dropped, and the numbers must add up

Most runs are one slice. Parts that are spaced out (`batches`) and zones that open at their own time (`waves`) are
slices of their own, each open from some instant on; `connect.pipeline.part` works on one.

Stopping at any point leaves a run that goes on where it was: `execute` on a claimed run is also how it resumes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from connect.errors import ConnectError, Disposition, OutsideError, RunTrouble
from connect.ledger.owner import Owner
from connect.ledger.records import Slice
from connect.ledger.refusals import CapHeld, LeaseLost, RunEnded, RunPaused, SliceHeld, SlicesClosed
from connect.pipeline import tracing
from connect.pipeline.breaker import crash_trouble
from connect.pipeline.dispatch import Closed
from connect.pipeline.job import Job, Progress, Stopped, Tools
from connect.pipeline.lease import Lease
from connect.pipeline.part import Part, committing
from connect.vocabulary import RunState

_LOOK_EVERY = timedelta(seconds=2)
"""After so long, a run that waits looks whether somebody paused or ended it."""


async def execute(job: Job, tools: Tools) -> RunState:
    """Run, or go on with a run, until it has ended or paused. Returns its state; raises what paused it.

    A run whose next slice opens later is waited for, or left `running` for whoever takes it up then: see `Tools.waits`.
    Raises OutsideError also where it has ended, and the copy of its audience could not be dropped.
    """
    record = job.record
    about = {"run": record.id, "campaign": record.campaign, "target": record.target, "mode": record.mode.value}
    with tracing.span("run", **about) as span:
        try:
            state = await _through(job, tools)
        except BaseException:
            with suppress(ConnectError):  # what has stopped the run says more
                await asyncio.to_thread(_clear_up, job, tools)
            raise
        await asyncio.to_thread(_clear_up, job, tools)
        span.set("state", state.value)
        return state


def _clear_up(job: Job, tools: Tools) -> None:
    """Nobody reads the audience of a run that has ended, by whomever."""
    if job.copied is not None:
        now = tools.ledger.run(job.record.id)
        if now is not None and now.state.ended:
            job.copied.snapshot.drop()


async def _through(job: Job, tools: Tools) -> RunState:
    first = True
    parked: dict[datetime, str] = {}
    while True:
        try:
            if await _work(job, tools, parked, takes_up=first):
                return RunState.completed
        except SlicesClosed as closed:
            words = parked.get(closed.opens_at) or _waiting(closed.opens_at)
            await asyncio.to_thread(tools.ledger.note, job.record.id, words)
            if not tools.waits:
                return RunState.running
            await _until(closed.opens_at, words, job, tools)
        except CapHeld as held:
            words = f"waiting: cap held by {held.holder.campaign}"
            if first and job.record.state is not RunState.running:
                raise
            await asyncio.to_thread(tools.ledger.note, job.record.id, words)
            if not tools.waits:
                return RunState.running
            await _until(tools.clock.now() + _LOOK_EVERY, words, job, tools)
            continue
        except SliceHeld:
            if first or not tools.waits:
                raise
            await _until(tools.clock.now() + _LOOK_EVERY, _SHARED, job, tools)  # others help with its parts
        except RunEnded:
            if first:
                raise
            return await asyncio.to_thread(_state, job, tools)
        first = False


async def _work(job: Job, tools: Tools, parked: dict[datetime, str], *, takes_up: bool) -> bool:
    """Work on the next slice that is open. Returns whether it was the last one. Raises SlicesClosed.

    `parked` is told until when a slice is whose window has closed, and why.
    """
    ledger, run_id = tools.ledger, job.record.id
    longest_call = max((account.timeout for _, account in job.accounts.values()), default=timedelta(0))
    began = tools.clock.monotonic()
    claimed = await asyncio.to_thread(ledger.claim_slice, run_id, owner=Owner.here(), lease=tools.lease + longest_call)
    lease = Lease(ledger, claimed, tools.lease, longest_call, tools.clock, began)
    try:
        await asyncio.to_thread(_go_on, job, tools, takes_up)
        if _is_over(claimed, tools.clock.now()):
            raise Closed()
        async with committing(ledger, claimed) as commits:
            await Part(job, tools, lease, commits).run()
    except LeaseLost:
        raise
    except Closed:
        parked |= await asyncio.to_thread(_park, job, tools, claimed)
        return False
    except BaseException as problem:
        await asyncio.to_thread(_give_up, tools, claimed, problem)
        raise
    return await asyncio.to_thread(ledger.end_slice, claimed)


def _go_on(job: Job, tools: Tools, takes_up: bool) -> None:
    """The run is going; unless it has crashed so often that a person should look first."""
    ledger, before = tools.ledger, job.record
    if before.fleeting:  # nobody can have worked on it before, nor pause it
        return
    now = ledger.run(before.id)
    trouble = crash_trouble(now) if now and takes_up and before.state is RunState.running else None
    if trouble is not None:
        raise trouble
    if now and (takes_up or now.reason):
        # Unless it was known to be paused: then somebody has just paused it, by hand.
        known = takes_up and before.state is RunState.paused
        try:
            ledger.set_state(before.id, RunState.running, "", unless=None if known else RunState.paused)
        except RunPaused:
            raise Stopped() from None


# Time


def _is_over(claimed: Slice, now: datetime) -> bool:
    """Whether its window has closed before anybody came to it."""
    return claimed.closes_at is not None and now >= claimed.closes_at


def _park(job: Job, tools: Tools, claimed: Slice) -> dict[datetime, str]:
    """Its window has closed: it goes on when it opens again. Returns when that is, and why."""
    places = None  # without them it opens for everywhere on earth, which may be an hour later
    with suppress(ConnectError):
        places = job.places()
    window = job.timing.reopens(claimed.wave, tools.clock.now(), places)
    reason = f"waiting: quiet hours until {window.opens:%Y-%m-%d %H:%M} UTC"
    with suppress(LeaseLost):  # then the slice is its successor's
        tools.ledger.park(claimed, opens_at=window.opens, closes_at=window.closes, reason=reason)
    return {window.opens: reason}


def _waiting(opens_at: datetime) -> str:
    return f"waiting: its next part begins at {opens_at:%Y-%m-%d %H:%M:%S} UTC"


async def _until(instant: datetime, words: str, job: Job, tools: Tools) -> None:
    """Wait until then. Raises Stopped when somebody asks for it, or pauses the run."""
    try:
        while (left := (instant - tools.clock.now()).total_seconds()) > 0:
            tools.watch(Progress(waiting=words))
            await _sleep(min(left, _LOOK_EVERY.total_seconds()), tools)
            now = await asyncio.to_thread(tools.ledger.run, job.record.id)
            if tools.stop.is_set() or now is None or now.state is not RunState.running:
                raise Stopped()
    except (Stopped, asyncio.CancelledError):
        await asyncio.to_thread(_stay_stopped, job, tools)
        raise


async def _sleep(seconds: float, tools: Tools) -> None:
    """So long, or until somebody asks to stop."""
    waits = (asyncio.ensure_future(tools.clock.sleep(seconds)), asyncio.ensure_future(tools.stop.wait()))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _stay_stopped(job: Job, tools: Tools) -> None:
    """Nobody works on it: it goes on when somebody says so, or by itself where others look after it."""
    now = tools.ledger.run(job.record.id)
    if now is not None and now.state is RunState.running and not tools.hands_over:
        tools.ledger.set_state(job.record.id, RunState.stopped, _ON_REQUEST)


def _state(job: Job, tools: Tools) -> RunState:
    """How the run stands, of which others did the rest."""
    now = tools.ledger.run(job.record.id)
    assert now is not None
    return now.state


# Leaving

_ON_REQUEST = "stopped on request"
_HANDED_OVER = "waiting: whoever worked on it was stopped"
_SHARED = "waiting: another process works on the rest of it"
_NOT_BY_ITSELF = ("worker-died", "worker-failed")
"""Each time leaves deliveries in doubt."""


def _give_up(tools: Tools, claimed: Slice, problem: BaseException) -> None:
    """Leave the run in a state that says why, and that the next worker can go on from."""
    with suppress(OutsideError):  # a ledger that is away says nothing now; the lease runs out, and the run goes on
        _leave(tools, claimed, problem)


def _leave(tools: Tools, claimed: Slice, problem: BaseException) -> None:
    ledger = tools.ledger
    if isinstance(problem, RunTrouble) and problem.disposition is Disposition.fail:
        ledger.finish(claimed.run_id, RunState.failed, _reason(problem), slice=claimed)
        return
    stopped = _is_stop(problem)
    now = ledger.run(claimed.run_id)
    if stopped and now and now.state is RunState.paused:  # paused by hand: that says more than "stopped"
        ledger.release(claimed)
        return
    if stopped and tools.hands_over:
        ledger.release(claimed)
        ledger.note(claimed.run_id, _HANDED_OVER)
        return
    if tools.hands_over and _may_pass(problem):
        ledger.release(claimed)
        ledger.note(claimed.run_id, f"waiting: {_reason(problem)}")
        return
    state = RunState.stopped if stopped else RunState.paused
    with suppress(LeaseLost):  # then the run is its successor's
        ledger.set_state(claimed.run_id, state, _reason(problem), slice=claimed)


def _is_stop(problem: BaseException) -> bool:
    return isinstance(problem, Stopped | asyncio.CancelledError | KeyboardInterrupt)


def _may_pass(problem: BaseException) -> bool:
    """Something outside is in the way, and nothing was lost by it: it is tried again."""
    return isinstance(problem, OutsideError) and problem.problems[0].code not in _NOT_BY_ITSELF


def _reason(problem: BaseException) -> str:
    """One line for people. What we did not raise ourselves gives its type only: its text may quote a row."""
    if isinstance(problem, ConnectError) and problem.problems:
        return problem.problems[0].message
    return _ON_REQUEST if _is_stop(problem) else f"internal error: {type(problem).__name__}"
