"""When a call may leave: in its slice's window of time, on a slot of its rate, at its account's pace, after pauses."""

from __future__ import annotations

import asyncio
import math
import sys
from datetime import datetime
from enum import Enum, auto

from connect.clock import Clock
from connect.errors import ConnectError
from connect.pipeline.packing import Packed
from connect.pipeline.rates import Meter
from connect.pipeline.verdicts import Verdicts

_LEAD, _SHORTEST_LEAD, _LONGEST_LEAD = 1.5, 0.01, 0.2
"""Calls are released to the ledger earlier than they leave: by a multiple of what a commit takes, and some seconds."""

LOOK_AROUND = 1.0
"""Seconds after which what waits at an account that is out looks whether another one is back."""

_PACED_AHEAD = 0.1
"""Seconds for which calls are released together where the account throttles, which is not as exact as a rate."""


class Closed(ConnectError):
    """Its window of time is over: the slice is to be parked until it opens again. Nobody has to mend anything."""

    exit_code = 0


class Passing(Enum):
    """What a call is told that was released and wants to leave."""

    leaves = auto()
    late = auto()  # its slot is too old: it takes another one
    elsewhere = auto()  # the account is out, and another one takes over
    expired = auto()
    closed = auto()
    halted = auto()


class Gate:
    """Of one account. Calls are asked for twice: before they are released to the ledger, and before they leave."""

    def __init__(
        self,
        verdicts: Verdicts,
        clock: Clock,
        halted: asyncio.Event,
        *,
        meter: Meter | None = None,
        closes_at: datetime | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        self._verdicts, self._tempo, self._clock, self._halted = verdicts, verdicts.tempo, clock, halted
        self.meter = meter
        self._closes_at, self._expires_at = closes_at, expires_at
        self._always_open = meter is None and closes_at is None and expires_at is None
        self._turns = asyncio.Lock()
        self._here = 0
        """Calls that were released and wait in here."""
        self._commit = 0.0
        """Seconds that a commit takes lately."""

    @property
    def is_open(self) -> bool:
        """Nothing is limited, and nothing was throttled: the way of nearly all calls."""
        return self._always_open and self._verdicts.free

    @property
    def has_expired(self) -> bool:
        return self._expires_at is not None and self._clock.now() >= self._expires_at

    @property
    def has_closed(self) -> bool:
        """What has expired needs no other window: it ends."""
        return self._closes_at is not None and self._clock.now() >= self._closes_at and not self.has_expired

    @property
    def is_asking(self) -> bool:
        """Slots are about to come."""
        return self.meter is not None and self.meter.is_asking

    # Before the release

    def room(self, released: int) -> tuple[int, float]:
        """How many calls may be released as far as the account's pauses and its pace go, and when that changes.

        `released` are those that were, and do not wait in here yet.
        """
        now = self._clock.monotonic()
        if self._verdicts.open_at > now:
            return 0, self._verdicts.open_at
        if self.has_expired or not self._tempo.learned:
            return sys.maxsize, math.inf
        ahead = self._lead if self.meter else _PACED_AHEAD
        turns = self._tempo.turns(now + ahead, now) - self._here - released
        return turns, max(self._tempo.next, now) + (1 - turns) / self._tempo.pace(now) - ahead

    def admits(self, call: Packed, waiting: int) -> bool:
        """Whether it may be released, as far as the rate goes; `waiting` is how many messages want to be."""
        if self.meter is None or self.has_expired:
            return True
        call.slot = self.meter.take(len(call.tickets), waiting, self._clock.monotonic() + self._lead)
        return call.slot is not None

    def asks_again(self, call: Packed) -> float:
        """When to ask for this call again, which was not admitted."""
        date = self.meter.next(len(call.tickets)) if self.meter else None
        return math.inf if date is None else date - self._lead  # the meter says when there is more to know

    def deadline(self) -> float:
        """When the window closes, or deliveries expire."""
        now = self._clock.now()
        left = [(at - now).total_seconds() for at in (self._closes_at, self._expires_at) if at is not None and at > now]
        return self._clock.monotonic() + min(left, default=math.inf)

    def committed(self, seconds: float) -> None:
        """A commit has taken so long."""
        self._commit += 0.2 * (seconds - self._commit)

    @property
    def _lead(self) -> float:
        return min(_LEAD * self._commit + _SHORTEST_LEAD, _LONGEST_LEAD)

    # Before it leaves

    async def passes(self, call: Packed) -> Passing:
        """Wait until the call may leave; whether it may."""
        self._here += 1
        try:
            return await self._wait_for_its_slot(call) or await self._wait_for_its_turn(call) or Passing.leaves
        finally:
            self._here -= 1

    async def _wait_for_its_slot(self, call: Packed) -> Passing | None:
        while (why := self._why_not(call)) is None:
            date = max(self._verdicts.open_at, call.slot.date if call.slot else 0.0)
            if (wait := date - self._clock.monotonic()) <= 0:
                return None
            await self._until_halted(wait)
        return why

    async def _wait_for_its_turn(self, call: Packed) -> Passing | None:
        """One by one, so that nobody goes by a pace that has changed."""
        if not self._tempo.learned:
            return None
        async with self._turns:
            while (why := self._why_not(call)) is None:
                now = self._clock.monotonic()
                if (wait := max(self._verdicts.open_at, self._tempo.next) - now) <= 0:
                    call.began = self._tempo.leave(now)
                    return None
                await self._until_halted(wait)
            return why

    def _why_not(self, call: Packed) -> Passing | None:
        if self._halted.is_set():
            return Passing.halted
        if self.has_expired:
            return Passing.expired
        if self.has_closed:
            return Passing.closed
        if self._verdicts.standing.is_out and not call.exact and self._verdicts.has_successor(call.tickets):
            return Passing.elsewhere
        if call.slot is not None and self._clock.monotonic() > call.slot.latest:
            return Passing.late
        return None

    async def _until_halted(self, seconds: float) -> None:
        """For so long by the run's clock, or until there is a reason not to wait."""
        seconds = min(seconds, max(self.deadline() - self._clock.monotonic(), 0.0))
        if self._verdicts.standing.is_out:
            seconds = min(seconds, LOOK_AROUND)
        waits = (asyncio.ensure_future(self._halted.wait()), asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
