"""Token buckets: so many calls, then one as time passes; and so many names at most."""

from __future__ import annotations

from datetime import timedelta

from connect.project.types import Rate
from connect.server.limits import Limiter, retry_after
from connect.testing.clock import FakeClock

RATE = Rate(3, timedelta(minutes=1))


def test_so_many_then_one_as_time_passes() -> None:
    clock = FakeClock()
    limiter = Limiter(clock.monotonic)
    assert [limiter.take("a", RATE) for _ in range(3)] == [0.0] * 3
    assert limiter.take("a", RATE) == 20.0
    assert limiter.take("b", RATE) == 0.0
    clock.advance(19)
    assert limiter.take("a", RATE) > 0
    clock.advance(1)
    assert limiter.take("a", RATE) == 0.0
    assert limiter.take("a", RATE) > 0
    clock.advance(3600)
    assert [limiter.take("a", RATE) > 0 for _ in range(4)] == [False, False, False, True]


def test_names_are_forgotten_when_there_are_too_many() -> None:
    limiter = Limiter(FakeClock().monotonic, most=2)
    for _ in range(3):
        limiter.take("a", RATE)
    limiter.take("b", RATE)
    limiter.take("c", RATE)
    assert limiter.take("a", RATE) == 0.0


def test_waiting_is_told_in_whole_seconds() -> None:
    assert [retry_after(seconds)["Retry-After"] for seconds in (0.01, 1.0, 1.2)] == ["1", "1", "2"]
