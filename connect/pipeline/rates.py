"""Configured rates: no more than so many messages in any second (minute, hour, day), whoever sends them.

The ledger hands out dated slots (GCRA, `connect.ledger.slots`), one message each, `spacing` apart. A message leaves at
its slot's date, or at most a tolerance later; a slot that is older is dropped. So of the messages of any stretch of
time, one `per` of the rate long, the first has a slot from at most `tolerance` before it. A call of n messages leaves
at the date of its last slot, and its first is n - 1 spacings older. With calls of at most `clump` messages, that makes

    floor((per + tolerance) / spacing) + clump

messages at most in any stretch, both ends included, which is no more than the rate where

    spacing > (per + tolerance) / (count - clump + 1)

What is promised is the handing over to the provider's adapter; half of the tolerance is left for the way from there.
To be exact, the ledger must answer in less time than the other half, now and then (`_Offset`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from connect.clock import Clock
from connect.ledger.records import Bucket, Slots
from connect.pipeline.accounts import Accounts
from connect.project.campaign import Campaign
from connect.project.types import Rate
from connect.vocabulary import Mode

_TOLERANCE, _LONGEST_TOLERANCE = 0.05, timedelta(seconds=1)
"""A share of the time that the rate is for. A process is not held up for longer than a second; what is, loses slots."""

_USED = 0.5
"""The part of the tolerance in which slots are used. The rest is for the way to the provider, which no two calls have
in the same time."""

_SHORTEST_WINDOW = 0.02
"""Seconds in which a slot may be used, however slowly the ledger answers."""

_CLUMP = 10
"""A bulk call takes at most this part of what the rate lets through: more, and the spacing would have to make up."""

_AHEAD, _AHEAD_OF_ANSWERS, _FARTHEST_AHEAD = 0.25, 3, 5.0
"""Seconds for which slots are taken together: at least, as a multiple of how long an answer takes, and at most."""

_FASTEST_SLEW = 0.0005
"""How much faster or slower than another a clock may go while it is being corrected (adjtime(3) on Linux)."""

_RIGHT_NOW = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Limit(Bucket):
    """A bucket of the ledger, with what whoever takes slots from it must keep to."""

    rate: Rate
    tolerance: timedelta
    """How much later than its date a slot may be used."""
    clump: int
    """The most messages in one call."""


def bucket_of_account(name: str, rate: Rate, batch: int = 1) -> Limit:
    """What all who send by this account share. `batch` is what the provider takes in one call."""
    return _limit(f"account/{name}", rate, batch)


def bucket_of_campaign(mode: Mode, name: str, rate: Rate, batch: int = 1) -> Limit:
    """What all runs of a campaign share."""
    return _limit(f"campaign/{mode}/{name}", rate, batch)


def limits_of(
    accounts: Accounts, rates: Mapping[str, Rate | None], campaign: Campaign, mode: Mode
) -> dict[str, tuple[Limit, ...]]:
    """`Sending.buckets`: for each account that has one, its own rate (`rates`, by name) and the campaign's."""
    if mode is not Mode.live:
        return {}
    batch = max((provider.capabilities.max_batch for provider, _ in accounts.values()), default=1)
    shared = campaign.policy.rate and bucket_of_campaign(mode, campaign.name, campaign.policy.rate, batch)
    found: dict[str, tuple[Limit, ...]] = {}
    for name, (provider, _) in accounts.items():
        rate = rates.get(name)
        own = rate and bucket_of_account(name, rate, provider.capabilities.max_batch)
        if limits := tuple(limit for limit in (own, shared) if limit):
            found[name] = limits
    return found


def _limit(name: str, rate: Rate, batch: int) -> Limit:
    clump = max(1, min(batch, rate.count // _CLUMP))
    tolerance = min(rate.per * _TOLERANCE, _LONGEST_TOLERANCE)
    return Limit(name, (rate.per + tolerance) / (rate.count - clump + 1) + _RIGHT_NOW, rate, tolerance, clump)


class Slot(NamedTuple):
    """When a call may be handed to its provider, in monotonic seconds."""

    date: float
    latest: float


class Meter:
    """Hands out slots in order, and has the next ones at hand before it runs dry. For one event loop.

    ask: `Books.slots`. ready: called when slots have come. failed: told what asking raised.
    """

    def __init__(
        self,
        limits: Sequence[Limit],
        ask: Callable[[Sequence[Bucket], int], Awaitable[Slots]],
        clock: Clock,
        *,
        ready: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._limits, self._ask, self._clock, self._ready, self._failed = limits, ask, clock, ready, failed
        self._slowest = max(limits, key=lambda limit: limit.spacing)
        self._tolerance = min(limit.tolerance for limit in limits).total_seconds() * _USED
        self._spacing = self._slowest.spacing.total_seconds()
        self._ahead = _AHEAD
        self._at_hand: deque[Slot] = deque()
        self._offset = _Offset()
        self._asking: asyncio.Task[None] | None = None
        self.clump = min(limit.clump for limit in limits)
        """The most messages in one call."""

    def take(self, messages: int, waiting: int, until: float) -> Slot | None:
        """A slot for a call of so many, if it comes by then; `waiting` is how many could do with one, these included.

        Where there is none yet, `ready` is called when that has changed, or `next` says when it comes.
        """
        self._drop(messages)
        slots = self._at_hand
        if waiting > len(slots) and (
            len(slots) < messages or slots[-1].date < self._clock.monotonic() + self._ahead / 2
        ):
            self._more(max(messages, min(waiting, int(self._ahead / self._spacing))) - len(slots))
        if len(slots) < messages or slots[messages - 1].date > until:
            return None
        taken = [slots.popleft() for _ in range(messages)]
        return Slot(taken[-1].date, taken[0].latest if messages <= self.clump else taken[-1].latest)

    def next(self, messages: int) -> float | None:
        """When a call of so many may leave; None where that is not known yet."""
        return self._at_hand[messages - 1].date if len(self._at_hand) >= messages else None

    def words(self, waiting: int) -> str:
        """What so many messages wait for, for people to read; empty where it takes them less than a second."""
        slots = self._at_hand
        away = slots[0].date - self._clock.monotonic() if slots else 0.0
        return f"waiting: rate {self._slowest.rate}" if away + waiting * self._spacing > 1 else ""

    @property
    def is_asking(self) -> bool:
        """Slots are about to come."""
        return self._asking is not None

    def stop(self) -> None:
        """Ask for no more."""
        if self._asking is not None:
            self._asking.cancel()

    def _drop(self, messages: int) -> None:
        """Slots that are too old, or will be when the last of so many comes."""
        now, slots = self._clock.monotonic(), self._at_hand
        while slots and slots[0].latest < now:
            slots.popleft()
        if messages > self.clump:  # one from before a crash, which is repeated as it was or not at all
            return
        while len(slots) >= messages and slots[0].latest < slots[messages - 1].date:
            slots.popleft()

    def _more(self, count: int) -> None:
        if count > 0 and self._asking is None:
            self._asking = asyncio.create_task(self._fetch(count))

    async def _fetch(self, count: int) -> None:
        asked = self._clock.monotonic()
        try:
            slots = await self._ask(self._limits, count)
        except Exception as problem:  # noqa: BLE001 - raised to whoever puts or drains
            self._failed(problem)
        else:
            answered = self._clock.monotonic()
            self._offset.heard(slots.now.timestamp(), asked, answered)
            self._ahead = min(max(_AHEAD, _AHEAD_OF_ANSWERS * (answered - asked)), _FARTHEST_AHEAD)
            self._at_hand.extend(self._dated(slots))
            self._ready()
        finally:
            self._asking = None

    def _dated(self, slots: Slots) -> Iterable[Slot]:
        first, spacing = slots.first.timestamp(), slots.spacing.total_seconds()
        late = self._tolerance + (self.clump - 1) * spacing
        for number in range(slots.count):
            date, perhaps = self._offset.ours(first + number * spacing)
            yield Slot(date, max(perhaps + late, date + _SHORTEST_WINDOW))


class _Offset:
    """How much more the ledger's clock shows than ours, between two bounds: it spoke between question and answer.

    One quick answer tells it for all the slow ones around it.
    """

    def __init__(self) -> None:
        self._low, self._high = float("-inf"), float("inf")
        self._heard = 0.0

    def heard(self, said: float, asked: float, answered: float) -> None:
        drift = (answered - self._heard) * _FASTEST_SLEW
        low, high = max(self._low - drift, said - answered), min(self._high + drift, said - asked)
        self._low, self._high = (low, high) if low <= high else (said - answered, said - asked)  # a clock was set
        self._heard = answered

    def ours(self, instant: float) -> tuple[float, float]:
        """The instant by our clock: at the latest, and at the earliest."""
        return instant - self._low, instant - self._high
