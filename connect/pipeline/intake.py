"""What is reported about messages: written into the user's warehouse, applied, counted, once each.

    requests ──take──▶ a bounded queue ──batches──▶ 1. connect_events, in the destination
                                                    2. opt-outs: bounces, complaints, unsubscribes
                                                    3. counts in the ledger, of those that are new ──▶ told to others

Whoever reports is answered when all three are durable. What is cut short between them is reported again, and adds
nothing where it has been: 3 is one transaction that knows what it has counted, which is not written again, and the rows
of 1 and 2 have keys, which are looked for where something may have been cut short (`connect.pipeline.spells`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connect.clock import Clock
from connect.errors import ConnectError, OutsideError
from connect.ledger.store import Ledger
from connect.pipeline.counters import Counters
from connect.pipeline.event_rows import add_rows
from connect.pipeline.happening import Tell
from connect.pipeline.known_runs import KnownRuns
from connect.pipeline.noticed import OURSELVES as OURSELVES
from connect.pipeline.noticed import Noticed, Noticing
from connect.pipeline.soft_bounces import SoftBounces
from connect.pipeline.sources import OpenSource
from connect.pipeline.spells import Spells
from connect.pipeline.subscriptions import Change
from connect.project.project import Project
from connect.providers.events import Event
from connect.warehouses.interface import Warehouse

MOST_WAITING = 20_000
"""Events that may wait; then who reports more is asked to come again."""
_ENOUGH = 2_000
_COUNTED = 100
"""In one transaction: others want to write to the ledger, too, such as who unsubscribes."""
_MANY = 2_000
"""Events that were counted; then the ledger has a checkpoint, while nobody waits for a turn to write to it."""
_GAP = 0.002
"""Seconds between two of them: who waits for SQLite looks again and again, and would meet the next."""
_LINGER, _LONGEST_LINGER = 0.02, 0.5
"""Seconds that a batch waits for more events, the longer the dearer it is to write."""
_UPKEEP = 60.0
_FORGET = timedelta(hours=6)

TakeChanges = Callable[[Sequence[Change]], Awaitable[None]]


class TooMany(OutsideError):
    """There is no room for these events now."""


@dataclass(frozen=True)
class Outlets:
    """Where events go."""

    project: Callable[[], Project]
    """As it is now."""
    open: OpenSource
    """A source by its name."""
    ledger: Ledger
    clock: Clock
    changes: TakeChanges
    """Opt-outs: returns when they are durable, raises OutsideError."""
    tell: Tell
    counters: Counters
    trouble: Callable[[str, BaseException], None]
    """Says what went wrong where nobody waits for it."""


@dataclass(eq=False)
class _Report:
    """What one caller waits for."""

    account: str
    events: Sequence[Event] = field(repr=False)
    done: asyncio.Future[None]
    noticed: list[Noticed] = field(default_factory=list, repr=False)
    trouble: Exception | None = None


class Intake:
    """For one event loop."""

    def __init__(self, outlets: Outlets) -> None:
        self._to = outlets
        self._noticing = Noticing(KnownRuns(outlets.ledger, outlets.clock), outlets.clock)
        self._spells = Spells(outlets.ledger, outlets.clock)
        self._waiting: list[_Report] = []
        self._count = 0
        """Events that wait or are being dealt with."""
        self._enough = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "intake")
        """The same for all batches: what engines keep for a thread, they would keep for each."""
        self._linger = _LINGER
        self._warehouse: tuple[Project, Warehouse] | None = None
        self._soft = SoftBounces()
        self._unmoved = 0
        self._forgotten: datetime | None = None
        self._ended = False
        """It still takes what comes, and keeps nothing open."""

    async def take(self, account: str, events: Sequence[Event]) -> None:
        """Returns when these are written, applied and counted, once each, however often they are reported.

        Of the account `connect` nothing is applied: whoever noticed has done that. Raises OutsideError when they are
        to be reported again.
        """
        if not events:
            return
        if self._count and self._count + len(events) > MOST_WAITING:
            hint = "whoever reports tries again in a moment"
            raise TooMany.of("too-many-events", "more events are reported than can be written", hint)
        report = _Report(account, events, asyncio.get_running_loop().create_future())
        self._waiting.append(report)
        self._count += len(events)
        if self._count >= _ENOUGH:
            self._enough.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        await report.done
        while self._ended and self._worker is not None:
            await asyncio.wait([self._worker])

    async def run(self, stop: asyncio.Event) -> None:
        """What is done now and then: addresses that bounce softly for too long, what may be forgotten.

        After `stop` others may still have something to report, which is taken before they end.
        """
        while not stop.is_set():
            await self._keep_up()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _UPKEEP)
        self._ended = True
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _let_go(self) -> None:
        """Of what is kept between batches."""
        try:
            await self._beside(self._spells.close)
        except ConnectError as error:  # what it wrote is looked for again, and found counted
            self._to.trouble("events-not-looked-after", error)
        if self._warehouse is not None:
            self._warehouse[1].close()
            self._warehouse = None

    async def _keep_up(self) -> None:
        """What fails is tried again in a minute."""
        now = self._to.clock.now()
        try:
            if self._forgotten is None or now - self._forgotten > _FORGET:
                await asyncio.to_thread(self._to.ledger.forget_seen)
                self._forgotten = now
            await self._ask_about_soft_bounces()
        except ConnectError as error:
            self._to.trouble("events-not-looked-after", error)

    @property
    def is_asking(self) -> bool:
        """Whether somebody has bounced softly about whom the warehouse was not asked yet."""
        return bool(self._soft)

    async def _ask_about_soft_bounces(self) -> None:
        """Ten within thirty days count as a hard one. Raises as a query does."""
        project = self._to.project()
        if project.destination is None:
            return
        for _ in range(len(self._soft)):
            if not self._soft:
                return
            warehouse = self._opened(project, project.destination.source)
            changes = await asyncio.to_thread(self._soft.due, warehouse, project.destination, self._to.clock.now())
            await self._apply(project, changes)
            self._soft.let_go()

    async def _work(self) -> None:
        """For as long as there is something to do."""
        try:
            while True:
                while self._waiting:
                    await self._next()
                if not self._ended:
                    return
                await self._let_go()
                if not self._waiting:
                    return
        finally:
            self._worker = None

    async def _next(self) -> None:
        if self._count < _ENOUGH:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._linger)
        batch = self._batch()
        await self._settle(batch)
        self._answer(batch)

    def _batch(self) -> list[_Report]:
        """In the order in which they came; one at least."""
        size, end = 0, 0
        for report in self._waiting:
            if end and size + len(report.events) > _ENOUGH:
                break
            size, end = size + len(report.events), end + 1
        batch, self._waiting = self._waiting[:end], self._waiting[end:]
        return batch

    def _answer(self, batch: Sequence[_Report]) -> None:
        for report in batch:
            self._count -= len(report.events)
            if report.done.done():
                continue  # who reported has gone
            if report.trouble is not None:
                report.done.set_exception(report.trouble)
            else:
                report.done.set_result(None)
        if self._count < _ENOUGH:
            self._enough.clear()

    async def _settle(self, batch: Sequence[_Report]) -> None:
        """Whatever goes wrong is whoever reported it told."""
        began = time.monotonic()
        project = self._to.project()
        try:
            await self._beside(self._notice, project, batch)
            written = await self._write(project, batch)
            self._linger = min(max(_LINGER, time.monotonic() - began), _LONGEST_LINGER)
            await self._apply_all(project, batch)
            await self._beside(self._count_all, batch)
            if written and all(report.trouble is None for report in batch):
                self._spells.counted()
            await self._checkpoint()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            for report in batch:
                report.trouble = report.trouble or error

    def _beside(self, work: Callable[..., None], *arguments: object) -> asyncio.Future[None]:
        """The loop goes on."""
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _notice(self, project: Project, batch: Sequence[_Report]) -> None:
        for report in batch:
            report.noticed = self._noticing.of(project, report.account, report.events)

    async def _write(self, project: Project, batch: Sequence[_Report]) -> bool:
        """Into the destination, if there is anything. Where it is away, who needs it reports again; others go on."""
        told = [report for report in batch if any(one.written for one in report.noticed)]
        if not told or project.destination is None:
            return False
        rows = [one for report in told for one in report.noticed if one.written]
        try:
            warehouse = self._opened(project, project.destination.source)
            await self._beside(self._add, warehouse, project.destination.events, rows)
        except ConnectError as error:
            for report in told:
                report.trouble = OutsideError(*error.problems)
            return False
        self._soft.note(rows)
        return True

    def _add(self, warehouse: Warehouse, table: str, rows: Sequence[Noticed]) -> None:
        """Those that were not counted, and are not there from a time when they could not be."""
        moment = self._spells.begin()
        counted = self._to.ledger.counted([one.reported for one in rows])
        new = [one for one in rows if one.reported.names[0] not in counted]
        add_rows(warehouse, table, new, moment.now, moment.written)

    async def _apply_all(self, project: Project, batch: Sequence[_Report]) -> None:
        """Also of what the destination did not take: who complained is not to wait for that."""
        told = [report for report in batch if any(one.change for one in report.noticed)]
        changes = [one.change for report in told for one in report.noticed if one.change is not None]
        try:
            await self._apply(project, changes)
        except ConnectError as error:
            for report in told:
                report.trouble = report.trouble or OutsideError(*error.problems)

    async def _apply(self, project: Project, changes: Sequence[Change]) -> None:
        if changes and project.subscriptions is not None and project.subscriptions.write is not None:
            await self._to.changes(changes)

    def _count_all(self, batch: Sequence[_Report]) -> None:
        noticed = [one for report in batch if report.trouble is None for one in report.noticed]
        if not noticed:
            return
        noticed.sort(key=lambda one: one.at)
        new: set[bytes] = set()
        for start in range(0, len(noticed), _COUNTED):
            new |= self._to.ledger.count_events([one.reported for one in noticed[start : start + _COUNTED]])
            time.sleep(_GAP)
        self._unmoved += len(noticed)
        told = list({one.key: one for one in noticed if one.reported.names[0] in new}.values())
        for (account, type), times in Counter((one.account, one.event.type.value) for one in told).items():
            self._to.counters.add("events", times, account=account, type=type)
        self._to.tell(one.happening for one in told if one.told)

    async def _checkpoint(self) -> None:
        if self._unmoved >= _MANY:
            self._unmoved = 0
            await self._beside(self._to.ledger.checkpoint)

    def _opened(self, project: Project, source: str) -> Warehouse:
        """The same as long as connect.yml is."""
        if self._warehouse is None or self._warehouse[0] is not project:
            if self._warehouse is not None:
                self._warehouse[1].close()
            self._warehouse = project, self._to.open(project, source)
        return self._warehouse[1]
