"""A roll in SQL: who is where in the hash space, by the cells of the key alone, and a read of only those who are on it.

To find a range of positions an engine has to make everybody's. A roll makes them once for many reads, and each of them
compares cells of the key as they are, which costs a tenth. It may give too many rows, never too few: where one text of
a key has several cells, each of them is on the roll, and an engine that takes two cells for equal (a collation) gives
both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connect.warehouses.audience import Audience, key_columns
from connect.warehouses.interface import Column, Dialect

ROLL = "connect_roll"
PART = "connect_part"
"""The first digits of a position."""

# What an engine and Arrow give each other as it is. Other cells travel as text, and are made from it again.
_AS_IT_IS = re.compile(r"U?(TINY|SMALL|BIG)?INT(EGER)?|N?VARCHAR2?.*|CHARACTER VARYING.*|TEXT|STRING", re.IGNORECASE)
# The values that an enumeration has may change between two reads.
_AS_TEXT = re.compile(r"ENUM.*|CITEXT|NAME", re.IGNORECASE)


@dataclass(frozen=True)
class RollCells:
    """The cells of an audience's key."""

    dialect: Dialect
    audience: Audience

    @property
    def _columns(self) -> Sequence[Column]:
        return key_columns(self.audience)

    def told(self, row: str) -> str:
        """The cells of one of the user's rows, as they stand on a roll."""
        return ", ".join(f"{self._told(column, row)} as {_cell(n)}" for n, column in enumerate(self._columns))

    def named(self, row: str) -> str:
        """Those of a row that has them by name."""
        return ", ".join(f"{row}.{_cell(number)}" for number, _ in enumerate(self._columns))

    def among(self, row: str) -> str:
        """Whether a row is one of somebody on the roll."""
        pairs = list(self._pairs(row))
        if len(pairs) == 1:
            theirs, ours = pairs[0]
            return f"{theirs} in (select {ours} from {ROLL} as w)"
        alike = " and ".join(f"{theirs} = {ours}" for theirs, ours in pairs)
        return f"exists (select 1 from {ROLL} as w where {alike})"

    def _pairs(self, row: str) -> Iterator[tuple[str, str]]:
        for number, column in enumerate(self._columns):
            cell, ours = f"{row}.{self.dialect.quote(column.name)}", f"w.{_cell(number)}"
            if _AS_IT_IS.fullmatch(column.type):
                yield cell, ours
            elif _AS_TEXT.fullmatch(column.type):
                yield self.dialect.text(cell), ours
            else:
                yield cell, f"cast({ours} as {column.type})"

    def _told(self, column: Column, row: str) -> str:
        cell = f"{row}.{self.dialect.quote(column.name)}"
        return cell if _AS_IT_IS.fullmatch(column.type) else self.dialect.text(cell)


def _cell(number: int) -> str:
    return f"connect_cell_{number}"
