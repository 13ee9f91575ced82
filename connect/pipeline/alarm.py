"""Something is to go on at an instant, whatever else happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connect.clock import Clock


class Alarm:
    """Rings once at the earliest of the instants that it was set to; whoever waits for a later one sets it again."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._when = 0.0
        self._waiting: asyncio.Task[None] | None = None

    def set(self, when: float) -> None:
        """Ring at this instant, in monotonic seconds, or before it."""
        if self._waiting is not None:
            if self._when <= when:
                return
            self._waiting.cancel()
        self._when = when
        self._waiting = asyncio.create_task(self._wait())

    def off(self) -> None:
        """Do not ring any more."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    async def _wait(self) -> None:
        await self._clock.sleep(max(self._when - self._clock.monotonic(), 0.0))
        self._waiting = None
        self._ring()
