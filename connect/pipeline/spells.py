"""Where in `connect_events` a row may be that was not counted: nobody looks for a new one anywhere else.

What was counted is in the warehouse, since counting comes last, and the ledger remembers it for as long as anybody
reports it again. What was written and not counted, because a server was killed or could not go on, lies in a spell of
that server's time, which it has put into the ledger before it wrote; and what one writes that begins meanwhile is of
now. A server knows of itself whether it left anything: its own time is not looked through where it did not.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from connect.clock import Clock
from connect.ledger.records import Spell
from connect.ledger.store import Ledger
from connect.warehouses.interface import Range

LASTS = timedelta(minutes=1)
"""Of a spell, from when it is put into the ledger; a second one follows when half of it has passed."""
_MARGIN = timedelta(seconds=15)
"""By which clocks of servers may differ."""
_MOST = 12
"""Ranges in one statement."""

_Span = tuple[datetime, datetime]


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
        self._behind: Spell | None = None
        """The last one that stays, because of what was left in it."""
        self._under_way = False
        """A batch was begun, and is not counted yet."""
        self._left = False
        """One that was begun in this spell never came to be."""

    def begin(self) -> Moment:
        """Before a batch is written. Only after that the ledger is asked what was counted. Raises OutsideError."""
        now = self._clock.now()
        self._left, self._under_way = self._left or self._under_way, False
        mine = self._mine
        if mine is None or not mine.since <= now <= mine.until - LASTS / 2:
            mine = self._move_on(mine, now)
        others = [spell for spell in self._ledger.spells() if self._left or spell.name != mine.name]
        self._under_way = True
        return Moment(now, ranges(others, now))

    def counted(self) -> None:
        """All of the batch that was begun last."""
        self._under_way = False

    def close(self) -> None:
        """Nothing more is written. What was left uncounted stays to be looked for. Raises OutsideError."""
        if self._mine is not None and not self._left and not self._under_way:
            self._ledger.end_spell(self._mine.name)
        self._mine = None

    def _move_on(self, mine: Spell | None, now: datetime) -> Spell:
        name = mine.name if mine is not None else secrets.token_hex(16)
        behind = self._behind
        if mine is not None and self._left:
            # A long outage is one spell, not one for each half-minute of it.
            if behind is not None and behind.since <= mine.since <= behind.until + LASTS:
                behind = replace(behind, until=max(behind.until, mine.until))
            else:
                behind, name = mine, secrets.token_hex(16)
        new = Spell(name, now, now + LASTS)
        self._ledger.keep_spells([behind, new] if behind is not None and self._left else [new])
        self._mine, self._behind, self._left = new, behind, False
        return new


def ranges(spells: Iterable[Spell], now: datetime) -> list[Range]:
    """When something may have been written that was not counted: in few ranges, in order, the last of them open."""
    recent = now - _MARGIN
    merged: list[_Span] = []
    for low, high in sorted((spell.since - _MARGIN, spell.until + _MARGIN) for spell in spells):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    last = min([recent, *(low for low, high in merged if high >= recent)])
    return [*_few([span for span in merged if span[1] < recent], _MOST - 1), (last, None)]


def _few(spans: Sequence[_Span], most: int) -> Iterator[_Span]:
    """Parted where the gaps between them are widest."""
    gaps = sorted(range(1, len(spans)), key=lambda at: spans[at][0] - spans[at - 1][1])
    parts = sorted(gaps[-(most - 1) :])
    for first, end in pairwise([0, *parts, len(spans)] if spans else []):
        yield spans[first][0], spans[end - 1][1]
