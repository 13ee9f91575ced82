"""A read that is held open from one part of memory to the next: the whole audience in one pass of the warehouse.

Where a read is in nobody's way, this saves one scan of the audience for each part. A consumer that is so slow that
few parts are taken before the read has to end would make the warehouse sort everybody for few: then it is not worth it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connect.clock import Clock

if TYPE_CHECKING:
    import pyarrow

    Open = Callable[[], AbstractContextManager[Iterator[pyarrow.RecordBatch]]]

_WORTH_IT = 4
"""Parts that a read must have given before it is worth to hold the next one."""


@dataclass
class Stream:
    """An open read: what comes, and where one stands in it."""

    batches: Iterator[pyarrow.RecordBatch]
    began: float
    until: float
    behind: str | None
    parts: int = 0
    stack: ExitStack = field(default_factory=ExitStack)


class Held:
    """At most one open read. `hold` is for how many seconds one may be open."""

    def __init__(self, clock: Clock, hold: float) -> None:
        self._clock, self._hold = clock, hold
        self._stream: Stream | None = None
        self._guard = threading.Lock()
        self.worth_it = True

    def at(self, position: str | None, opened: Open) -> Stream:
        """The stream of the rows behind a position: the one that stands there, else a new one."""
        stream = self._stream
        if stream is not None and stream.behind == position and self._clock.monotonic() < stream.until:
            return stream
        if stream is not None and stream.behind == position:
            self.worth_it = stream.parts >= _WORTH_IT
        self.let_go()
        began = self._clock.monotonic()
        stack = ExitStack()
        stream = Stream(stack.enter_context(opened()), began, began + self._hold, position, stack=stack)
        with self._guard:
            self._stream = stream
        return stream

    def let_go(self) -> None:
        """Close it, from whichever thread, when nobody reads."""
        with self._guard:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.stack.close()
