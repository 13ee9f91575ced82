"""One campaign, the whole way. Read this first.

    claim      the run has its row in the ledger, and this process its lease
    sweep      rows come from the warehouse in the order of the hash space
    compose    each person's deliveries end at a gate, or are rendered
    dispatch   intents, provider, receipts
    settle     outcomes and tallies; the cursor moves over what is settled
    finish     the run's secrets are erased, and the numbers must add up

Stopping at any point leaves a run that goes on where it was: `execute` on a claimed run is also how it resumes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from connect.clock import Clock
from connect.errors import ConnectError, Disposition, OutsideError, Problem, RunTrouble
from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import RunRecord, Slice, Tally
from connect.ledger.refusals import LeaseLost
from connect.ledger.store import Ledger
from connect.pipeline.accounts import Accounts
from connect.pipeline.audience import Rows, Sweep
from connect.pipeline.books import Books
from connect.pipeline.breaker import crash_trouble, doubt_trouble
from connect.pipeline.crew import Crew, Orders, alone
from connect.pipeline.dispatch import may_repeat
from connect.pipeline.kit import Kit
from connect.pipeline.lease import Lease
from connect.pipeline.outcomes import Outcomes
from connect.pipeline.recovery import Recovered
from connect.pipeline.worker import Dealt, Sending, split
from connect.vocabulary import Channel, InDoubt, Mode, Outcome, Reason, RunState

LEASE = timedelta(seconds=30)
DRAIN = timedelta(seconds=45)
"""How long a run that stops waits for what is in the air; the rest is in doubt."""


@dataclass(frozen=True)
class Job:
    """A run that has its row in the ledger, with everything that it needs."""

    record: RunRecord
    sweep: Callable[[str | None], Sweep]
    """The audience after a position; None for all of it."""
    kit: Kit
    channels: tuple[Channel, ...]
    """Each row makes one delivery for each of them."""
    accounts: Accounts
    in_doubt: InDoubt
    maximum: int | None
    """`audience.limits.max`: a run that reads more pauses."""


@dataclass
class Progress:
    """How far a run is, for people who watch it."""

    rows: int = 0
    position: str | None = None
    waiting: str = ""
    totals: Mapping[tuple[Channel, str, Outcome, str], int] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    """What was wrong with templates for some people, without a word about them."""

    @property
    def share(self) -> float:
        """How much of the hash space is behind the cursor: 0 to 1."""
        return int(self.position[:8], 16) / 0xFFFFFFFF if self.position else 0.0


@dataclass(frozen=True)
class Tools:
    """What a run works with."""

    ledger: Ledger
    clock: Clock
    random: Random
    stop: asyncio.Event
    """Set to stop well: what is in the air is finished, the rest goes on with the next `connect run`."""
    watch: Callable[[Progress], None] = lambda progress: None
    lease: timedelta = LEASE
    """How long others wait for this process when it says nothing."""
    crew: Callable[[Orders, Books, Lease], AbstractAsyncContextManager[Crew]] = alone
    """Who composes and sends."""


class Stopped(ConnectError):
    """The run was asked to stop; it goes on with the next `connect run`."""

    exit_code = 0


async def execute(job: Job, tools: Tools) -> RunState:
    """Run, or go on with a run, until it has ended or paused. Returns its state; raises what paused it."""
    ledger, run_id = tools.ledger, job.record.id
    longest_call = max((account.timeout for _, account in job.accounts.values()), default=timedelta(0))
    began = tools.clock.monotonic()
    claimed = await asyncio.to_thread(ledger.claim_slice, run_id, owner=Owner.here(), lease=tools.lease + longest_call)
    lease = Lease(ledger, claimed, tools.lease, longest_call, tools.clock, began)
    try:
        await asyncio.to_thread(_go_on, ledger, job.record)
        async with _committing(ledger, claimed) as commits:
            await _Execution(job, tools, lease, commits).run()
    except LeaseLost:
        raise
    except BaseException as problem:
        await asyncio.to_thread(_give_up, ledger, claimed, problem)
        raise
    await asyncio.to_thread(ledger.finish, run_id, RunState.completed, slice=claimed)
    return RunState.completed


def _go_on(ledger: Ledger, before: RunRecord) -> None:
    """The run is going; unless it has crashed so often that a person should look first."""
    now = ledger.run(before.id)
    trouble = crash_trouble(now) if now and before.state is RunState.running else None
    if trouble is not None:
        raise trouble
    ledger.set_state(before.id, RunState.running, "")


def _give_up(ledger: Ledger, claimed: Slice, problem: BaseException) -> None:
    """Leave the run in a state that says why, and that the next worker can go on from."""
    with suppress(OutsideError):  # a ledger that is away says nothing now; the lease runs out, and the run goes on
        _leave(ledger, claimed, problem)


def _leave(ledger: Ledger, claimed: Slice, problem: BaseException) -> None:
    if isinstance(problem, RunTrouble) and problem.disposition is Disposition.fail:
        ledger.finish(claimed.run_id, RunState.failed, _reason(problem), slice=claimed)
        return
    stopped = isinstance(problem, Stopped | asyncio.CancelledError | KeyboardInterrupt)
    now = ledger.run(claimed.run_id)
    if stopped and now and now.state is RunState.paused:  # paused by hand: that says more than "stopped"
        ledger.release(claimed)
        return
    state = RunState.stopped if stopped else RunState.paused
    with suppress(LeaseLost):  # then the run is its successor's
        ledger.set_state(claimed.run_id, state, _reason(problem), slice=claimed)


def _reason(problem: BaseException) -> str:
    """One line for people. What we did not raise ourselves gives its type only: its text may quote a row."""
    if isinstance(problem, ConnectError) and problem.problems:
        return problem.problems[0].message
    if isinstance(problem, Stopped | asyncio.CancelledError | KeyboardInterrupt):
        return "stopped on request"
    return f"internal error: {type(problem).__name__}"


@asynccontextmanager
async def _committing(ledger: Ledger, claimed: Slice) -> AsyncIterator[Commits]:
    commits = Commits(ledger, claimed)
    try:
        yield commits
    finally:
        with suppress(LeaseLost):
            await commits.close()


class _Execution:
    """The one process that holds a slice of a run: it reads, deals, and keeps the books."""

    def __init__(self, job: Job, tools: Tools, lease: Lease, commits: Commits) -> None:
        self._job, self._tools, self._lease = job, tools, lease
        self._claimed = lease.slice
        self._outcomes = Outcomes(commits)
        self._rows = self._gone = 0

    async def run(self) -> None:
        ledger, run_id = self._tools.ledger, self._claimed.run_id
        self._recovered = Recovered(await asyncio.to_thread(ledger.intents, self._claimed.id))
        counted = await asyncio.to_thread(ledger.tallies, run_id)
        swept = sum(tally.count for tally in counted if tally.reason != Reason.missing_key)
        self._rows_before = swept // len(self._job.channels)
        async with AsyncExitStack() as stack:
            crew = self._tools.crew(self._orders(counted), self._outcomes, self._lease)
            self._crew = await stack.enter_async_context(crew)
            stack.enter_context(_cancelling(asyncio.create_task(self._keep_lease())))
            self._look_at_doubt(counted)
            try:
                await self._unless_stopped(self._sweep())
            except asyncio.CancelledError:
                self._crew.abandon()
                raise
            except BaseException:
                await self._let_go()
                raise
            await self._settle_the_rest()
        self._show()
        self._must_add_up()

    def _orders(self, counted: list[Tally]) -> Orders:
        copied = {tally.channel for tally in counted if tally.outcome in _LEFT_US} | self._recovered.channels()
        sending = Sending(
            in_doubt=self._job.in_doubt,
            offline=self._job.record.mode is Mode.offline,
            breakers_off=self._job.record.state is RunState.paused,
            last_call=self._recovered.last_call,
        )
        job, tools = self._job, self._tools
        return Orders(job.kit, job.accounts, self._recovered, copied, sending, tools.clock, tools.random)

    def _look_at_doubt(self, counted: list[Tally]) -> None:
        """After a crash: whether crashes have left so much in doubt that a person should look."""
        if self._job.record.state is not RunState.running or not self._recovered:
            return
        before = sum(tally.count for tally in counted if tally.outcome is Outcome.unknown)
        lost = 0 if self._repeats() else self._recovered.in_doubt()
        trouble = doubt_trouble(before + lost, self._job.record.audience_rows or 0)
        if trouble is not None:
            raise trouble

    def _repeats(self) -> bool:
        return any(may_repeat(provider, self._job.in_doubt) for provider, _ in self._job.accounts.values())

    async def _keep_lease(self) -> None:
        """Hold on to the slice while the run lasts; losing it stops everybody."""
        try:
            await self._lease.keep(self._tools.stop.set)
        except ConnectError as problem:
            self._crew.halt(problem)

    async def _sweep(self) -> None:
        """Every row behind the cursor, in order, to a worker that has room."""
        number, width = itertools.count(), len(self._job.channels)
        async with aclosing(_read_ahead(self._job.sweep(self._claimed.cursor), self._crew.flush)) as batches:
            async for rows in batches:
                for piece in split(rows, self._crew.piece):
                    if self._outcomes.is_full:
                        self._crew.flush()  # what the cursor waits for may be waiting for its call to be full
                    await self._outcomes.room()
                    self._outcomes.begin(batch := next(number), piece.positions)
                    first = self._rows * width
                    self._count(len(piece) + sum(piece.duplicates))
                    await self._crew.deal(Dealt(batch, first, piece))
                    self._show()
                await self._outcomes.flush()
        await self._crew.drain()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this, wherever it waits, until somebody asks to stop."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._tools.stop.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Stopped()
            working.result()
        finally:
            stopping.cancel()
            working.cancel()
            await asyncio.wait((working,))

    def _count(self, rows: int) -> None:
        self._rows += rows
        maximum = self._job.maximum
        if maximum is not None and self._rows_before + self._rows > maximum:
            raise RunTrouble(
                Disposition.pause,
                Problem(
                    "audience-over-limit",
                    f"the audience has grown past `limits.max` ({maximum:,}) while the run was reading it",
                    "look at the query; `connect runs show` tells how many were sent",
                ),
            )

    async def _let_go(self) -> None:
        """Finish what is in the air, within a bound, settle it, start nothing new."""
        self._outcomes.give_up()
        try:
            async with asyncio.timeout(DRAIN.total_seconds()):
                await self._crew.stop()
        except TimeoutError:
            self._crew.abandon()
        with suppress(ConnectError):
            await self._outcomes.flush()

    async def _settle_the_rest(self) -> None:
        """Count those who were near the air before a crash and have left the audience since."""
        self._recovered.meet(self._outcomes.met)
        gone = self._recovered.gone()
        self._gone = len(gone)
        if gone:
            self._outcomes.gone(_END, gone)
        await self._outcomes.flush()

    def _must_add_up(self) -> None:
        expected = self._rows * len(self._job.channels) + self._gone
        counted = sum(self._outcomes.totals.values())
        if counted != expected or self._outcomes.ahead:
            raise RuntimeError(f"the run does not add up: {expected} deliveries, {counted} outcomes")

    def _show(self) -> None:
        outcomes = self._outcomes
        self._tools.watch(
            Progress(self._rows, outcomes.position, self._crew.waiting, outcomes.totals, outcomes.problems)
        )


_LEFT_US = (Outcome.sent, Outcome.failed, Outcome.unknown)
"""What became of deliveries that a provider was given."""
_END = "g"
"""After every position: they are hexadecimal."""


@contextmanager
def _cancelling(task: asyncio.Future[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        task.cancel()


async def _read_ahead(sweep: Sweep, waiting: Callable[[], None]) -> AsyncGenerator[Rows]:
    """Batches of the sweep, one of them being read while the one before it is worked on.

    `waiting` is called where the next one has not come yet.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "read") as reader:
        batches = sweep.batches()
        try:
            coming = loop.run_in_executor(reader, next, batches, None)
            while True:
                if not coming.done():
                    waiting()
                if (rows := await coming) is None:
                    break
                coming = loop.run_in_executor(reader, next, batches, None)
                yield rows
        finally:
            sweep.close()
