"""Calls that are ready go to whoever is free, in their order, each to one."""

from __future__ import annotations

import asyncio

from connect.pipeline.packing import Packed
from connect.pipeline.ready import Ready


async def test_calls_are_taken_in_order() -> None:
    ready, calls = Ready(), [Packed([]) for _ in range(3)]
    ready.put(calls)
    assert [ready.take() is call for call in calls] == [True] * 3
    assert ready.take() is None


async def test_whoever_waits_has_one_each() -> None:
    ready, calls = Ready(), [Packed([]) for _ in range(5)]
    waiting = [asyncio.ensure_future(ready.coming()) for _ in range(3)]
    await asyncio.sleep(0)
    ready.put(calls[:2])
    ready.put(calls[2:])
    assert {id(call) for call in await asyncio.gather(*waiting)} == {id(call) for call in calls[:3]}
    assert len(ready) == 2


async def test_one_who_was_slower_or_gave_up_takes_nothing_away() -> None:
    ready, first, second = Ready(), Packed([]), Packed([])
    gone, slower = asyncio.ensure_future(ready.coming()), asyncio.ensure_future(ready.coming())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    ready.put([first])
    assert ready.take() is first
    await asyncio.sleep(0)
    ready.put([second])
    assert await asyncio.wait_for(slower, 10) is second
