"""Bundles: intents that were released together share one row of the ledger, as columns of bytes.

A row for each delivery costs five times as much processor time, in the database and on the way to it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from connect.ledger.many import Row
from connect.ledger.records import Intent
from connect.ledger.tables import instant
from connect.vocabulary import Channel, Outcome

MOST = 100
"""Members of a bundle: what fits on one page of SQLite (4 KB)."""

KEY_BYTES = 16
IN_DOUBT, GONE = 0, 1
"""States of a member, one byte each: not settled; not near the air any more. Others are places in `endings`, from 2."""
_FIRST_ENDING = 2

Ending = tuple[str, str]
"""An outcome and its reason."""


@dataclass(slots=True)
class Members:
    """Deliveries of one account and channel, as columns of one length."""

    channel: str
    account: str
    keys: list[bytes] = field(repr=False)
    sequences: list[int]
    calls: list[int]
    call_sizes: list[int]

    def part(self, start: int, stop: int) -> Members:
        columns = (self.keys, self.sequences, self.calls, self.call_sizes)
        return Members(self.channel, self.account, *(column[start:stop] for column in columns))  # type: ignore[arg-type]

    def add(self, more: Members) -> None:
        self.keys += more.keys
        self.sequences += more.sequences
        self.calls += more.calls
        self.call_sizes += more.call_sizes


@dataclass(slots=True, eq=False)
class Bundle:
    """One row: its members, and what became of each."""

    id: int
    released_at: int
    members: Members
    states: bytearray
    endings: list[Ending] = field(default_factory=list)
    left: int = 0
    """How many are near the air."""
    stored: bool = False
    _places: dict[bytes, int] = field(default_factory=dict, repr=False)

    def place_of(self, key: bytes) -> int:
        if not self._places:
            self._places = {key: place for place, key in enumerate(self.members.keys)}
        return self._places[key]

    def add(self, more: Members) -> None:
        self.members.add(more)
        self.states += bytes(len(more.keys))
        self.left += len(more.keys)
        self._places = {}

    def state_of(self, ending: Ending) -> int:
        """The byte that says so."""
        if ending not in self.endings:
            self.endings.append(ending)
        return self.endings.index(ending) + _FIRST_ENDING

    def row(self, slice_id: int) -> Row:
        """In the order of the table's columns."""
        members, count = self.members, len(self.states)
        keys = b"".join(members.keys)
        if len(keys) != KEY_BYTES * count:
            raise ValueError(f"a message key has {KEY_BYTES} bytes")
        return (
            self.id,
            slice_id,
            members.channel,
            members.account,
            self.released_at,
            keys,
            struct.pack(f"<{count}q", *members.sequences),
            struct.pack(f"<{count}q", *members.calls),
            struct.pack(f"<{count}i", *members.call_sizes),
            *self.change(),
        )

    def change(self) -> Row:
        """What a row's members came to; the rest of it never changes."""
        return (bytes(self.states), json.dumps(self.endings) if self.endings else "")

    @classmethod
    def read(cls, row: Sequence[object]) -> Bundle:
        """The bundle of a row, as `row` gives it."""
        number, _, channel, account, released_at, keys, sequences, calls, sizes, states, endings = row
        assert isinstance(states, bytes)
        assert isinstance(keys, bytes)
        count = len(states)
        members = Members(
            str(channel),
            str(account),
            [keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)],
            list(struct.unpack(f"<{count}q", sequences)),  # type: ignore[arg-type]
            list(struct.unpack(f"<{count}q", calls)),  # type: ignore[arg-type]
            list(struct.unpack(f"<{count}i", sizes)),  # type: ignore[arg-type]
        )
        said = [(outcome, reason) for outcome, reason in json.loads(str(endings) or "[]")]
        left = count - states.count(GONE)
        return cls(int(number), int(released_at), members, bytearray(states), said, left, stored=True)  # type: ignore[call-overload]

    def intents(self) -> Iterator[Intent]:
        """Members that are near the air."""
        members = self.members
        columns = zip(members.keys, members.sequences, members.calls, members.call_sizes, self.states, strict=True)
        released_at, channel = instant(self.released_at), Channel(members.channel)
        for key, sequence, call, size, state in columns:
            if state != GONE:
                outcome, reason = self.endings[state - _FIRST_ENDING] if state >= _FIRST_ENDING else (None, "")
                ended = Outcome(outcome) if outcome else None
                yield Intent(key, sequence, channel, members.account, call, ended, reason, released_at, size)
