"""What became of everybody, written into the user's warehouse as the run goes.

Rows of the sweep that are settled are kept in their order, and written together when enough of them are kept or the
oldest has waited. A warehouse that is down is waited for: the cursor passes nobody who is not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from connect.clock import Clock
from connect.errors import ConnectError, Disposition, OutsideError, Problem, RunTrouble
from connect.identity import message_key
from connect.pipeline.deliveries import RunFacts
from connect.vocabulary import Channel, Outcome, Personal
from connect.warehouses.destination import deliveries_table
from connect.warehouses.interface import Kind, Table, Warehouse

if TYPE_CHECKING:
    import pyarrow

    from connect.pipeline.audience import Rows

_TIMEOUT = timedelta(minutes=10)
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


_NOT_BY_WAITING = frozenset({"query-failed"})
"""What the rows themselves are the reason of, such as a column of the table that has another type."""


class Line(NamedTuple):
    """How a delivery ended, or so many that nothing tells apart."""

    channel: Channel
    outcome: Outcome
    reason: str
    times: int
    key: bytes | None
    """Its message key; None for what ended before it had one."""
    account: str
    address: str


@dataclass(frozen=True)
class Diary:
    """Where a run's deliveries are written, and what all of its rows have in common."""

    warehouse: Warehouse
    source: str
    table: Table
    facts: RunFacts = field(repr=False)
    topic: str | None
    include: frozenset[Personal]

    @classmethod
    def of(
        cls,
        warehouse: Warehouse,
        source: str,
        name: str,
        facts: RunFacts,
        topic: str | None,
        include: Iterable[Personal],
    ) -> Diary:
        return cls(warehouse, source, deliveries_table(name), facts, topic, frozenset(include))


class People:
    """Who the rows of a batch are, in the words that are written."""

    __slots__ = ("ids", "keys", "once")

    def __init__(self, rows: Rows, include: frozenset[Personal]) -> None:
        self.keys = rows.keys
        told = rows.history if Personal.id in include else None
        self.ids = told.people if told else None
        self.once = told.once if told else None


_PERSONAL = ("id", "audience_key", "once_key")


class Kept:
    """Deliveries that are to be written, as columns."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in _KEPT}

    def __len__(self) -> int:
        return len(self.columns["message_key"])


_KEPT = ("message_key", *_PERSONAL, "channel", "address", "provider", "outcome", "reason", "deliveries")


class Writeback:
    """Keeps and writes. Used by one event loop."""

    def __init__(self, diary: Diary, clock: Clock, waiting: Callable[[str], None]) -> None:
        """`waiting` is told why nothing can be written, once for each outage, and "" when it is over."""
        self._diary, self._clock, self._tell = diary, clock, waiting
        self._kept = Kept()
        self.most = diary.warehouse.capabilities.most_added
        # A statement that is billed waits for more of them.
        self.patience = 15.0 if diary.warehouse.capabilities.billed_per_read else 1.0
        """Seconds that a row waits for others."""
        self.waiting = ""
        """What is waited for, for people to read."""
        self._gives_up = asyncio.Event()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def is_full(self) -> bool:
        return len(self._kept) >= self.most

    def give_up(self) -> None:
        """What can not be written at once is left to whoever goes on."""
        self._gives_up.set()

    def people(self, rows: Rows) -> People:
        return People(rows, self._diary.include)

    def keep(self, people: People | None, row: int, lines: Iterable[Line]) -> None:
        """The deliveries of one row; `people` is None for those who left the audience."""
        columns, diary = self._kept.columns, self._diary
        key_text = people.keys[row] if people else ""
        ids = people.ids if people else None
        identity = ids[row] if ids else None
        once = people.once[row] if people and people.once else None
        for number, line in enumerate(lines):
            key = line.key
            if key is None:
                key = message_key(diary.facts.secret, key_text, line.channel, f"\x00{number}")
            columns["message_key"].append(key.hex())
            columns["id"].append(identity)
            columns["audience_key"].append(key_text if ids else None)
            columns["once_key"].append(once)
            columns["channel"].append(line.channel.value)
            columns["address"].append(line.address or None)
            columns["provider"].append(line.account or None)
            columns["outcome"].append(line.outcome.value)
            columns["reason"].append(line.reason or None)
            columns["deliveries"].append(line.times)

    def take(self) -> Kept:
        """What is kept, which is somebody's to write now."""
        kept, self._kept = self._kept, Kept()
        return kept

    async def write(self, kept: Kept) -> None:
        """Write these; waits for a warehouse that is down. Raises what a person must mend."""
        table = self._table(kept)
        wait = _FIRST_WAIT
        while True:
            try:
                await asyncio.to_thread(self._diary.warehouse.add, self._diary.table, table, _TIMEOUT)
            except OutsideError as problem:
                if self._gives_up.is_set():
                    raise
                if problem.problems[0].code in _NOT_BY_WAITING:
                    raise self._refused(problem) from None
                self._waits(problem, len(kept))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._gives_up.wait(), wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            except ConnectError as problem:
                raise self._refused(problem) from None
            else:
                self._goes_on()
                return

    def _goes_on(self) -> None:
        if self.waiting:
            self._tell("")
        self.waiting = ""

    def _waits(self, problem: ConnectError, rows: int) -> None:
        words = f"destination `{self._diary.source}`: {problem.problems[0].message}"
        if not self.waiting:
            self._tell(f"waiting: {words}")
        self.waiting = f"{words} ({rows:,} deliveries to write)"

    def _refused(self, problem: ConnectError) -> RunTrouble:
        said = problem.problems[0]
        message = f"the destination does not take what was sent: {said.message}"
        hint = f"{said.hint}; then `connect run` goes on, and writes what is missing"
        return RunTrouble(Disposition.pause, Problem(said.code, message, hint))

    def _table(self, kept: Kept) -> pyarrow.Table:
        import pyarrow

        facts, diary, rows = self._diary.facts, self._diary, len(kept)
        if Personal.address not in diary.include:
            kept.columns["address"] = [None] * rows
        same: Mapping[str, object] = {
            "run": facts.run_id,
            "target": facts.target,
            "campaign": facts.campaign,
            "topic": diary.topic,
            "fire_time": facts.fire_time,
            "arm": None,
            "written_at": self._clock.now(),
        }
        arrays = {}
        for name, kind in diary.table.columns.items():
            of = _arrow(kind)
            if name in same:
                arrays[name] = pyarrow.repeat(pyarrow.scalar(same[name], of), rows)
            else:
                arrays[name] = pyarrow.array(kept.columns[name], of)
        return pyarrow.table(arrays)


def _arrow(kind: Kind) -> Any:
    import pyarrow

    kinds = {
        Kind.text: pyarrow.string(),
        Kind.integer: pyarrow.int64(),
        Kind.boolean: pyarrow.bool_(),
        Kind.instant: pyarrow.timestamp("us", "UTC"),
    }
    return kinds[kind]
