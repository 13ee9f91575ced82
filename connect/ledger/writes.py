"""What a caller wants written, all of it or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from connect.ledger.book import Book
from connect.ledger.bundles import Members
from connect.ledger.intents import Settled
from connect.ledger.records import Call, Intent
from connect.ledger.tallies import TallyKey


@dataclass(slots=True)
class Writes:
    """Done in the order of these fields."""

    released: Sequence[Members] = ()
    settled: Sequence[Settled] = ()
    withdrawn: Sequence[bytes] = ()
    passed: Sequence[bytes] = ()
    cursor: str | None = None
    tallies: Mapping[TallyKey, int] = field(default_factory=dict)
    further: bool = False
    """The run has got further, though the cursor may not show it yet."""

    @property
    def is_progress(self) -> bool:
        return self.further or self.cursor is not None

    def deliveries(self) -> int:
        """How many it is about."""
        released = sum(len(members.keys) for members in self.released)
        return released + len(self.settled) + len(self.withdrawn) + len(self.passed)

    def note(self, book: Book, now: int) -> None:
        """Write it into the book. Raises Unaccounted."""
        for members in self.released:
            book.release(members, now)
        book.settle(self.settled)
        book.withdraw(self.withdrawn)
        book.pass_by(self.passed)
        if self.cursor is not None:
            book.advance(self.cursor)


def members_of(calls: Iterable[Call]) -> list[Members]:
    """The deliveries of these calls, in order, as few columns as there are changes of account or channel."""
    found: list[Members] = []
    for (account, channel), some in groupby(calls, attrgetter("account", "channel")):
        members = Members(channel.value, account, [], [], [], [])
        for call in some:
            count = len(call.keys)
            members.keys += call.keys
            members.sequences += call.sequences
            members.calls += [call.number] * count
            members.call_sizes += [count] * count
        found.append(members)
    return found


def members_among(intents: Iterable[Intent]) -> list[Members]:
    """Of one account and channel each, in order. Where a delivery is in it twice, the last one counts."""
    once = list({intent.key: intent for intent in intents}.values())
    sizes = Counter([(intent.account, intent.call) for intent in once])
    found = []
    for (account, channel), some in groupby(once, lambda intent: (intent.account, intent.channel)):
        group = list(some)
        calls = [intent.call for intent in group]
        found.append(
            Members(
                channel.value,
                account,
                keys=[intent.key for intent in group],
                sequences=[intent.sequence for intent in group],
                calls=calls,
                call_sizes=[sizes[account, call] for call in calls],
            )
        )
    return found
