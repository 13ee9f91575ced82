"""What the receiving process does with messages, whichever way they came: takes them, badly mannered, and counts."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from random import Random
from typing import NamedTuple

from connect.testing.receivers import DEAD, Manners, Received

_SLOW = 50
"""Times the usual latency."""


class Arriving(NamedTuple):
    key: str
    to: str
    body: str


class Dropped(Exception):
    """Taken, and the connection is to be cut."""


class Unavailable(Exception):
    """Nothing was taken."""


class Throttled(Unavailable):
    """Nothing was taken: too many calls."""


class InProgress(Exception):
    """The first call with this key is not answered yet."""


class Counting:
    """Takes messages, badly mannered as it was told to be, and counts them."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._random = Random(manners.seed)
        self._people: Counter[str] = Counter()
        self._keys: dict[str, str] = {}
        self._bodies: dict[str, bytes] = {}
        self._calls: dict[str, tuple[bytes, list[str]]] = {}
        self._in_progress: set[str] = set()
        self._repeats = self._other_bodies = self.deliveries = 0
        self._dropped: list[str] = []

    async def take(self, messages: list[Arriving], call: str = "") -> list[str]:
        """What becomes of each message of a call, which may have a key of its own."""
        if not (call and self._manners.remembers_calls):
            return await self._taken(messages, "")
        if call in self._in_progress:
            raise InProgress
        self._in_progress.add(call)
        try:
            return await self._taken(messages, call)
        finally:
            self._in_progress.remove(call)

    async def _taken(self, messages: list[Arriving], call: str) -> list[str]:
        manners = self._manners
        await asyncio.sleep(manners.latency / 2)
        if self._chance(manners.unavailable):
            raise Unavailable
        if self._chance(manners.throttled):
            raise Throttled
        drops = self._chance(manners.drops)
        results = self._whole(messages, call) if call else self._each(messages)
        if drops:
            self._dropped += [message.to for message in messages]
            raise Dropped
        await asyncio.sleep(manners.latency / 2 * (_SLOW if self._chance(manners.slow) else 1))
        return results

    def _each(self, messages: list[Arriving]) -> list[str]:
        return [self._one(message) for message in messages]

    def _whole(self, messages: list[Arriving], call: str) -> list[str]:
        """A call whose key is known is answered as before; one of which nothing was taken is not remembered."""
        digest = _digest("\n".join(f"{message.key}\n{message.to}\n{message.body}" for message in messages))
        before, results = self._calls.get(call, (digest, None))
        if before != digest:
            self._other_bodies += len(messages)
            return ["other_body"] * len(messages)
        if results is not None:
            self._repeats += len(messages)
            return results
        results = self._each(messages)
        if "accepted" in results:
            self._calls[call] = digest, results
        return results

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _one(self, message: Arriving) -> str:
        if self._manners.remembers:
            digest = _digest(f"{message.to}\n{message.body}")
            known = self._bodies.get(message.key)
            if known is not None:
                return self._again(known == digest)
        if self._chance(self._manners.later):
            return "later"
        if message.to.startswith(DEAD):
            return "dead"
        if self._manners.remembers:
            self._bodies[message.key] = digest
        self._people[message.to] += 1
        self._keys[message.key] = message.to
        self.deliveries += 1
        return "accepted"

    def _again(self, same: bool) -> str:
        if same:
            self._repeats += 1
            return "accepted"
        self._other_bodies += 1
        return "other_body"

    def tallies(self) -> Received:
        return Received(dict(self._people), self._keys, self._repeats, self._other_bodies, self._dropped)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
