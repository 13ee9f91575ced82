"""Openings and clicks, from the moment that somebody comes to when they are counted. Nobody waits for that.

They are kept for two seconds, in memory: who opens several links of one message within that time is a scanner.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from connect.clock import Clock
from connect.errors import ConnectError, OutsideError
from connect.pipeline.noticed import OURSELVES
from connect.pipeline.visits import Visit
from connect.providers.events import Event, EventType
from connect.vocabulary import Channel

Take = Callable[[str, Sequence[Event]], Awaitable[None]]
"""As `Intake.take`."""
Lose = Callable[[int, str], None]
"""(how many, the code of why)."""

MOST = 50_000
"""Visits that wait; more are lost, and counted."""
HASTY = 3
"""So many links of one message…"""
WITHIN = 2.0
"""…in so many seconds are no person's."""
_AT_ONCE = 2000
_LONGEST_AGENT = 300
_PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)


@dataclass(slots=True)
class _Held:
    event: Event
    number: int
    at: float
    """On the monotonic clock."""
    hasty: bool = False

    @property
    def told(self) -> Event:
        return replace(self.event, machine=True) if self.hasty else self.event


@dataclass(slots=True)
class _Clicks:
    """Those of one message. Each click is looked at a few times, however many there are."""

    held: int = 0
    """Which are not released yet."""
    unjudged: deque[_Held] = field(default_factory=deque)
    """Of the last two seconds, those that may be a person's."""
    last: dict[int, float] = field(default_factory=dict)
    """Of each link of the last two seconds, when it was opened last; the latest at the end."""

    def add(self, held: _Held) -> None:
        self.held += 1
        self.unjudged.append(held)
        self.last.pop(held.number, None)
        self.last[held.number] = held.at
        self._forget_before(held.at - WITHIN)
        if len(self.last) >= HASTY:
            for click in self.unjudged:
                click.hasty = True
            self.unjudged.clear()

    def _forget_before(self, since: float) -> None:
        while self.unjudged and self.unjudged[0].at < since:
            self.unjudged.popleft()
        while self.last[first := next(iter(self.last))] < since:  # the new one is not
            del self.last[first]

    def release(self, held: _Held) -> None:
        """The one that is held longest."""
        self.held -= 1
        if self.unjudged and self.unjudged[0] is held:
            self.unjudged.popleft()


@dataclass
class Visitors:
    """Those of one server."""

    take: Take
    clock: Clock
    lose: Lose = lambda count, why: None
    """Told of visits that nobody could count."""
    most: int = MOST
    _lost: int = 0
    """Since it was told last."""
    _held: deque[_Held] = field(default_factory=deque)
    _clicks: dict[bytes, _Clicks] = field(default_factory=dict)
    """Of each message, those that are held."""

    def came(self, visit: Visit, kind: EventType, *, machine: bool, user_agent: str = "") -> None:
        """Never blocks and never raises."""
        if not visit.counts:
            return
        if len(self._held) >= self.most:
            self._lost += 1
            return
        at = self.clock.monotonic()
        held = _Held(_event(visit, kind, self.clock, machine, user_agent), visit.number, at)
        self._held.append(held)
        if kind is EventType.clicked:
            self._clicks.setdefault(visit.key, _Clicks()).add(held)

    async def run(self, stop: asyncio.Event) -> None:
        """Hand over what has been held for long enough, until there are no more visitors; then the rest, if it can."""
        while not stop.is_set():
            await _first(stop, self.clock.sleep(WITHIN / 4))
            await self._hand_over(self._due(), stop)
            if self._lost:
                self._lost, count = 0, self._lost
                self.lose(count, "queue_full")
        await self._hand_over(self._released(len(self._held)), stop)

    def _due(self) -> list[Event]:
        until = self.clock.monotonic() - WITHIN
        return self._released(next((n for n, held in enumerate(self._held) if held.at > until), len(self._held)))

    def _released(self, count: int) -> list[Event]:
        released = [self._held.popleft() for _ in range(count)]
        for held in released:
            if held.event.type is EventType.clicked:
                self._release(held)
        return [held.told for held in released]

    def _release(self, held: _Held) -> None:
        key = held.event.key
        if key is not None and (clicks := self._clicks.get(key)):
            clicks.release(held)
            if not clicks.held:
                del self._clicks[key]

    async def _hand_over(self, events: Sequence[Event], stop: asyncio.Event) -> None:
        for some in _pieces(events, _AT_ONCE):
            trouble = await self._trouble(some, stop)
            if trouble is not None:
                self.lose(len(some), trouble)

    async def _trouble(self, events: Sequence[Event], stop: asyncio.Event) -> str | None:
        """Why they could not be counted. While something outside is in the way it is tried again, and new ones wait."""
        for pause in (*_PAUSES, None):
            try:
                await self.take(OURSELVES, events)
            except OutsideError as error:
                if pause is None or stop.is_set():
                    return error.problems[0].code
                await _first(stop, self.clock.sleep(pause))
            except ConnectError as error:
                return error.problems[0].code
            except Exception as error:  # noqa: BLE001 - the server goes on; the text may quote what was clicked
                return type(error).__name__
            else:
                return None
        return None


def _event(visit: Visit, kind: EventType, clock: Clock, machine: bool, user_agent: str) -> Event:
    return Event(
        type=kind,
        at=clock.now(),
        id=secrets.token_hex(12),
        channel=Channel.email,
        run_id=visit.run_id,
        key=visit.key,
        link=visit.url,
        machine=machine,
        user_agent=user_agent[:_LONGEST_AGENT],
    )


def _pieces(events: Sequence[Event], size: int) -> Iterable[list[Event]]:
    coming = iter(events)
    while some := list(islice(coming, size)):
        yield some


async def _first(stop: asyncio.Event, sleeping: Awaitable[None]) -> None:
    """Until one of both has come."""
    waits = (asyncio.ensure_future(stop.wait()), asyncio.ensure_future(sleeping))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
