"""How deliveries end, in the order of positions: what the cursor may pass, and what is still ahead of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import timedelta

from connect.ledger.commits import Commits
from connect.ledger.records import Bucket, Call, Intent, Slots
from connect.pipeline.books import Composed, Settlement
from connect.pipeline.deliveries import Ended
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

    __slots__ = ("ends", "keys", "number", "passed", "pending", "positions", "released")

    def __init__(self, number: int, positions: Sequence[str]) -> None:
        self.number = number
        self.positions = positions
        self.pending = [_UNCOMPOSED] * len(positions)
        """For each row, deliveries that have not ended."""
        self.released = [0] * len(positions)
        """For each row, how many were pending when it was composed."""
        self.ends: dict[int, list[tuple[TallyKey, int]]] = {}
        self.keys: dict[int, list[bytes]] = {}
        """Message keys that have an intent in the ledger, deleted as the cursor passes their row."""
        self.passed = 0


class Outcomes:
    """The run's books: keeps rows in order, counts how deliveries ended, moves the cursor over the settled prefix."""

    def __init__(self, commits: Commits, take_slots: TakeSlots = _no_slots) -> None:
        self._commits = commits
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

    def begin(self, number: int, positions: Sequence[str]) -> None:
        """The next batch of the sweep, about to be composed. `number` is larger than those before."""
        self._batches.append(batch := _Batch(number, positions))
        self._open[number] = batch

    def composed(self, composed: Composed) -> None:
        batch, start = self._open[composed.batch], composed.start
        for row, pending in enumerate(composed.pending, start):
            batch.pending[row] = batch.released[row] = pending
            self._ahead += pending
        for row, key in composed.known:
            batch.keys.setdefault(row, []).append(key)
        for row, channel, end, times in composed.ended:
            self._count(batch, row, (channel, _NO_ARM, end.outcome, end.reason), times)
        self.more += composed.more
        self.elsewhere += composed.elsewhere
        self.met.update(composed.met)
        self.problems.update(composed.problems)

    def gone(self, position: str, intents: Sequence[tuple[Intent, Ended]]) -> None:
        """Deliveries from before a crash whose people are met no more. `position` is behind every row."""
        number = max(self._open, default=0) + 1
        self.begin(number, [position])
        ended = [(0, intent.channel, end, 1) for intent, end in intents]
        self.composed(Composed(number, 0, [0], ended, [(0, intent.key) for intent, _ in intents]))

    def _count(self, batch: _Batch, row: int, tally: TallyKey, times: int) -> None:
        batch.ends.setdefault(row, []).append((tally, times))
        self.totals[tally] += times

    @property
    def is_full(self) -> bool:
        """Too many deliveries are ahead of the cursor."""
        return self._ahead >= FARTHEST_AHEAD

    async def room(self) -> None:
        """Wait until few enough deliveries are ahead of the cursor."""
        if self.is_full and not self._over:
            self._room.clear()
        await self._room.wait()

    def give_up(self) -> None:
        """Nothing is settled any more: nobody is to wait for it."""
        self._over = True
        self._room.set()

    async def write(
        self, settled: Sequence[Settlement], withdrawn: Sequence[bytes] = (), released: Sequence[Call] = ()
    ) -> None:
        for number, row, channel, key, outcome, reason in settled:
            batch = self._open[number]
            self._count(batch, row, (channel, _NO_ARM, outcome, reason), 1)
            batch.keys.setdefault(row, []).append(key)
            batch.pending[row] -= 1
        await self._commit(settled, withdrawn, released)

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
        if cursor is None and not (waiting or withdrawn or released):
            return
        await self._commits.advance(cursor, tallies, keys, settled=waiting, withdrawn=withdrawn, released=released)
        self.position = cursor or self.position

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
            del self._open[self._batches.popleft().number]
        if not self.is_full:
            self._room.set()
        return cursor

    def _pass_rows(self, batch: _Batch, tallies: Counter[TallyKey], keys: list[bytes]) -> str | None:
        """The position of the last row of the batch that is passed now."""
        first, end = batch.passed, len(batch.positions)
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

    @property
    def ahead(self) -> int:
        return self._ahead
