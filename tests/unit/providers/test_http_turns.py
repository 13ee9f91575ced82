"""Places are given in order, and none is ever lost."""

from __future__ import annotations

import asyncio

import pytest

from connect.providers.http_turns import Turns


def _later(seconds: float = 60) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_places_are_given_in_the_order_of_asking() -> None:
    turns, had = Turns(1), list[int]()
    assert await turns.take(_later())

    async def wait(number: int) -> None:
        assert await turns.take(_later())
        had.append(number)
        turns.give()

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert had == []
    turns.give()
    await asyncio.gather(*waiting)
    assert had == list(range(5))


async def test_nobody_waits_beyond_the_deadline() -> None:
    turns = Turns(1)
    assert await turns.take(_later())
    assert not await turns.take(_later(-1))
    assert not await turns.take(_later(0.01))
    turns.give()
    assert await turns.take(_later()), "those who gave up hold no place"


@pytest.mark.parametrize("given_first", [True, False])
async def test_who_is_cancelled_leaves_the_place_to_the_next(given_first: bool) -> None:
    turns = Turns(1)
    assert await turns.take(_later())
    first, second = (asyncio.create_task(turns.take(_later())) for _ in range(2))
    await asyncio.sleep(0)
    if given_first:
        turns.give()
    first.cancel()
    if not given_first:
        turns.give()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first
    turns.give()
    assert await turns.take(_later(-1)), "the only place is free"
