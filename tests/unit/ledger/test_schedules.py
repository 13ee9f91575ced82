"""How far a trigger was followed is changed by one at a time, together with the runs that it gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connect.errors import UserError
from connect.ledger.owner import Owner
from connect.ledger.records import NewSlice, Schedule, StateChange, Tally
from connect.ledger.refusals import RunExists
from connect.testing.ledgers import NOON
from connect.vocabulary import Channel, Mode, Outcome, Reason, RunState

QUEUED, SKIPPED = RunState.queued, RunState.skipped
NEW = Schedule(Mode.live, "weekly", "spec", "content", cursor=NOON)
LEASE = timedelta(minutes=1)
HERE = Owner.here()


@pytest.fixture
def due(a_run):
    """Runs as a daemon makes them, a minute after each other."""

    def make(state=QUEUED, **changes):
        return a_run(**{"campaign": "weekly", "manual": False, "state": state, **changes})

    return make


@pytest.fixture
def queue(ledger, due):
    """Puts runs into the queue of a campaign; gives their ids."""

    def put(*states, campaign="weekly", mode=Mode.live, **changes):
        runs = [due(state, campaign=campaign, mode=mode, **changes) for state in states]
        before = ledger.schedules(mode).get(campaign) or replace(NEW, campaign=campaign, mode=mode)
        assert ledger.put_schedule(before, runs) is not None
        return [run.id for run in runs]

    return put


def test_a_schedule_is_kept_as_it_was_put(ledger, clock):
    assert ledger.schedules(Mode.live) == {}
    first = ledger.put_schedule(NEW)
    assert first == replace(NEW, version=1)
    assert ledger.schedules(Mode.live) == {"weekly": first}
    instants = {"cursor": NOON + LEASE, "live_since": NOON - LEASE, "watermark": NOON - 2 * LEASE}
    changed = replace(first, spec="s", content="c", fired=True, paused=True, skip_next=True, **instants)
    assert ledger.put_schedule(changed) == replace(changed, version=2)
    assert ledger.schedules(Mode.live) == {"weekly": replace(changed, version=2)}


def test_each_mode_and_campaign_has_its_own(ledger):
    for schedule in (NEW, replace(NEW, mode=Mode.test), replace(NEW, campaign="daily")):
        assert ledger.put_schedule(schedule).version == 1
    assert set(ledger.schedules(Mode.live)) == {"weekly", "daily"}
    assert set(ledger.schedules(Mode.test)) == {"weekly"}
    assert ledger.schedules(Mode.offline) == {}


def test_who_comes_late_writes_nothing(ledger, due):
    first = ledger.put_schedule(NEW)
    second = ledger.put_schedule(replace(first, cursor=NOON + LEASE))
    for late in (NEW, replace(first, paused=True), replace(second, version=9)):
        assert ledger.put_schedule(late, [due()]) is None
    assert ledger.schedules(Mode.live) == {"weekly": second}
    assert ledger.runs() == []


def test_runs_that_come_due_are_queued_or_skipped(ledger, due, clock):
    waits, missed = due(since=NOON - LEASE, until=NOON), due(SKIPPED, reason="missed")
    ledger.put_schedule(NEW, [waits, missed])
    waits, missed = ledger.run(waits.id), ledger.run(missed.id)
    assert (waits.state, waits.since, waits.until, waits.ended_at) == (QUEUED, NOON - LEASE, NOON, None)
    assert (waits.salt, waits.secret, waits.campaign_json) == (b"sealed salt", b"sealed secret", "{}")
    assert (missed.state, missed.reason, missed.ended_at) == (SKIPPED, "missed", clock.now())
    assert (missed.salt, missed.secret, missed.since) == (None, None, None)
    assert ledger.states(waits.id) == [StateChange(clock.now(), QUEUED, "")]
    assert ledger.states(missed.id) == [StateChange(clock.now(), SKIPPED, "missed")]
    assert ledger.slices(waits.id) == ledger.slices(missed.id) == []
    assert ledger.queued(Mode.live, "weekly") == [waits]


def test_a_fire_time_that_has_its_run_is_left_out(ledger, due):
    by_hand = ledger.create_run(due(RunState.running, manual=True))
    double, other = due(fire_time=by_hand.fire_time), due()
    assert ledger.put_schedule(NEW, [double, other]).version == 1
    assert [run.id for run in ledger.queued(Mode.live, "weekly")] == [other.id]
    assert ledger.run(double.id) is None
    assert ledger.states(double.id) == []
    assert ledger.ran(Mode.live, "weekly", by_hand.fire_time) == by_hand


def test_a_catch_up_of_hundreds_of_runs(ledger, due):
    runs = [due(SKIPPED if number % 3 else QUEUED) for number in range(1200)]
    assert ledger.put_schedule(NEW, runs).version == 1
    assert [run.id for run in ledger.queued(Mode.live, "weekly")] == [run.id for run in runs[::3]]
    assert len(ledger.runs(limit=5000)) == 1200
    assert {len(ledger.states(run.id)) for run in (runs[0], runs[500], runs[1199])} == {1}


def test_what_a_schedule_gives_has_not_begun(ledger, due):
    with pytest.raises(ValueError, match="queued or skipped"):
        ledger.put_schedule(NEW, [due(RunState.running)])
    assert ledger.schedules(Mode.live) == {}


def test_a_run_that_was_skipped_is_in_nobodys_way(ledger, queue, a_run):
    queue(SKIPPED)
    assert ledger.unfinished(Mode.live, "weekly") is None
    assert ledger.has_run_live("weekly") is None
    assert ledger.last_completed(Mode.live, "weekly") is None
    by_hand = ledger.create_run(a_run(campaign="weekly"), again=False)
    assert ledger.unfinished(Mode.live, "weekly") == by_hand


@pytest.mark.parametrize("again", [True, False])
def test_a_run_that_has_not_begun_is_in_the_way_of_those_by_hand(ledger, queue, a_run, again):
    """Both would send it."""
    first, _ = queue(QUEUED, QUEUED)
    assert ledger.unfinished(Mode.live, "weekly") is None
    assert ledger.has_run_live("weekly") is None
    with pytest.raises(RunExists) as error:
        ledger.create_run(a_run(campaign="weekly"), again=again)
    assert error.value.record.id == first
    assert "connect runs cancel" in str(error.value)
    ledger.create_run(a_run(campaign="weekly", mode=Mode.test), again=again)
    ledger.create_run(a_run(campaign="daily"), again=again)


def test_a_run_may_be_queued_by_hand_while_another_is_going(ledger, due):
    going = ledger.create_run(due(RunState.running))
    waits = ledger.create_run(due(), again=False)
    assert (waits.state, ledger.slices(waits.id)) == (QUEUED, [])
    with pytest.raises(RunExists):
        ledger.create_run(due(fire_time=waits.fire_time))
    assert ledger.unfinished(Mode.live, "weekly") == going


def test_a_queued_run_starts_with_slices_and_tallies(ledger, queue, clock):
    (run_id,) = queue(QUEUED)
    clock.pass_time(minutes=3)
    refused = Tally(Channel.email, "", Outcome.refused, Reason.missing_key, 3)
    parts = (NewSlice("", "8"), NewSlice("8", None, "cet", NOON + LEASE, NOON + 2 * LEASE))
    run = ledger.start_run(run_id, audience_rows=40, tallies=(refused,), slices=parts)
    assert (run.state, run.audience_rows, run.started_at, run.salt) == (
        RunState.running,
        40,
        clock.now(),
        b"sealed salt",
    )
    assert ledger.run(run_id) == run
    assert [change.state for change in ledger.states(run_id)] == [QUEUED, RunState.running]
    assert ledger.tallies(run_id) == [refused]
    told = [NewSlice(each.low, each.high, each.wave, each.opens_at, each.closes_at) for each in ledger.slices(run_id)]
    assert tuple(told) == parts
    assert not any(each.ended or each.owner for each in ledger.slices(run_id))


def test_a_run_starts_once(ledger, queue):
    (run_id,) = queue(QUEUED)
    run = ledger.start_run(run_id)
    with pytest.raises(RunExists) as error:
        ledger.start_run(run_id)
    assert error.value.record == run
    assert len(ledger.slices(run_id)) == 1


@pytest.mark.parametrize("state", [RunState.running, RunState.paused, RunState.stopped])
def test_a_run_does_not_start_before_the_one_before_it_has_ended(ledger, queue, state):
    first, second = queue(QUEUED, QUEUED)
    ledger.start_run(first)
    ledger.set_state(first, state, "")
    with pytest.raises(RunExists) as error:
        ledger.start_run(second)
    assert error.value.record.id == first
    assert (ledger.run(second).state, ledger.slices(second)) == (QUEUED, [])
    ledger.finish(first, RunState.cancelled)
    assert ledger.start_run(second).state is RunState.running


@pytest.mark.parametrize("state", [RunState.cancelled, SKIPPED, RunState.failed])
def test_a_queued_run_that_is_ended_never_starts(ledger, queue, state):
    (run_id,) = queue(QUEUED)
    ledger.finish(run_id, state, "overlap")
    run = ledger.run(run_id)
    assert (run.state, run.reason, run.salt, run.secret) == (state, "overlap", None, None)
    assert run.ended_at is not None
    for work in (ledger.start_run, lambda run_id: ledger.claim_slice(run_id, owner=HERE, lease=LEASE)):
        with pytest.raises(UserError) as error:
            work(run_id)
        assert error.value.problems[0].code == "run-ended"
    assert ledger.work(Mode.live) == ledger.queued(Mode.live, "weekly") == []
    assert ledger.has_run_live("weekly") is None


def test_a_queued_run_is_not_worked_on(ledger, queue):
    (run_id,) = queue(QUEUED)
    for work in (
        lambda: ledger.claim_slice(run_id, owner=HERE, lease=LEASE),
        lambda: ledger.set_state(run_id, RunState.running, ""),
        lambda: ledger.set_state(run_id, RunState.paused, ""),
    ):
        with pytest.raises(UserError) as error:
            work()
        assert error.value.problems[0].code == "run-queued"
    ledger.note(run_id, "waiting: the run before it")
    assert (ledger.run(run_id).state, ledger.run(run_id).reason) == (QUEUED, "waiting: the run before it")


def test_a_run_that_nobody_knows_does_not_start(ledger):
    with pytest.raises(UserError) as error:
        ledger.start_run("nosuchrun0000000")
    assert error.value.problems[0].code == "unknown-run"


def test_a_run_without_slices_would_never_end(ledger, queue):
    (run_id,) = queue(QUEUED)
    with pytest.raises(ValueError, match="one slice"):
        ledger.start_run(run_id, slices=())
    assert ledger.run(run_id).state is QUEUED


def test_work_is_the_oldest_queued_run_of_each_campaign(ledger, queue):
    weekly, _, _ = queue(QUEUED, SKIPPED, QUEUED)
    (daily,) = queue(QUEUED, campaign="daily")
    queue(QUEUED, mode=Mode.test)
    assert [run.id for run in ledger.work(Mode.live)] == [weekly, daily]
    ledger.start_run(weekly)
    ledger.finish(weekly, RunState.completed)
    assert [run.fire_time for run in ledger.work(Mode.live)] == [
        NOON + timedelta(minutes=2),
        NOON + timedelta(minutes=3),
    ]
    assert len(ledger.work(Mode.test)) == 1


@pytest.mark.parametrize("state", [RunState.paused, RunState.stopped])
def test_work_waits_for_what_a_person_has_to_mend(ledger, queue, state):
    first, _ = queue(QUEUED, QUEUED)
    ledger.start_run(first)
    ledger.set_state(first, state, "")
    assert ledger.work(Mode.live) == []


def test_a_running_run_is_work_while_a_slice_of_it_is_open_and_free(ledger, queue, clock):
    first, _ = queue(QUEUED, QUEUED)
    ledger.start_run(first, slices=(NewSlice(), NewSlice(opens_at=NOON + timedelta(hours=1))))

    def at_work():
        return [run.id for run in ledger.work(Mode.live)]

    assert at_work() == [first]
    claimed = ledger.claim_slice(first, owner=HERE, lease=LEASE)
    assert at_work() == []  # this process lives, and the other slice is not open
    clock.pass_time(seconds=60)
    assert at_work() == [first]
    ledger.renew(claimed, LEASE)
    assert at_work() == []
    assert ledger.end_slice(claimed) is False
    assert at_work() == []
    clock.pass_time(hours=1)
    assert at_work() == [first]


def test_the_work_of_a_process_that_is_gone_is_free_at_once(ledger, queue):
    (run_id,) = queue(QUEUED)
    ledger.start_run(run_id)
    ledger.claim_slice(run_id, owner=replace(HERE, started=HERE.started + "9"), lease=LEASE)
    assert [run.id for run in ledger.work(Mode.live)] == [run_id]


def test_messages_that_were_sent_without_a_campaign_are_nobodys_work(ledger, a_run):
    from connect.pipeline.sending import is_a_send

    name = "message welcome"
    assert is_a_send(name)
    ledger.create_run(a_run(campaign=name))
    other = ledger.create_run(a_run(campaign="message-board"))
    assert ledger.work(Mode.live) == [other]


def test_work_is_in_the_order_of_fire_times(ledger, queue, clock):
    later = queue(QUEUED, campaign="b", fire_time=NOON + timedelta(days=2))
    running = queue(QUEUED, campaign="c", fire_time=NOON + timedelta(days=1))
    ledger.start_run(*running)
    clock.pass_time(days=3)
    sooner = queue(QUEUED, campaign="a", fire_time=NOON)
    assert [run.id for run in ledger.work(Mode.live)] == [*sooner, *running, *later]
