"""How many calls a second an account takes, learned from those that it takes and those that it throttles.

Concurrency alone is too coarse: sixty calls a second that take ten milliseconds are less than one at a time. So this is
a pace. Nothing slows down before the first 429 or 454. Then:

    cut     to a little below what was taken lately, at most once in a round trip; deeper where the cut before it has
            not helped, by the share of calls that were taken since
    creep   back to where that was, quickly and then ever slower, and beyond it slowly and then ever faster: the curve
            of CUBIC (RFC 9438), so that most of the time is spent just below what the account takes
    find    where nothing is known yet, twice as fast after each short while, as TCP's slow start

A probe costs a call or two that are throttled. So the curve is stretched where calls are few, where a round trip is
long (more are in the air when the answer comes), and where the account lets everyone wait each time.
"""

from __future__ import annotations

import math
from collections import deque

from connect.clock import Clock

_CUT, _DEEPEST_CUT = 0.95, 0.5
_PRIOR = 3
"""Calls that are taken for granted in a share of few."""

_LATELY, _FEW = 0.25, 8
"""Seconds, and calls, over which is counted what the account takes."""

_SOON = 0.5
"""Seconds after a cut in which a throttled call says that it has not helped."""

_CREEP, _CREEP_CALLS, _CREEP_ROUND_TRIPS, _CREEP_PAUSES = 1.0, 60, 15, 10
"""The way back takes the longest of: seconds, so many calls, round trips, or times what the account let us wait."""

_LONGEST_PAUSE = 60.0
"""Seconds that a pause counts for: an hour is not about pace any more."""

_BEYOND = 0.8
"""The way to twice as fast, as a share of the way back."""

_DOUBLE, _DOUBLE_ROUND_TRIPS = 0.15, 2

_CATCH_UP = 0.01
"""Seconds by which a timer may be late without the pace suffering."""

_FASTEST = 1e6


class Tempo:
    """The pace of one account, as far as this worker goes.

    `began` is always when a call left, as `leave` said, and None for one that left before there was a pace: what left
    before the last cut says nothing about it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.learned = False
        """Whether there is a pace at all."""
        self.next = 0.0
        """Monotonic seconds before which no call leaves."""
        self._taken: deque[float] = deque()
        self._round_trip = 0.02
        self._cut_at = self._open_at = self._pause = 0.0
        self._good = self._bad = 0
        """Calls since the last cut that were taken; cuts that did not help, one after the other."""
        self._ceiling = self._floor = self._creep = 1.0
        self._is_sure = False
        """Whether the ceiling was measured."""

    def pace(self, now: float) -> float:
        """Calls a second."""
        passed = max(now - max(self._cut_at, self._open_at), 0.0)
        if not self._is_sure:
            doubling = max(_DOUBLE, _DOUBLE_ROUND_TRIPS * self._round_trip)
            return min(self._floor * math.pow(2, min(passed / doubling, 60)), _FASTEST)
        if passed < self._creep:
            return self._ceiling - (self._ceiling - self._floor) * (1 - passed / self._creep) ** 3
        return min(self._ceiling * (1 + ((passed - self._creep) / (_BEYOND * self._creep)) ** 3), _FASTEST)

    def leave(self, now: float) -> float:
        """A call leaves; returns what it is known by."""
        self.next = max(self.next, now - _CATCH_UP) + 1 / self.pace(now)
        return now

    def turns(self, until: float, now: float) -> int:
        """How many calls may leave up to then."""
        start = max(self.next, now - _CATCH_UP)
        return int((until - start) * self.pace(now)) + 1 if start <= until else 0

    def took(self, began: float) -> None:
        """A call was taken."""
        now = self._clock.monotonic()
        self._taken.append(now)
        if len(self._taken) > _FEW and self._taken[0] < now - 4 * _LATELY:
            self._taken.popleft()  # what is counted at a cut is looked at then
        self._good += 1
        self._round_trip += 0.1 * (now - began - self._round_trip)

    def throttled(self, began: float | None) -> bool:
        """A call was throttled; whether that is news: it left after the last cut."""
        if self.learned and (began is None or began <= self._cut_at):
            return False
        self._cut(self._clock.monotonic())
        return True

    def told(self) -> None:
        """Another worker's call was throttled; it left about a round trip ago."""
        self.throttled(self._clock.monotonic() - self._round_trip)

    def paused(self, until: float) -> None:
        """The account makes everyone wait; then calls leave one by one."""
        self._pause = min(max(until - self._clock.monotonic(), 0.0), _LONGEST_PAUSE)
        self._open_at = max(self._open_at, until)
        self.next = max(self.next, until)
        self._taken.clear()
        self._creep = max(self._creep, _CREEP_PAUSES * self._pause)

    def _cut(self, now: float) -> None:
        pace = self.pace(now) if self.learned else math.inf
        taken = self._taken_lately(now)
        not_helped = self.learned and now - max(self._cut_at, self._open_at) < max(_SOON, 2 * self._round_trip)
        self._is_sure = taken is not None or not_helped
        top = max(min(pace, 1 / self._round_trip if taken is None and not self.learned else taken or pace), 0.01)
        share = _CUT
        if not_helped:
            share = min(_CUT, max(_DEEPEST_CUT, (self._good + _PRIOR) / (self._good + _PRIOR + 1 + self._bad)))
        self._bad = self._bad + 1 if not_helped else 0
        self._ceiling, self._floor, self._good = top * (1 + share) / 2 if not_helped else top, top * share, 0
        self._creep = max(_CREEP, _CREEP_CALLS / self._ceiling, _CREEP_ROUND_TRIPS * self._round_trip)
        self._creep = max(self._creep, _CREEP_PAUSES * self._pause)
        self._cut_at, self.learned = now, True
        self.next = max(self.next, now + 1 / self._floor)

    def _taken_lately(self, now: float) -> float | None:
        """Calls a second; None where they are too few to say."""
        taken = self._taken
        while len(taken) > _FEW and taken[0] < now - _LATELY:
            taken.popleft()
        return len(taken) / max(now - taken[0], 0.01) if len(taken) >= _FEW else None
