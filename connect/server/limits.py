"""How many calls are let in: token buckets, in memory, so many at most."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from connect.project.types import Rate


class Limiter:
    """A bucket for each name. Whoever has not been heard of for longest is forgotten where there are too many."""

    def __init__(self, monotonic: Callable[[], float], most: int = 10_000) -> None:
        self._monotonic, self._most = monotonic, most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """(tokens, when there were so many)"""

    def take(self, name: str, rate: Rate) -> float:
        """0 where there was a token, which is taken; else the seconds until there is one."""
        left = self.left(name, rate)
        self._put(name, left - 1 if left >= 1 else left)
        return 0.0 if left >= 1 else (1 - left) / _speed(rate)

    def left(self, name: str, rate: Rate) -> float:
        """How many there are now."""
        full = float(rate.count)
        tokens, at = self._buckets.get(name, (full, self._monotonic()))
        return min(full, tokens + (self._monotonic() - at) * _speed(rate))

    def _put(self, name: str, tokens: float) -> None:
        self._buckets[name] = (tokens, self._monotonic())
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)


def retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _speed(rate: Rate) -> float:
    """Tokens a second."""
    return rate.count / rate.per.total_seconds()
