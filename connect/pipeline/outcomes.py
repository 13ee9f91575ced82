"""How deliveries end, in the order of positions: what the cursor may pass, and what is still ahead of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from connect.ledger.commits import Commits
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Outcome

TallyKey = tuple[Channel, str, Outcome, str]
"""(channel, arm, outcome, reason)"""

FARTHEST_AHEAD = 50_000
"""Released deliveries that may be ahead of the cursor, settled or not; then reading stops."""

_NO_ARM = ""


@dataclass(slots=True)
class Row:
    """One row's place in the sweep: the cursor passes it when nothing of it is pending."""

    position: str
    pending: int
    deliveries: int
    """How many were pending when it was met."""
    tallies: dict[TallyKey, int] = field(default_factory=dict)
    keys: list[bytes] = field(default_factory=list)
    """Message keys that have an intent in the ledger, deleted as the cursor passes."""


Settled = tuple[Row, Channel, bytes, Ended]


class Outcomes:
    """Keeps rows in order, counts how their deliveries ended, and moves the cursor over the settled prefix."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._rows: deque[Row] = deque()
        self._ahead = 0
        self._room = asyncio.Event()
        self._room.set()
        self._over = False
        self.position: str | None = None
        """Where the cursor stands, once it has moved."""
        self.totals: Counter[TallyKey] = Counter()
        """What this process counted, passed by the cursor or not."""

    def add(
        self, position: str, ended: Sequence[tuple[Channel, Ended]], pending: int, keys: Sequence[bytes] = ()
    ) -> Row:
        """The next row of the sweep: what ended at once, and how many deliveries are on their way.

        `keys` are those of the ended ones that have an intent in the ledger from before a crash.
        """
        last = self._rows[-1] if self._rows else None
        if last is not None and not last.pending and not pending:
            row = last
            row.position = position  # settled neighbours share one entry: memory stays flat
        else:
            row = Row(position, pending, pending)
            self._rows.append(row)
            self._ahead += pending
        row.keys += keys
        for channel, end in ended:
            self.count(row, channel, end, 1)
        return row

    def count(self, row: Row, channel: Channel, end: Ended, times: int) -> None:
        """So many more deliveries of this row ended so, without being counted one by one."""
        tally = (channel, _NO_ARM, end.outcome, end.reason)
        row.tallies[tally] = row.tallies.get(tally, 0) + times
        self.totals[tally] += times

    async def room(self) -> None:
        """Wait until few enough deliveries are ahead of the cursor."""
        if self._ahead >= FARTHEST_AHEAD and not self._over:
            self._room.clear()
        await self._room.wait()

    def give_up(self) -> None:
        """Nothing is settled any more: nobody is to wait for it."""
        self._over = True
        self._room.set()

    async def settle(self, settled: Sequence[Settled]) -> None:
        """These deliveries have ended. Returns when that is durable."""
        for row, channel, key, end in settled:
            self.count(row, channel, end, 1)
            row.keys.append(key)
            row.pending -= 1
        await self._commit(settled)

    async def flush(self) -> None:
        """Move the cursor over what is settled now."""
        await self._commit(())

    async def _commit(self, settled: Sequence[Settled]) -> None:
        """One write: outcomes that must wait ahead of the cursor, and the prefix that it passes."""
        passed = self._pass_prefix()
        gone = {id(row) for row in passed}
        waiting = [(key, end.outcome, end.reason) for row, _, key, end in settled if id(row) not in gone]
        if not passed and not waiting:
            return
        tallies: Counter[TallyKey] = Counter()
        for row in passed:
            tallies.update(row.tallies)
        keys = [key for row in passed for key in row.keys]
        cursor = passed[-1].position if passed else None
        await self._commits.advance(cursor, tallies, keys, settled=waiting)
        self.position = cursor or self.position

    def _pass_prefix(self) -> list[Row]:
        """The rows at the front that nothing is pending of. They leave at once: nobody else may pass them."""
        passed: list[Row] = []
        while self._rows and not self._rows[0].pending:
            passed.append(self._rows.popleft())
        self._ahead -= sum(row.deliveries for row in passed)
        if self._ahead < FARTHEST_AHEAD:
            self._room.set()
        return passed

    @property
    def ahead(self) -> int:
        return self._ahead
