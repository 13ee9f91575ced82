"""The clock that all who share a ledger go by, without asking the ledger each time."""

from __future__ import annotations

from datetime import datetime, timedelta

from connect.ledger.store import Ledger

_SLOW = 1.0
"""Seconds after which an answer does not say well enough what the time is."""


class SharedClock:
    """Knows how the ledger's clock goes since it was looked at last; until then, it is this machine's.

    So what several servers write is in the order in which it was said, as far as their database knows the time.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._clock = ledger, ledger.clock
        self._seen: tuple[datetime, float] | None = None

    def look(self) -> None:
        """Ask the ledger. Raises OutsideError: what was seen before goes on."""
        before = self._clock.monotonic()
        there = self._ledger.now()
        after = self._clock.monotonic()
        if self._seen is None or after - before < _SLOW:
            self._seen = there, (before + after) / 2

    def now(self) -> datetime:
        """Never waits."""
        if self._seen is None:
            return self._clock.now()
        there, at = self._seen
        return there + timedelta(seconds=self._clock.monotonic() - at)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
