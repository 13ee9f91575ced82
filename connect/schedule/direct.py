"""Runs that are over before a call is answered: their people are in this process's memory, and nobody else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from random import SystemRandom
from typing import ParamSpec, TypeVar

from connect.clock import Clock
from connect.errors import ConnectError, raise_errors
from connect.identity import system_random
from connect.ledger.records import Named, RunRecord
from connect.ledger.refusals import RunEnded
from connect.ledger.store import Ledger
from connect.pipeline.accounts import Accounts, providers_of, reaches_people
from connect.pipeline.beginning import begin
from connect.pipeline.herald import Herald
from connect.pipeline.history import open_destination
from connect.pipeline.job import Job, Stopped, Tools
from connect.pipeline.parameters import Parameters
from connect.pipeline.plan import plan_fleeting
from connect.pipeline.recipients import People
from connect.pipeline.run import execute
from connect.pipeline.witness import Seen, Witness
from connect.project.campaigns import Loaded, LoadedMessage
from connect.project.project import Project
from connect.schedule.kept import Kept, Taken
from connect.schedule.places import Places
from connect.schedule.warm import Knowing, Version
from connect.schedule.work import Doors
from connect.vocabulary import RunState
from connect.warehouses.interface import Warehouse

LONGEST = 60.0
"""Seconds after which a call is answered: who was not reached by then is not."""
_THREADS = 4
"""In which runs are begun and ended."""
_IDLE = 600.0
"""Seconds for which what calls have in common is kept when nobody calls."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What is to be run now."""

    project: Project
    loaded: Loaded
    people: People
    parameters: Parameters
    named: Named | None = None


@dataclass(frozen=True)
class Answered:
    """How it ended."""

    run: RunRecord
    ends: Sequence[tuple[Seen, ...]]
    """By the place of each person in the call."""
    trouble: ConnectError | None
    """What stopped it."""


class Direct:
    """Runs them, so many at once, on the event loop of whoever asks."""

    def __init__(self, doors: Doors, ledger: Ledger, clock: Clock, herald: Herald | None = None) -> None:
        """`herald` tells the project's endpoints what is sent."""
        self._doors, self._ledger, self._clock, self._herald = doors, ledger, clock, herald
        self._running: dict[asyncio.Task[Answered], asyncio.Event] = {}
        self._kept = Kept(doors.accounts, clock.monotonic)
        self._version: Version | None = None
        self._last = 0.0
        self.places = Places()
        # Threads of their own: opt-outs and events do not wait behind calls.
        self._threads = ThreadPoolExecutor(_THREADS, "direct")

    def version(self, project: Project) -> Version:
        """What is kept of the project's files."""
        self._last = self._clock.monotonic()
        if self._version is None or not self._version.is_of(project):
            self._version = Version(project, self._clock.monotonic)
        return self._version

    async def message(self, project: Project, name: str) -> LoadedMessage:
        """A message of messages/. Raises UserError."""
        return await self._in_thread(self.version(project).message, name)

    async def run(self, asked: Asked) -> Answered:
        """Send now. A caller who goes away does not stop it.

        Raises UserError where nothing was begun, and Full where there is no room for it.
        """
        stop = asyncio.Event()
        task = asyncio.create_task(self._in_turn(asked, stop))
        self._running[task] = stop
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return await asyncio.shield(task)

    def let_go(self) -> None:
        """Forget what nobody has needed for long."""
        if self._clock.monotonic() - self._last > _IDLE:
            self._version = None

    async def end(self) -> None:
        """Stop well what is still running, and wait for it."""
        for stop in self._running.values():
            stop.set()
        if self._running:
            await asyncio.wait(list(self._running))
        await self._kept.end()
        self._threads.shutdown(wait=False)

    async def _in_turn(self, asked: Asked, stop: asyncio.Event) -> Answered:
        async with self.places.taken(len(asked.people)):
            raise_errors(asked.loaded.problems)
            assert asked.loaded.campaign is not None
            taken = self._kept.take(asked.project, providers_of(asked.loaded.campaign))
            well = False
            try:
                answered = await self._run(asked, taken, stop)
                well = answered.run.state is RunState.completed
            finally:
                self._kept.give_back(taken, well=well)
        return answered

    async def _run(self, asked: Asked, taken: Taken, stop: asyncio.Event) -> Answered:
        version = self.version(asked.project)
        warehouse, job = await self._in_thread(self._begin, asked, taken.accounts, version)
        audience, channels = job.campaign.audience, job.campaign.message.channels
        witness = Witness(asked.people, audience.key, channels)
        timer = asyncio.get_running_loop().call_later(LONGEST, stop.set)
        try:
            trouble = await self._execute(job, stop, witness)
        finally:
            timer.cancel()
            record = await self._in_thread(self._finish, job.record, warehouse)
        if record.state is not RunState.completed:
            version.columns.forget()  # somebody may have changed a table
        return Answered(record, witness.ends(), trouble)

    async def _in_thread(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *given, **named))

    async def _execute(self, job: Job, stop: asyncio.Event, witness: Witness) -> ConnectError | None:
        tell = self._herald.of_runs() if self._herald else None
        tools = Tools(self._ledger, self._clock, SystemRandom(), stop, crew=witness.crew, waits=False, tell=tell)
        try:
            await execute(job, tools)
        except Stopped:
            return None
        except ConnectError as trouble:
            return trouble
        return None

    def _begin(self, asked: Asked, accounts: Accounts, version: Version) -> tuple[Warehouse, Job]:
        project, campaign = asked.project, asked.loaded.campaign
        assert campaign is not None
        opened = self._doors.warehouse(project, campaign.audience)
        warehouse, opening = Knowing.over(opened, version.columns, campaign.audience.source)
        try:
            with opening:
                return warehouse, self._job(asked, warehouse, accounts, version)
        except BaseException:
            version.columns.forget()
            warehouse.close()
            raise

    def _job(self, asked: Asked, warehouse: Warehouse, accounts: Accounts, version: Version) -> Job:
        plan = plan_fleeting(
            asked.project,
            asked.loaded,
            version.library,
            version.texts,
            warehouse,
            self._ledger,
            self._clock,
            reaches_people=reaches_people(accounts),
            parameters=asked.parameters,
            named=asked.named,
        )
        destination = open_destination(asked.project, self._doors.source)
        job = begin(plan, self._ledger, self._clock, system_random, accounts, destination, self._doors.source)
        return replace(job, kit=replace(job.kit, library=version.library))

    def _finish(self, record: RunRecord, warehouse: Warehouse) -> RunRecord:
        """Nobody can go on with it: what is left ends now, with the reason that it has."""
        warehouse.close()
        now = self._ledger.run(record.id) or record
        if not now.state.ended:
            with suppress(RunEnded):
                self._ledger.finish(record.id, RunState.cancelled, now.reason or "it took too long")
            now = self._ledger.run(record.id) or replace(now, state=RunState.cancelled)
        return now
