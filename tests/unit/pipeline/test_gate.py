"""A lane's window of time: what has not left when it closes is given back, and what has expired ends."""

from __future__ import annotations

import asyncio
import pickle
from datetime import timedelta

import pytest

from connect.ledger.records import Intent
from connect.pipeline.dispatch import Closed
from connect.pipeline.rates import bucket_of_account
from connect.project.types import Rate
from connect.providers.interface import Receipt, Status
from connect.vocabulary import Channel, InDoubt

LATER = timedelta(minutes=5)
HOURLY = (bucket_of_account("mail", Rate(10, timedelta(hours=1))),)
THROTTLED = Receipt(Status.throttled, retry_after=timedelta(hours=1))
TRANSIENT = Receipt(Status.transient, "busy")


async def closes(bench, lane, *numbers):
    """These are put, and the window closes before all of them have left."""
    with pytest.raises(Closed):
        await bench.send(lane, *numbers, longest=LATER.total_seconds())
    await lane.stop()
    await bench.outcomes.flush()


async def one_sent(bench, lane, *numbers):
    """These are put, and the first of them has gone all the way; no time passes."""
    for number in numbers:
        lane.add(bench.ticket(number))
    await bench.until(lambda: bench.counted() == {"sent": 1})
    while await bench.clock.asleep() > LATER.total_seconds():  # noqa: ASYNC110 - the lane has no event for it
        await asyncio.sleep(0)
    return lane


async def test_nothing_is_sent_in_a_window_that_has_closed(bench, clock):
    await closes(bench, bench.lane(closes_at=clock.now()), 1, 2)
    assert bench.offered == []
    assert bench.counted() == {}
    assert bench.near() == {}


async def test_what_left_before_the_window_closes_counts_and_the_rest_is_given_back(bench, clock, number):
    def tick(outgoing, attempt):
        clock.advance(60)

    await closes(bench, bench.lane(tick, closes_at=clock.now() + LATER), *range(1, 10))
    assert bench.delivered() == [1, 2, 3, 4, 5]
    assert bench.counted() == {"sent": 5}
    assert bench.near() == {}
    assert bench.cursor() == 5


async def test_a_window_that_closes_while_intents_are_written_is_closed(bench, clock):
    write = bench.outcomes.write

    async def slow(*arguments):
        await write(*arguments)
        clock.advance(400)

    bench.outcomes.write = slow
    await closes(bench, bench.lane(closes_at=clock.now() + LATER), 1)
    assert bench.offered == []
    assert bench.near() == {}


@pytest.mark.parametrize("answer", [THROTTLED, TRANSIENT])
async def test_nobody_waits_beyond_the_window_to_be_tried_again(bench, clock, answer):
    closes_at = clock.now() + LATER
    await closes(bench, bench.lane(lambda outgoing, attempt: answer, closes_at=closes_at), 1, 2)
    assert clock.now() == closes_at
    assert bench.counted() == {}
    assert bench.near() == {}


async def test_nobody_waits_beyond_the_window_for_a_slot(bench, clock):
    closes_at = clock.now() + LATER
    lane = await one_sent(bench, bench.lane(closes_at=closes_at, limits=HOURLY), 1, 2)
    await closes(bench, lane)
    assert clock.now() == closes_at
    assert bench.counted() == {"sent": 1}


async def test_a_lane_with_nothing_to_send_does_not_mind(bench, clock):
    lane = bench.lane(closes_at=clock.now() + LATER)
    await bench.send(lane, 1)
    clock.advance(3600)
    await lane.drain()
    assert bench.counted() == {"sent": 1}


async def test_what_has_expired_is_skipped(bench, clock):
    await bench.send(bench.lane(expires_at=clock.now()), 1, 2, 3)
    assert bench.offered == []
    assert bench.counted() == {"skipped: expired": 3}
    assert bench.near() == {}


async def test_who_waits_for_a_slot_expires_without_one(bench, clock):
    expires_at = clock.now() + LATER
    lane = await one_sent(bench, bench.lane(expires_at=expires_at, limits=HOURLY), 1, 2, 3)
    await bench.send(lane)
    assert clock.now() == expires_at
    assert bench.counted() == {"sent": 1, "skipped: expired": 2}


async def test_who_is_tried_again_too_late_has_expired(bench, clock):
    lane = bench.lane(lambda outgoing, attempt: THROTTLED, expires_at=clock.now() + LATER)
    await bench.send(lane, 1)
    assert bench.counted() == {"skipped: expired": 1}


async def test_what_may_have_been_taken_never_counts_as_expired(bench, clock):
    ambiguous = Receipt(Status.ambiguous, "no_answer")
    lane = bench.lane(
        lambda outgoing, attempt: clock.advance(400) or ambiguous,
        in_doubt=InDoubt.resend,
        expires_at=clock.now() + LATER,
    )
    await bench.send(lane, 1)
    assert bench.counted() == {"unknown: in_doubt": 1}
    assert bench.near() == {}


async def test_what_is_in_doubt_since_a_crash_stays_in_the_ledger_when_the_window_closes(bench, clock):
    ticket = bench.ticket(1)
    before = Intent(ticket.outgoing.key, 1, Channel.email, "mail", 1)
    await bench.commits.intend([before])
    lane = bench.lane(in_doubt=InDoubt.resend, closes_at=clock.now())
    ticket.before, ticket.in_doubt = before, True
    lane.add(ticket)
    with pytest.raises(Closed):
        await clock.hurry(lane.drain())
    await lane.stop()
    await bench.outcomes.flush()
    assert bench.near() == {1: None}


async def test_expiry_comes_before_closing(bench, clock):
    """Where both have passed, no other window would help."""
    await bench.send(bench.lane(expires_at=clock.now(), closes_at=clock.now()), 1)
    assert bench.counted() == {"skipped: expired": 1}


async def test_a_window_that_stays_open_changes_nothing(bench, clock):
    far = clock.now() + timedelta(days=9)
    await bench.send(bench.lane(concurrency=4, closes_at=far, expires_at=far), *range(1, 50))
    assert bench.counted() == {"sent": 49}


def test_closing_is_told_from_one_process_to_another():
    assert isinstance(pickle.loads(pickle.dumps(Closed())), Closed)
    assert Closed().exit_code == 0


# Pauses and pace


async def test_a_quota_that_renews_is_waited_for(bench, clock):
    quota = Receipt(Status.quota, retry_after=timedelta(hours=2))
    lane = bench.lane(lambda outgoing, attempt: quota if attempt == 1 else None)
    lane.add(bench.ticket(1))
    draining = asyncio.ensure_future(lane.drain())
    await bench.until(lambda: lane.waiting != "")
    assert lane.waiting == "waiting: mail quota until 14:00:00 UTC"
    await clock.hurry(draining)
    assert bench.counted() == {"sent": 1}
    assert clock.monotonic() >= 7200
    assert lane.waiting == ""


async def test_after_a_pause_calls_leave_one_by_one(bench, clock):
    offered = []

    async def answer(outgoing, attempt):
        offered.append(clock.monotonic())
        return Receipt(Status.throttled, retry_after=timedelta(seconds=30)) if attempt == 1 else None

    await bench.send(bench.lane(answer, concurrency=8), *range(1, 9))
    again = offered[8:]
    assert len(again) == 8
    assert min(again) >= 30
    assert len(set(again)) == 8


async def test_another_worker_that_is_throttled_slows_this_one_down(bench, clock):
    offered = []
    lane = bench.lane(lambda outgoing, attempt: offered.append(clock.monotonic()), concurrency=8)
    clock.advance(1)
    lane.wait(timedelta(0), "")
    await bench.send(lane, *range(1, 9))
    assert len(set(offered)) == 8


async def test_an_account_that_throttles_everything_is_waited_for_longer_and_longer(bench, clock):
    """Slowing down does not help then."""
    lane = bench.lane(lambda outgoing, attempt: Receipt(Status.throttled) if attempt < 12 else None)
    await bench.send(lane, 1)
    assert bench.counted() == {"sent": 1}
    assert clock.monotonic() >= 10
