"""How deliveries end, in the order of positions: what the cursor may pass, and what is still ahead of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from connect.ledger.commits import Commits
from connect.ledger.records import Bucket, Call, Intent, Slots
from connect.pipeline.announcing import Announcing
from connect.pipeline.audience import Rows
from connect.pipeline.books import Composed, End, Settlement
from connect.pipeline.deliveries import Ended
from connect.pipeline.devices import Dead
from connect.pipeline.writeback import Line, People, Writeback
from connect.vocabulary import Channel, Outcome

TallyKey = tuple[Channel, str, Outcome, str]
"""(channel, arm, outcome, reason)"""

FARTHEST_AHEAD = 50_000
"""Released deliveries that may be ahead of the cursor, settled or not; then reading stops."""

TakeSlots = Callable[[Sequence[Bucket], int], Slots]
"""`Ledger.take_slots`, for a thread."""

_NO_ARM = ""
_UNCOMPOSED = -1


def _no_slots(buckets: Sequence[Bucket], count: int) -> Slots:
    raise RuntimeError("nothing here hands out slots")


class _Batch:
    """Neighbouring rows of the sweep, some of them passed by the cursor already."""

    __slots__ = (
        *("ends", "found", "keys", "kept", "lines", "number", "passed", "pending", "people", "positions"),
        *("released", "unsure", "written"),
    )

    def __init__(self, number: int, positions: Sequence[str]) -> None:
        self.number = number
        self.positions = positions
        self.pending = [_UNCOMPOSED] * len(positions)
        """For each row, deliveries that have not ended."""
        self.released = [0] * len(positions)
        """For each row, how many were pending when it was composed…"""
        self.unsure = [_UNCOMPOSED] * len(positions)
        """…and of how many the ledger does not know yet how they ended."""
        self.ends: dict[int, list[tuple[TallyKey, int]]] = {}
        self.keys: dict[int, list[bytes]] = {}
        """Message keys that have an intent in the ledger, deleted as the cursor passes their row."""
        self.lines: dict[int, list[Line]] = {}
        """How the deliveries of a row ended, where that is to be written."""
        self.people: People | None = None
        self.found = False
        """Whether some of it were near the air before a crash."""
        self.passed = 0
        """How many rows the cursor has passed…"""
        self.kept = 0
        """…how many are settled, and kept to be written…"""
        self.written = 0
        """…and how many of those are."""


class Outcomes:
    """The run's books: keeps rows in order, counts how deliveries ended, moves the cursor over the settled prefix."""

    def __init__(
        self,
        commits: Commits,
        take_slots: TakeSlots = _no_slots,
        writeback: Writeback | None = None,
        announcing: Announcing | None = None,
        dead: Dead | None = None,
    ) -> None:
        """With a `writeback` the cursor passes only what that has written.

        `announcing` and `dead` are told of what is durable.
        """
        self._dead = dead
        self._commits, self._writeback, self._announcing = commits, writeback, announcing
        self._to_keep: deque[_Batch] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._further = False
        """Whether this process settled rows that nobody had settled before it, and has told the ledger."""
        self._lost: Exception | None = None
        """Why deliveries can not be written."""
        self.halt: Callable[[BaseException], None] = self.troubled
        """Told of what keeps deliveries from being written."""
        self._take_slots = take_slots
        self._batches: deque[_Batch] = deque()
        self._open: dict[int, _Batch] = {}
        self._ahead = 0
        self._room = asyncio.Event()
        self._room.set()
        self._over = False
        self.position: str | None = None
        """Where the cursor stands, once it has moved."""
        self.totals: Counter[TallyKey] = Counter()
        """What this process counted, passed by the cursor or not."""
        self.met: set[bytes] = set()
        """Intents from before a crash whose people were met again."""
        self.more = 0
        """Deliveries beyond one for each row and channel."""
        self.elsewhere = 0
        """Deliveries of rows that were read, and that another wave settles."""
        self.problems: Counter[str] = Counter()
        """What was wrong with templates for some people, without a word about them."""

    def begin(self, number: int, positions: Sequence[str], rows: Rows | None = None) -> None:
        """The next batch of the sweep, about to be composed. `number` is larger than those before.

        `rows` are its people; None for those whom nobody knows any more.
        """
        self._batches.append(batch := _Batch(number, positions))
        self._open[number] = batch
        if self._writeback is not None:
            self._to_keep.append(batch)
            batch.people = self._writeback.people(rows) if rows is not None else None
        if self._announcing is not None and rows is not None:
            self._announcing.begin(number, rows)

    def composed(self, composed: Composed) -> None:
        batch, start = self._open[composed.batch], composed.start
        for row, pending in enumerate(composed.pending, start):
            batch.pending[row] = batch.released[row] = batch.unsure[row] = pending
            self._ahead += pending
        for row, channel, end, times, key, account, address in composed.ended:
            if key is not None:
                batch.keys.setdefault(row, []).append(key)
                self._announce_again(Settlement(batch.number, row, channel, key, end.outcome, end.reason, "", address))
            self._count(batch, row, (channel, _NO_ARM, end.outcome, end.reason), times, key, account, address)
        self.more += composed.more
        self.elsewhere += composed.elsewhere
        self.met.update(composed.met)
        batch.found = batch.found or bool(composed.met)
        self.problems.update(composed.problems)

    def _announce_again(self, end: Settlement) -> None:
        """Whether the process that died came to it, nobody knows; receivers know a repetition by its id."""
        if self._announcing is not None:
            self._announcing.told([self._announcing.of(end)])

    def gone(self, position: str, intents: Sequence[tuple[Intent, Ended]]) -> None:
        """Deliveries from before a crash whose people are met no more. `position` is behind every row."""
        number = max(self._open, default=0) + 1
        self.begin(number, [position])
        ended: list[End] = [(0, intent.channel, end, 1, intent.key, intent.account, "") for intent, end in intents]
        self.composed(Composed(number, 0, [0], ended))

    def _count(
        self, batch: _Batch, row: int, tally: TallyKey, times: int, key: bytes | None, account: str, address: str
    ) -> None:
        batch.ends.setdefault(row, []).append((tally, times))
        self.totals[tally] += times
        if self._writeback is not None:
            line = Line(tally[0], tally[2], tally[3], times, key, account, address)
            batch.lines.setdefault(row, []).append(line)

    @property
    def is_full(self) -> bool:
        """Too many deliveries are ahead of the cursor."""
        return self._ahead + (len(self._writeback) if self._writeback else 0) >= FARTHEST_AHEAD

    async def room(self) -> None:
        """Wait until few enough deliveries are ahead of the cursor."""
        if self.is_full and not self._over:
            self._start_writing()
            self._room.clear()
        await self._room.wait()

    def give_up(self) -> None:
        """Nothing is settled any more: nobody is to wait for it."""
        self._over = True
        self._room.set()

    async def write(
        self, settled: Sequence[Settlement], withdrawn: Sequence[bytes] = (), released: Sequence[Call] = ()
    ) -> None:
        for number, row, channel, key, outcome, reason, account, address in settled:
            batch = self._open[number]
            self._count(batch, row, (channel, _NO_ARM, outcome, reason), 1, key, account, address)
            batch.keys.setdefault(row, []).append(key)
            batch.pending[row] -= 1
        announcing = self._announcing
        if announcing is None:
            await self._commit(settled, withdrawn, released)
        else:
            told = [announcing.of(end) for end in settled]
            await self._commit(settled, withdrawn, released)
            announcing.told(told)
        if self._dead is not None:
            self._dead.heard(settled)

    async def flush(self) -> None:
        """Move the cursor over what is settled now."""
        await self._commit((), (), ())

    async def slots(self, buckets: Sequence[Bucket], count: int) -> Slots:
        return await asyncio.to_thread(self._take_slots, buckets, count)

    def throttled(self, account: str, wait: timedelta, words: str) -> None:
        """Whoever sends knows it already."""

    def troubled(self, problem: BaseException) -> None:
        """It is raised to whoever deals rows next."""
        self.give_up()

    async def _commit(
        self, settled: Sequence[Settlement], withdrawn: Sequence[bytes], released: Sequence[Call]
    ) -> None:
        """One write: the prefix that the cursor passes, outcomes that must wait ahead of it, and what is to leave."""
        tallies: Counter[TallyKey] = Counter()
        keys: list[bytes] = []
        cursor = self._pass_prefix(tallies, keys)
        waiting = [(end.key, end.outcome, end.reason) for end in settled if not self._is_passed(end)]
        further = self._gets_further()
        if cursor is not None or waiting or withdrawn or released or further:
            await self._commits.advance(
                cursor, tallies, keys, settled=waiting, withdrawn=withdrawn, released=released, further=further
            )
            self.position = cursor or self.position
        self._keep(settled)

    def _is_passed(self, end: Settlement) -> bool:
        batch = self._open.get(end.batch)
        return batch is None or end.row < batch.passed

    def _pass_prefix(self, tallies: Counter[TallyKey], keys: list[bytes]) -> str | None:
        """Pass the rows at the front that nothing is pending of. They leave at once: nobody else may pass them."""
        cursor = None
        while self._batches:
            batch = self._batches[0]
            cursor = self._pass_rows(batch, tallies, keys) or cursor
            if batch.passed < len(batch.positions):
                break
            self._batches.popleft()
            del self._open[batch.number]
            if self._announcing is not None:
                self._announcing.passed(batch.number)
        if not self.is_full:
            self._room.set()
        return cursor

    def _pass_rows(self, batch: _Batch, tallies: Counter[TallyKey], keys: list[bytes]) -> str | None:
        """The position of the last row of the batch that is passed now."""
        first, end = batch.passed, len(batch.positions) if self._writeback is None else batch.written
        row = first
        pending = batch.pending
        while row < end and not pending[row]:
            for tally, times in batch.ends.pop(row, ()):
                tallies[tally] += times
            keys += batch.keys.pop(row, ())
            row += 1
        if row == first:
            return None
        self._ahead -= sum(batch.released[first:row])
        batch.passed = row
        return batch.positions[row - 1]

    # The user's own warehouse

    def _settled(self, left: Callable[[_Batch], Sequence[int]]) -> Iterator[tuple[_Batch, range]]:
        """The next rows, in order, of which nothing is left; of each batch."""
        for batch in self._to_keep:
            row, end = batch.kept, len(batch.positions)
            while row < end and not left(batch)[row]:
                row += 1
            yield batch, range(batch.kept, row)
            if row < end:
                break

    def _gets_further(self) -> bool:
        """Whether the ledger is to hear that this process settled what nobody had settled before it.

        The cursor is behind by as long as rows wait to be written, and who dies meanwhile got further nevertheless.
        Only what is settled in order counts, as with the cursor: the row that kills every process stops that, and
        others may be sent behind it for a while. What was found settled, or ends at a gate, it meets each time again.
        """
        if self._further:
            return False
        front = self._settled(lambda batch: batch.pending)
        self._further = any(batch.released[row] for batch, rows in front for row in rows)
        return self._further

    def _keep(self, durable: Sequence[Settlement]) -> None:
        """The ledger knows how these ended. Keep what is settled now, and see that it is written.

        Nothing is kept that the ledger does not have: else a message of which the warehouse says that it was sent
        would be in doubt for whoever goes on.
        """
        writeback = self._writeback
        if writeback is None:
            return
        for end in durable:
            self._open[end.batch].unsure[end.row] -= 1
        hurries = False
        for batch, rows in self._settled(lambda batch: batch.unsure):
            hurries = hurries or (batch.found and len(rows) > 0)  # who waited through a crash waits no longer
            for row in rows:
                writeback.keep(batch.people, row, batch.lines.pop(row, ()))
            batch.kept = rows.stop
        while self._to_keep and self._to_keep[0].kept == len(self._to_keep[0].positions):
            self._to_keep.popleft()
        if writeback.is_full or hurries:
            self._start_writing()
        elif writeback and self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(writeback.patience, self._start_writing)

    def _start_writing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is None and self._writeback and self._lost is None:
            self._writing = asyncio.create_task(self._write_on(self._writeback))

    async def _write_on(self, writeback: Writeback) -> None:
        """Write what is kept, and let the cursor pass it."""
        marks = [(batch, batch.kept) for batch in self._batches if batch.kept > batch.written]
        try:
            await writeback.write(writeback.take())
            for batch, row in marks:
                batch.written = row
            self._writing = None
            await self.flush()
        except Exception as problem:  # noqa: BLE001 - raised to whoever deals rows next
            self._lost, self._writing = problem, None
            self.halt(problem)

    async def written(self) -> None:
        """Wait until everything that is settled is written, and the cursor has passed it. Raises what is in the way."""
        await self.flush()
        while self._lost is None and (self._writing is not None or self._writeback):
            self._start_writing()
            if self._writing is not None:
                await asyncio.shield(self._writing)
        if self._lost is not None:
            raise self._lost

    @property
    def ahead(self) -> int:
        return self._ahead
