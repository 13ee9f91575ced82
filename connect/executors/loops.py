"""How a process that sends is set up: its event loop, and how often Python looks for garbage in cycles."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from connect.executors.discretion import hide_in, no_core_dumps, uncaught_hidden
from connect.executors.telemetry import traced


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it exists, which takes half the CPU of asyncio's own. It says nothing of what is in memory."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return hide_in(asyncio.new_event_loop())
    return hide_in(uvloop.new_event_loop())


@contextmanager
def long_running() -> Iterator[None]:
    """Millions of short-lived objects are about to be made, none of them in cycles: look for those seldom meanwhile.

    Python looks after every 700 new ones, through all modules in the end, which takes a tenth of a run's CPU.
    What it is busy with is told to OpenTelemetry, where the environment says so.
    Whatever goes wrong, nothing of those objects is shown or written to a core dump.
    """
    no_core_dumps()
    before = gc.get_threshold()
    gc.freeze()  # as it is: imports leave a megabyte in cycles, and to look for it takes a tenth of a second
    gc.set_threshold(100_000, 50, 100)
    try:
        with uncaught_hidden(), traced():
            yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
