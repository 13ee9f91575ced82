"""How many threads DuckDB gets: one, until something takes long with it.

Two threads answer a short query a little sooner, and for a quarter more CPU: they wait for each other, and each has
memory of its own. Measured with DuckDB 2.0 on two cores, a million people in sixteen reads: 2.9 s of CPU in 2.9 s with
one thread, 3.6 s in 2.5 s with two. What sends has more use for the other core.
"""

from __future__ import annotations

import os
from datetime import timedelta


class Threads:
    """Of one warehouse. For any thread."""

    patience = timedelta(seconds=1)
    """What has given nothing by then is stopped, and asked again with all threads."""
    longest = timedelta(seconds=3)
    """What took longer to the end is let end, and those behind it get all threads."""

    def __init__(self, told: int | None, *, may_be_one: bool) -> None:
        """`told` is what the settings say, which then is what is taken."""
        self._told = told
        self._one = may_be_one and told is None and os.cpu_count() != 1

    @property
    def number(self) -> int | None:
        """None for as many as DuckDB takes by itself."""
        return 1 if self._one else self._told

    @property
    def seconds(self) -> float | None:
        """How long a query may take until it gives something; None for as long as its time-out lets it."""
        return self.patience.total_seconds() if self._one else None

    def took(self, seconds: float) -> None:
        """A query worked for so long."""
        if seconds > self.longest.total_seconds():
            self.take_all()

    def take_all(self) -> None:
        self._one = False
