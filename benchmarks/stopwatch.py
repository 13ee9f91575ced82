"""How often something can be done in a second of this process's CPU time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

from benchmarks.sizes import Size

Work = Callable[[], int]
"""Does a lot of it, and says how often."""


def rates(works: dict[str, Work], size: Size) -> dict[str, float]:
    """Name → times per second of CPU: the median of some rounds, in each of which everyone has a turn.

    Taking turns makes ratios hold on a machine whose speed changes while it is measured.
    """
    for work in works.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(size.rounds):
        for name, work in works.items():
            found[name].append(_rate(work, size.seconds))
    return {name: median(rates) for name, rates in found.items()}


def _rate(work: Work, seconds: float) -> float:
    gc.collect()
    done, began = 0, time.process_time()
    while True:
        done += work()
        used = time.process_time() - began
        if used >= seconds:
            return done / used
