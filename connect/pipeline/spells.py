"""Where in `connect_events` a row may be that was not counted: nobody looks for a new one anywhere else.

What was counted is in the warehouse, since counting comes last, and the ledger remembers it for as long as anybody
reports it again. What was written and not counted, because a server was killed or could not go on, lies in a spell of
that server's time, which it has put into the ledger before it wrote; and what others write meanwhile is of now.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connect.clock import Clock
from connect.ledger.records import Spell
from connect.ledger.store import Ledger
from connect.warehouses.interface import Range

LASTS = timedelta(minutes=1)
"""Of a spell, from when it is put into the ledger; a second one follows when half of it has passed."""
_MARGIN = timedelta(minutes=1)
"""By which clocks of servers may differ."""
_MOST = 12
"""Ranges in one statement."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a batch is written, and when its rows may have been written before."""

    now: datetime
    written: Sequence[Range]


class Spells:
    """Of one server. Used by one thread at a time."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._mine: Spell | None = None
        self._left = self._left_before = False
        """Something that was written in this spell may not have been counted: also what is being written."""

    def begin(self) -> Moment:
        """Before a batch is written. Only after that the ledger is asked what was counted. Raises OutsideError."""
        now, mine = self._clock.now(), self._mine
        if mine is None or not mine.since <= now <= mine.until - LASTS / 2:
            name = mine.name if mine is not None and not self._left else secrets.token_hex(16)
            mine = Spell(name, now, now + LASTS)
            self._ledger.keep_spell(mine)
            self._mine, self._left = mine, False
        written = ranges(self._ledger.spells(), now)
        self._left_before, self._left = self._left, True
        return Moment(now, written)

    def counted(self) -> None:
        """All of the batch that began last."""
        self._left = self._left_before

    def close(self) -> None:
        """Nothing more is written. What was left uncounted stays to be looked for. Raises OutsideError."""
        if self._mine is not None and not self._left:
            self._ledger.end_spell(self._mine.name)
        self._mine = None


def ranges(spells: Iterable[Spell], now: datetime) -> list[Range]:
    """When something may have been written that was not counted: in few ranges, in order, the last of them open."""
    recent = now - _MARGIN
    spans = sorted((spell.since - _MARGIN, spell.until + _MARGIN) for spell in spells)
    merged: list[tuple[datetime, datetime]] = []
    for low, high in spans:
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    closed = [span for span in merged if span[1] < recent]
    while len(closed) >= _MOST:
        place = min(range(len(closed) - 1), key=lambda at: closed[at + 1][0] - closed[at][1])
        closed[place : place + 2] = [(closed[place][0], closed[place + 1][1])]
    last = min([low for low, high in merged if high >= recent], default=recent)
    return [*closed, (min(last, recent), None)]
