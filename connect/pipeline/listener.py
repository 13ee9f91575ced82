"""One endpoint of the user's that is told what happens: its queue in memory, its requests, what is dropped.

Nothing waits for it. What it does not take in time is dropped and counted, and nothing is kept for the next process:
what must not be lost stands in the tables of `destination`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from random import Random

from connect.clock import Clock
from connect.pipeline.counters import Counters
from connect.pipeline.happening import Happening
from connect.pipeline.posting import Verdict, ask, client, no_verdict, post, verdict
from connect.project.webhooks import Hook
from connect.providers.http import Client, Unanswered

MOST_WAITING = 20_000
"""Happenings in the queue of an endpoint."""
AT_ONCE = 16
"""Requests to an endpoint at a time."""
TRIES = 8
"""Of one happening: about three minutes, where every one fails."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_HOPELESS = 3
"""Failures in a row after which a process that ends does not wait for this endpoint."""
_SHORT = 1.0
"""Seconds that a process that ends still waits between two tries."""
_SAID_AGAIN = 60.0
"""Seconds from one line about an endpoint to the next."""


class Fate(StrEnum):
    """What became of a happening: taken, or why it was dropped."""

    taken = "taken"
    refused = "refused"  # answered with a status that trying again does not mend
    gave_up = "gave_up"  # it was tried often enough
    queue_full = "queue_full"
    gone = "gone"  # the endpoint has said 410
    stopped = "stopped"  # the process has ended


Say = Callable[[str, str, int], None]
"""(endpoint, why, how many were dropped since it was last said)."""


class Listener:
    """`take` is for any thread, everything else for the event loop's."""

    def __init__(
        self, name: str, hook: Hook, target: str, clock: Clock, random: Random, counters: Counters, say: Say
    ) -> None:
        self.name, self.hook = name, hook
        self._target, self._clock, self._random, self._counters, self._say = target, clock, random, counters, say
        self._waiting: deque[Happening] = deque()
        self._working: set[asyncio.Task[None]] = set()
        self._client: Client | None = None
        self._gone = self._ended = False
        self._ending = asyncio.Event()
        """Set when the process is about to end: nobody waits long any more."""
        self._not_before = 0.0
        """By the monotonic clock: the endpoint has asked for a pause."""
        self._failures = 0
        """In a row."""
        self._dropped, self._said_at = 0, -_SAID_AGAIN

    def __len__(self) -> int:
        """How many wait, those in the air included."""
        return len(self._waiting) + len(self._working)

    @property
    def is_gone(self) -> bool:
        """It wants to hear nothing any more."""
        return self._gone

    def take(self, happening: Happening) -> None:
        """Put it into the queue, or drop it where there is no room. Never waits."""
        if self._gone or self._ended:
            self._drop(Fate.gone if self._gone else Fate.stopped, 1)
        elif len(self._waiting) >= MOST_WAITING:
            self._drop(Fate.queue_full, 1)
        else:
            self._waiting.append(happening)

    def stir(self) -> None:
        """There may be something to tell."""
        for _ in range(min(AT_ONCE - len(self._working), len(self._waiting))):
            task = asyncio.create_task(self._work())
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def end(self, patience: float) -> None:
        """Tell what waits, within so many seconds; drop the rest."""
        self._ending.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._working:
                    await asyncio.wait(self._working)
        self._ended = True
        for task in self._working:
            task.cancel()
        if self._working:
            await asyncio.wait(self._working)
        self._drop_the_rest(Fate.stopped)
        self._tell_of_drops("the process ends", always=True)
        if self._client is not None:
            await self._client.close()

    async def _work(self) -> None:
        """Tell until nothing waits."""
        while self._waiting and not self._ended:
            if self._is_hopeless:
                self._drop_the_rest(Fate.stopped)
                return
            fate = Fate.stopped
            happening = self._waiting.popleft()
            try:
                fate = await self._tell(happening)
            finally:
                self._count(fate)

    @property
    def _is_hopeless(self) -> bool:
        return self._ending.is_set() and self._failures >= _HOPELESS

    async def _tell(self, happening: Happening) -> Fate:
        """Ask until it is taken, or there is no use in it."""
        for attempt in range(TRIES):
            asked_for = self._not_before - self._clock.monotonic()
            if self._ending.is_set() and asked_for > _SHORT:
                return Fate.stopped
            await self._pause(asked_for)
            found = await self._ask(happening)
            if not found.reason:
                self._failures = 0
                self._tell_of_drops("it is slower than what happens")
                return Fate.taken
            self._failures += 1
            self._tell_of_drops(found.reason)
            if found.gone:
                self._gone = True
                return Fate.gone
            if not found.again:
                return Fate.refused
            if self._is_hopeless:
                return Fate.stopped
            if attempt + 1 < TRIES:
                await self._wait(attempt, found)
        return Fate.gave_up

    async def _ask(self, happening: Happening) -> Verdict:
        if self._client is None:
            self._client = client(self.hook, AT_ONCE)
        now = self._clock.now()
        try:
            reply = await ask(self._client, post(self.hook, happening, self._target, now))
        except Unanswered as failure:
            return no_verdict(failure)
        return verdict(reply, now)

    async def _wait(self, attempt: int, found: Verdict) -> None:
        """Twice as long each time, with jitter; an endpoint that asks for a pause gets it from everybody."""
        if found.wait is not None:
            until = self._clock.monotonic() + found.wait.total_seconds()
            self._not_before = max(self._not_before, until)
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
        await self._pause(longest * (0.5 + self._random.random() / 2))

    async def _pause(self, seconds: float) -> None:
        """So long; or shorter, where the process is about to end."""
        if seconds <= 0:
            return
        if self._ending.is_set():
            await self._clock.sleep(min(seconds, _SHORT))
            return
        waits = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._ending.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _count(self, fate: Fate) -> None:
        if fate is Fate.taken:
            self._counters.add("outgoing_webhooks", webhook=self.name, result=fate)
            return
        self._drop(fate, 1)
        if fate is Fate.gone:
            self._drop_the_rest(fate)
            self._tell_of_drops("it answered 410, and is told nothing until the next start", always=True)

    def _drop_the_rest(self, fate: Fate) -> None:
        count = len(self._waiting)
        self._waiting.clear()
        if count:
            self._drop(fate, count)

    def _drop(self, fate: Fate, count: int) -> None:
        self._dropped += count
        self._counters.add("outgoing_webhooks", count, webhook=self.name, result=fate)

    def _tell_of_drops(self, why: str, *, always: bool = False) -> None:
        """Once in a while: an endpoint that is down would fill the log."""
        now = self._clock.monotonic()
        if self._dropped and (always or now - self._said_at >= _SAID_AGAIN):
            self._say(self.name, why, self._dropped)
            self._dropped, self._said_at = 0, now
