"""Rates: whoever asks, and however slow everything is, no more is handed over in any stretch of time than allowed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect import wiring
from connect.ledger.records import Slots
from connect.pipeline.rates import Meter, bucket_of_account, bucket_of_campaign, limits_of
from connect.project.campaigns import load_campaign
from connect.project.types import Rate
from connect.providers.interface import Receipt, Status
from connect.testing import FakeClock
from connect.vocabulary import Mode

TRANSIENT = Receipt(Status.transient, "busy")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Ledger:
    """One bucket for all, by a clock of its own that goes a little wrong; answers take their time."""

    def __init__(self, clock, random, slow):
        self._clock, self._random, self._slow = clock, random, slow
        self._free = datetime(2026, 1, 1, tzinfo=UTC)
        self.handed_out = 0

    async def take(self, limits, count):
        await self._clock.sleep(self._random.uniform(0, self._slow))
        now = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=self._clock.monotonic() * 1.0001)
        first, spacing = max(now, self._free), max(limit.spacing for limit in limits)
        self._free = first + count * spacing
        self.handed_out += count
        await self._clock.sleep(self._random.uniform(0, self._slow))
        return Slots(now, first, spacing, count)


class Sender:
    """Takes slots for calls of any size, and is late now and then, as processes are."""

    def __init__(self, ledger, limit, clock, random, late):
        self._clock, self._random, self._late = clock, random, late
        self._ready = asyncio.Event()
        self.meter = Meter([limit], ledger.take, clock, ready=self._ready.set, failed=self._raise)

    def _raise(self, problem):
        raise problem

    async def send(self, messages, sent):
        while messages > 0:
            call = self._random.randint(1, min(messages, self.meter.clump))
            slot = self.meter.take(call, messages, self._clock.monotonic() + 0.01)
            if slot is None:
                await self._wait(call)
                continue
            await self._clock.sleep(slot.date - self._clock.monotonic() + self._random.choice([0, 0, self._late]))
            if self._clock.monotonic() <= slot.latest:
                sent += [self._clock.monotonic()] * call
                messages -= call

    async def _wait(self, call):
        self._ready.clear()
        date = self.meter.next(call)
        if date is None:
            await self._ready.wait()
        else:
            await self._clock.sleep(max(date - 0.01 - self._clock.monotonic(), 0.0001))


def most_within(instants, seconds):
    """The largest number in any stretch of so many seconds, both of its ends included."""
    instants, most, start = sorted(instants), 0, 0
    for end, at in enumerate(instants):
        while instants[start] < at - seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([Rate(1, SECOND), Rate(3, SECOND), Rate(14, SECOND), Rate(50, SECOND), Rate(200, SECOND)])
    | st.sampled_from([Rate(7, MINUTE), Rate(600, MINUTE), Rate(10, HOUR), Rate(10_000, HOUR)]),
    batch=st.sampled_from([1, 4, 1000]),
    slow=st.sampled_from([0.0, 0.004, 0.012]),
    late=st.sampled_from([0.0, 0.03, 0.2, 3.0]),
    seed=st.integers(0, 1000),
)
def test_two_that_share_a_rate_never_exceed_it_in_any_stretch_of_time(rate, batch, slow, late, seed):
    async def work():
        clock, random, sent = FakeClock(), Random(seed), []
        ledger, limit = Ledger(clock, random, slow), bucket_of_account("mail", rate, batch)
        senders = [Sender(ledger, limit, clock, random, late) for _ in range(2)]
        count = min(rate.count * 2, 300)
        await clock.hurry(asyncio.gather(*(sender.send(count, sent) for sender in senders)))
        return sent, count * 2

    sent, wanted = asyncio.run(work())
    assert len(sent) == wanted
    assert most_within(sent, rate.per.total_seconds()) <= rate.count


@pytest.mark.parametrize(
    ("rate", "least"), [(Rate(14, SECOND), 0.95), (Rate(600, MINUTE), 0.98), (Rate(10, HOUR), 0.99)]
)
async def test_nearly_all_of_a_rate_is_used(rate, least):
    clock, random, sent = FakeClock(), Random(1), []
    sender = Sender(Ledger(clock, random, 0.004), bucket_of_account("mail", rate), clock, random, 0)
    count = rate.count * 2 + 1
    await clock.hurry(sender.send(count, sent))
    assert (count - 1) / (sent[-1] - sent[0]) >= least * rate.count / rate.per.total_seconds()


async def test_a_slow_ledger_is_asked_farther_ahead():
    clock, random, sent = FakeClock(), Random(2), []
    ledger = Ledger(clock, random, 0.3)
    sender = Sender(ledger, bucket_of_account("mail", Rate(20, SECOND)), clock, random, 0)
    await clock.hurry(sender.send(100, sent))
    assert len(sent) == 100
    assert ledger.handed_out <= 150
    assert sent[-1] <= 10


async def test_no_more_slots_are_taken_than_messages_wait():
    """A campaign of three must not use up the hour of everybody else."""
    clock, random, sent = FakeClock(), Random(3), []
    ledger = Ledger(clock, random, 0)
    sender = Sender(ledger, bucket_of_account("mail", Rate(1000, SECOND)), clock, random, 0)
    await clock.hurry(sender.send(3, sent))
    assert ledger.handed_out == 3


async def test_what_the_ledger_refuses_is_told():
    told = asyncio.Event()

    async def broken(limits, count):
        raise ValueError("away")

    meter = Meter(
        [bucket_of_account("mail", Rate(1, SECOND))],
        broken,
        FakeClock(),
        ready=told.clear,
        failed=lambda problem: told.set(),
    )
    assert meter.take(1, 1, 9.0) is None
    await told.wait()


def test_buckets_are_named_after_what_they_are_for():
    assert bucket_of_account("ses", Rate(14, SECOND)).name == "account/ses"
    assert bucket_of_campaign(Mode.live, "weekly", Rate(14, SECOND)).name == "campaign/live/weekly"


@pytest.mark.parametrize(
    ("rate", "batch", "clump"), [(5, 50, 1), (14, 50, 1), (200, 50, 20), (200, 1, 1), (9000, 50, 50)]
)
def test_a_bulk_call_is_a_tenth_of_the_rate_at_most(rate, batch, clump):
    assert bucket_of_account("ses", Rate(rate, SECOND), batch).clump == clump


# In a lane


def per(count, per):
    return (bucket_of_account("mail", Rate(count, per)),)


BULK = (bucket_of_account("mail", Rate(40, SECOND), 100),)


async def test_a_lane_keeps_to_its_rate_and_sends_everybody(bench, clock):
    offered = []
    lane = bench.lane(lambda outgoing, attempt: offered.append(clock.monotonic()), concurrency=4, limits=per(5, SECOND))
    await bench.send(lane, *range(1, 31))
    assert bench.counted() == {"sent": 30}
    assert most_within(offered, 1) <= 5
    assert bench.near() == {}


async def test_two_lanes_keep_to_one_rate(bench, clock):
    offered = []
    lanes = [
        bench.lane(lambda outgoing, attempt: offered.append(clock.monotonic()), concurrency=4, limits=per(5, SECOND))
        for _ in range(2)
    ]
    for number in range(1, 21):
        lanes[number % 2].add(bench.ticket(number))
    await clock.hurry(asyncio.gather(*(lane.drain() for lane in lanes)))
    assert len(offered) == 20
    assert most_within(offered, 1) <= 5


async def test_calls_are_no_larger_than_the_rate_lets_through_at_once(bench, clock):
    limits = (bucket_of_account("mail", Rate(40, SECOND), 100),)
    await bench.send(bench.lane(max_batch=100, limits=limits), *range(1, 11))
    assert max(map(len, bench.offered)) == 4
    assert bench.counted() == {"sent": 10}


async def test_who_waits_for_a_slot_is_not_near_the_air_and_people_see_why(bench, clock):
    lane = bench.lane(concurrency=8, limits=per(10, HOUR))
    for number in (1, 2, 3):
        lane.add(bench.ticket(number))
    await bench.until(lambda: bench.delivered() == [1])
    await clock.asleep()
    await bench.until(lambda: lane.waiting == "waiting: rate 10/h")
    assert set(bench.near()) <= {1}
    assert clock.monotonic() == 0
    clock.advance(await clock.asleep() - 1)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert bench.delivered() == [1]
    await clock.hurry(lane.drain())
    assert bench.delivered() == [1, 2, 3]
    assert lane.waiting == ""
    assert 2 * 360 <= clock.monotonic() <= 2 * 361


async def test_stopping_does_not_wait_for_a_slot(bench, clock):
    lane = bench.lane(concurrency=8, limits=per(10, HOUR))
    for number in (1, 2, 3):
        lane.add(bench.ticket(number))
    await bench.until(lambda: bench.delivered() == [1])
    await clock.asleep()
    await lane.stop()
    await bench.outcomes.flush()
    assert clock.monotonic() == 0
    assert bench.counted() == {"sent": 1}
    assert bench.near() == {}


async def test_a_lane_whose_ledger_is_away_is_halted(bench, monkeypatch):
    async def away(limits, count):
        raise ConnectionError("away")

    monkeypatch.setattr(bench.outcomes, "slots", away)
    lane = bench.lane(limits=per(5, SECOND))
    with pytest.raises(ConnectionError):
        await bench.send(lane, 1)
    await lane.stop()
    assert bench.delivered() == []


@pytest.mark.parametrize(("limits", "capabilities"), [(per(5, SECOND), {}), (BULK, {"max_batch": 100})])
async def test_who_is_late_for_their_slot_takes_another(bench, clock, limits, capabilities):
    """The commit took too long, or the process was held up."""
    offered, held = [], [0.2, 0.0, 0.4, 0.0]
    write = bench.outcomes.write

    async def slow(*arguments):
        await write(*arguments)
        clock.advance(held.pop() if held else 0)

    bench.outcomes.write = slow
    note = lambda outgoing, attempt: offered.append(clock.monotonic())  # noqa: E731
    lane = bench.lane(note, concurrency=4, limits=limits, **capabilities)
    await bench.send(lane, *range(1, 16))
    assert bench.counted() == {"sent": 15}
    assert most_within(offered, 1) <= limits[0].rate.count
    assert bench.near() == {}


async def test_a_message_that_is_tried_again_takes_another_slot(bench, clock):
    offered = []

    def answer(outgoing, attempt):
        offered.append(clock.monotonic())
        return TRANSIENT if attempt < 3 else None

    await bench.send(bench.lane(answer, concurrency=4, limits=per(5, SECOND)), *range(1, 8))
    assert len(offered) == 21
    assert most_within(offered, 1) <= 5


PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
providers: {mail: {type: memory, rate: 14/s}, texts: {type: memory}}
channels: {email: mail, sms: texts}
"""
HELLO = """\
trigger: {type: immediate}
audience: {people: [{id: 1, email: a@mail.example}]}
message:
  content:
    - {channel: email, from: Acme <hello@acme.example>, subject: Hello, text: "Good day. {{ url.unsubscribe_link }}"}
    - {channel: sms, body: Good day}
policy: {rate: 600/m}
"""


def test_only_live_runs_have_rates_and_each_account_has_its_own_and_the_campaigns(tmp_path):
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "connect.yml").write_text(PROJECT)
    (tmp_path / "campaigns" / "hello.yml").write_text(HELLO)
    project = wiring.open_project(tmp_path, None, None, {"CONNECT_SECRET": "a secret that is long enough"})
    campaign = load_campaign(project, "hello").campaign
    accounts = wiring.open_accounts(project, ["mail", "texts"])
    rates = {name: entry.rate for name, entry in project.providers.items()}
    assert limits_of(accounts, rates, campaign, Mode.test) == {}
    found = limits_of(accounts, rates, campaign, Mode.live)
    assert [str(limit.rate) for limit in found["mail"]] == ["14/s", "600/m"]
    assert [limit.name for limit in found["mail"]] == ["account/mail", "campaign/live/hello"]
    assert [limit.name for limit in found["texts"]] == ["campaign/live/hello"]
