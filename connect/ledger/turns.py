"""Turns: who writes to a database that takes one writer at a time, of the threads of a process.

SQLite lets those who wait look again and again, whoever comes; here they go in the order in which they came, at once.
Other processes are still waited for as SQLite does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One at a time, first come, first served. Who has waited for too long goes ahead, and has the database decide."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @contextmanager
    def mine(self) -> Iterator[None]:
        """Wait for a turn, and have it until the context ends."""
        has_it = self._wait()
        try:
            yield
        finally:
            if has_it:
                self._pass_on()

    def _wait(self) -> bool:
        called = self._called()
        has_it = called is None
        try:
            has_it = called is None or called.acquire(timeout=self._seconds)
        finally:  # Ctrl-C comes at any instant
            if called is not None and not has_it and not self._leaves(called):
                self._pass_on()
        return has_it

    def _called(self) -> threading.Lock | None:
        """What is released when the turn comes; None where it is there."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return None
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
            return called

    def _leaves(self, called: threading.Lock) -> bool:
        """False where it was called meanwhile."""
        with self._guard:
            if called not in self._waiting:
                return False
            self._waiting.remove(called)
            return True

    def _pass_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
