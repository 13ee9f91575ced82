"""When an account is out, and who waits for whom: nobody for an account that is away while another one is there."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

import pytest

from connect.errors import RunTrouble
from connect.pipeline.breaker import Breaker
from connect.pipeline.failover import Failover
from connect.pipeline.verdicts import Verdicts
from connect.pipeline.worker import Worker
from connect.providers.interface import Idempotency, Receipt, Status
from connect.vocabulary import InDoubt

TRANSIENT = Receipt(Status.transient, "busy")
AMBIGUOUS = Receipt(Status.ambiguous, "no_answer")
SLOW_DOWN = Receipt(Status.throttled, "slow_down")
QUOTA = Receipt(Status.quota, "daily_quota")
ROUTE = ("mail", "spare")


def throttled(**wait):
    return Receipt(Status.throttled, "slow_down", retry_after=timedelta(**wait))


class Pair:
    """Two accounts, of which the second takes over from the first."""

    def __init__(self, bench, clock, mail, spare=None, **terms):
        self.bench, self.clock = bench, clock
        self.failover = Failover()
        answers = {"mail": mail, "spare": spare}
        for name in ROUTE:
            others = {"successor": self.failover.successor(name), "comes_back": self.failover.comes_back(name)}
            self.failover.lanes[name] = bench.lane(answers[name], name=name, **others, **terms)
        self.mail, self.spare = (self.failover.lanes[name] for name in ROUTE)

    async def put(self, *numbers):
        """As a worker does: nobody is dealt to anybody while one lane has no room."""
        for number in numbers:
            self.failover.first(ROUTE).add(self.bench.ticket(number, route=ROUTE))
            for lane in (self.mail, self.spare):
                await self.pass_time(lane.room())

    async def drain(self):
        while not (self.mail.idle and self.spare.idle):
            for lane in (self.mail, self.spare):
                await self.pass_time(lane.drain())
        await self.bench.outcomes.flush()

    async def pass_time(self, work):
        await self.clock.hurry(work)

    async def send(self, *numbers):
        await self.put(*numbers)
        await self.drain()

    @property
    def delivered(self):
        return sorted(self.bench.delivered("mail")), sorted(self.bench.delivered("spare"))


class Patient(Pair):
    """Time passes little by little: nobody's hour is over while the ledger writes something."""

    async def pass_time(self, work):
        task = asyncio.ensure_future(work)
        while not task.done():
            self.clock.advance(0.05)
            await asyncio.to_thread(int)
        await task


@pytest.fixture
def pair(bench, clock):
    return lambda *answers, **terms: Pair(bench, clock, *answers, **terms)


@pytest.fixture
def patient(bench, clock):
    return lambda *answers, **terms: Patient(bench, clock, *answers, **terms)


async def test_an_account_that_is_down_is_left_however_few_there_are(bench, pair, clock):
    both = pair(lambda outgoing, attempt: TRANSIENT)
    await both.send(1, 2, 3)
    assert bench.counted() == {"sent": 3}
    assert both.delivered == ([], [1, 2, 3])
    assert 30 <= clock.monotonic() < 300


async def test_one_delivery_in_trouble_among_many_does_not_put_its_account_out(bench, pair):
    """Somebody's mailbox is busy for an hour; everybody else gets through."""
    both = pair(lambda outgoing, attempt: TRANSIENT if outgoing.message.message_id.startswith("1.") else None)
    await both.put(1)
    for number in range(2, 80):
        both.clock.advance(20)
        await both.put(number)
    await both.drain()
    assert bench.counted() == {"sent": 78, "failed: retries_exhausted": 1}
    assert both.delivered[1] == []


async def test_an_account_that_never_answers_is_left_and_only_what_it_was_given_is_in_doubt(bench, pair, clock):
    both = pair(lambda outgoing, attempt: AMBIGUOUS, concurrency=10)
    await both.send(*range(1, 401))
    counted = bench.counted()
    assert counted["unknown: in_doubt"] < 100
    assert counted["sent"] == 400 - counted["unknown: in_doubt"]
    assert both.delivered[0] == []
    assert clock.monotonic() < 300


@pytest.mark.parametrize("terms", [{"in_doubt": InDoubt.resend}, {"idempotent": True}])
async def test_what_may_be_repeated_waits_for_its_account_and_the_rest_does_not(bench, pair, clock, terms):
    """Its account is back after a few minutes: nobody is in doubt for ever, and nobody heard twice."""
    both = pair(lambda o, attempt: AMBIGUOUS if clock.monotonic() < 400 else None, concurrency=10, **terms)
    await both.send(*range(1, 401))
    assert bench.counted() == {"sent": 400}
    first, second = both.delivered
    assert sorted(first + second) == list(range(1, 401))
    assert len(second) > 300


async def test_what_is_in_doubt_does_not_hold_up_the_run_for_ever(bench, pair, clock):
    """Its account never comes back. That the run pauses would help nobody: all others have been sent elsewhere."""
    both = pair(lambda o, attempt: AMBIGUOUS, concurrency=10, idempotent=True)
    await both.send(*range(1, 401))
    counted = bench.counted()
    assert counted["sent"] == 400 - counted["unknown: in_doubt"] > 300
    assert both.delivered[0] == []
    assert clock.monotonic() > 600


async def test_one_delivery_finds_out_whether_an_account_is_back(bench, pair, clock):
    """It swallows whatever it is given, for an hour: every five minutes one more is in doubt, and not a window."""
    both = pair(lambda o, attempt: AMBIGUOUS if clock.monotonic() < 3600 else None, concurrency=20)
    await both.send(*range(1, 201))
    lost = bench.counted()["unknown: in_doubt"]
    for number in range(201, 301):
        clock.advance(60)
        await both.put(number)
        await both.drain()
    assert bench.counted()["unknown: in_doubt"] - lost <= 12
    assert len(both.delivered[0]) > 30


async def test_an_account_that_throttles_all_and_never_says_for_how_long_is_left(bench, pair, clock):
    both = pair(lambda outgoing, attempt: SLOW_DOWN)
    await both.send(*range(1, 31))
    assert bench.counted() == {"sent": 30}
    assert both.delivered[0] == []
    assert clock.monotonic() < 600


async def test_nobody_waits_for_the_one_that_is_out_for_longest(bench, patient, clock):
    """Both are out; what is new, and what waits, is sent by the one that is back first."""
    both = patient(
        lambda o, attempt: throttled(hours=5) if clock.monotonic() < 5 * 3600 else None,
        lambda o, attempt: throttled(seconds=120) if clock.monotonic() < 120 else None,
        concurrency=2,
    )
    await both.send(*range(1, 41))
    assert bench.counted() == {"sent": 40}
    assert both.delivered == ([], list(range(1, 41)))
    assert clock.monotonic() < 3600


async def test_what_waits_at_an_account_is_taken_over_when_another_is_back(bench, patient, clock):
    """The second is out first, so that everything waits for the first; then it is back."""
    both = patient(
        lambda o, attempt: throttled(hours=5) if clock.monotonic() < 5 * 3600 else None,
        lambda o, attempt: None,
        concurrency=2,
    )
    both.spare.wait(timedelta(seconds=300), "")
    await both.send(*range(1, 41))
    assert bench.counted() == {"sent": 40}
    assert both.delivered == ([], list(range(1, 41)))
    assert clock.monotonic() < 3600


async def test_another_worker_says_that_an_account_is_out(bench, patient, clock):
    """Nothing of ours is in the air there: what waits is taken over all the same."""
    both = patient(None, concurrency=1, max_batch=10)
    await both.put(1, 2, 3)
    both.mail.wait(timedelta(hours=5), "")
    await both.drain()
    assert bench.counted() == {"sent": 3}
    assert both.delivered == ([], [1, 2, 3])
    assert clock.monotonic() < 3600


async def test_the_ten_minutes_of_a_delivery_are_as_long_at_the_next_account(bench, pair, clock):
    """The first has made everyone wait for an hour in all, which does not count; nor does it at the second."""
    calls = []

    def mail(outgoing, attempt):
        calls.append(outgoing)
        if len(calls) < 70:
            return throttled(seconds=55)
        return TRANSIENT if len(calls) == 70 else throttled(hours=1)

    both = pair(mail, lambda o, attempt: TRANSIENT if attempt < 3 else None)
    await both.send(1)
    assert bench.counted() == {"sent": 1}


async def test_where_the_other_is_only_throttled_a_used_up_quota_is_waited_for(bench, patient, clock):
    """The first is out of quota when the second is away for two minutes."""
    both = patient(lambda o, attempt: QUOTA, None)
    both.spare.wait(timedelta(seconds=120), "")
    await both.send(*range(1, 11))
    assert bench.counted() == {"sent": 10}
    assert both.delivered == ([], list(range(1, 11)))
    assert clock.monotonic() < 3600


async def test_where_nobody_gets_through_anywhere_the_run_pauses(bench, pair, clock):
    both = pair(lambda o, attempt: TRANSIENT, lambda o, attempt: TRANSIENT, concurrency=40)
    with pytest.raises(RunTrouble) as paused:
        await both.send(*range(1, 200))
    assert paused.value.problems[0].code == "provider-down"
    assert clock.monotonic() < 3600
    assert bench.counted() == {}


async def test_a_call_in_doubt_is_not_taken_apart_because_its_account_is_out(bench, pair, clock):
    """It was written and not answered, then throttled for an hour: whoever throttles has not looked for its key."""
    seen = []

    def mail(outgoing, attempt):
        seen.append(outgoing.key)
        if attempt == 1:
            return AMBIGUOUS
        return throttled(hours=1) if clock.monotonic() < 3600 else None

    both = pair(mail, max_batch=3, idempotency=Idempotency.request_key)
    await both.send(1, 2, 3)
    assert bench.counted() == {"sent": 3}
    assert both.delivered == ([1, 2, 3], [])
    assert all(call == [1, 2, 3] for call in bench.offered)
    assert len(bench.offered) < 10


def test_an_account_may_throttle_for_a_day_without_a_word(bench, clock):
    """More than a thousand times in a row."""

    def halt(trouble):
        raise trouble

    def throttled(wait, words):
        assert wait <= timedelta(minutes=1)

    verdicts = Verdicts("mail", clock, Random(7), Breaker(), repeats=False, halt=halt, throttled=throttled)
    for number in range(1, 3000):
        began = verdicts.tempo.leave(clock.monotonic()) if verdicts.tempo.learned else None
        assert 0 <= verdicts.of(bench.ticket(number), SLOW_DOWN, began) <= 60
        clock.advance(60)


class Lanes(Worker):
    """A worker of these lanes, with nothing to compose."""

    def __init__(self, lanes):
        self.lanes = lanes


async def test_who_stops_starts_nothing_new_anywhere(bench, pair):
    """While the last answers of one account are waited for, the others do not go on either."""
    answered, hanging = asyncio.Event(), asyncio.Event()

    async def mail(outgoing, attempt):
        hanging.set()
        await answered.wait()

    async def spare(outgoing, attempt):
        await answered.wait()

    both = pair(mail, spare, concurrency=1)
    both.mail.add(bench.ticket(1, route=ROUTE))
    for number in range(2, 20):
        both.spare.add(bench.ticket(number, route=ROUTE))
    await hanging.wait()
    await bench.until(lambda: len(bench.offered) == 2)
    stopping = asyncio.ensure_future(Lanes({"mail": both.mail, "spare": both.spare}).stop())
    await asyncio.sleep(0)
    answered.set()
    await stopping
    assert bench.offered == [[1], [2]]
