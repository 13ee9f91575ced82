"""What is said arrives whole, in order, and says nothing to somebody who has gone."""

from __future__ import annotations

import socket

import pytest

from connect.executors.frames import Frames, Gone


async def both_ends():
    ours, theirs = socket.socketpair()
    return await Frames.over(ours), await Frames.over(theirs)


async def test_values_arrive_whole_and_in_order_however_large():
    one, other = await both_ends()
    said = [("a", 1), ("b", b"x" * 3_000_000), ("c",), ("d", {"e": [None]})]
    for words in said:
        one.say(*words)
    assert [await other.hear() for _ in said] == said
    one.abort()
    other.abort()


async def test_closing_waits_until_everything_has_left_and_the_other_hears_it_first():
    one, other = await both_ends()
    one.say("last", b"x" * 1_000_000)
    await one.close()
    assert (await other.hear())[0] == "last"
    with pytest.raises(Gone):
        await other.hear()
    with pytest.raises(Gone):
        await other.hear()


async def test_nothing_is_said_to_somebody_who_has_gone():
    one, other = await both_ends()
    other.abort()
    with pytest.raises(Gone):
        await one.hear()
    one.say("hello?")
    await one.close()
    await one.close()


async def test_what_is_cut_short_is_not_heard():
    ours, theirs = socket.socketpair()
    one = await Frames.over(ours)
    theirs.sendall((1000).to_bytes(4, "big") + b"only the beginning")
    theirs.close()
    with pytest.raises(Gone):
        await one.hear()
