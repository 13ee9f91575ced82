"""How rows are dealt to workers, and what their words do: what real processes show only by luck."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from connect.clock import SystemClock
from connect.errors import OutsideError, Problem
from connect.executors import flat
from connect.executors.frames import Frames
from connect.executors.process import Line, Process
from connect.executors.remote import Remote
from connect.executors.several import Several
from connect.ledger.records import Bucket, Slots
from connect.pipeline.books import Composed, Settlement
from connect.pipeline.pace import Pace
from connect.pipeline.worker import Dealt
from connect.vocabulary import Channel, Outcome

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TROUBLE = OutsideError(Problem("broken", "it is broken"))


class Child:
    """What is asked of a process."""

    def __init__(self):
        self.killed = False

    def kill(self):
        self.killed = True

    def poll(self):
        return -9

    def wait(self, seconds=None):
        return -9


class Books:
    """Notes what it is told; `durable` lets writes end."""

    def __init__(self):
        self.told, self.durable, self.problem = [], asyncio.Event(), None
        self.durable.set()

    def composed(self, composed):
        self.told.append(composed)

    async def write(self, settled, withdrawn=(), released=()):
        await self.durable.wait()
        if self.problem:
            raise self.problem
        self.told.append((settled, withdrawn, released))

    def troubled(self, problem):
        self.told.append(problem)

    async def slots(self, buckets, count):
        return Slots(NOON, NOON, buckets[0].spacing, count)

    async def held(self):
        """It holds."""


@asynccontextmanager
async def crew(books, *, count=2, together=()):
    """A crew, and the ends of the lines that its workers have."""
    remotes, ends = [], []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        remotes.append(Remote(Child(), await Frames.over(ours), Pace(SystemClock())))
        ends.append(await Frames.over(theirs))
    several = Several(remotes, books, books, lambda: 5.0, together)
    try:
        yield several, ends, remotes
    finally:
        await several.close()
        for frames in (*ends, *(remote.frames for remote in remotes)):
            frames.abort()


def dealt(number, first=0):
    return Dealt(number, first, None)


async def test_each_worker_has_two_pieces_at_most_and_the_idlest_is_next():
    async with crew(Books()) as (several, (one, other), _):
        for number in range(4):
            await several.deal(dealt(number))
        waiting = asyncio.create_task(several.deal(dealt(4)))
        assert [(await one.hear())[1].number, (await one.hear())[1].number] == [0, 2]
        assert [(await other.hear())[1].number, (await other.hear())[1].number] == [1, 3]
        assert not waiting.done()
        other.say("dealt", 0.1, "")
        await waiting
        assert (await other.hear())[1].number == 4


async def test_one_worker_meets_all_who_must_be_met_together_and_then_all_are_dealt_to():
    async with crew(Books(), together=[b"k", b"l"]) as (several, (one, other), remotes):
        await several.deal(dealt(0))
        await several.deal(dealt(1))
        third = asyncio.create_task(several.deal(dealt(2)))
        one.say("composed", *flat.composed(Composed(0, 0, [1], met=[b"k"])))
        one.say("dealt", 0.1, "")
        await third
        assert [remote.pieces for remote in remotes] == [2, 0]
        one.say("composed", *flat.composed(Composed(1, 0, [1], met=[b"l"])))
        one.say("dealt", 0.1, "")
        one.say("throttled", "mail", timedelta(), "")
        await other.hear()  # all that was said before has been heard as well
        await several.deal(dealt(3))
        await several.deal(dealt(4))
        assert remotes[1].pieces >= 1


async def test_who_must_be_met_together_is_not_waited_for_beyond_what_can_be_ahead():
    async with crew(Books(), together=[b"k"]) as (several, _, remotes):
        await several.deal(dealt(0, first=10_000_000))
        await several.deal(dealt(1, first=10_000_001))
        assert [remote.pieces for remote in remotes] == [1, 1]


async def test_what_one_is_told_about_an_account_the_others_are_told():
    async with crew(Books()) as (several, (one, other), _):
        one.say("throttled", "mail", timedelta(seconds=9), "mail throttles")
        assert await other.hear() == ("throttle", "mail", timedelta(seconds=9), "mail throttles")
        assert several.waiting == "mail throttles"


async def test_a_write_is_answered_when_it_is_durable_with_the_end_of_the_lease():
    books = Books()
    books.durable.clear()
    ended = Settlement(0, 0, Channel.email, b"k", Outcome.sent, "")
    async with crew(books, count=1) as (_, (one,), _):
        one.say("write", 3, flat.settlements([ended]), [b"w"], [])
        one.say("held", 4)
        assert await one.hear() == ("answer", 4, None, 5.0, None)
        books.durable.set()
        assert await one.hear() == ("answer", 3, None, 5.0, None)
        assert books.told == [([ended], [b"w"], [])]
        books.problem = ValueError("ann@mail.example")
        one.say("write", 5, [], [], [])
        verb, number, error, _, _ = await one.hear()
        assert (verb, number, error.problems[0].code) == ("answer", 5, "worker-failed")


async def test_slots_are_asked_for_and_handed_on():
    bucket = Bucket("account/mail", timedelta(seconds=2))
    async with crew(Books(), count=1) as (_, (one,), _):
        line = Line(one, 5.0)
        asking = asyncio.create_task(line.slots([bucket], 7))
        verb, *words = await one.hear()
        assert verb == "answer"
        line.answered(*words)
        assert await asking == Slots(NOON, NOON, timedelta(seconds=2), 7)


async def test_what_one_waits_for_is_shown_until_it_says_otherwise():
    async with crew(Books()) as (several, (one, other), _):
        for words in ("waiting: rate 14/s", ""):
            one.say("waiting", words)
            one.say("held", 1)
            await one.hear()
            assert several.waiting == words
        one.say("throttled", "mail", timedelta(0), "")
        assert await other.hear() == ("throttle", "mail", timedelta(0), "")


async def test_trouble_stops_all_once_and_is_raised_to_who_deals_and_drains():
    books = Books()
    async with crew(books) as (several, (one, other), _):
        one.say("troubled", TROUBLE)
        one.say("troubled", OutsideError(Problem("second", "more of it")))
        for end in (one, other):
            verb, problem = await end.hear()
            assert (verb, problem.problems[0].code) == ("halt", "broken")
        with pytest.raises(OutsideError, match="broken"):
            await several.deal(dealt(0))
        with pytest.raises(OutsideError, match="broken"):
            await several.drain()
        stopping = asyncio.create_task(several.stop())
        for end in (one, other):
            words = [await end.hear(), await end.hear()]
            assert words == [("drain",), ("stop",)] or words[-1] == ("stop",)
            end.say("stopped")
        await stopping
        assert [told.problems[0].code for told in books.told] == ["broken"]


async def test_words_that_can_not_be_understood_stop_the_run_and_the_rest_is_heard():
    async with crew(Books(), count=1) as (several, (one,), _):
        one.say("nonsense")
        one.say("stopped")
        await several.stop()
        with pytest.raises(KeyError):
            await several.ready()


async def test_a_worker_that_has_died_is_not_waited_for():
    async with crew(Books()) as (several, (one, other), _):
        one.abort()
        other.say("stopped")
        await several.stop()
        with pytest.raises(OutsideError, match="killed by signal 9"):
            await several.drain()


class SlowWorker:
    """Takes its time over a piece; has nothing to drain."""

    waiting = ""

    def __init__(self):
        self.may_go_on, self.flushed, self.drained = asyncio.Event(), asyncio.Event(), False
        self.flush = self.flushed.set

    async def deliver(self, dealt):
        await self.may_go_on.wait()

    async def drain(self):
        self.drained = True

    def _nothing(self, *words):
        """Of no interest here."""

    throttle = halt = answered = _nothing


async def test_a_worker_has_not_drained_before_it_has_delivered_what_it_was_dealt():
    ours, theirs = socket.socketpair()
    here, there = await Frames.over(ours), await Frames.over(theirs)
    worker = SlowWorker()
    process = Process(there, worker, worker)
    serving = asyncio.create_task(process.serve())
    here.say("deal", dealt(0))
    here.say("deal", dealt(1))
    here.say("drain")
    here.say("flush")
    await worker.flushed.wait()  # it has heard all of it
    await asyncio.sleep(0)
    assert not worker.drained
    worker.may_go_on.set()
    assert [(await here.hear())[0] for _ in range(3)] == ["dealt", "dealt", "drained"]
    here.say("end")
    await serving
    process._delivering.cancel()
    here.abort()
    there.abort()
