"""A run in several slices: each is claimed, parked and ended by itself, and the last one ends the run."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent, NewSlice, Tally
from connect.ledger.refusals import LeaseLost, SliceHeld, SlicesClosed
from connect.testing.ledgers import NOON
from connect.vocabulary import Channel, Outcome, Reason, RunState

LEASE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
HERE = Owner.here()
ELSEWHERE = Owner("elsewhere/boot/1", 7, "100")
SENT = (Channel.email, "", Outcome.sent, "")


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def intend(*numbers: int) -> list[Intent]:
    return [Intent(key(number), number, Channel.email, "smtp", 0) for number in numbers]


@pytest.fixture
def in_parts(ledger, a_run):
    """A run in slices that open at these times; gives its id."""

    def make(*opens_at):
        bounds = [f"{number:x}" for number in range(len(opens_at) + 1)]
        slices = tuple(NewSlice(bounds[n], bounds[n + 1], opens_at=at) for n, at in enumerate(opens_at))
        return ledger.create_run(a_run(slices=slices)).id

    return make


@pytest.fixture
def claim(ledger):
    return lambda run_id, owner=HERE: ledger.claim_slice(run_id, owner=owner, lease=LEASE)


def test_slices_are_claimed_one_after_the_other(ledger, in_parts, claim):
    run_id = in_parts(None, None, None)
    claimed = [claim(run_id), claim(run_id, ELSEWHERE), claim(run_id)]
    assert [slice.low for slice in claimed] == ["0", "1", "2"]
    assert ledger.slices(run_id) == claimed
    with pytest.raises(SliceHeld):
        claim(run_id)
    ledger.release(claimed[1])
    assert claim(run_id).id == claimed[1].id
    assert ledger.run(run_id).recoveries == 0


def test_they_are_claimed_in_the_order_in_which_they_open(ledger, in_parts, claim, clock):
    run_id = in_parts(NOON - HOUR, NOON - 2 * HOUR, NOON - HOUR, None)
    assert [claim(run_id).low for _ in range(4)] == ["3", "1", "0", "2"]


def test_what_is_closed_is_not_claimed_before_it_opens(ledger, in_parts, claim, clock):
    run_id = in_parts(NOON + 2 * HOUR, NOON + HOUR)
    with pytest.raises(SlicesClosed) as error:
        claim(run_id)
    assert (error.value.run_id, error.value.opens_at, error.value.exit_code) == (run_id, NOON + HOUR, 0)
    assert error.value.problems[0].code == "run-waits"
    assert pickle.loads(pickle.dumps(error.value)).opens_at == NOON + HOUR
    clock.pass_time(hours=1, microseconds=-1)
    with pytest.raises(SlicesClosed):
        claim(run_id)
    clock.pass_time(microseconds=1)
    assert claim(run_id).low == "1"


def test_while_others_are_at_it_the_run_does_not_wait_for_what_opens_later(ledger, in_parts, claim, clock):
    run_id = in_parts(None, None, NOON + HOUR)
    claim(run_id, ELSEWHERE)
    clock.pass_time(seconds=30)
    claim(run_id)
    with pytest.raises(SliceHeld) as error:
        claim(run_id)
    assert (error.value.owner, error.value.until) == (ELSEWHERE, NOON + LEASE)


def test_a_parked_slice_keeps_what_it_has_done(ledger, in_parts, claim, clock):
    run_id = in_parts(None)
    slice = claim(run_id)
    ledger.park(slice, opens_at=NOON + HOUR, closes_at=NOON + 3 * HOUR, reason="waiting: quiet hours until 13:00")
    run, (parked,) = ledger.run(run_id), ledger.slices(run_id)
    assert (run.state, run.reason) == (RunState.running, "waiting: quiet hours until 13:00")
    assert (parked.opens_at, parked.closes_at, parked.owner, parked.ended) == (NOON + HOUR, NOON + 3 * HOUR, "", False)
    with pytest.raises(SlicesClosed):
        claim(run_id)
    for late in (lambda: ledger.park(slice, opens_at=None), lambda: ledger.renew(slice, LEASE)):
        with pytest.raises(LeaseLost):
            late()
    clock.pass_time(hours=1)
    again = claim(run_id)
    assert (again.id, again.epoch) == (slice.id, 2)
    assert ledger.run(run_id).recoveries == 0


async def test_its_cursor_stays_and_its_intents(ledger, in_parts, claim, clock):
    run_id = in_parts(None)
    slice = claim(run_id)
    commits = Commits(ledger, slice)
    await commits.intend(intend(1, 2))
    await commits.advance("05", {SENT: 1}, [key(1)])
    await commits.close()
    ledger.park(slice, opens_at=NOON + HOUR)
    clock.pass_time(hours=1)
    again = claim(run_id)
    assert again.cursor == "05"
    assert [each.key for each in ledger.intents(again.id)] == [key(2)]


def test_the_last_slice_that_ends_completes_the_run(ledger, in_parts, claim, clock):
    run_id = in_parts(None, None, NOON + HOUR)
    first, second = claim(run_id), claim(run_id)
    assert ledger.end_slice(second) is False
    assert ledger.end_slice(first) is False
    assert [slice.ended for slice in ledger.slices(run_id)] == [True, True, False]
    run = ledger.run(run_id)
    assert (run.state, run.salt) == (RunState.running, b"sealed salt")
    clock.pass_time(hours=1)
    assert ledger.end_slice(claim(run_id)) is True
    run = ledger.run(run_id)
    assert (run.state, run.reason, run.ended_at) == (RunState.completed, "", clock.now())
    assert (run.salt, run.secret) == (None, None)
    assert all(slice.ended and not slice.owner for slice in ledger.slices(run_id))
    assert ledger.states(run_id)[-1].state is RunState.completed


def test_a_slice_that_has_ended_is_never_claimed_again(ledger, in_parts, claim, clock):
    run_id = in_parts(None, None)
    ended = claim(run_id)
    ledger.end_slice(ended)
    assert claim(run_id).id != ended.id
    with pytest.raises(SliceHeld):
        claim(run_id)
    clock.pass_time(days=1)
    assert claim(run_id).id != ended.id


def test_only_its_holder_ends_a_slice(ledger, in_parts, claim, clock):
    run_id = in_parts(None)
    old = claim(run_id, ELSEWHERE)
    clock.pass_time(minutes=2)
    new = claim(run_id)
    with pytest.raises(LeaseLost):
        ledger.end_slice(old)
    assert ledger.end_slice(new) is True
    with pytest.raises(LeaseLost):
        ledger.end_slice(new)


async def test_what_people_who_left_leave_is_counted_for_each_slice(ledger, in_parts, claim):
    run_id = in_parts(None, None)
    slices = [claim(run_id), claim(run_id)]
    for number, slice in enumerate(slices):
        commits = Commits(ledger, slice)
        await commits.intend(intend(10 * number, 10 * number + 1))
        await commits.settle([(key(10 * number), Outcome.failed, "other")])
        await commits.close()
    ledger.end_slice(slices[0])
    failed = Tally(Channel.email, "", Outcome.failed, "other", 1)
    in_doubt = Tally(Channel.email, "", Outcome.unknown, Reason.in_doubt, 1)
    assert ledger.tallies(run_id) == [failed, in_doubt]
    assert ledger.intents(slices[0].id) == []
    assert len(ledger.intents(slices[1].id)) == 2
    ledger.finish(run_id, RunState.cancelled)
    assert [tally.count for tally in ledger.tallies(run_id)] == [2, 2]
    assert ledger.intents(slices[1].id) == []


async def test_a_run_that_is_cancelled_stops_the_holders_of_all_its_slices(ledger, in_parts, claim):
    run_id = in_parts(None, None)
    slices = [claim(run_id), claim(run_id)]
    ledger.finish(run_id, RunState.cancelled)
    for slice in slices:
        commits = Commits(ledger, slice)
        with pytest.raises(LeaseLost):
            await commits.intend(intend(slice.id))
        await commits.close()
        with pytest.raises(LeaseLost):
            ledger.end_slice(slice)


async def test_a_slice_that_kills_its_workers_shows_though_others_get_on(ledger, in_parts, claim, clock):
    """Each time both workers die. One of them had got further; the other never does."""
    run_id = in_parts(None, None)
    for expected in (0, 1, 2, 3):
        claim(run_id)
        healthy = claim(run_id)
        assert ledger.run(run_id).recoveries == expected
        commits = Commits(ledger, healthy)
        await commits.advance(f"1{expected}", {SENT: 1}, [])
        await commits.close()
        assert ledger.run(run_id).recoveries == expected
        clock.pass_time(minutes=2)


def test_one_death_is_one_recovery_however_many_slices_it_held(ledger, in_parts, claim, clock):
    run_id = in_parts(*[None] * 5)
    for _ in range(5):
        claim(run_id, ELSEWHERE)
    clock.pass_time(minutes=2)
    for _ in range(5):
        claim(run_id)
    assert ledger.run(run_id).recoveries == 1


def test_a_run_that_was_paused_while_its_last_slice_ended_is_completed(ledger, in_parts, claim):
    run_id = in_parts(None)
    slice = claim(run_id)
    ledger.set_state(run_id, RunState.paused, "by hand")
    assert ledger.end_slice(slice) is True
    assert ledger.run(run_id).state is RunState.completed


def test_what_a_worker_leaves_behind_when_its_machine_clock_goes_back(ledger, in_parts, claim, clock):
    """What had opened may be closed again for that hour; nothing is lost, and who holds a slice keeps it."""
    run_id = in_parts(None, NOON)
    slice = claim(run_id)
    clock.pass_time(hours=-1)
    renewed = ledger.renew(slice, LEASE)
    assert renewed.lease_until == clock.now() + LEASE
    with pytest.raises(SliceHeld):
        claim(run_id)
    assert ledger.end_slice(renewed) is False
    with pytest.raises(SlicesClosed):
        claim(run_id)
    clock.pass_time(hours=1)
    assert ledger.end_slice(claim(run_id)) is True
