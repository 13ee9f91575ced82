"""Where an event may be that was written and not counted: known before it is written, and not forgotten too soon."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect.ledger.records import Spell
from connect.ledger.store import Ledger
from connect.pipeline.spells import Spells, ranges
from connect.testing.clock import FakeClock
from connect.warehouses.interface import Range

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
MARGIN = 15 * SECOND
"""By which clocks may differ."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/state.db"
    with closing(Ledger.open(url, project="acme", target="dev", clock=clock)) as ledger:
        yield ledger


def among(at: datetime, written: list[Range]) -> bool:
    return any(low <= at and (high is None or at <= high) for low, high in written)


def test_it_is_in_the_ledger_before_anything_is_written(ledger: Ledger, clock: FakeClock) -> None:
    moment = Spells(ledger, clock).begin()
    (spell,) = ledger.spells()
    assert moment.now == NOW
    assert spell.since <= NOW < spell.until
    assert among(NOW, list(moment.written))


def test_what_was_counted_is_not_looked_for_any_more(ledger: Ledger, clock: FakeClock) -> None:
    spells = Spells(ledger, clock)
    for _ in range(20):
        moment = spells.begin()
        spells.counted()
        clock.advance(20)
    assert len(ledger.spells()) == 1
    assert moment.written == [(moment.now - MARGIN, None)]
    spells.close()
    assert ledger.spells() == []


@pytest.mark.parametrize("stops", [True, False], ids=["stops", "is killed"])
def test_what_was_not_counted_is_looked_for_by_whoever_comes_next(
    ledger: Ledger, clock: FakeClock, stops: bool
) -> None:
    first = Spells(ledger, clock)
    first.begin()
    first.counted()
    clock.advance(10)
    written_at = first.begin().now
    if stops:
        first.close()
    clock.advance(timedelta(days=6).total_seconds())
    second = Spells(ledger, clock)
    assert among(written_at, list(second.begin().written))
    assert not among(written_at + timedelta(days=1), list(second.begin().written))


def test_its_own_time_is_looked_through_where_it_left_something(ledger: Ledger, clock: FakeClock) -> None:
    spells = Spells(ledger, clock)
    spells.begin()
    spells.counted()
    clock.advance(1)
    left = spells.begin().now
    for _ in range(20):
        clock.advance(20)
        assert among(left, list(spells.begin().written))
        spells.counted()


def test_one_that_goes_on_keeps_what_it_left(ledger: Ledger, clock: FakeClock) -> None:
    spells = Spells(ledger, clock)
    left = spells.begin().now
    for _ in range(10):
        clock.advance(20)
        spells.begin()
        spells.counted()
    spells.close()
    assert len(ledger.spells()) == 1
    clock.advance(timedelta(hours=1).total_seconds())
    assert among(left, list(Spells(ledger, clock).begin().written))


def test_a_long_outage_is_one_spell_and_two_are_two(ledger: Ledger, clock: FakeClock) -> None:
    spells = Spells(ledger, clock)
    left = []
    for hours in (2, 3):
        for _ in range(100):
            left.append(spells.begin().now)
            clock.advance(17)
        spells.begin()
        spells.counted()
        clock.advance(timedelta(hours=hours).total_seconds())
    moment = spells.begin()
    assert len(ledger.spells()) == 3
    assert all(among(at, list(moment.written)) for at in left)
    assert not among(left[99] + timedelta(hours=1), list(moment.written))
    assert not among(left[-1] + timedelta(hours=1), list(moment.written))


def test_what_was_forgotten_does_not_come_back(ledger: Ledger, clock: FakeClock) -> None:
    spells = Spells(ledger, clock)
    spells.begin()
    for _ in range(3):
        clock.advance(timedelta(days=9).total_seconds())
        ledger.forget_seen()
        spells.begin()
        spells.counted()
    clock.advance(20)
    assert len(spells.begin().written) == len(ledger.spells()) == 1


def test_another_one_that_is_at_work_is_heeded(ledger: Ledger, clock: FakeClock) -> None:
    one, other = Spells(ledger, clock), Spells(ledger, clock)
    other.begin()
    for _ in range(4):
        assert among(clock.now() + SECOND, list(one.begin().written))  # also what it writes from now on
        one.counted()
        clock.advance(20)
    assert among(NOW, list(one.begin().written))


def test_a_clock_that_was_put_back_begins_anew(ledger: Ledger, clock: FakeClock) -> None:
    spells = Spells(ledger, clock)
    spells.begin()
    spells.counted()
    clock.set(NOW - timedelta(hours=1))
    moment = spells.begin()
    assert moment.now == NOW - timedelta(hours=1)
    assert all(spell.since <= moment.now <= spell.until for spell in ledger.spells())


def test_they_are_forgotten_when_nobody_reports_that_again(ledger: Ledger, clock: FakeClock) -> None:
    Spells(ledger, clock).begin()
    clock.advance(timedelta(days=7).total_seconds())
    ledger.forget_seen()
    assert len(ledger.spells()) == 1
    clock.advance(timedelta(days=2).total_seconds())
    ledger.forget_seen()
    assert ledger.spells() == []


def test_many_are_few_ranges_and_none_is_left_out() -> None:
    gaps = [3, 50, 4, 90, 7, 600, 2, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 5, 5, 5]
    at, spells = NOW - timedelta(days=3), []
    for number, gap in enumerate(gaps):
        at += gap * MINUTE
        spells.append(Spell(str(number), at, at + MINUTE))
    found = ranges(reversed(spells), NOW)
    assert len(found) <= 12
    assert all(among(spell.since, found) and among(spell.until, found) for spell in spells)
    assert [low for low, _ in found] == sorted(low for low, _ in found)
    assert not among(spells[5].since - timedelta(hours=5), found)  # the widest gap
    assert among(NOW - MARGIN, found)
    assert not among(NOW - MINUTE, found)
    assert among(NOW + timedelta(days=1), found)


def test_thousands_are_few_ranges_too() -> None:
    spells = [Spell(str(at), NOW - at * 5 * MINUTE, NOW - at * 5 * MINUTE + MINUTE) for at in range(1, 2304)]
    found = ranges(spells, NOW)
    assert len(found) == 12
    assert all(among(spell.since, found) and among(spell.until, found) for spell in spells)


def test_where_nobody_left_anything_only_what_is_being_written_is_looked_at() -> None:
    assert ranges([], NOW) == [(NOW - MARGIN, None)]


class World:
    """Several servers that write the same events, each a step at a time, and stop at any of them."""

    def __init__(self, ledger: Ledger, clock: FakeClock, chance: random.Random) -> None:
        self.ledger, self.clock, self.chance = ledger, clock, chance
        self.rows: list[tuple[int, datetime]] = []
        self.counted: set[int] = set()
        self.looked_at = 0.0

    def server(self, fast: timedelta) -> Iterator[None]:
        """One that is told of events, and now and then can not go on: it ends where it is killed."""
        spells = Spells(self.ledger, _Apart(self.clock, fast))  # type: ignore[arg-type]
        while True:
            event = self.chance.randrange(40)
            moment = spells.begin()
            yield
            known = event in self.counted
            yield
            if not known:
                there = any(key == event and among(at, list(moment.written)) for key, at in self.rows)
                self.rows += [] if there else [(event, moment.now)]
            yield
            if self.chance.random() < 0.8:
                self.counted.add(event)
                yield
                spells.counted()
            if self.chance.random() < 0.1:
                spells.close()
                return


class _Apart:
    """A clock that is fast, or slow."""

    def __init__(self, clock: FakeClock, fast: timedelta) -> None:
        self._clock, self._fast = clock, fast

    def now(self) -> datetime:
        return self._clock.now() + self._fast


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_between_servers_nothing_is_written_twice(ledger: Ledger, clock: FakeClock, seed: int) -> None:
    chance = random.Random(seed)
    world = World(ledger, clock, chance)
    apart = [timedelta(seconds=chance.uniform(-7, 7)) for _ in range(3)]
    servers = [world.server(fast) for fast in apart]
    for _ in range(400):
        which = chance.randrange(3)
        if chance.random() < 0.05 or next(servers[which], 0) == 0:
            servers[which] = world.server(apart[which])  # it was killed, or stopped
        clock.advance(chance.choice([0, 0, 0, 0.1, 5, 40, 300, 50_000]) if chance.random() < 0.5 else 0)
    keys = [key for key, _ in world.rows]
    assert len(keys) > 3
    assert len(keys) == len(set(keys))
