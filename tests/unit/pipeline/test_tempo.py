"""An account's pace, against a receiver whose capacity changes: nearly all that is possible, and few throttled."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from random import Random

import pytest

from connect.pipeline.tempo import Tempo
from connect.testing import FakeClock

CHANGING = ((20.0, 200.0), (20.0, 60.0), (20.0, 200.0))
"""(seconds, calls a second)"""


@dataclass
class Receiver:
    """A token bucket."""

    phases: tuple[tuple[float, float], ...]
    burst: float
    tokens: float = 0.0
    until: float = 0.0

    def __post_init__(self):
        self.tokens = self.burst

    def capacity(self, at):
        for seconds, calls in self.phases:
            if at < seconds:
                return calls
            at -= seconds
        return calls

    def takes(self, now):
        while self.until < now:
            step = min(now - self.until, 0.01)
            self.tokens = min(self.burst, self.tokens + step * self.capacity(self.until))
            self.until += step
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Lane:
    """So many calls at a time, each with the latency of its network, as the tempo lets them leave."""

    receiver: Receiver
    latency: float = 0.01
    concurrency: int = 16
    pause: float = 0.0
    seed: int = 1
    taken: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)

    def run(self, seconds):
        self.clock, self.random = FakeClock(), Random(self.seed)
        self.tempo = Tempo(self.clock)
        self.events, self.order, self.flying, self.paused = [], itertools.count(), 0, 0.0
        self.later(0.0, self.leave)
        while self.events and self.events[0][0] < seconds:
            at, _, what, began = heapq.heappop(self.events)
            self.clock.advance(at - self.clock.monotonic())
            what(began)
        return self

    def later(self, seconds, what, began=None):
        heapq.heappush(self.events, (self.clock.monotonic() + seconds, next(self.order), what, began))

    def way(self):
        return self.latency / 2 * self.random.uniform(0.8, 1.5)

    def leave(self, _):
        """One by one; a timer is late by up to a millisecond."""
        now = self.clock.monotonic()
        wait = max(self.tempo.next if self.tempo.learned else 0.0, self.paused) - now
        if self.flying >= self.concurrency or wait > 0:
            self.later(max(wait, 0.0005) + self.random.uniform(0, 0.001), self.leave)
            return
        self.flying += 1
        self.later(self.way(), self.arrive, self.tempo.leave(now) if self.tempo.learned else None)
        self.later(0.0, self.leave)

    def arrive(self, began):
        self.later(self.way(), self.accepted if self.receiver.takes(self.clock.monotonic()) else self.refused, began)

    def accepted(self, began):
        self.flying -= 1
        self.taken.append(self.clock.monotonic())
        if began is not None:
            self.tempo.took(began)

    def refused(self, began):
        self.flying -= 1
        now = self.clock.monotonic()
        self.throttled.append(now)
        self.tempo.throttled(began)
        if self.pause and now >= self.paused:
            self.paused = now + self.pause
            self.tempo.paused(self.paused)


def shares(lane, phases):
    """(throttled of all calls, taken of what was possible)"""
    calls = len(lane.taken) + len(lane.throttled)
    return len(lane.throttled) / calls, len(lane.taken) / sum(seconds * each for seconds, each in phases)


@pytest.mark.parametrize("burst", [5, 10, 20])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_capacity_that_falls_and_rises_is_followed(burst, seed):
    lane = Lane(Receiver(CHANGING, burst), seed=seed).run(60)
    throttled, possible = shares(lane, CHANGING)
    assert throttled <= 0.02
    assert possible >= 0.95


@pytest.mark.parametrize("concurrency", [1, 64])
def test_whatever_the_concurrency(concurrency):
    """One at a time can not make more than a hundred calls a second; sixty-four at once are a flood at first."""
    phases = ((20.0, 60.0),)
    throttled, possible = shares(Lane(Receiver(phases, 10), concurrency=concurrency).run(20), phases)
    assert throttled <= 0.06
    assert possible >= 0.95


def test_a_longer_way_is_probed_less_often():
    phases = ((40.0, 200.0),)
    throttled, possible = shares(Lane(Receiver(phases, 10), latency=0.05, concurrency=32).run(40), phases)
    assert throttled <= 0.03
    assert possible >= 0.95


def test_a_small_account_is_probed_less_often():
    phases = ((300.0, 5.0),)
    throttled, possible = shares(Lane(Receiver(phases, 5)).run(300), phases)
    assert throttled <= 0.04
    assert possible >= 0.93


def test_where_each_probe_costs_a_second_probes_are_rare():
    phases = ((120.0, 200.0),)
    lane = Lane(Receiver(phases, 10), pause=1.0).run(120)
    throttled, possible = shares(lane, phases)
    assert throttled <= 0.005
    assert possible >= 0.85


def test_an_account_that_never_throttles_has_no_pace():
    lane = Lane(Receiver(((5.0, 1e9),), 1e9), concurrency=4).run(5)
    assert not lane.tempo.learned
    assert len(lane.taken) >= 5 / 0.0151 * 4


def test_replies_to_calls_of_one_moment_are_one_cut():
    clock = FakeClock()
    tempo = Tempo(clock)
    clock.advance(1)
    assert tempo.throttled(None)
    pace = tempo.pace(clock.monotonic())
    assert not any(tempo.throttled(None) for _ in range(9))
    assert tempo.pace(clock.monotonic()) == pace
    began = clock.monotonic()
    clock.advance(0.05)
    assert not tempo.throttled(began)
    assert tempo.throttled(began + 0.01)
