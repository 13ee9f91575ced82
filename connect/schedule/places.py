"""How much is under way at once, so that a burst of calls has bounded memory and leaves time for everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from connect.errors import ConnectError, Problem

AT_ONCE = 32
"""Calls that are worked on: most of the time of one is waiting for its provider."""
IN_LINE = 64
"""Calls that wait for their turn."""
PEOPLE = 10_000
"""In all of these calls."""
PATIENCE = 10.0
"""Seconds for which one waits."""


class Full(ConnectError):
    """Nothing of the call was begun: it may be made again."""


@dataclass
class Places:
    """Of one server. For one event loop."""

    at_once: int = AT_ONCE
    in_line: int = IN_LINE
    people: int = PEOPLE
    patience: float = PATIENCE
    _calls: int = 0
    _people: int = 0
    _turns: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.at_once)

    @property
    def full(self) -> bool:
        """There is no room for another call, whoever it is for."""
        return self._calls >= self.at_once + self.in_line or self._people >= self.people

    @asynccontextmanager
    async def taken(self, people: int) -> AsyncIterator[None]:
        """A place for a call about so many people, in turn. Raises Full."""
        if self.full or (self._calls and self._people + people > self.people):
            raise no_room()
        self._calls, self._people = self._calls + 1, self._people + people
        try:
            await self._turn()
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._calls, self._people = self._calls - 1, self._people - people

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self._turns.acquire()
        except TimeoutError:
            raise no_room() from None


def no_room() -> Full:
    """What somebody is told for whom there is none."""
    said = "the server has as many calls in hand as it can take"
    return Full(Problem("too-busy", said, "nothing was sent: call again in a moment"))
