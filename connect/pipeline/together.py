"""What many ask for at the same time, done together: one call for all of it, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")
Asked = asyncio.Future[None]


class Together(Generic[T]):
    """Does things in the order in which they are asked for, all that wait at a time. Used from one event loop."""

    def __init__(self, do: Callable[[Sequence[T]], object], threads: Executor, most: int = 10_000) -> None:
        self._do, self._threads, self._most = do, threads, most
        self._waiting: dict[Asked, Sequence[T]] = {}
        self._working: asyncio.Task[None] | None = None
        self.began: float | None = None
        """When the call that is under way was made, by the event loop's clock."""

    def ask(self, things: Sequence[T]) -> Asked:
        """Done when they are done; raises what kept all that were done with them from it."""
        asked: Asked = asyncio.get_running_loop().create_future()
        asked.add_done_callback(_heard)
        self._waiting[asked] = things
        if not self.is_working:
            self._working = asyncio.create_task(self._work())
        return asked

    def forget(self, asked: Asked) -> None:
        """Who asked does not wait any more: it need not be done, unless it is under way."""
        self._waiting.pop(asked, None)

    @property
    def is_working(self) -> bool:
        return self._working is not None and not self._working.done()

    async def end(self) -> None:
        """Wait until everything is done."""
        while self._working is not None and not self._working.done():
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            some = self._some()
            self.began = loop.time()
            things = [thing for part in some.values() for thing in part]
            try:
                await loop.run_in_executor(self._threads, self._do, things)
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                _told(some, error)
            else:
                _told(some, None)
            finally:
                self.began = None

    def _some(self) -> dict[Asked, Sequence[T]]:
        some: dict[Asked, Sequence[T]] = {}
        count = 0
        while self._waiting and (not some or count < self._most):
            asked = next(iter(self._waiting))
            some[asked] = self._waiting.pop(asked)
            count += len(some[asked])
        return some


def _told(some: dict[Asked, Sequence[T]], error: Exception | None) -> None:
    for asked in some:
        if not asked.done():
            asked.set_exception(error) if error else asked.set_result(None)


def _heard(asked: Asked) -> None:
    """Nobody may be waiting any more: that is no mistake."""
    if not asked.cancelled():
        asked.exception()
