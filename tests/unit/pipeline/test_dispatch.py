"""A lane: intents before sends, calls packed and limited, retries, throttling, pauses, and what stays in doubt."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import chain

import pytest

from connect.errors import Disposition, RunTrouble
from connect.ledger.records import Intent
from connect.ledger.refusals import LeaseLost
from connect.pipeline import dispatch, exact
from connect.pipeline.deliveries import Ended
from connect.pipeline.recovery import Recovered
from connect.pipeline.verdicts import RETRY_FOR
from connect.providers import memory
from connect.providers.interface import LEASE_OVER, Idempotency, Receipt, Status
from connect.testing import an_email
from connect.vocabulary import Channel, InDoubt, Outcome, Reason

TRANSIENT = Receipt(Status.transient, "busy")
AMBIGUOUS = Receipt(Status.ambiguous, "no_answer")
TAKEN_UNHEARD = Receipt(Status.ambiguous, "no_answer", provider_id="taken")


def first(receipt, times=1):
    """Answer so the first times, then accept."""
    return lambda outgoing, attempt: receipt if attempt <= times else None


# Intents


async def test_an_intent_is_durable_before_the_provider_hears_of_the_message(bench, number):
    seen = []

    def look(outgoing, attempt):
        seen.append((number(outgoing), bench.near()))

    await bench.send(bench.lane(look, max_batch=3), 1, 2, 3, 4)
    assert [who for who, _ in seen] == [1, 2, 3, 4]
    assert all(who in near for who, near in seen)
    assert {1: None, 2: None, 3: None}.items() <= seen[0][1].items()


async def test_nothing_is_left_in_the_ledger_once_the_cursor_has_passed(bench):
    await bench.send(bench.lane(max_batch=2), *range(1, 8))
    assert bench.counted() == {"sent": 7}
    assert bench.near() == {}
    assert bench.cursor() == 7


async def test_no_more_is_in_doubt_than_twice_the_concurrency_times_the_size_of_a_call(bench):
    hold, most = asyncio.Event(), []

    async def look(outgoing, attempt):
        most.append(len(bench.near()))
        await hold.wait()

    lane = bench.lane(look, concurrency=2, max_batch=3)
    sending = asyncio.ensure_future(bench.send(lane, *range(1, 100)))
    await bench.until(lambda: len(bench.near()) >= 12)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(bench.near()) == 2 * 2 * 3
    hold.set()
    await sending
    assert max(most) <= 2 * 2 * 3
    assert bench.counted() == {"sent": 99}


async def test_the_concurrency_of_the_account_is_never_exceeded(bench):
    together = most = 0

    async def look(outgoing, attempt):
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0)
        together -= 1

    await bench.send(bench.lane(look, concurrency=3), *range(1, 40))
    assert most == 3


async def test_nobody_is_waited_for_while_most_places_in_the_air_are_free(bench, number, monkeypatch):
    monkeypatch.setattr(dispatch, "_GATHER", 3600.0)
    monkeypatch.setattr(dispatch, "_LOOKS", 3_600_000)
    others = asyncio.Event()

    async def look(outgoing, attempt):
        if number(outgoing) == 1:
            await others.wait()
        if number(outgoing) == 40:
            others.set()

    await bench.send(bench.lane(look, concurrency=4), *range(1, 41))
    assert bench.counted() == {"sent": 40}


# Packing


async def test_calls_are_packed_to_their_size_and_in_order(bench):
    await bench.send(bench.lane(max_batch=3), *range(1, 9))
    assert bench.offered == [[1, 2, 3], [4, 5, 6], [7, 8]]


async def test_a_call_stays_below_the_bytes_that_a_provider_takes(bench):
    await bench.send(bench.lane(max_batch=100, max_call_bytes=3000), *range(1, 6))
    assert bench.offered == [[1, 2], [3, 4], [5]]


# Retries


async def test_what_fails_for_now_is_tried_again_with_growing_waits_until_it_is_sent(bench, clock):
    await bench.send(bench.lane(first(TRANSIENT, 5)), 1)
    assert bench.counted() == {"sent": 1}
    assert bench.offered == [[1]] * 6
    waits = [seconds for seconds in clock.slept if seconds > 0]
    assert len(waits) == 5
    assert all(wait <= min(60, 0.5 * 2**number) for number, wait in enumerate(waits, start=1))
    assert sum(waits) == pytest.approx(clock.monotonic())


async def test_a_delivery_that_waits_for_its_retry_is_not_in_the_air(bench, clock):
    lane = bench.lane(first(TRANSIENT))
    await lane.put(bench.ticket(1))
    draining = asyncio.ensure_future(lane.drain())
    await clock.asleep()
    await bench.until(lambda: not bench.near())
    await clock.hurry(draining)
    assert bench.counted() == {"sent": 1}


async def test_retries_end_after_ten_minutes_as_failed(bench, clock):
    await bench.send(bench.lane(lambda outgoing, attempt: TRANSIENT), 1)
    assert bench.counted() == {"failed: retries_exhausted": 1}
    assert bench.near() == {}
    most = RETRY_FOR.total_seconds()
    assert most <= clock.monotonic() <= most + 60


async def test_one_that_is_retried_does_not_hold_up_the_others_nor_let_the_cursor_pass(bench, clock, number):
    lane = bench.lane(lambda outgoing, attempt: TRANSIENT if number(outgoing) == 2 and attempt < 4 else None)
    for who in range(1, 6):
        await lane.put(bench.ticket(who))
    draining = asyncio.ensure_future(lane.drain())
    await bench.until(lambda: bench.delivered() == [1, 3, 4, 5] and bench.near().get(5) == "sent")
    assert bench.cursor() == 1
    assert {3: "sent", 4: "sent", 5: "sent"}.items() <= bench.near().items()
    await clock.hurry(draining)
    assert bench.cursor() == 5
    assert bench.counted() == {"sent": 5}
    assert bench.near() == {}


async def test_retries_go_on_while_nobody_puts_or_drains(bench, clock):
    again = asyncio.Event()
    lane = bench.lane(lambda outgoing, attempt: TRANSIENT if attempt == 1 else again.set())
    await lane.put(bench.ticket(1))
    await clock.hurry(again.wait())
    await lane.drain()


async def test_a_short_wait_is_not_held_up_by_a_longer_one(bench, clock, number):
    lane = bench.lane(lambda o, attempt: TRANSIENT if number(o) == 1 or attempt == 1 else None)
    await lane.put(bench.ticket(1))
    while (wait := await clock.asleep()) <= 5:
        clock.advance(wait)
        await bench.until(lambda: clock.slept[-1] != wait)
    await lane.put(bench.ticket(2))
    await bench.until(lambda: clock.slept[-1] <= 1)
    clock.advance(await clock.asleep())
    await bench.until(lambda: bench.delivered() == [2])
    await lane.stop()


async def test_people_who_are_retried_share_calls(bench):
    await bench.send(bench.lane(first(TRANSIENT), max_batch=4), *range(1, 5))
    assert bench.counted() == {"sent": 4}
    assert sum(len(call) for call in bench.offered) == 8


# Throttling


async def test_an_account_that_throttles_makes_everyone_wait_and_nobody_fail(bench, clock):
    wait = Receipt(Status.throttled, "slow_down", retry_after=timedelta(seconds=90))
    offered_at = []

    def answer(outgoing, attempt):
        offered_at.append(clock.monotonic())
        return wait if len(offered_at) == 1 else None

    lane = bench.lane(answer)
    await bench.send(lane, 1, 2, 3)
    assert bench.counted() == {"sent": 3}
    assert offered_at[0] == 0
    assert all(at >= 90 for at in offered_at[1:])
    assert lane.waiting == ""


async def test_people_see_what_is_waited_for(bench, clock):
    lane = bench.lane(first(Receipt(Status.throttled, "slow_down", retry_after=timedelta(seconds=90))))
    await lane.put(bench.ticket(1))
    await clock.asleep()
    assert lane.waiting == "waiting: mail throttles until 12:01:30 UTC"
    await clock.hurry(lane.drain())


async def test_throttling_for_hours_does_not_use_up_anybodys_retries(bench, clock):
    hourly = Receipt(Status.throttled, retry_after=timedelta(hours=1))
    await bench.send(bench.lane(first(hourly, 5)), 1, 2)
    assert bench.counted() == {"sent": 2}
    assert clock.monotonic() >= 5 * 3600


async def test_calls_that_are_throttled_together_count_as_one_step_of_waiting(bench, clock):
    """Eight replies at once are one request to slow down, not eight."""
    everyone, arrived = asyncio.Event(), []

    async def throttle(outgoing, attempt):
        arrived.append(clock.monotonic())
        if len(arrived) == 8:
            everyone.set()
        await everyone.wait()
        return Receipt(Status.throttled) if attempt == 1 else None

    lane = bench.lane(throttle, concurrency=8)
    await bench.send(lane, *range(1, 9))
    assert bench.counted() == {"sent": 8}
    assert arrived[:8] == [0] * 8
    assert clock.monotonic() <= 1


# Pauses


@pytest.mark.parametrize(("status", "code"), [(Status.config, "provider-config"), (Status.quota, "provider-quota")])
async def test_what_only_a_person_can_mend_pauses_the_run_and_marks_nobody(bench, status, code):
    lane = bench.lane(lambda outgoing, attempt: Receipt(status, detail="535 authentication failed"), concurrency=2)
    with pytest.raises(RunTrouble) as caught:
        await bench.send(lane, *range(1, 10))
    await lane.stop()
    await bench.outcomes.flush()
    assert caught.value.disposition is Disposition.pause
    (problem,) = caught.value.problems
    assert problem.code == code
    assert "mail" in problem.message
    assert "535 authentication failed" in problem.message
    assert "connect doctor" in problem.hint
    assert bench.counted() == {}
    assert bench.near() == {}
    assert bench.cursor() is None


async def test_those_before_the_pause_are_counted_and_those_after_it_are_not_sent(bench, number):
    lane = bench.lane(lambda outgoing, attempt: Receipt(Status.config) if number(outgoing) >= 4 else None)
    with pytest.raises(RunTrouble):
        await bench.send(lane, *range(1, 30))
    await lane.stop()
    await bench.outcomes.flush()
    assert bench.counted() == {"sent": 3}
    assert bench.near() == {}
    assert max(call[0] for call in bench.offered) <= 6


async def test_an_adapter_that_raises_stops_the_lane_and_leaves_its_call_in_doubt(bench):
    def explode(outgoing, attempt):
        raise ValueError("a bug")

    lane = bench.lane(explode)
    with pytest.raises(ValueError):
        await bench.send(lane, 1)
    await lane.stop()
    assert bench.near() == {1: None}


async def test_an_adapter_that_loses_receipts_stops_the_lane(bench, monkeypatch):
    lane = bench.lane(max_batch=2)

    async def nothing(self, batch):
        return []

    monkeypatch.setattr(memory.Memory, "send", nothing)
    with pytest.raises(RuntimeError, match="0 receipts for 1"):
        await bench.send(lane, 1)
    await lane.stop()


# In doubt


async def test_in_doubt_is_unknown_under_skip(bench):
    await bench.send(bench.lane(lambda outgoing, attempt: TAKEN_UNHEARD), 1)
    assert bench.counted() == {"unknown: in_doubt": 1}
    assert bench.offered == [[1]]


async def test_in_doubt_is_sent_again_under_resend(bench):
    await bench.send(bench.lane(first(TAKEN_UNHEARD), in_doubt=InDoubt.resend), 1)
    assert bench.counted() == {"sent": 1}
    assert bench.delivered() == [1, 1]


async def test_in_doubt_is_sent_again_to_a_provider_that_deduplicates_and_arrives_once(bench):
    await bench.send(bench.lane(first(TAKEN_UNHEARD), idempotent=True), 1)
    assert bench.counted() == {"sent": 1}
    assert bench.offered == [[1], [1]]
    assert bench.delivered() == [1]


async def test_what_is_in_doubt_stays_in_the_ledger_while_it_waits_to_be_sent_again(bench, clock):
    lane = bench.lane(first(AMBIGUOUS), in_doubt=InDoubt.resend)
    await lane.put(bench.ticket(1))
    await clock.asleep()
    assert bench.near() == {1: None}
    await clock.hurry(lane.drain())
    assert bench.near() == {}


async def test_in_doubt_until_the_end_is_unknown_also_under_resend(bench):
    await bench.send(bench.lane(lambda outgoing, attempt: AMBIGUOUS, in_doubt=InDoubt.resend), 1)
    assert bench.counted() == {"unknown: in_doubt": 1}


async def test_who_was_in_doubt_once_is_never_counted_as_failed_by_exhausted_retries(bench):
    """The first call may have been taken: that the later ones were not does not undo it."""
    lane = bench.lane(lambda o, attempt: AMBIGUOUS if attempt == 1 else TRANSIENT, in_doubt=InDoubt.resend)
    await bench.send(lane, 1)
    assert bench.counted() == {"unknown: in_doubt": 1}


async def test_who_was_in_doubt_once_stays_in_the_ledger_through_later_refusals_for_now(bench, clock):
    lane = bench.lane(lambda o, attempt: {1: AMBIGUOUS, 2: TRANSIENT}.get(attempt), in_doubt=InDoubt.resend)
    await lane.put(bench.ticket(1))
    draining = asyncio.ensure_future(lane.drain())
    clock.advance(await clock.asleep())
    await bench.until(lambda: len(bench.offered) == 2)
    await clock.asleep()
    assert bench.near() == {1: None}
    await clock.hurry(draining)
    assert bench.counted() == {"sent": 1}


async def test_who_was_in_doubt_stays_so_when_the_lane_stops_before_the_retry(bench, clock):
    lane = bench.lane(first(AMBIGUOUS), in_doubt=InDoubt.resend)
    await lane.put(bench.ticket(1))
    await clock.asleep()
    await lane.stop()
    assert bench.near() == {1: None}
    assert bench.offered == [[1]]


# Receipts of bulk calls


async def test_each_message_of_a_call_has_its_own_end(bench, number):
    receipts = {
        1: None,
        2: Receipt(Status.rejected_recipient, "mailbox_unavailable"),
        3: Receipt(Status.rejected_content),
        4: AMBIGUOUS,
        5: TRANSIENT,
        6: Receipt(Status.throttled),
    }
    lane = bench.lane(lambda o, attempt: receipts.get(number(o)) if attempt == 1 else None, max_batch=7)
    await bench.send(lane, *range(1, 8))
    assert bench.counted() == {
        "sent": 4,
        "failed: mailbox_unavailable": 1,
        "failed: rejected_content": 1,
        "unknown: in_doubt": 1,
    }
    assert sorted(bench.delivered()) == [1, 5, 6, 7]


async def test_a_call_that_pauses_still_settles_what_was_taken(bench, number):
    lane = bench.lane(lambda o, attempt: Receipt(Status.quota) if number(o) > 2 else None, max_batch=4)
    with pytest.raises(RunTrouble):
        await bench.send(lane, *range(1, 5))
    await lane.stop()
    await bench.outcomes.flush()
    assert bench.counted() == {"sent": 2}
    assert bench.near() == {}
    assert bench.cursor() == 2


# Stopping


async def test_stopping_finishes_what_is_in_the_air_and_starts_nothing(bench):
    hold, entered = asyncio.Event(), asyncio.Event()

    async def wait(outgoing, attempt):
        entered.set()
        await hold.wait()

    lane = bench.lane(wait)
    await lane.put(bench.ticket(1))
    await lane.put(bench.ticket(2))
    await entered.wait()
    stopping = asyncio.ensure_future(lane.stop())
    await asyncio.sleep(0)
    hold.set()
    await stopping
    await bench.outcomes.flush()
    assert bench.counted() == {"sent": 1}
    assert bench.offered == [[1]]
    assert bench.near() == {}


async def test_of_a_lane_that_is_abandoned_nothing_is_heard_and_what_is_in_the_air_is_in_doubt(bench):
    answers = asyncio.Event()

    async def later(outgoing, attempt):
        await answers.wait()

    lane = bench.lane(later, concurrency=2)
    for each in (1, 2, 3):
        lane.add(bench.ticket(each))
    await bench.until(lambda: len(bench.offered) == 2)
    lane.abandon()
    answers.set()
    await lane.close()
    await bench.outcomes.flush()
    assert sorted(bench.offered) == [[1], [2]]
    assert bench.counted() == {}
    assert {1, 2} <= set(bench.near())
    assert set(bench.near().values()) == {None}


async def test_stopping_does_not_wait_for_a_throttled_account(bench, clock):
    lane = bench.lane(first(Receipt(Status.throttled, retry_after=timedelta(hours=9))))
    await lane.put(bench.ticket(1))
    await clock.asleep()
    await lane.put(bench.ticket(2))
    await lane.stop()
    assert bench.near() == {}
    assert bench.offered == [[1]]


async def test_trouble_reaches_who_waits_for_a_retry_at_once(bench, clock):
    lane = bench.lane(first(TRANSIENT))
    await lane.put(bench.ticket(1))
    draining = asyncio.ensure_future(lane.drain())
    await clock.asleep()
    lane.halt(RuntimeError("lost"))
    with pytest.raises(RuntimeError, match="lost"):
        await draining
    await lane.stop()
    assert clock.monotonic() == 0


# Order


async def test_the_cursor_never_passes_a_row_that_is_not_settled_whatever_order_calls_end_in(bench, number):
    held = {who: asyncio.Event() for who in range(1, 9)}

    async def answer(outgoing, attempt):
        await held[number(outgoing)].wait()

    lane = bench.lane(answer, concurrency=8)
    for who in held:
        await lane.put(bench.ticket(who))
    ended: set[int] = set()
    for who in (3, 1, 8, 2, 7, 5, 4, 6):
        held[who].set()
        ended.add(who)
        await bench.until(lambda: _unsettled(bench) == 8 - len(ended))
        prefix = next(n for n in range(9) if n + 1 not in ended)
        assert (bench.cursor() or 0) == prefix
        assert sum(bench.counted().values()) == prefix
    await lane.drain()
    assert bench.counted() == {"sent": 8}


def _unsettled(bench) -> int:
    """People whose end the ledger does not know yet; released ones only: -1 while an intent is still to come."""
    near = bench.near()
    if len(near) + sum(bench.counted().values()) < 8:
        return -1
    return sum(outcome is None for outcome in near.values())


# Trouble that is the account's, the list's or this process's, and nobody's own


async def test_a_storm_is_waited_out_and_fails_nobody(bench, clock):
    """Twenty in a row that are refused for now are the account's trouble: nobody's ten minutes run."""
    quiet_after = RETRY_FOR.total_seconds() * 0.9
    storm = lambda outgoing, attempt: TRANSIENT if clock.monotonic() < quiet_after else None  # noqa: E731
    await bench.send(bench.lane(storm, concurrency=30), *range(1, 41))
    assert bench.counted() == {"sent": 40}
    assert sorted(bench.delivered()) == list(range(1, 41))


async def test_a_provider_that_stays_down_pauses_the_run_and_marks_nobody(bench):
    lane = bench.lane(lambda outgoing, attempt: TRANSIENT, concurrency=30)
    with pytest.raises(RunTrouble) as caught:
        await bench.send(lane, *range(1, 41))
    await lane.stop()
    await bench.outcomes.flush()
    assert (caught.value.disposition, caught.value.problems[0].code) == (Disposition.pause, "provider-down")
    assert bench.counted() == {}
    assert bench.near() == {}


async def test_connections_that_break_one_after_the_other_do_not_burn_the_list(bench):
    lane = bench.lane(lambda outgoing, attempt: Receipt(Status.ambiguous), concurrency=1)
    with pytest.raises(RunTrouble) as caught:
        await bench.send(lane, *range(1, 400))
    await lane.stop()
    await bench.outcomes.flush()
    assert caught.value.problems[0].code == "provider-down"
    assert bench.counted()["unknown: in_doubt"] < 100


async def test_a_list_that_is_refused_for_good_pauses_before_it_is_burned(bench, number):
    refuse = lambda outgoing, attempt: Receipt(Status.rejected_recipient) if number(outgoing) % 4 == 0 else None  # noqa: E731
    lane = bench.lane(refuse)
    with pytest.raises(RunTrouble) as caught:
        await bench.send(lane, *range(1, 2000))
    await lane.stop()
    await bench.outcomes.flush()
    assert caught.value.problems[0].code == "provider-refuses"
    counted = bench.counted()
    assert 500 <= sum(counted.values()) <= 502
    assert counted["sent"] + counted["failed: rejected_recipient"] == sum(counted.values())


async def test_a_worker_that_lost_its_lease_sends_nothing_of_its_queue(bench):
    async def lost() -> None:
        raise LeaseLost(bench.run.id)

    lane = bench.lane(held=lost)
    with pytest.raises(LeaseLost):
        await bench.send(lane, 1, 2, 3)
    await lane.stop()
    assert bench.offered == []
    assert bench.delivered() == []


async def test_what_was_not_written_because_the_lease_was_over_is_nobodys_trouble(bench, clock):
    """The lane makes sure of its lease, and offers it again at once; the account is not down for that."""
    asked = []

    async def held() -> None:
        asked.append(1)

    people, began = range(1, 31), clock.monotonic()
    lane = bench.lane(first(Receipt(Status.transient, LEASE_OVER)), held=held, concurrency=len(people))
    await bench.send(lane, *people)
    assert bench.counted() == {"sent": len(people)}
    assert len(asked) == 2 * len(people)
    assert (lane.waiting, clock.monotonic()) == ("", began)


async def test_an_adapter_can_ask_its_account_whether_the_lease_holds(bench):
    holds = [bench.lane(held=held)._account.margin.holds() for held in (None, asyncio.Event().wait)]
    assert holds == [True, False]


async def test_a_key_that_the_provider_has_forgotten_is_not_relied_on(bench, clock):
    lane = bench.lane(idempotent=True, idempotency_lifetime=timedelta(hours=24))
    before = Intent(b"k" * 16, 1, Channel.email, "mail", 1, released_at=clock.now())
    clock.advance(23 * 3600)
    assert lane.how_it_ended(before) is None  # it may be sent again
    clock.advance(2 * 3600)
    assert lane.how_it_ended(before) == Ended(Outcome.unknown, Reason.in_doubt)


# Calls whose key covers all of their messages: repeated with exactly their members, or not at all

KEYED = {"idempotency": Idempotency.request_key, "max_batch": 3}


def before(*numbers, call=7, size=3):
    """The intents of a call that a worker which died had released."""
    return {
        number: Intent(an_email(number).key, number, Channel.email, "mail", call, call_size=size) for number in numbers
    }


def whole(intents):
    return Recovered(intents.values()).whole_calls("mail")


async def recovered(bench, lane, intents, numbers):
    """Meet these people again after the crash, on a ledger that remembers the intents."""
    await bench.commits.intend(list(intents.values()))
    for number in numbers:
        await bench.clock.hurry(lane.put(bench.ticket(number, intents.get(number))))
    await bench.clock.hurry(lane.drain())
    await bench.outcomes.flush()


async def test_a_call_in_doubt_is_repeated_with_exactly_its_members_while_others_wait_too(bench, number):
    lane = bench.lane(lambda o, attempt: AMBIGUOUS if number(o) <= 3 and attempt == 1 else None, **KEYED)
    await bench.send(lane, *range(1, 9))
    assert bench.offered.count([1, 2, 3]) == 2
    assert sorted(chain(*bench.offered)) == sorted([*range(1, 9), 1, 2, 3])
    assert bench.counted() == {"sent": 8}


async def test_a_call_in_doubt_stays_whole_however_often_it_is_refused_for_now(bench, number):
    answers = {1: AMBIGUOUS, 2: TRANSIENT, 3: Receipt(Status.throttled), 4: AMBIGUOUS}
    await bench.send(bench.lane(lambda o, attempt: answers.get(attempt), **KEYED), 1, 2, 3)
    assert bench.offered == [[1, 2, 3]] * 5
    assert bench.counted() == {"sent": 3}


async def test_a_call_of_one_in_doubt_is_not_repeated_in_company(bench, number):
    """Somebody else's next try is due at the same instant; together they would be a call with another key."""
    answers = {1: AMBIGUOUS, 2: TRANSIENT}
    lane = bench.lane(lambda o, attempt: answers[number(o)] if attempt == 1 else None, concurrency=2, **KEYED)
    lane._verdicts._random.uniform = lambda shortest, longest: longest
    for who in answers:
        lane.add(bench.ticket(who))
        lane.flush()
    await bench.clock.hurry(lane.drain())
    await bench.outcomes.flush()
    assert sorted(bench.offered) == [[1], [1], [2], [2]]
    assert bench.counted() == {"sent": 2}


async def test_those_whom_the_repeated_call_names_are_tried_on_their_own(bench, number):
    """The provider has answered for each member: those it did not take are not in doubt any more."""
    answers = {(1, 2): TRANSIENT}
    lane = bench.lane(lambda o, attempt: AMBIGUOUS if attempt == 1 else answers.get((number(o), attempt)), **KEYED)
    await bench.send(lane, 1, 2, 3)
    assert bench.offered == [[1, 2, 3], [1, 2, 3], [1]]
    assert bench.counted() == {"sent": 3}


async def test_one_that_is_in_doubt_among_others_that_ended_is_unknown(bench, number):
    lane = bench.lane(lambda o, attempt: AMBIGUOUS if number(o) == 2 else None, **KEYED)
    await bench.send(lane, 1, 2, 3)
    assert bench.offered == [[1, 2, 3]]
    assert bench.counted() == {"sent": 2, "unknown: in_doubt": 1}


async def test_after_a_crash_a_whole_call_is_repeated_as_it_was(bench):
    intents = before(2, 3, 5)
    await recovered(bench, bench.lane(whole=whole(intents), **KEYED), intents, range(1, 9))
    assert [2, 3, 5] in bench.offered
    assert sorted(chain(*bench.offered)) == list(range(1, 9))
    assert bench.counted() == {"sent": 8}
    assert bench.near() == {}


@pytest.mark.parametrize("in_doubt", InDoubt)
async def test_after_a_crash_a_call_that_lacks_a_member_is_not_repeated(bench, in_doubt):
    intents = before(2, 3, 5)
    lane = bench.lane(whole=whole(intents), in_doubt=in_doubt, **KEYED)
    await recovered(bench, lane, intents, (1, 2, 5, 6))
    assert [2, 3, 5] not in bench.offered
    again = in_doubt is InDoubt.resend
    assert sorted(chain(*bench.offered)) == ([1, 2, 5, 6] if again else [1, 6])
    assert bench.counted() == ({"sent": 4} if again else {"sent": 2, "unknown: in_doubt": 2})


async def test_a_member_that_can_not_be_sent_as_it_was_breaks_its_call_at_once(bench):
    intents = before(1, 2, 3)
    lane = bench.lane(whole=whole(intents), **KEYED)
    assert lane.how_it_ended(intents[3]) is None
    await bench.commits.intend(list(intents.values()))
    await lane.put(bench.ticket(1, intents[1]))
    lane.incomplete(intents[2])
    await bench.until(lambda: bench.counted() == {"unknown: in_doubt": 1})
    assert lane.how_it_ended(intents[3]) == Ended(Outcome.unknown, Reason.in_doubt)
    assert bench.offered == []


@pytest.mark.parametrize("in_doubt", InDoubt)
async def test_a_member_that_was_composed_before_its_call_broke_is_not_sent_on_its_own(bench, in_doubt):
    """Rows are composed by the dozen before the first is put."""
    intents = before(1, 2, 3)
    lane = bench.lane(whole=whole(intents), in_doubt=in_doubt, **KEYED)
    await bench.commits.intend(list(intents.values()))
    composed = [bench.ticket(number, intents[number]) for number in (1, 3)]
    lane.incomplete(intents[2])
    for ticket in composed:
        await bench.clock.hurry(lane.put(ticket))
    await bench.clock.hurry(lane.drain())
    await bench.outcomes.flush()
    assert bench.offered == ([[1, 3]] if in_doubt is InDoubt.resend else [])
    assert bench.counted() == ({"sent": 2} if in_doubt is InDoubt.resend else {"unknown: in_doubt": 2})


async def test_members_that_do_not_come_do_not_hold_up_the_run(bench, monkeypatch):
    monkeypatch.setattr(exact, "_SCATTERED", 5)
    intents = before(1, 2, 3)
    lane = bench.lane(whole=whole(intents), **KEYED)
    await bench.commits.intend(list(intents.values()))
    for number in (1, 4, 5, 6, 7, 8, 9):
        await lane.put(bench.ticket(number, intents.get(number)))
    await bench.until(lambda: bench.cursor() is not None)
    assert bench.counted()["unknown: in_doubt"] == 1
    await lane.drain()


def test_a_call_is_whole_only_with_all_of_its_members_in_doubt():
    intents = before(1, 2, 3)
    assert whole(intents) == {7: [intents[number].key for number in (1, 2, 3)]}
    assert whole({number: intents[number] for number in (1, 3)}) == {}
    settled = replace(intents[2], outcome=Outcome.sent)
    assert whole({**intents, 2: settled}) == {}
    assert Recovered(intents.values()).whole_calls("other") == {}


async def test_a_message_on_its_own_is_a_whole_call(bench):
    intents = before(2, size=1)
    lane = bench.lane(whole=whole(intents), idempotency=Idempotency.request_key)
    await recovered(bench, lane, intents, (1, 2, 3))
    assert bench.offered == [[1], [2], [3]]
    assert bench.counted() == {"sent": 3}


async def test_where_messages_have_keys_of_their_own_a_call_need_not_be_whole(bench):
    intents = before(2, 3, 5)
    lane = bench.lane(whole=whole(intents), idempotent=True, max_batch=3)
    await recovered(bench, lane, intents, (1, 2, 5, 6))
    assert bench.offered == [[1, 2, 5], [6]]
    assert bench.counted() == {"sent": 4}
