"""A burst of calls: so many at once, so many in line, and the others are told to come again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from connect.schedule.places import Full, Places


async def test_calls_have_their_turn_and_what_does_not_fit_is_told_so() -> None:
    places = Places(at_once=1, in_line=1)
    async with AsyncExitStack() as first:
        await first.enter_async_context(places.taken(1))
        turn = asyncio.Event()
        waiting = asyncio.create_task(_take(places, turn))
        await asyncio.sleep(0)
        assert places.full
        with pytest.raises(Full):
            await _take(places)
        assert not turn.is_set()
    await waiting
    assert turn.is_set()
    assert not places.full


async def test_who_waits_for_too_long_is_told_so_and_leaves_no_trace() -> None:
    places = Places(at_once=1, in_line=9, patience=0)
    async with places.taken(1):
        with pytest.raises(Full):
            await _take(places)
    await _take(places)
    assert not places.full


async def test_people_are_bounded_too_but_for_a_call_that_is_alone() -> None:
    places = Places(people=10)
    async with places.taken(11):
        assert places.full
    async with places.taken(9):
        assert not places.full
        with pytest.raises(Full):
            async with places.taken(2):
                pass
        await _take(places)


async def _take(places: Places, turn: asyncio.Event | None = None) -> None:
    async with places.taken(1):
        if turn is not None:
            turn.set()
