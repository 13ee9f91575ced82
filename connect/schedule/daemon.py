"""`connect daemon`: a loop that follows the triggers and works on the runs that they give. Any number may run at once.

    read again    when the project's files have changed
    follow        what has come due becomes runs in the ledger
    take up       runs that wait, of whichever daemon or by hand
    beat          "I am alive", in the ledger
    rest          until the next of these is due

The loop never dies of what is wrong outside: a ledger that is away is waited for, a broken file leaves what was good.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from connect.clock import Clock
from connect.errors import ConnectError, OutsideError
from connect.ledger.owner import Owner
from connect.ledger.records import DaemonRecord
from connect.ledger.store import Ledger
from connect.schedule.following import Following, MakeRun
from connect.schedule.house import House
from connect.schedule.log import Log
from connect.schedule.notify import Notifier
from connect.schedule.rereading import Rereading
from connect.schedule.turns import Turns, Work
from connect.schedule.waiting import first
from connect.schedule.watching import Watch


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds."""

    look: float = 5.0
    """Between two looks at the files, and at what others have put into the ledger."""
    beat: float = 15.0
    shortest: float = 0.2
    longest: float = 15.0
    """The loop rests neither shorter nor longer than this: clocks are set while it does."""
    drain: float = 50.0
    """How long runs have to stop well: less than a service manager waits before it kills."""
    stuck: float = 300.0
    """A loop that has not come round for so long is not alive."""


@dataclass(frozen=True)
class Tools:
    """What a daemon works with."""

    ledger: Ledger
    clock: Clock
    log: Log
    make_run: MakeRun
    work: Work
    notifier: Notifier = field(default_factory=Notifier)
    runs: int = 4
    """How many it works on at a time."""
    version: str = ""
    owner: Owner = field(default_factory=Owner.here)
    pace: Pace = Pace()
    dropped: Callable[[], int] = lambda: 0
    """What endpoints of `webhooks` were not told of, so far."""


class Daemon:
    """Make the Watch before the House, so that nothing is missed between them."""

    def __init__(self, house: House, watch: Watch, tools: Tools) -> None:
        self.house = house
        self._files = Rereading(house, watch, tools.clock, tools.log)
        self._tools = tools
        self._clock, self._log, self._pace = tools.clock, tools.log, tools.pace
        self._following = Following(house, tools.ledger, tools.clock, tools.make_run, tools.log)
        self._turns = Turns(tools.ledger, tools.clock, tools.work, tools.runs, tools.log)
        self._started_at = tools.clock.now()
        self._next_look = self._next_beat = self._came_round = tools.clock.monotonic()
        self._away = False
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Follow and work until `stop` is set; then let the runs stop well, within the drain, and leave."""
        self._greet()
        async with self._on_duty(stop):
            while not stop.is_set():
                seconds = await self.tick()
                await self._rest(seconds, stop)

    async def run_once(self, stop: asyncio.Event) -> None:
        """Do what is due now, until nothing of it is left to do here; then leave."""
        self._greet()
        async with self._on_duty(stop):
            while not stop.is_set():
                self._next_look = self._clock.monotonic()
                await self.tick()
                if not self.is_busy:
                    return
                await first(self.a_run_has_ended(), stop.wait())

    def reload(self) -> None:
        """Read the files again at once, and look at every campaign as if the daemon had just begun (SIGHUP)."""
        self._files.ask()

    def abandon(self) -> None:
        """Do not wait for runs to stop well (the second SIGTERM)."""
        self._stopping = True
        self._turns.abandon()

    async def tick(self) -> float:
        """Do once what is due now; returns the seconds until the next look. Raises nothing that is wrong outside."""
        self._came_round = self._clock.monotonic()
        try:
            await self._read_again()
            await self._follow()
            await self._take_up()
            await self._beat()
        except OutsideError as problem:
            self._is_away(problem)
            return self._pace.longest
        except Exception as problem:  # noqa: BLE001 - a daemon that died of a bug would send nothing at all
            self._log.trouble("daemon-trouble", problem)
            return self._pace.longest
        self._is_back()
        self._tools.notifier.status(self.summary)
        return self._until_next()

    @property
    def at_work(self) -> int:
        """How many runs it works on now."""
        return len(self._turns)

    @property
    def is_busy(self) -> bool:
        """Whether it works on a run, or one has ended since it last came round."""
        return bool(self._turns) or self._turns.has_room.is_set()

    async def a_run_has_ended(self) -> None:
        """Wait until there is room for another run."""
        await self._turns.has_room.wait()

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        live = sum(campaign.status.value == "live" for campaign in self.house.campaigns.values())
        return f"{live} live campaigns, works on {len(self._turns)} runs"

    def _greet(self) -> None:
        project = self.house.project
        self._log.info(
            "daemon-started", target=project.target, mode=project.mode.value, campaigns=len(self.house.campaigns)
        )
        self._tools.notifier.ready()

    # One after the other

    async def _read_again(self) -> None:
        asked = self._files.is_asked
        looked = asked or self._is_due(self._next_look) or self._files.unsettled
        if not (looked and await self._files.has_changed()):
            return
        self._tools.notifier.reloading()
        try:
            changes = await self._files.read()
        finally:
            self._tools.notifier.ready()
        self._following.hear(changes, everything=asked)

    async def _follow(self) -> None:
        if self._following.due_in <= 0 and not self._stopping:
            await asyncio.to_thread(self._following.look)
            self._next_look = self._clock.monotonic()  # it may have given work

    async def _take_up(self) -> None:
        if self._stopping or not (self._is_due(self._next_look) or self._turns.has_room.is_set()):
            return
        self._next_look = self._clock.monotonic() + self._pace.look
        await self._turns.take_up(self._following.mode)

    async def _beat(self) -> None:
        if self._is_due(self._next_beat):
            await asyncio.to_thread(self._tools.ledger.beat, self._record())
            self._next_beat = self._clock.monotonic() + self._pace.beat

    def _record(self) -> DaemonRecord:
        return DaemonRecord(
            owner=str(self._tools.owner),
            mode=self._following.mode,
            version=self._tools.version,
            started_at=self._started_at,
            beat_at=self._clock.now(),
            runs=len(self._turns),
            dropped=self._tools.dropped(),
        )

    def _is_due(self, monotonic: float) -> bool:
        return monotonic <= self._clock.monotonic()

    def _until_next(self) -> float:
        coming = min(self._next_look, self._next_beat) - self._clock.monotonic()
        if self._files.unsettled:
            coming = min(coming, 1.0)
        return max(self._pace.shortest, min(self._pace.longest, coming, self._following.due_in))

    def _is_away(self, problem: OutsideError) -> None:
        if not self._away:
            self._log.trouble("ledger-away", problem)
            self._tools.notifier.status(f"waits for the ledger: {problem.problems[0].message}")
        self._away = True

    def _is_back(self) -> None:
        if self._away:
            self._log.info("ledger-back")
        self._away = False

    # Around the loop

    async def _rest(self, seconds: float, stop: asyncio.Event) -> None:
        """Until then, or until there is something to do before."""
        await first(self._clock.sleep(seconds), stop.wait(), self._files.asked(), self._woken())

    async def _woken(self) -> None:
        """A run has ended: there is room for another. Not at once, should it have ended as soon as it began."""
        await self.a_run_has_ended()
        await self._clock.sleep(self._pace.shortest)

    @asynccontextmanager
    async def _on_duty(self, stop: asyncio.Event) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._stop_runs(stop)), asyncio.create_task(self._keep_alive())]
        try:
            yield
        finally:
            await self._leave()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _stop_runs(self, stop: asyncio.Event) -> None:
        """The runs are asked to stop at once, whatever the loop is waiting for."""
        await stop.wait()
        self._stopping = True
        self._turns.stop()

    async def _keep_alive(self) -> None:
        """Tell the service manager that the loop comes round."""
        every = self._tools.notifier.alive_every
        while every is not None:
            if self._clock.monotonic() - self._came_round < self._pace.stuck:
                self._tools.notifier.alive()
            await self._clock.sleep(every)

    async def _leave(self) -> None:
        self._stopping = True
        self._tools.notifier.stopping()
        self._log.info("daemon-stopping", runs=len(self._turns))
        await self._turns.end(self._pace.drain)
        with suppress(ConnectError):
            await asyncio.to_thread(self._tools.ledger.leave, str(self._tools.owner))
        self._log.info("daemon-stopped")
