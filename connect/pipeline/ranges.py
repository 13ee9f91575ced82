"""How wide the next read is: as many rows as fit into the budget, by what was measured so far."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

_SPACE = 1 << 128
_LAST = "f" * 32
_FIRST_ROW_BYTES = 1024
"""What a row is taken to need until some were measured."""
_ENOUGH = 1000
"""So many rows should have come before what came is believed instead."""


class Ranges:
    """`budget` are the bytes of a read, `rows` the whole audience as far as one knows, `last` where the sweep ends."""

    def __init__(self, budget: int, rows: int, least: int, last: str | None) -> None:
        self.budget = budget
        self.last = last
        self._least = least
        self._expected = rows
        self._rows = self._bytes = self._covered = 0

    @property
    def people(self) -> int:
        """How many fit into one read."""
        return max(self._least, self.budget // self._row_bytes())

    @property
    def density(self) -> int:
        """Rows in the whole space: as counted before, and as met so far once that says more."""
        met = self._rows * _SPACE // self._covered if self._covered else 0
        told = self._expected * self._covered // _SPACE
        return met if told >= _ENOUGH else max(self._expected, met)

    def upto(self, after: str | None, people: int = 0) -> str | None:
        """The last position of the range behind `after` with so many people, else with those of one read.

        None when it reaches the end of the space.
        """
        start = _number(after)
        width = _SPACE * (people or self.people) // max(1, self.density)
        return self.last if start + width >= _number(self.last, _SPACE) - 1 else f"{start + width:032x}"

    def behind(self, after: str | None) -> int:
        """How many people are to come behind a position."""
        return self.density * max(0, _number(self.last, _SPACE) - _number(after)) // _SPACE

    def rest(self, end: str | None) -> str | None:
        """Where to go on behind the range that ended here; None where nothing is left."""
        return None if end is None or (self.last is not None and end >= self.last) else end

    def measured(self, after: str | None, end: str | None, rows: int, size: int) -> None:
        """What a read gave."""
        self._covered += (_SPACE if end is None else _number(end)) - _number(after)
        self._rows += rows
        self._bytes += size

    def _row_bytes(self) -> int:
        return max(1, self._bytes // self._rows) if self._rows else _FIRST_ROW_BYTES


def _number(position: str | None, nothing: int = 0) -> int:
    """How many positions there are up to this one. Behind the last one stands a cursor that has passed everybody."""
    if not position:
        return nothing
    return int(position, 16) + 1 if position <= _LAST else _SPACE


def place_behind(ascending: pyarrow.Array, bound: Any) -> int:
    """The place of the first one behind this bound."""
    return bisect.bisect_right(range(len(ascending)), bound, key=lambda place: ascending[place].as_py())
