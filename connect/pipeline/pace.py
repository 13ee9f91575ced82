"""How many rows to deal at a time: few where they take long, so that nobody's row waits in a queue for minutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connect.clock import Clock

_FIRST, _LEAST, _MOST = 100, 20, 1000
_QUICK, _SLOW = 1.0, 5.0
"""Seconds that a piece takes."""


class Pace:
    """Doubles what is dealt while it goes quickly, and halves it where it does not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rows = _FIRST

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Around the work on one piece."""
        began = self._clock.monotonic()
        yield
        self.took(self._clock.monotonic() - began)

    def took(self, seconds: float) -> None:
        """A piece took so long."""
        if seconds < _QUICK:
            self.rows = min(_MOST, self.rows * 2)
        elif seconds > _SLOW:
            self.rows = max(_LEAST, self.rows // 2)
