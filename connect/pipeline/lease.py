"""How long this process may still send: it holds its slice by a lease that others see only in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from connect.clock import Clock
from connect.ledger.records import Slice
from connect.ledger.store import Ledger
from connect.vocabulary import RunState

_LOOK_EVERY = 2.0


@dataclass
class Lease:
    """The lease of one slice.

    In the ledger it lasts longer than this process believes, by the longest time-out of its providers: what is
    written to a socket at the last moment has been answered, or is in doubt, before anybody else takes over.
    """

    ledger: Ledger
    slice: Slice
    length: timedelta
    longest_call: timedelta
    clock: Clock
    began: float
    """Monotonic seconds at which the claim was made, or renewed last."""

    def __post_init__(self) -> None:
        self._seconds = self.length.total_seconds()

    @property
    def in_ledger(self) -> timedelta:
        return self.length + self.longest_call

    @property
    def until(self) -> float:
        """Monotonic seconds up to which this process may send."""
        return self.began + self._seconds

    def fresh(self) -> bool:
        """Asked before each call: nobody else can have taken over."""
        return self.clock.monotonic() < self.began + self._seconds

    async def held(self) -> None:
        """The lease still holds, or is renewed now. Raises LeaseLost when somebody took over."""
        if not self.fresh():
            await self._renew()  # this process was suspended, or its ledger away

    async def keep(self, asked_to_pause: Callable[[], None]) -> None:
        """Renew for as long as this runs, and look whether somebody paused the run. Raises LeaseLost."""
        step = min(_LOOK_EVERY, self.length.total_seconds() / 3)
        while True:
            await self.clock.sleep(step)
            if self.clock.monotonic() >= self.began + self.length.total_seconds() / 3:
                await self._renew()
            run = await asyncio.to_thread(self.ledger.run, self.slice.run_id)
            if run is not None and run.state is RunState.paused:
                asked_to_pause()

    async def _renew(self) -> None:
        began = self.clock.monotonic()
        await asyncio.to_thread(self.ledger.renew, self.slice, self.in_ledger)
        self.began = began
