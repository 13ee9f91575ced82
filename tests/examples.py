"""How many examples hypothesis tries: few for those who wait for all tests, `EXAMPLES=5` for five times as many."""

from __future__ import annotations

import os

_TIMES = float(os.environ.get("EXAMPLES", "1"))


def some(count: int) -> int:
    return max(1, round(count * _TIMES))
