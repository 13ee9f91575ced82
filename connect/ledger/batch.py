"""What concurrent callers want written, put together so that each kind of write is one statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import Connection

from connect.ledger import intents, runs, slices, tallies
from connect.ledger.records import Intent, Slice, Tally
from connect.vocabulary import Channel, Outcome

TallyKey = tuple[Channel, str, Outcome, str]
"""Channel, arm, outcome, reason."""


class _Kind(Enum):
    intend = auto()
    settle = auto()
    withdraw = auto()
    passed = auto()


@dataclass(slots=True)
class Writes:
    """Writes that may be done in the order of these fields, because no delivery is in two of them."""

    intended: Sequence[Intent] = ()
    settled: Sequence[intents.Settled] = ()
    withdrawn: Sequence[bytes] = ()
    passed: Sequence[bytes] = ()
    cursor: str | None = None
    tallies: Counter[TallyKey] = field(default_factory=Counter)

    def kinds(self) -> dict[bytes, _Kind]:
        """What happens to each delivery."""
        return (
            {intent.key: _Kind.intend for intent in self.intended}
            | {key: _Kind.settle for key, _, _ in self.settled}
            | dict.fromkeys(self.withdrawn, _Kind.withdraw)
            | dict.fromkeys(self.passed, _Kind.passed)
        )

    def write(self, connection: Connection, slice: Slice, now: datetime) -> None:
        intents.intend(connection, slice, self.intended, now)
        intents.settle(connection, slice, self.settled)
        intents.withdraw(connection, slice, self.withdrawn)
        intents.pass_by(connection, slice, self.passed)
        tallies.add(connection, slice.run_id, [Tally(*key, count) for key, count in self.tallies.items()])
        if self.cursor is not None:
            slices.advance(connection, slice, self.cursor)
            runs.made_progress(connection, slice.run_id)


def together(submitted: Iterable[Writes]) -> list[Writes]:
    """As few writes as possible with the same effect as these, one after the other."""
    groups = [_Group()]
    for writes in submitted:
        kinds = writes.kinds()
        if not groups[-1].takes(writes, kinds):
            groups.append(_Group())
        groups[-1].add(writes, kinds)
    return [group.writes() for group in groups]


class _Group:
    def __init__(self) -> None:
        self._members: list[Writes] = []
        self._kinds: dict[bytes, _Kind] = {}
        self._cursor: str | None = None

    def takes(self, writes: Writes, kinds: dict[bytes, _Kind]) -> bool:
        """Not if a delivery would be in two kinds, nor if the cursor goes back (which the ledger then refuses)."""
        if writes.cursor is not None and self._cursor is not None and writes.cursor < self._cursor:
            return False
        return all(self._kinds.get(key, kind) is kind for key, kind in kinds.items())

    def add(self, writes: Writes, kinds: dict[bytes, _Kind]) -> None:
        self._members.append(writes)
        self._kinds |= kinds
        self._cursor = writes.cursor if writes.cursor is not None else self._cursor

    def writes(self) -> Writes:
        counted: Counter[TallyKey] = Counter()
        for member in self._members:
            counted.update(member.tallies)
        return Writes(
            intended=[intent for member in self._members for intent in member.intended],
            settled=[outcome for member in self._members for outcome in member.settled],
            withdrawn=[key for member in self._members for key in member.withdrawn],
            passed=[key for member in self._members for key in member.passed],
            cursor=self._cursor,
            tallies=counted,
        )
