"""Clocks for tests: one that stands still until a test moves it, and one that runs fast."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from connect.clock import SystemClock

_T = TypeVar("_T")


class FakeClock:
    """Time for tests: `advance` moves it, `hurry` moves it whenever somebody waits for it, `set` sets it wrong.

    For one event loop; `now` and `monotonic` may be read from any thread.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._passed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._asleep = asyncio.Event()
        self.slept: list[float] = []
        """Every wait that was asked for, in seconds."""

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), waking))
        self._asleep.set()
        await waking

    def advance(self, seconds: float) -> None:
        """Let this much time pass, and wake whoever has waited for it."""
        self._passed += seconds
        self._wake()

    def set(self, now: datetime) -> None:
        """The clock on the wall is set, forward or back. No time has passed by that."""
        self._start = now - timedelta(seconds=self._passed)

    async def asleep(self) -> float:
        """Wait until somebody sleeps; returns for how many seconds yet."""
        while True:
            self._forget_the_cancelled()
            if self._sleepers:
                return self._sleepers[0][0] - self._passed
            self._asleep.clear()
            await self._asleep.wait()

    async def hurry(self, work: Awaitable[_T], longest: float = math.inf) -> _T:
        """Do this work; whenever somebody sleeps meanwhile, the time until they wake has passed.

        Who sleeps for more than `longest` seconds waits: somebody who wakes before them is still busy in a thread.
        """
        task = asyncio.ensure_future(work)
        while not task.done():
            waiting = asyncio.ensure_future(self.asleep())
            await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() and not task.done() and waiting.result() <= longest:
                self.advance(waiting.result())
            waiting.cancel()
            await asyncio.sleep(0)
        return task.result()

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._passed:
            _, _, waking = heapq.heappop(self._sleepers)
            if not waking.done():
                waking.set_result(None)

    def _forget_the_cancelled(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)


@dataclass(frozen=True)
class Jump:
    """A clock that is set, forward or back, by somebody who should have left it alone."""

    after: timedelta
    """Since it began, by a clock that was left alone."""
    by: timedelta


@dataclass(frozen=True)
class FastClock:
    """A clock that runs so many times faster than the machine's: every process that is given the same shows the same.

    It may be wrong by `skew`, and it may jump; `monotonic` does not.
    """

    began: float
    """What `time.time()` said when it showed `start`."""
    start: datetime
    speed: float = 60.0
    skew: timedelta = timedelta(0)
    jumps: tuple[Jump, ...] = ()

    def now(self) -> datetime:
        passed = timedelta(seconds=(time.time() - self.began) * self.speed)
        return self.start + passed + self.skew + sum((j.by for j in self.jumps if j.after <= passed), timedelta(0))

    def monotonic(self) -> float:
        return SystemClock().monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)
