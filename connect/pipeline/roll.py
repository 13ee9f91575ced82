"""A roll: who comes in the next many reads, by the cells of their keys, in a fixed part of memory.

To find a range of positions a warehouse makes everybody's. A roll is one such pass, over as many people as fit; each
of the reads behind it names whom it wants, which costs a tenth. Nothing of a roll is anywhere but in memory.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from connect.clock import Clock
from connect.pipeline.ranges import Ranges
from connect.warehouses.interface import Warehouse
from connect.warehouses.roll import PART
from connect.warehouses.wrapping import Wrapping

if TYPE_CHECKING:
    import pyarrow

_POSITION_DIGITS = 32
_WORTH_IT = 3
"""So many reads have to be to come: then one pass more costs less than positions made for each of them."""
_PARTS = 8
"""The least number of parts that make one read, so that it is filled well."""
_FIRST_PERSON_BYTES = 14
"""What a person is taken to need until some were measured: what does not fit is left for the next roll."""
_FILLED = 0.95
"""So much of its memory a roll is meant to need, so that it nearly always fits: to cut it takes as much again."""
_ROWS_AT_ONCE = 1 << 16
_PART_BYTES = 4
"""What the part of a person needs while a roll is made."""


@dataclass(frozen=True)
class Run:
    """Some of a roll's people, in the order of its parts."""

    cells: pyarrow.Table
    """Of their keys."""
    ends: Sequence[int]
    """How many of them are in each part and in those before it."""

    def between(self, first: int, last: int) -> pyarrow.Table:
        """Those from one part to another."""
        before = self.ends[first - 1] if first else 0
        return self.cells.slice(before, self.ends[last] - before)


@dataclass(frozen=True)
class Roll:
    """Everybody behind `after` up to `upto`, in parts of the hash space: positions with the same first digits."""

    after: str | None
    upto: str | None
    digits: int
    parts: Sequence[int]
    """The parts in which somebody is, ascending."""
    runs: Sequence[Run] = field(repr=False)
    thinned: bool = False
    """Somebody with several rows was left on it fewer times."""

    def reaches(self, after: str | None) -> bool:
        """Whether it tells who comes behind this position."""
        return (self.after or "") <= (after or "") and (self.upto is None or (after or "") < self.upto)

    def next(self, after: str | None, people: int) -> tuple[str | None, pyarrow.Table | None]:
        """Those behind a position, in whole parts that hold so many or one that holds more; and where they end."""
        import pyarrow

        first = bisect.bisect_left(self.parts, self._part(after))
        if first == len(self.parts):
            return self.upto, None
        before = self.ends[first - 1] if first else 0
        last = max(first, bisect.bisect_right(self.ends, before + people) - 1)
        end = self.upto if last == len(self.parts) - 1 else _end(self.parts[last], self.digits)
        return end, pyarrow.concat_tables(run.between(first, last) for run in self.runs)

    @cached_property
    def ends(self) -> Sequence[int]:
        """How many are in each part and in those before it."""
        return [sum(ends) for ends in zip(*(run.ends for run in self.runs), strict=True)]

    def _part(self, position: str | None) -> int:
        """The first part in which there is a position behind this one."""
        return (int(position, 16) + 1) >> 4 * (_POSITION_DIGITS - self.digits) if position else 0


class Rolls:
    """The roll of a sweep, made anew where it ends or has become old. Used by one thread."""

    def __init__(
        self,
        warehouse: Warehouse,
        wrapping: Wrapping,
        ranges: Ranges,
        *,
        most_bytes: int,
        timeout: timedelta,
        fresh_for: float,
        clock: Clock,
    ) -> None:
        self._warehouse, self._wrapping, self._ranges = warehouse, wrapping, ranges
        self._most_bytes, self._timeout, self._fresh_for, self._clock = most_bytes, timeout, fresh_for, clock
        self._roll: Roll | None = None
        self._fresh_until = 0.0
        self._person_bytes: float = _FIRST_PERSON_BYTES
        self.made = 0

    def at(self, after: str | None) -> Roll | None:
        """The roll of those behind a position; None where reading them without one is cheaper."""
        if self._roll is not None and self._roll.reaches(after) and self._clock.monotonic() < self._fresh_until:
            return self._roll
        self._roll = None
        can = self._warehouse.capabilities
        if can.takes_rows and not can.holds_reads and self._ranges.behind(after) > _WORTH_IT * self._ranges.people:
            self._roll = self._made(after)
        return self._roll

    def _made(self, after: str | None) -> Roll:
        digits = _digits(self._ranges.density, self._ranges.people // _PARTS)
        upto = self._ranges.upto(after, int(self._most_bytes * _FILLED / self._person_bytes))
        query = self._wrapping.roll_query(after, upto, digits)
        self.made += 1
        self._fresh_until = self._clock.monotonic() + self._fresh_for
        with self._warehouse.read(query, self._timeout, _ROWS_AT_ONCE) as batches:
            roll = gathered(batches, after, upto, digits, self._most_bytes)
        if roll.parts:
            self._person_bytes = _size(run.cells for run in roll.runs) / roll.ends[-1] + _PART_BYTES
        return roll


def gathered(
    batches: Iterable[pyarrow.RecordBatch], after: str | None, upto: str | None, digits: int, most_bytes: int
) -> Roll:
    """The roll that a warehouse gives for these bounds. It ends before `upto` where it would need more memory."""
    kept: list[pyarrow.Table] = []
    last: int | None = None
    thinned = False
    for rows in _some_at_once((_numbered(batch, last) for batch in batches), most_bytes // 8):
        kept.append(_run(rows))
        if _size(kept) > most_bytes:
            if _middle(kept) is None or _repeats(kept[-1]):
                met = sum(rows.num_rows for rows in kept)
                kept = [_run(_each_once(rows)) for rows in kept]
                thinned = thinned or sum(rows.num_rows for rows in kept) < met
            if (middle := _middle(kept)) is not None and _size(kept) > most_bytes * 3 // 4:
                last, upto = middle, _end(middle, digits)
                kept = [_up_to(rows, middle) for rows in kept]
    parts = list(_counted(kept))
    return Roll(after, upto, digits, parts, [_among(parts, rows) for rows in kept], thinned)


def _some_at_once(tables: Iterable[pyarrow.Table], enough: int) -> Iterator[pyarrow.Table]:
    """The same rows in fewer tables, of about so many bytes: of a batch, only a few rows may be wanted."""
    import pyarrow

    some: list[pyarrow.Table] = []
    size = 0
    for rows in tables:
        if not rows.num_rows:
            continue
        some.append(rows)
        size += rows.nbytes
        if size >= enough:
            together, some, size = pyarrow.concat_tables(some), [], 0
            yield together
    if some:
        yield pyarrow.concat_tables(some)


def _run(rows: pyarrow.Table) -> pyarrow.Table:
    """In the order of parts. All of a roll in one order would need its memory three times."""
    import pyarrow
    from pyarrow import compute

    order = compute.sort_indices(rows.column(PART))
    return compute.take(rows, order, memory_pool=pyarrow.system_memory_pool()).combine_chunks()


def _digits(people: int, in_a_part: int) -> int:
    """The fewest digits with which a part holds no more than this; eight are all that fit into a number of ours."""
    return next((digits for digits in range(1, 8) if people // 16**digits <= in_a_part), 8)


def _end(part: int, digits: int) -> str:
    """The last position of a part."""
    return f"{part:0{digits}x}".ljust(_POSITION_DIGITS, "f")


def _size(kept: Iterable[pyarrow.Table]) -> int:
    return sum(int(rows.nbytes) for rows in kept)


def _numbered(batch: pyarrow.RecordBatch, last: int | None) -> pyarrow.Table:
    """A batch with digits as numbers, without those who are not in the bounds, or in a part behind the last one."""
    import pyarrow
    from pyarrow import compute

    digits = batch.column(PART).dictionary_encode()
    numbers = pyarrow.array([int(each, 16) for each in digits.dictionary.to_pylist()], pyarrow.uint32())
    part = numbers.take(digits.indices)
    wanted = compute.is_valid(part) if last is None else compute.less_equal(part, last)
    # Arrow's own allocator keeps as much again for itself.
    pool = pyarrow.system_memory_pool()
    columns = {name: part if name == PART else batch.column(name) for name in batch.schema.names}
    kept = {name: compute.filter(column, wanted, memory_pool=pool) for name, column in columns.items()}
    return pyarrow.table(kept)


def _repeats(rows: pyarrow.Table) -> bool:
    """Whether so many are in it twice that much would be saved without them."""
    return bool(_each_once(rows).num_rows < rows.num_rows * 0.9)


def _each_once(rows: pyarrow.Table) -> pyarrow.Table:
    """Without those who are in it twice, so that one key with a million rows needs as much as others."""
    return rows.group_by(rows.column_names).aggregate([])


def _up_to(rows: pyarrow.Table, last: int) -> pyarrow.Table:
    from pyarrow import compute

    return rows.filter(compute.less_equal(rows.column(PART), last)).combine_chunks()


def _middle(kept: Sequence[pyarrow.Table]) -> int | None:
    """The part up to which there is half of what was kept; None where there is only one."""
    counted = _counted(kept)
    parts, ends = list(counted), list(accumulate(counted.values()))
    return parts[min(bisect.bisect_left(ends, ends[-1] // 2), len(parts) - 2)] if len(parts) > 1 else None


def _counted(kept: Sequence[pyarrow.Table]) -> dict[int, int]:
    """How many are in each part in which somebody is, ascending."""
    import pyarrow

    chunks = [chunk for rows in kept for chunk in rows.column(PART).chunks]
    found = pyarrow.chunked_array(chunks, pyarrow.uint32()).value_counts()
    return dict(sorted(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)))


def _among(parts: Sequence[int], rows: pyarrow.Table) -> Run:
    """What was kept, as it is needed: whoever stands behind whom has the next part or the same."""
    counted = _counted([rows])
    return Run(rows.drop_columns([PART]), list(accumulate(counted.get(part, 0) for part in parts)))
