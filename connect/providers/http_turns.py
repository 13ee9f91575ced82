"""Requests at a time: whoever comes when all places are taken waits in line, up to a deadline.

An `asyncio.Semaphore` in an `asyncio.timeout` does the same, and costs as much as writing the request.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """So many places, given in the order of asking."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._line: deque[asyncio.Future[bool]] = deque()

    def take_now(self) -> bool:
        """A place, if one is free: then nobody is in line."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def take(self, deadline: float) -> bool:
        """Wait for a place; False if there is none by the deadline (of the loop's clock)."""
        if self.take_now():
            return True
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._line.append(turn)
        timer = loop.call_at(deadline, _over, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give()  # it came together with being cancelled
            raise
        finally:
            timer.cancel()

    def give(self) -> None:
        """The place is free again: for the first in line who still waits."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1


def _over(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)
