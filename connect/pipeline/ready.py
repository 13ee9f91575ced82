"""Calls whose intents are durable, for whoever is free to send one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from connect.pipeline.packing import Packed


class Ready:
    """As `asyncio.Queue`, in their order; who takes one that is here already asks nobody else."""

    def __init__(self) -> None:
        self._calls: deque[Packed] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def idle(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def put(self, calls: Iterable[Packed]) -> None:
        self._calls.extend(calls)
        left = len(self._calls)
        while left and self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():  # else it was cancelled
                waiting.set_result(None)
                left -= 1

    def take(self) -> Packed | None:
        """The next one, if there is any."""
        return self._calls.popleft() if self._calls else None

    async def coming(self) -> Packed:
        """The next one, once there is one."""
        while not self._calls:  # somebody who had not waited may have been faster
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        return self._calls.popleft()
