"""What a process that holds rows in memory never lets out: no core dump, no text of an uncaught exception.

Such a text may quote a row ("invalid literal: 'ann@…'"), so only its type and place are shown.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

_PR_SET_DUMPABLE = 4  # prctl(2)


def no_core_dumps() -> None:
    """Not even to a program that collects them: Linux asks no limit before it pipes one (core(5))."""
    try:
        import resource
    except ImportError:  # there is none for Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


@contextmanager
def uncaught_hidden() -> Iterator[None]:
    """Meanwhile, in this process: for what ends it, or a thread of it, or is raised where nobody can catch it."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook = lambda kind, problem, trace: _show(kind, trace)
    threading.excepthook = lambda args: _show(args.exc_type, args.exc_traceback)
    sys.unraisablehook = lambda args: _show(args.exc_type, args.exc_traceback)
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = before


def hide_in(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    """The same for tasks and callbacks of this loop, of which asyncio would show everything."""
    loop.set_exception_handler(_of_loop)
    return loop


def _of_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    problem = context.get("exception")
    if problem is not None:
        _show(type(problem), problem.__traceback__)


def _show(kind: type[BaseException], trace: TracebackType | None) -> None:
    frames = traceback.extract_tb(trace)
    place = f" in {frames[-1].name} ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if sys.stderr is not None:
        sys.stderr.write(f"error[internal]: {kind.__name__}{place}\n")
