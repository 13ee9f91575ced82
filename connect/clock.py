"""Time as an argument: one protocol, and the clock of the machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Tests bring their own (`connect.testing.FakeClock`)."""

    def now(self) -> datetime:
        """The instant now, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, for durations."""

    async def sleep(self, seconds: float) -> None:
        """Wait this long by `monotonic`."""


def _watch() -> Callable[[], float]:
    """Tells seconds that go on while the machine sleeps: a lease must not outlast a closed laptop lid."""
    return partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


_since_boot = _watch()


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return _since_boot()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
