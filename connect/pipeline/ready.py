"""Calls whose intents are durable: they leave in their order, so many at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from connect.pipeline.packing import Packed


class Ready:
    """`leave` is called with each of them, once, as soon as fewer than `most` are on their way."""

    def __init__(self, most: int, leave: Callable[[Packed], None]) -> None:
        self._most, self._leave = most, leave
        self._calls: deque[Packed] = deque()
        self._on_their_way = 0
        self._leaving = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._calls)

    @property
    def room(self) -> int:
        """How many more may be on their way."""
        return self._most - self._on_their_way

    def put(self, calls: Iterable[Packed]) -> None:
        self._calls.extend(calls)
        self._go()

    def landed(self) -> None:
        """One is not on its way any more: the next one leaves."""
        self._on_their_way -= 1
        self._go()

    def taken(self) -> Packed | None:
        """The next one, for somebody whose call has landed, and who takes it along; None lets them go."""
        if self._calls:
            return self._calls.popleft()
        self._on_their_way -= 1
        return None

    def _go(self) -> None:
        if self._leaving:  # a call may have landed before `leave` returns
            return
        self._leaving = True
        try:
            while self._calls and self._on_their_way < self._most:
                self._on_their_way += 1
                self._leave(self._calls.popleft())
        finally:
            self._leaving = False
