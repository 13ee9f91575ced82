"""Who runs where: the client on one core, whoever receives on another, so that neither is measured with the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALL = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

CLIENT, RECEIVER = _ALL[:1], _ALL[1:2]
EVERY = list(_ALL)


@contextmanager
def on(cores: list[int]) -> Iterator[None]:
    """Run here, and everything that is started meanwhile; without effect where there is only one core, or macOS."""
    if len(_ALL) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
