"""The sweep: the audience in the order of the hash space, in batches, with memory that its size does not change.

A read takes the range of positions that is expected to fill half the budget, and closes; the next one runs in the
background while its rows are handed out. Where many are to come, a roll says who is in each. Where the warehouse holds
reads, one goes on where the last one stopped.
The warehouse gives one row of each key, so that every batch ends between two people and a read may be cut after any
row.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from connect.clock import Clock
from connect.errors import OutsideError
from connect.pipeline import tracing
from connect.pipeline.devices import Known, tokens_of
from connect.pipeline.held import Held
from connect.pipeline.positions import number, packed, unpacked
from connect.pipeline.ranges import Ranges, place_behind
from connect.pipeline.roll import Rolls
from connect.vocabulary import Channel
from connect.warehouses.history import HISTORY, ONCE, PERSON
from connect.warehouses.interface import Warehouse, WarehouseLost, python_values
from connect.warehouses.wrapping import DUPLICATES, KEY, POSITION, Wrapping, optout_column

if TYPE_CHECKING:
    import pyarrow

_PAUSES = (0.1, 1.0, 5.0, 20.0)
"""Seconds before each new attempt: a fail-over takes half a minute."""
_ARROW_ROWS = 4096  # a multiple of DuckDB's vectors, small enough to cut a read close to its budget


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows an audience has. Duplicates of a key count among `keyed`."""

    rows: int
    keyed: int
    without_key: int


def sizes(warehouse: Warehouse, wrapping: Wrapping, timeout: timedelta) -> Sizes:
    """Count an audience, without reading it."""
    counted = warehouse.rows(wrapping.size_query(), timeout)[0]
    return Sizes(*(int(str(counted[name])) for name in ("rows", "keyed", "without_key")))


class Columns(Mapping[str, list[Any]]):
    """Arrow columns, each made into Python values when it is first asked for. It can be sent to another process.

    To ask for one that is there and was not read is a mistake of the program: it must not look as if there were none.
    """

    def __init__(self, batch: pyarrow.RecordBatch, names: Sequence[str], unread: frozenset[str] = frozenset()) -> None:
        self._batch, self._names, self._unread = batch, tuple(names), unread
        self._values: dict[str, list[Any]] = {}

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._values:
            if name in self._unread:
                raise RuntimeError(f"the column `{name}` was not read")
            if name not in self._names:
                raise KeyError(name)
            self._values[name] = python_values(self._batch.column(name))
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def piece(self, start: int, stop: int) -> Columns:
        return Columns(self._batch.slice(start, stop - start), self._names, self._unread)

    def __reduce__(self) -> tuple[Any, ...]:
        batch = self._batch.select(list(self._names))
        return _arrived, (batch.schema.serialize().to_pybytes(), batch.serialize().to_pybytes(), self._unread)


def _arrived(schema: bytes, batch: bytes, unread: frozenset[str]) -> Columns:
    import pyarrow

    read = pyarrow.ipc.read_record_batch(batch, pyarrow.ipc.read_schema(pyarrow.py_buffer(schema)))
    return Columns(read, read.schema.names, unread)


@dataclass(frozen=True, slots=True)
class History:
    """Who the rows are about, as the destination names them, and whether they have heard before."""

    people: list[str | None]
    once: list[str | None]
    """The key text of the columns that `policy.once` lists."""
    flags: list[int]

    def piece(self, start: int, stop: int) -> History:
        return History(self.people[start:stop], self.once[start:stop], self.flags[start:stop])


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of people, as columns: ascending positions, every key once."""

    positions: list[str]
    keys: list[str]
    duplicates: list[int]
    """How many more rows of the same key there are, which are not sent."""
    columns: Columns
    """The user's columns."""
    optouts: dict[Channel, list[int]]
    """0 none, 1 unsubscribed, 2 bounced, 3 complained."""
    read_at: float
    """`clock.monotonic()` when the read of these rows began."""
    history: History | None = None
    """Where deliveries are written."""
    dead: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Device token → flag, of the devices among theirs that are not to be sent to."""

    def __len__(self) -> int:
        return len(self.positions)

    def piece(self, start: int, stop: int) -> Rows:
        """Some of them."""
        return Rows(
            self.positions[start:stop],
            self.keys[start:stop],
            self.duplicates[start:stop],
            self.columns.piece(start, stop),
            {channel: flags[start:stop] for channel, flags in self.optouts.items()},
            self.read_at,
            self.history.piece(start, stop) if self.history else None,
            self.dead,
        )


@dataclass
class _Reading:
    """What one read gave, and where the next one begins: None at the end of the sweep."""

    batches: deque[pyarrow.RecordBatch]
    read_at: float
    fresh_until: float
    next: str | None
    dead: Mapping[str, int] = field(default_factory=dict, repr=False)


class Sweep:
    """Reads an audience once, behind one position up to another. Used by one thread; `close` may come from another.

    `after` and `upto` are positions, None or blank for the beginning and the end. `rows` is how many the whole
    audience is expected to have; it only decides how wide the first reads are.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        wrapping: Wrapping,
        *,
        rows: int,
        after: str | None,
        upto: str | None = None,
        timeout: timedelta,
        clock: Clock,
        budget_bytes: int = 20 << 20,
        fresh_for: timedelta = timedelta(minutes=15),
        hold: timedelta | None = None,
        batch_rows: int = 1000,
        before: Callable[[], object] = lambda: None,
        few: bool = False,
        devices: Known | None = None,
    ) -> None:
        """`before` is called right before each read. few: the audience is in memory as it is.

        `devices` is asked about those of each read, after it.
        """
        self._few, self._devices = few, devices
        self._warehouse, self._wrapping, self._before = warehouse, wrapping, before
        self._last, self._timeout, self._clock = after or None, timeout, clock
        self._fresh_for = fresh_for.total_seconds()
        self._hold = (hold or warehouse.capabilities.longest_read).total_seconds()
        self._batch_rows = batch_rows
        self._ranges = Ranges(budget_bytes // 2, rows, batch_rows, upto or None)
        self._rolls = Rolls(
            warehouse,
            wrapping,
            self._ranges,
            most_bytes=budget_bytes * 4 // 5,
            timeout=timeout,
            fresh_for=self._fresh_for,
            clock=clock,
        )
        # It has to end before its time-out, which counts while it waits too.
        self._held = Held(clock, min(self._hold, timeout.total_seconds() * 0.8))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="audience")
        self._context = copy_context()
        """Whoever follows the run finds its reads in it."""
        self._stopped, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._slow = False
        self._alone = True  # nobody was met with two rows of one key
        self._reads = 0

    @property
    def reads(self) -> int:
        """How many passes over the audience were begun, rolls among them."""
        return self._reads + self.rolls

    @property
    def rolls(self) -> int:
        return self._rolls.made

    def batches(self) -> Iterator[Rows]:
        """Every person in these bounds, once. Blocks while the warehouse works; raises what it raises."""
        try:
            coming: Future[_Reading] | None = self._prefetch(self._last)
            while coming is not None:
                reading, coming = coming.result(), None
                if reading.next is not None and not self._slow:
                    coming = self._prefetch(reading.next)
                stale = yield from self._hand_out(reading)
                if stale:
                    coming = self._again(coming)
                elif coming is None and reading.next is not None:
                    coming = self._prefetch(reading.next)
        finally:
            self.close()

    def close(self) -> None:
        """Stop reading, from whichever thread: a consumer that waits is told so. Safe to call twice."""
        self._stopped.set()
        self._reader.shutdown(wait=False)
        while not self._idle.wait(0.05):
            self._warehouse.close()
        self._held.let_go()

    def _prefetch(self, after: str | None) -> Future[_Reading]:
        try:
            return self._reader.submit(self._context.run, self._read, after)
        except RuntimeError:  # it was shut down
            raise _closed() from None

    def _again(self, coming: Future[_Reading] | None) -> Future[_Reading]:
        """Read again behind the last row handed out. Who takes this long has no use for reading ahead: stop that."""
        self._slow = True
        if coming is not None:
            coming.cancel()
        return self._prefetch(self._last)

    def _hand_out(self, reading: _Reading) -> Generator[Rows, None, bool]:
        """Give a read's rows away. Returns whether the rest of them has waited for too long."""
        while reading.batches:
            batch = reading.batches.popleft()
            for start in range(0, batch.num_rows, self._batch_rows):
                if self._clock.monotonic() > reading.fresh_until:
                    reading.batches.clear()
                    return True
                rows = self._rows(batch.slice(start, self._batch_rows), reading)
                self._last = rows.positions[-1]
                yield rows
        return False

    def _rows(self, batch: pyarrow.RecordBatch, reading: _Reading) -> Rows:
        return Rows(
            positions=unpacked(batch.column(POSITION)),
            keys=batch.column(KEY).to_pylist(),
            duplicates=batch.column(DUPLICATES).to_pylist(),
            columns=(columns := self._columns(batch)),
            optouts={
                channel: batch.column(optout_column(channel)).to_pylist() for channel in self._wrapping.optouts.channels
            },
            read_at=reading.read_at,
            history=_history(batch) if self._wrapping.history else None,
            dead=_among(columns, reading.dead),
        )

    def _columns(self, batch: pyarrow.RecordBatch) -> Columns:
        audience = self._wrapping.audience
        return Columns(batch, audience.given, audience.unread)

    # In the background

    def _read(self, after: str | None) -> _Reading:
        """Read one range into memory and let go of the warehouse."""
        self._idle.clear()
        try:
            if self._stopped.is_set():
                raise _closed()
            try:
                with tracing.span("read") as span:
                    reading = self._asked_about(self._read_patiently(after))
                    span.set("rows", sum(batch.num_rows for batch in reading.batches))
                return reading
            except BaseException:
                self._held.let_go()
                raise
        finally:
            self._idle.set()

    def _asked_about(self, reading: _Reading) -> _Reading:
        """With what is known of its devices."""
        if self._devices is None or not reading.batches:
            return reading
        found = (token for batch in reading.batches for token in tokens_of(self._columns(batch)))
        return replace(reading, dead=self._devices.among(found))

    def _read_patiently(self, after: str | None) -> _Reading:
        """Read one range; a connection that is lost before anybody came is opened again, a few times."""
        for pause in _PAUSES:
            try:
                return self._read_part(after)
            except WarehouseLost:
                self._held.let_go()
                if self._stopped.wait(pause):
                    raise
        return self._read_part(after)

    def _read_part(self, after: str | None) -> _Reading:
        if self._warehouse.capabilities.holds_reads and self._held.worth_it and not self._slow:
            return self._read_on(after)
        self._held.let_go()
        return self._read_range(after)

    def _read_on(self, after: str | None) -> _Reading:
        """Read on behind a position until the budget is full, and stay."""
        stream = self._held.at(after, lambda: self._open(after, self._ranges.last))
        batches: deque[pyarrow.RecordBatch] = deque()
        try:
            ended = not self._fill(batches, stream.batches, self._ranges.budget)
        except OutsideError:
            self._held.let_go()
            if not batches or self._stopped.is_set():
                raise
            ended = False
        batches = _joined(batches, self._batch_rows)
        end = self._ranges.last if ended else _end(batches)
        stream.behind, stream.parts = end, stream.parts + 1
        if ended:
            self._held.let_go()
        self._ranges.measured(after, end, sum(b.num_rows for b in batches), sum(b.nbytes for b in batches))
        return _Reading(batches, stream.began, stream.began + self._fresh_for, self._ranges.rest(end))

    def _open(
        self, after: str | None, upto: str | None, people: pyarrow.Table | None = None, *, alone: bool = False
    ) -> AbstractContextManager[Iterator[pyarrow.RecordBatch]]:
        self._reads += 1
        self._before()
        query = replace(self._wrapping.sweep_query(after, upto, people, alone=alone), few=self._few)
        return self._warehouse.read(query, self._timeout, _ARROW_ROWS)

    def _read_range(self, after: str | None) -> _Reading:
        """Read as many people as fit: those that the roll names, else those that are expected in a range."""
        roll = None if self._slow else self._rolls.at(after)
        if roll is None:
            return self._read_upto(after, self._ranges.upto(after))
        upto, people = roll.next(after, self._ranges.people)
        if people is None:
            now = self._clock.monotonic()
            self._ranges.measured(after, upto, 0, 0)
            return _Reading(deque(), now, now, self._ranges.rest(upto))
        self._alone = self._alone and not roll.thinned
        try:
            # Many more than were asked for are a part that is full of one key: not to be sorted row by row.
            if self._alone and people.num_rows <= 2 * self._ranges.people:
                return self._read_alone(after, upto, people)
            return self._read_upto(after, upto, people)
        except _NotAlone:
            self._alone = False
            return self._read_upto(after, upto, people)
        except _TooMuch:
            return self._read_upto(after, upto, people)

    def _read_alone(self, after: str | None, upto: str | None, people: pyarrow.Table) -> _Reading:
        """Read those that a roll names in whatever order they come, and put them in ours: that costs less.

        Raises _NotAlone where somebody has two rows, and _TooMuch where they do not fit: what comes can not be cut.
        """
        read_at = self._clock.monotonic()
        batches: deque[pyarrow.RecordBatch] = deque()
        size = 0
        with self._open(after, upto, people, alone=True) as stream:
            for batch in stream:
                batches.append(batch)
                size += batch.nbytes
                if size > 2 * self._ranges.budget:
                    raise _TooMuch
                if self._stopped.is_set():
                    raise _closed()
        arrived = self._clock.monotonic()
        batches = _sorted(batches, after, upto)
        self._ranges.measured(after, upto, sum(b.num_rows for b in batches), sum(b.nbytes for b in batches))
        return _Reading(batches, read_at, arrived + self._fresh_for, self._ranges.rest(upto))

    def _read_upto(self, after: str | None, upto: str | None, people: pyarrow.Table | None = None) -> _Reading:
        read_at = self._clock.monotonic()
        batches: deque[pyarrow.RecordBatch] = deque()
        cut = False
        try:
            with self._open(after, upto, people) as stream:
                inside = stream if people is None else _inside(stream, after, upto)
                cut = self._fill(batches, inside, 2 * self._ranges.budget)
        except OutsideError:
            # What came is whole people in order: go on behind it. A read that gives nothing is trouble.
            if not batches or self._stopped.is_set():
                raise
            cut = True
        arrived = self._clock.monotonic()
        batches = _joined(batches, self._batch_rows)
        end = _end(batches) if cut else upto
        self._ranges.measured(after, end, sum(b.num_rows for b in batches), sum(b.nbytes for b in batches))
        return _Reading(batches, read_at, arrived + self._fresh_for, self._ranges.rest(end))

    def _fill(self, batches: deque[pyarrow.RecordBatch], stream: Iterator[pyarrow.RecordBatch], budget: int) -> bool:
        """Keep what comes, within the budget and the time a read may last. Returns whether it was cut short."""
        size, until = 0, None
        for batch in stream:
            if not batch.num_rows:
                continue
            until = until or self._clock.monotonic() + self._hold
            batches.append(batch)
            size += batch.nbytes
            if size > budget or self._clock.monotonic() > until or self._stopped.is_set():
                return True
        return False


def _among(columns: Columns, dead: Mapping[str, int]) -> Mapping[str, int]:
    return {token: dead[token] for token in tokens_of(columns) if token in dead} if dead else {}


def _history(batch: pyarrow.RecordBatch) -> History:
    people, once, flags = (batch.column(name).to_pylist() for name in (PERSON, ONCE, HISTORY))
    return History(people, once, flags)


def _joined(batches: deque[pyarrow.RecordBatch], rows: int) -> deque[pyarrow.RecordBatch]:
    """The same rows in batches of this size, as they are kept: an engine may hand out a dozen at a time."""
    import pyarrow

    joined: deque[pyarrow.RecordBatch] = deque()
    while batches:
        some, count = [], 0
        while batches and count < rows:
            some.append(batches.popleft())
            count += some[-1].num_rows
        joined.append(_kept(some[0] if len(some) == 1 else pyarrow.concat_batches(some)))
    return joined


def _kept(rows: Any) -> Any:
    """Rows as they are kept."""
    positions = packed(rows.column(POSITION))
    return rows.set_column(rows.schema.get_field_index(POSITION), POSITION, positions)


def _inside(
    stream: Iterable[pyarrow.RecordBatch], after: str | bytes | None, upto: str | bytes | None
) -> Iterator[pyarrow.RecordBatch]:
    """Those of a read whose positions are within these bounds; they ascend."""
    for batch in stream:
        position = batch.column(POSITION)
        first = 0 if after is None else place_behind(position, after)
        end = batch.num_rows if upto is None else place_behind(position, upto)
        yield batch.slice(first, max(0, end - first))


def _end(batches: Sequence[pyarrow.RecordBatch]) -> str:
    """The last position in them."""
    return unpacked(batches[-1].column(POSITION)[-1:])[0]


class _NotAlone(Exception):
    """Somebody has two rows, or no key."""


class _TooMuch(Exception):
    """What the people of a roll have does not fit into memory at once."""


def _sorted(batches: deque[pyarrow.RecordBatch], after: str | None, upto: str | None) -> deque[pyarrow.RecordBatch]:
    """Rows of a range in the order of their positions. What is in `batches` is let go of.

    Raises _NotAlone where two have one key, or one has none.
    """
    import pyarrow
    from pyarrow import compute

    if not batches:
        return batches
    rows = pyarrow.Table.from_batches(batches)
    batches.clear()
    if rows.column(POSITION).null_count:
        raise _NotAlone
    rows = _kept(rows)
    order = compute.sort_indices(rows.column(POSITION))
    # Arrow's own allocator keeps as much again for itself.
    rows = compute.take(rows, order, memory_pool=pyarrow.system_memory_pool()).combine_chunks()
    positions = rows.column(POSITION)
    alike = compute.equal(positions.slice(1), positions.slice(0, max(0, len(positions) - 1)))
    if compute.any(alike).as_py():
        raise _NotAlone
    return deque(batch for batch in _inside(rows.to_batches(), number(after), number(upto)) if batch.num_rows)


def _closed() -> OutsideError:
    return OutsideError.of("query-stopped", "the audience was not read to its end: reading was stopped", "run it again")
