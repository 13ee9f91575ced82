"""The clock that tests bring."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from connect.testing import FakeClock

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def test_setting_the_clock_lets_no_time_pass():
    clock = FakeClock(NOON)
    clock.advance(60)
    sleeping = asyncio.ensure_future(clock.sleep(10))
    assert await clock.asleep() == 10

    clock.set(NOON - timedelta(hours=1))
    await asyncio.sleep(0)

    assert clock.now() == NOON - timedelta(hours=1)
    assert clock.monotonic() == 60
    assert not sleeping.done()
    clock.advance(10)
    await sleeping
    assert clock.now() == NOON - timedelta(hours=1) + timedelta(seconds=10)
