"""One slice of a run, by the one process that holds it: it reads, deals, and keeps the books."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from connect.errors import ConnectError, Disposition, Problem, RunTrouble
from connect.ledger.commits import Commits
from connect.ledger.records import Slice, Tally
from connect.ledger.refusals import LeaseLost
from connect.ledger.store import Ledger
from connect.pipeline.announcing import Announcing
from connect.pipeline.audience import Rows, Sweep
from connect.pipeline.breaker import doubt_trouble
from connect.pipeline.crew import Orders
from connect.pipeline.doubt import may_repeat
from connect.pipeline.job import Job, Progress, Stopped, Tools
from connect.pipeline.lease import Lease
from connect.pipeline.outcomes import Outcomes
from connect.pipeline.recovery import Recovered
from connect.pipeline.waves import Turn
from connect.pipeline.worker import Dealt, Sending, split
from connect.pipeline.writeback import Line, Writeback
from connect.vocabulary import Channel, Mode, Outcome, Reason, RunState

DRAIN = timedelta(seconds=45)
"""How long a run that stops waits for what is in the air; the rest is in doubt."""


@asynccontextmanager
async def committing(ledger: Ledger, claimed: Slice) -> AsyncIterator[Commits]:
    commits = Commits(ledger, claimed)
    try:
        yield commits
    finally:
        with suppress(LeaseLost):
            await commits.close()


class Part:
    """The work on one slice. Raises Closed when its window closes."""

    def __init__(self, job: Job, tools: Tools, lease: Lease, commits: Commits) -> None:
        self._job, self._tools, self._lease = job, tools, lease
        self._claimed = lease.slice
        self._writeback = Writeback(job.diary, tools.clock, self._note) if job.diary else None
        self._outcomes = Outcomes(commits, tools.ledger.take_slots, self._writeback, _announcing(job, tools), job.dead)
        self._channels = job.campaign.message.channels
        self._rows = self._gone = 0
        self._noting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        ledger, run_id = self._tools.ledger, self._claimed.run_id
        self._recovered = Recovered(await asyncio.to_thread(ledger.intents, self._claimed.id))
        counted = await asyncio.to_thread(ledger.tallies, run_id)
        self._slices = await asyncio.to_thread(ledger.slices, run_id)
        # The sweeps of several waves read the same people: how many of them this one has read before, nobody knows.
        waves = {slice.wave for slice in self._slices}
        self._share = _Share.of(self._slices, self._claimed)
        self._rows_before = 0 if len(waves) > 1 else self._swept(counted)
        async with AsyncExitStack() as stack:
            crew = self._tools.crew(self._orders(counted), self._outcomes, self._lease)
            self._crew = await stack.enter_async_context(crew)
            self._outcomes.halt = self._crew.halt
            self._write_those_without_key(counted)
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
            await self._dead_are_written()
        self._show()
        self._must_add_up()

    def _swept(self, counted: Sequence[Tally]) -> int:
        """Rows that are behind the cursor. Push messages do not tell, of which one makes several: the way done does,
        which people are spread over by chance."""
        exact = next((channel for channel in self._channels if channel is not Channel.push), None)
        if exact is None:
            without_key = sum(tally.count for tally in counted if tally.reason == Reason.missing_key)
            rows = (self._job.record.audience_rows or 0) - without_key
            return _at_least(self._share.at(self._claimed.cursor), rows)
        mine = (tally for tally in counted if tally.channel is exact and tally.reason != Reason.missing_key)
        return sum(tally.count for tally in mine)

    def _orders(self, counted: list[Tally]) -> Orders:
        copied = {tally.channel for tally in counted if tally.outcome in _LEFT_US} | self._recovered.channels()
        turn = self._whose_turn()
        sending = Sending(
            in_doubt=self._job.campaign.policy.in_doubt,
            offline=self._job.record.mode is Mode.offline,
            breakers_off=self._job.record.state is RunState.paused,
            last_call=self._recovered.last_call,
            buckets=self._job.buckets,
            closes_at=self._claimed.closes_at,
            expires_at=turn.expires_at if turn else None,
        )
        job, tools = self._job, self._tools
        kit = replace(job.kit, turn=turn)
        return Orders(kit, job.accounts, self._recovered, copied, sending, tools.clock, tools.random)

    def _whose_turn(self) -> Turn | None:
        """Which deliveries are this slice's; None where nobody waits for a time."""
        known = {slice.wave for slice in self._slices}
        return Turn.of_slice(self._job.timing, self._claimed, known) if self._job.timing.waits else None

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
        return any(
            may_repeat(provider, self._job.campaign.policy.in_doubt) for provider, _ in self._job.accounts.values()
        )

    async def _keep_lease(self) -> None:
        """Hold on to the slice while the run lasts; losing it stops everybody."""
        try:
            await self._lease.keep(self._tools.stop.set)
        except ConnectError as problem:
            self._crew.halt(problem)

    async def _sweep(self) -> None:
        """Every row behind the cursor, in order, to a worker that has room."""
        await self._copy()
        number, width = itertools.count(), len(self._channels)
        async with aclosing(_read_ahead(self._job.sweep(self._claimed), self._crew.flush)) as batches:
            async for rows in batches:
                for piece in split(rows, self._crew.piece):
                    if self._outcomes.is_full:
                        self._crew.flush()  # what the cursor waits for may be waiting for its call to be full
                    await self._outcomes.room()
                    piece = await self._heeding(piece)
                    self._outcomes.begin(batch := next(number), piece.positions, piece)
                    first = self._rows * width
                    self._count(len(piece) + sum(piece.duplicates))
                    await self._crew.deal(Dealt(batch, first, piece))
                    self._show()
                await self._outcomes.flush()
        await self._crew.drain()

    async def _heeding(self, rows: Rows) -> Rows:
        """With the opt-outs that the warehouse does not have yet."""
        heeded = self._job.heeded
        if heeded is None:
            return rows
        if heeded.is_due:
            await asyncio.to_thread(heeded.look)
        return heeded.over(rows)

    async def _copy(self) -> None:
        """The copy of the audience is there, where the run reads one."""
        copied = self._job.copied
        if copied is None:
            return
        self._tools.watch(Progress(waiting=f"copying the audience to {copied.snapshot.table}"))
        making = asyncio.ensure_future(asyncio.to_thread(copied.make, self._slices))
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            while not making.done():  # also where the query has not begun yet
                copied.snapshot.stop()
                await asyncio.wait((making,), timeout=0.05)
            making.exception()
            raise

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
        maximum = self._job.campaign.audience.limits.max
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
        if self._writeback is not None:
            self._writeback.give_up()
        try:
            async with asyncio.timeout(DRAIN.total_seconds()):
                await self._crew.stop()
        except TimeoutError:
            self._crew.abandon()
        with suppress(ConnectError):
            await self._outcomes.flush()
            await self._outcomes.written()
        await self._dead_are_written()
        await self._noted()

    async def _dead_are_written(self) -> None:
        if self._job.dead is not None:
            await self._job.dead.written()

    async def _settle_the_rest(self) -> None:
        """Count those who were near the air before a crash and have left the audience since."""
        self._recovered.meet(self._outcomes.met)
        gone = self._recovered.gone()
        self._gone = len(gone)
        if gone:
            self._outcomes.gone(_END, gone)
        await self._outcomes.flush()
        if self._writeback is not None:
            await self._unless_stopped(self._outcomes.written())
            await self._noted()

    def _write_those_without_key(self, counted: Sequence[Tally]) -> None:
        """They were counted when the run began; here they are written, once for the run."""
        missing = [tally for tally in counted if tally.reason == Reason.missing_key]
        if self._writeback is not None and missing:
            lines = [Line(one.channel, one.outcome, one.reason, one.count, None, "", "") for one in missing]
            self._writeback.keep(None, 0, lines)

    def _note(self, words: str) -> None:
        """Why the run waits, for people who ask the ledger."""
        self._noting = asyncio.create_task(self._write_note(words, self._noting))

    async def _write_note(self, words: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        with suppress(ConnectError):  # it is only told; what the ledger has to know is written elsewhere
            await asyncio.to_thread(self._tools.ledger.note, self._claimed.run_id, words)

    async def _noted(self) -> None:
        """Everything has been said before the ledger is let go of."""
        if self._noting is not None:
            await self._noting

    def _must_add_up(self) -> None:
        outcomes = self._outcomes
        expected = self._rows * len(self._channels) + outcomes.more + self._gone - outcomes.elsewhere
        counted = sum(outcomes.totals.values())
        if counted != expected or outcomes.ahead:
            raise RuntimeError(f"the run does not add up: {expected} deliveries, {counted} outcomes")

    def _show(self) -> None:
        outcomes = self._outcomes
        self._tools.watch(
            Progress(
                self._rows,
                self._share.at(outcomes.position),
                self._crew.waiting or (self._writeback.waiting if self._writeback else ""),
                outcomes.totals,
                outcomes.problems,
            )
        )


def _announcing(job: Job, tools: Tools) -> Announcing | None:
    """Who tells of this run's deliveries; None where nobody wants to hear of them, or it is not for real."""
    tell, record = tools.tell, job.record
    if tell is None or record.mode is not Mode.live:
        return None
    return Announcing(tell, tools.clock, record.id, record.campaign)


_LEFT_US = (Outcome.sent, Outcome.failed, Outcome.unknown)
"""What became of deliveries that a provider was given."""
_END = "g"
"""After every position: they are hexadecimal."""


@dataclass(frozen=True)
class _Share:
    """How much of a run is done, from where the cursor of one of its slices stands."""

    ended: int
    slices: int
    low: int
    high: int

    @classmethod
    def of(cls, slices: Sequence[Slice], mine: Slice) -> _Share:
        ended = sum(slice.ended for slice in slices)
        return cls(ended, len(slices), _digits(mine.low), _digits(mine.high or "f" * 8))

    def at(self, position: str | None) -> float:
        """0 to 1."""
        if position is None:
            return self.ended / self.slices
        part = 1.0 if position >= _END else (_digits(position) - self.low) / max(1, self.high - self.low)
        return (self.ended + min(1.0, part)) / self.slices


_SPREAD = 6
"""Standard deviations, which chance leaves once in a billion times."""


def _at_least(share: float, rows: int) -> int:
    """How many of so many rows are surely in this share of the hash space."""
    rows = max(rows, 0)
    return max(0, math.floor(share * rows - _SPREAD * math.sqrt(rows * share * (1 - share))))


def _digits(position: str) -> int:
    return int(position[:8] or "0", 16)


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
