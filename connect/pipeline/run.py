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
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from connect.clock import Clock
from connect.errors import ConnectError, Disposition, OutsideError, Problem, RunTrouble
from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent, RunRecord, Slice, Tally
from connect.ledger.refusals import LeaseLost
from connect.ledger.store import Ledger
from connect.pipeline import gates
from connect.pipeline.audience import Rows, Sweep
from connect.pipeline.breaker import Breaker, crash_trouble, doubt_trouble, template_trouble
from connect.pipeline.compose import Composer
from connect.pipeline.deliveries import Delivery, Ended, Person
from connect.pipeline.dispatch import Lane, Ticket
from connect.pipeline.lease import Lease
from connect.pipeline.outcomes import Outcomes
from connect.pipeline.recovery import IN_DOUBT, Recovered, how_it_ended
from connect.project.campaign import Campaign
from connect.providers.interface import Account, Provider
from connect.vocabulary import Channel, InDoubt, Mode, Outcome, Reason, RunState

LEASE = timedelta(seconds=30)
DRAIN = timedelta(seconds=45)
"""How long a run that stops waits for what is in the air; the rest is in doubt."""

Accounts = Mapping[str, tuple[Provider, Account]]


def providers_of(campaign: Campaign) -> list[str]:
    """The names of the accounts that a campaign sends by."""
    return list(dict.fromkeys(content.provider for content in campaign.message.content))


def reaches_people(accounts: Accounts) -> bool:
    """Whether anything that is handed to these accounts can reach somebody."""
    return any(provider.capabilities.reaches_people for provider, _ in accounts.values())


@dataclass(frozen=True)
class Job:
    """A run that has its row in the ledger, with everything that it needs."""

    record: RunRecord
    sweep: Callable[[str | None], Sweep]
    """The audience after a position; None for all of it."""
    composer: Callable[[Recovered, set[Channel]], Composer]
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
    if not (stopped and now and now.state is RunState.paused):  # paused by hand: that says more than "stopped"
        ledger.set_state(claimed.run_id, RunState.stopped if stopped else RunState.paused, _reason(problem))
    ledger.release(claimed)


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
    """One process working on one slice of a run."""

    def __init__(self, job: Job, tools: Tools, lease: Lease, commits: Commits) -> None:
        self._job, self._tools, self._lease, self._commits = job, tools, lease, commits
        self._claimed = lease.slice
        self._content = Breaker(off=job.record.state is RunState.paused)
        self._outcomes = Outcomes(commits)
        self._sequence = 0
        self._rows = 0
        self._lanes: dict[str, Lane] = {}

    async def run(self) -> None:
        ledger, run_id = self._tools.ledger, self._claimed.run_id
        self._recovered = Recovered(await asyncio.to_thread(ledger.intents, self._claimed.id))
        counted = await asyncio.to_thread(ledger.tallies, run_id)
        copied = {tally.channel for tally in counted if tally.outcome in _LEFT_US} | self._recovered.channels()
        self._composer = self._job.composer(self._recovered, copied)
        swept = sum(tally.count for tally in counted if tally.reason != Reason.missing_key)
        self._rows_before = swept // len(self._composer.channels)
        async with AsyncExitStack() as stack:
            await self._open_lanes(stack)
            stack.enter_context(_cancelling(asyncio.create_task(self._keep_lease())))
            self._look_at_doubt(counted)
            try:
                await self._unless_stopped(self._sweep())
            except asyncio.CancelledError:
                for lane in self._lanes.values():
                    lane.abandon()
                raise
            except BaseException:
                await self._let_go()
                raise
            await self._settle_the_rest()
        self._show()
        self._must_add_up()

    async def _open_lanes(self, stack: AsyncExitStack) -> None:
        for name, (provider, account) in self._job.accounts.items():
            if self._job.record.mode is not Mode.offline:  # nothing leaves, not even a greeting
                stack.push_async_callback(provider.close)
                await provider.open()
            self._lanes[name] = Lane(
                provider,
                account,
                self._commits,
                self._outcomes,
                self._job.in_doubt,
                self._tools.clock,
                self._tools.random,
                last_call=self._recovered.last_call,
                held=self._lease.held,
                breaker=Breaker(off=self._content.off),
            )

    def _look_at_doubt(self, counted: list[Tally]) -> None:
        """After a crash: whether crashes have left so much in doubt that a person should look."""
        if self._job.record.state is not RunState.running or not self._recovered:
            return
        before = sum(tally.count for tally in counted if tally.outcome is Outcome.unknown)
        lost = 0 if any(lane.may_repeat() for lane in self._lanes.values()) else self._recovered.in_doubt()
        trouble = doubt_trouble(before + lost, self._job.record.audience_rows or 0)
        if trouble is not None:
            raise trouble

    async def _keep_lease(self) -> None:
        """Hold on to the slice while the run lasts; losing it stops every lane."""
        try:
            await self._lease.keep(self._tools.stop.set)
        except ConnectError as problem:
            for lane in self._lanes.values():
                lane.halt(problem)

    async def _sweep(self) -> None:
        """Every row behind the cursor, in order, through the gates and on to its lanes."""
        async with aclosing(_read_ahead(self._job.sweep(self._claimed.cursor))) as batches:
            async for rows in batches:
                await self._deliver(rows)
                await self._outcomes.flush()
                self._show()
        for lane in self._lanes.values():
            await lane.drain()

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

    async def _deliver(self, rows: Rows) -> None:
        for index, key in enumerate(rows.keys):
            person = Person(
                key,
                {name: values[index] for name, values in rows.columns.items()},
                {channel: flags[index] for channel, flags in rows.optouts.items()},
            )
            self._count(1 + rows.duplicates[index])
            deliveries = self._composer.deliveries(person)
            await self._take(rows.positions[index], person, deliveries, rows.duplicates[index])
            if not index % 50:
                await asyncio.sleep(0)  # rendering must not starve what is in the air
        for lane in self._lanes.values():
            await lane.flush()

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

    async def _take(self, position: str, person: Person, deliveries: list[Delivery], duplicates: int) -> None:
        """Count what ended, and hand the rest to their lanes, except what was settled or in the air before a crash."""
        ended: list[tuple[Channel, Ended]] = []
        known: list[bytes] = []
        going: list[tuple[Delivery, bool]] = []
        for delivery in deliveries:
            self._watch_content(delivery)
            before = self._before(person, delivery) if self._recovered else None
            end = self._end(delivery, before)
            if end is None:
                going.append((delivery, before is not None))
                continue
            ended.append((delivery.channel, end))
            if before:
                known.append(before.key)
        row = self._outcomes.add(position, ended, len(going), known)
        for channel in self._composer.channels if duplicates else ():
            self._outcomes.count(row, channel, gates.DUPLICATE, duplicates)
        for delivery, in_doubt in going:
            assert not isinstance(delivery.result, Ended)
            await self._outcomes.room()
            self._sequence += 1
            await self._lanes[delivery.account].put(Ticket(delivery.result, row, self._sequence, in_doubt))

    def _watch_content(self, delivery: Delivery) -> None:
        """A template that can not render many of its people must not burn the list."""
        end = delivery.result
        reason = end.reason if isinstance(end, Ended) else ""
        if (not reason or reason in _CONTENT) and self._content.trips(bool(reason)):
            raise template_trouble(reason)

    def _before(self, person: Person, delivery: Delivery) -> Intent | None:
        """What became of this person on this channel before a crash, under whatever address."""
        key = None if isinstance(delivery.result, Ended) else delivery.result.key
        return self._recovered.take(self._composer.mark(person), delivery.channel, key)

    def _end(self, delivery: Delivery, before: Intent | None) -> Ended | None:
        """How a delivery ended: at a gate, or before a crash, which then counts; None when it is to be sent."""
        at_gate = delivery.result if isinstance(delivery.result, Ended) else None
        if before is None:
            return at_gate
        if isinstance(delivery.result, Ended) or delivery.result.key != before.key:
            return how_it_ended(before) or IN_DOUBT  # nobody hears twice because their address has changed
        return self._lanes[delivery.account].how_it_ended(before)

    async def _let_go(self) -> None:
        """Finish what is in the air, within a bound, settle it, start nothing new."""
        try:
            async with asyncio.timeout(DRAIN.total_seconds()):
                for lane in self._lanes.values():
                    await lane.stop()
        except TimeoutError:
            for lane in self._lanes.values():
                lane.abandon()
        with suppress(ConnectError):
            await self._outcomes.flush()

    async def _settle_the_rest(self) -> None:
        """Count those who were near the air before a crash and have left the audience since."""
        gone = self._recovered.gone()
        self._gone = len(gone)
        if gone:
            self._outcomes.add(_END, [(intent.channel, end) for intent, end in gone], 0, [i.key for i, _ in gone])
        await self._outcomes.flush()

    def _must_add_up(self) -> None:
        expected = self._rows * len(self._composer.channels) + self._gone
        counted = sum(self._outcomes.totals.values())
        if counted != expected or self._outcomes.ahead:
            raise RuntimeError(f"the run does not add up: {expected} deliveries, {counted} outcomes")

    def _show(self) -> None:
        waiting = "; ".join(lane.waiting for lane in self._lanes.values() if lane.waiting)
        self._tools.watch(
            Progress(self._rows, self._outcomes.position, waiting, self._outcomes.totals, self._composer.problems)
        )


_CONTENT = frozenset({Reason.render_error, Reason.null_value, Reason.content_too_large, Reason.invalid_header})
"""Why the content, or a column that it prints, is at fault rather than a person's address."""
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


async def _read_ahead(sweep: Sweep) -> AsyncGenerator[Rows]:
    """Batches of the sweep, one of them being read while the one before it is worked on."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "read") as reader:
        batches = sweep.batches()
        try:
            coming = loop.run_in_executor(reader, next, batches, None)
            while (rows := await coming) is not None:
                coming = loop.run_in_executor(reader, next, batches, None)
                yield rows
        finally:
            sweep.close()
