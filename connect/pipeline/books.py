"""What a worker tells the one that keeps the run's books: what composing gave, what is about to leave, how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, Protocol

from connect.ledger.records import Bucket, Call, Slots
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Outcome


class Settlement(NamedTuple):
    """One delivery that has ended: whose row it is, its message key, and how."""

    batch: int
    row: int
    channel: Channel
    key: bytes
    outcome: Outcome
    reason: str
    account: str = ""
    address: str = ""


End = tuple[int, Channel, Ended, int, bytes | None, str, str]
"""(row, channel, how, how many times, message key, account, address) of what ended at a gate, or before a crash.

Only those that have an intent in the ledger, from before a crash, have a key and an account; and an address where it
is still the same.
"""


@dataclass(slots=True)
class Composed:
    """What became of some neighbouring rows of a batch, before any provider heard of them."""

    batch: int
    start: int
    """The first of these rows, by its place in the batch."""
    pending: list[int] = field(default_factory=list)
    """For each of the rows, how many deliveries are on their way."""
    ended: list[End] = field(default_factory=list)
    met: list[bytes] = field(default_factory=list)
    """Message keys of the intents from before a crash whose people were met again."""
    problems: Counter[str] = field(default_factory=Counter)
    """What was wrong with templates, without a word about people."""
    more: int = 0
    """How many deliveries they make beyond one for each channel: people have several devices."""
    elsewhere: int = 0
    """How many deliveries of these rows belong to another wave, and are not settled here."""


class Books(Protocol):
    """Where workers account for every delivery."""

    def composed(self, composed: Composed) -> None:
        """These rows were composed. Before anything else is said of them, and once for each row."""

    async def write(
        self, settled: Sequence[Settlement], withdrawn: Sequence[bytes] = (), released: Sequence[Call] = ()
    ) -> None:
        """These deliveries have ended, those were certainly not taken, and these calls are about to be in the air.

        Returns when all of it is durable, together.
        """

    async def slots(self, buckets: Sequence[Bucket], count: int) -> Slots:
        """Dated permissions for so many messages, of which these buckets let out no more than their rate."""

    def throttled(self, account: str, wait: timedelta, words: str) -> None:
        """The account makes everyone wait, also those of other workers."""

    def troubled(self, problem: BaseException) -> None:
        """This worker starts nothing new: nobody is to wait for what it has not begun."""
