"""One account takes over from another: what the first surely did not accept, and nothing that it may have taken."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connect.errors import RunTrouble
from connect.pipeline.failover import Failover
from connect.providers.interface import Receipt, Status
from connect.vocabulary import InDoubt

QUOTA = Receipt(Status.quota, "daily_quota")
TRANSIENT = Receipt(Status.transient, "busy")
AMBIGUOUS = Receipt(Status.ambiguous, "no_answer")
TEN_MINUTES = Receipt(Status.throttled, "slow_down", retry_after=timedelta(minutes=10))
ROUTE = ("mail", "spare")


class Pair:
    """Two accounts, of which the second takes over from the first."""

    def __init__(self, bench, clock, mail, spare=None, **terms):
        self.bench, self.clock = bench, clock
        self.failover = Failover()
        answers = {"mail": mail, "spare": spare}
        for name in ROUTE:
            successor = self.failover.successor(name)
            self.failover.lanes[name] = bench.lane(answers[name], name=name, successor=successor, **terms)
        self.mail, self.spare = (self.failover.lanes[name] for name in ROUTE)

    async def send(self, *numbers):
        await self.put(*numbers)
        await self.drain()

    async def put(self, *numbers):
        for number in numbers:
            taker = self.failover.first(ROUTE)
            taker.add(self.bench.ticket(number, route=ROUTE))
            await self.clock.hurry(taker.room())

    async def drain(self):
        while not (self.mail.idle and self.spare.idle):
            for lane in (self.mail, self.spare):
                await self.clock.hurry(lane.drain())
        await self.bench.outcomes.flush()

    @property
    def delivered(self):
        return sorted(self.bench.delivered("mail")), sorted(self.bench.delivered("spare"))


@pytest.fixture
def pair(bench, clock):
    return lambda *answers, **terms: Pair(bench, clock, *answers, **terms)


def after(count, receipt):
    """Accept so many messages, then answer like this."""
    taken = []

    def answer(outgoing, attempt):
        if len(taken) < count:
            taken.append(outgoing)
            return None
        return receipt

    return answer


async def test_an_account_that_is_well_keeps_everything(bench, pair):
    both = pair(None)
    await both.send(*range(1, 20))
    assert both.delivered == (list(range(1, 20)), [])


async def test_a_quota_that_is_used_up_sends_the_rest_by_the_next(bench, pair):
    both = pair(after(5, QUOTA))
    await both.send(*range(1, 41))
    assert bench.counted() == {"sent": 40}
    first, second = both.delivered
    assert len(first) == 5
    assert sorted(first + second) == list(range(1, 41))
    assert bench.near() == {}


async def test_bulk_calls_are_taken_over_whole(bench, pair):
    both = pair(after(6, QUOTA), max_batch=3, concurrency=2)
    await both.send(*range(1, 41))
    assert bench.counted() == {"sent": 40}
    assert sorted([*both.delivered[0], *both.delivered[1]]) == list(range(1, 41))


async def test_a_long_throttle_is_not_waited_for(bench, pair, clock):
    both = pair(after(3, TEN_MINUTES))
    await both.send(*range(1, 31))
    assert bench.counted() == {"sent": 30}
    assert len(both.delivered[0]) == 3
    assert clock.monotonic() < 60


async def test_a_short_throttle_is_waited_for(bench, pair):
    busy = Receipt(Status.throttled, "slow_down", retry_after=timedelta(seconds=5))
    both = pair(lambda outgoing, attempt: busy if attempt == 1 else None)
    await both.send(*range(1, 6))
    assert both.delivered == ([1, 2, 3, 4, 5], [])


async def test_an_account_that_is_down_is_left_after_half_a_minute(bench, pair, clock):
    both = pair(lambda outgoing, attempt: TRANSIENT, concurrency=40)
    await both.send(*range(1, 81))
    assert bench.counted() == {"sent": 80}
    assert both.delivered == ([], list(range(1, 81)))
    assert 30 <= clock.monotonic() < 300


async def test_what_may_have_been_taken_never_goes_elsewhere(bench, pair):
    """Answers that are lost, then a quota: the lost ones stay unknown, also where they may be repeated."""
    both = pair(lambda outgoing, attempt: AMBIGUOUS if outgoing.message.message_id.startswith("1.") else QUOTA)
    await both.send(1, 2, 3)
    assert bench.counted() == {"sent": 2, "unknown: in_doubt": 1}
    assert both.delivered == ([], [2, 3])


async def test_a_repeat_that_meets_a_used_up_quota_stays_with_the_account(bench, pair):
    both = pair(lambda outgoing, attempt: AMBIGUOUS if attempt == 1 else QUOTA, in_doubt=InDoubt.resend)
    with pytest.raises(RunTrouble) as paused:
        await both.send(1)
    assert paused.value.problems[0].code == "provider-quota"
    assert both.delivered == ([], [])


async def test_where_every_account_is_out_of_quota_the_run_pauses(bench, pair):
    both = pair(QUOTA_ALWAYS, QUOTA_ALWAYS)
    with pytest.raises(RunTrouble) as paused:
        await both.send(*range(1, 10))
    assert paused.value.problems[0].code == "provider-quota"
    assert bench.counted() == {}


def QUOTA_ALWAYS(outgoing, attempt):
    return QUOTA


async def test_wrong_credentials_pause_and_nobody_takes_over(bench, pair):
    """A person must look: mail that suddenly comes from elsewhere is no repair."""
    both = pair(lambda outgoing, attempt: Receipt(Status.config, "authentication_failed"))
    with pytest.raises(RunTrouble) as paused:
        await both.send(1, 2, 3)
    assert paused.value.problems[0].code == "provider-config"
    assert both.delivered == ([], [])


async def test_the_first_account_is_tried_again_after_a_while(bench, pair, clock):
    both = pair(lambda outgoing, attempt: QUOTA if clock.monotonic() < 10 else None)
    await both.send(1, 2, 3)
    assert both.delivered == ([], [1, 2, 3])
    clock.advance(360)
    await both.send(4)
    await both.send(5, 6)
    assert both.delivered == ([4, 5, 6], [1, 2, 3])


async def test_what_waits_for_its_turn_goes_along(bench, pair):
    """More than one window: what was not released yet does not wait for an account that is out."""
    hold, tried = asyncio.Event(), []

    async def answer(outgoing, attempt):
        tried.append(outgoing)
        await hold.wait()
        return QUOTA

    both = pair(answer)
    putting = [both.failover.first(ROUTE).add(bench.ticket(number, route=ROUTE)) for number in range(1, 30)]
    await bench.until(lambda: bool(tried))
    hold.set()
    await both.drain()
    assert len(putting) == 29
    assert len(tried) <= 2
    assert both.delivered == ([], list(range(1, 30)))
