"""Sees how the deliveries of each person end, by their place in the call that brought them, and tells no names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from connect.ledger.records import Bucket, Call, Slots
from connect.pipeline import gates
from connect.pipeline.books import Books, Composed, Settlement
from connect.pipeline.crew import Crew, Orders, alone
from connect.pipeline.deliveries import Ended
from connect.pipeline.dispatch import Hold
from connect.pipeline.recipients import keys_of
from connect.pipeline.worker import Dealt
from connect.vocabulary import Channel


@dataclass(frozen=True, slots=True)
class Seen:
    """How one delivery ended."""

    channel: Channel
    end: Ended


class Witness:
    """Of a run whose people are in memory."""

    def __init__(self, people: Sequence[Mapping[str, object]], key: Sequence[str], channels: Sequence[Channel]) -> None:
        self._people = people
        self._keys = keys_of(people, key)
        self._channels = channels
        self._seen: dict[str, list[Seen]] = {}

    @asynccontextmanager
    async def crew(self, orders: Orders, books: Books, hold: Hold) -> AsyncIterator[Crew]:
        """A crew of one that is watched."""
        watched = _Books(books, self._seen)
        async with alone(orders, watched, hold) as crew:
            yield _Crew(crew, watched)

    def ends(self) -> list[tuple[Seen, ...]]:
        """For each person, in their order: how each delivery ended. Nothing for those who were not reached."""
        told: set[str] = set()
        return [self._ends(key, told) for key in self._keys]

    def _ends(self, key: str | None, told: set[str]) -> tuple[Seen, ...]:
        if key is None:
            return self._each(gates.MISSING_KEY)
        if key in told:
            return self._each(gates.DUPLICATE)
        told.add(key)
        return tuple(self._seen.get(key, ()))

    def _each(self, end: Ended) -> tuple[Seen, ...]:
        return tuple(Seen(channel, end) for channel in self._channels)


class _Books:
    """Passes everything on, and notes how deliveries ended once that is durable."""

    def __init__(self, books: Books, seen: dict[str, list[Seen]]) -> None:
        self._books, self._seen = books, seen
        self.keys: dict[int, Sequence[str]] = {}

    def composed(self, composed: Composed) -> None:
        self._books.composed(composed)
        for row, channel, end, *_ in composed.ended:
            if end is not gates.DUPLICATE:
                self._note(composed.batch, row, channel, end)

    async def write(
        self, settled: Sequence[Settlement], withdrawn: Sequence[bytes] = (), released: Sequence[Call] = ()
    ) -> None:
        await self._books.write(settled, withdrawn, released)
        for end in settled:
            self._note(end.batch, end.row, end.channel, Ended(end.outcome, end.reason))

    def _note(self, batch: int, row: int, channel: Channel, end: Ended) -> None:
        self._seen.setdefault(self.keys[batch][row], []).append(Seen(channel, end))

    async def slots(self, buckets: Sequence[Bucket], count: int) -> Slots:
        return await self._books.slots(buckets, count)

    def throttled(self, account: str, wait: timedelta, words: str) -> None:
        self._books.throttled(account, wait, words)

    def troubled(self, problem: BaseException) -> None:
        self._books.troubled(problem)


class _Crew:
    """Remembers whose rows are dealt."""

    def __init__(self, crew: Crew, books: _Books) -> None:
        self._crew, self._books = crew, books
        self.flush, self.drain, self.stop = crew.flush, crew.drain, crew.stop
        self.abandon, self.halt = crew.abandon, crew.halt

    @property
    def piece(self) -> int:
        return self._crew.piece

    @property
    def waiting(self) -> str:
        return self._crew.waiting

    async def deal(self, dealt: Dealt) -> None:
        self._books.keys[dealt.number] = dealt.rows.keys
        await self._crew.deal(dealt)
