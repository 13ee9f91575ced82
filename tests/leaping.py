"""The loop's clock goes on at once by as much as a time-out lasts: it is over at its event, and never before.

A short time-out would do the same on a quiet machine. On a busy one it is over before what it was meant for began.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager


async def leap(happened: Awaitable[object], seconds: float) -> None:
    """Let the timers of this loop see so many seconds more, once this has happened."""
    await happened
    asyncio.get_running_loop().time = lambda: time.monotonic() + seconds  # type: ignore[method-assign]


@contextmanager
def leaping(happened: Awaitable[object], seconds: float) -> Iterator[None]:
    """In this block, a time-out that began before something happened is over as soon as it has."""
    waiting = asyncio.ensure_future(leap(happened, seconds))
    try:
        yield
    finally:
        waiting.cancel()
