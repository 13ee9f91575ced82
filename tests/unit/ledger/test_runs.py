"""One run per fire time; what became of each, and which one a campaign has to reckon with."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connect.errors import UserError
from connect.ledger import runs as runs_module
from connect.ledger.records import Intent, StateChange, Tally
from connect.ledger.refusals import RunExists
from connect.vocabulary import Channel, Mode, Outcome, Reason, RunState

COMPLETED, FAILED, CANCELLED = RunState.completed, RunState.failed, RunState.cancelled
EMAIL = Channel.email


def code(error: pytest.ExceptionInfo[UserError]) -> str:
    return error.value.problems[0].code


def test_a_run_is_remembered_as_it_was_given(ledger, a_run, clock):
    new = a_run(audience_rows=12, manual=False)
    run = ledger.create_run(new)
    assert ledger.run(run.id) == run
    for name in ("id", "mode", "campaign", "fire_time", "manual", "digest", "campaign_json", "salt", "secret"):
        assert getattr(run, name) == getattr(new, name), name
    assert (run.target, run.state, run.reason, run.recoveries) == ("dev", RunState.running, "", 0)
    assert (run.audience_rows, run.started_at, run.ended_at) == (12, clock.now(), None)
    assert ledger.states(run.id) == [StateChange(clock.now(), RunState.running, "")]


def test_a_fire_time_has_one_run(ledger, a_run):
    run = ledger.create_run(a_run())
    ledger.finish(run.id, COMPLETED)
    with pytest.raises(RunExists, match=run.id) as error:
        ledger.create_run(a_run(fire_time=run.fire_time))
    assert error.value.record == ledger.run(run.id)
    assert [each.id for each in ledger.runs()] == [run.id]


@pytest.mark.parametrize("change", [{"mode": Mode.test}, {"campaign": "welcome"}])
def test_other_modes_and_campaigns_have_their_own_history(ledger, a_run, change):
    run = ledger.create_run(a_run())
    other = ledger.create_run(a_run(fire_time=run.fire_time, **change))
    assert ledger.ran(run.mode, run.campaign, run.fire_time) == run
    assert ledger.ran(other.mode, other.campaign, run.fire_time) == other
    assert ledger.unfinished(run.mode, run.campaign) == run
    assert ledger.unfinished(other.mode, other.campaign) == other


@pytest.mark.parametrize("state", [RunState.running, RunState.paused, RunState.stopped])
def test_a_campaign_has_one_unfinished_run(ledger, a_run, state):
    run = ledger.create_run(a_run())
    ledger.set_state(run.id, state, "")
    with pytest.raises(RunExists) as error:
        ledger.create_run(a_run())
    assert error.value.record.id == run.id


@pytest.mark.parametrize("same", ["campaign", "fire time"])
def test_a_racing_process_that_looked_too_early_is_told_of_the_other(ledger, a_run, monkeypatch, same):
    first = ledger.create_run(a_run())
    if same == "fire time":
        ledger.finish(first.id, COMPLETED)
    looks, look = [], runs_module.in_the_way
    monkeypatch.setattr(runs_module, "in_the_way", lambda *told: looks.append(1) or (len(looks) > 1 and look(*told)))
    with pytest.raises(RunExists) as error:
        ledger.create_run(a_run(fire_time=first.fire_time) if same == "fire time" else a_run())
    assert error.value.record == ledger.run(first.id)
    assert len(looks) == 2
    assert len(ledger.runs()) == 1


def test_a_run_that_is_refused_leaves_nothing(ledger, a_run):
    run = ledger.create_run(a_run())
    refused = a_run(tallies=(Tally(EMAIL, "", Outcome.refused, Reason.missing_key, 3),))
    with pytest.raises(RunExists):
        ledger.create_run(refused)
    assert ledger.run(refused.id) is None
    assert ledger.states(refused.id) == []
    assert ledger.tallies(refused.id) == []
    assert ledger.unfinished(run.mode, run.campaign) == run


def test_deliveries_settled_before_the_sweep_are_counted_from_the_start(ledger, a_run):
    tally = Tally(EMAIL, "", Outcome.refused, "missing_key", 3)
    run = ledger.create_run(a_run(tallies=(tally, Tally(Channel.sms, "", Outcome.refused, "missing_key", 0))))
    assert ledger.tallies(run.id) == [tally]


def test_a_campaign_that_has_run_live_runs_again_only_when_that_is_meant(ledger, a_run):
    first = ledger.create_run(a_run(), again=False)
    ledger.finish(first.id, COMPLETED)
    with pytest.raises(RunExists) as error:
        ledger.create_run(a_run(), again=False)
    assert error.value.record.id == first.id
    ledger.create_run(a_run(mode=Mode.test), again=False)
    ledger.create_run(a_run(), again=True)


def test_a_live_run_counts_once_it_may_have_reached_somebody(ledger, a_run, clock):
    def ended(state: RunState, *tallies: Tally, mode: Mode = Mode.live) -> str:
        clock.pass_time(seconds=1)
        run = ledger.create_run(a_run(tallies=tallies, mode=mode))
        ledger.finish(run.id, state)
        return run.id

    ended(COMPLETED, mode=Mode.test)
    ended(FAILED)
    ended(CANCELLED, Tally(EMAIL, "", Outcome.refused, "missing_key", 3))
    assert ledger.has_run_live("trial-ending") is None
    for state, outcome in ((FAILED, Outcome.sent), (CANCELLED, Outcome.unknown)):
        run_id = ended(state, Tally(EMAIL, "", outcome, "", 1))
        assert ledger.has_run_live("trial-ending").id == run_id
    run_id = ended(COMPLETED)
    assert ledger.has_run_live("trial-ending").id == run_id
    clock.pass_time(seconds=1)
    assert ledger.has_run_live("trial-ending").id != ledger.create_run(a_run(mode=Mode.test)).id
    running = ledger.create_run(a_run())
    assert ledger.has_run_live("trial-ending").id == running.id
    assert ledger.has_run_live("welcome") is None


def test_the_last_completed_run_is_neither_failed_nor_of_another_mode(ledger, a_run, clock):
    found = []
    for state, mode in ((COMPLETED, Mode.live), (COMPLETED, Mode.live), (FAILED, Mode.live), (COMPLETED, Mode.test)):
        clock.pass_time(seconds=1)
        found.append(ledger.create_run(a_run(mode=mode)).id)
        ledger.finish(found[-1], state)
    assert ledger.last_completed(Mode.live, "trial-ending").id == found[1]
    assert ledger.last_completed(Mode.offline, "trial-ending") is None


def test_runs_are_listed_newest_first(ledger, a_run, clock):
    ids = []
    for campaign in ("a", "b", "a", "c"):
        clock.pass_time(seconds=1)
        run = ledger.create_run(a_run(campaign=campaign))
        ledger.finish(run.id, COMPLETED)
        ids.insert(0, run.id)
    assert [run.id for run in ledger.runs()] == ids
    assert [run.id for run in ledger.runs(limit=2)] == ids[:2]
    assert [run.id for run in ledger.runs(campaign="a")] == [ids[1], ids[3]]


def test_a_run_is_found_by_the_beginning_of_its_id(ledger, a_run):
    for run_id in ("aaaa000000000001", "aaab000000000002"):
        ledger.finish(ledger.create_run(a_run(id=run_id)).id, COMPLETED)
    assert ledger.run("aaab").id == "aaab000000000002"
    assert ledger.run("b") is None
    assert ledger.run("%") is None
    assert ledger.run("") is None
    with pytest.raises(UserError, match="aaaa000000000001") as error:
        ledger.run("aaa")
    assert code(error) == "ambiguous-run"


def test_state_changes_are_kept_with_reason_and_instant(ledger, a_run, clock):
    run = ledger.create_run(a_run())
    start = clock.now()
    clock.pass_time(minutes=1)
    ledger.set_state(run.id, RunState.paused, "smtp says 535")
    clock.pass_time(minutes=1)
    ledger.set_state(run.id, RunState.running, "")
    ledger.note(run.id, "waiting: rate 14/s")
    assert ledger.run(run.id).reason == "waiting: rate 14/s"
    assert ledger.states(run.id) == [
        StateChange(start, RunState.running, ""),
        StateChange(start + timedelta(minutes=1), RunState.paused, "smtp says 535"),
        StateChange(start + timedelta(minutes=2), RunState.running, ""),
        StateChange(start + timedelta(minutes=2), RunState.running, "waiting: rate 14/s"),
    ]


def test_saying_the_same_again_is_not_news(ledger, a_run):
    run = ledger.create_run(a_run())
    for text in ("waiting: rate 14/s", "waiting: rate 14/s", "", ""):
        ledger.note(run.id, text)
    assert [change.reason for change in ledger.states(run.id)] == ["", "waiting: rate 14/s", ""]


def test_a_run_that_waits_all_night_does_not_grow_the_ledger(ledger, a_run, monkeypatch, clock):
    monkeypatch.setattr(runs_module, "MOST_STATES", 10)
    run = ledger.create_run(a_run())
    clock.pass_time(hours=1)
    for number in range(30):
        ledger.note(run.id, f"waiting: {number}")
    kept = ledger.states(run.id)
    assert kept[0] == StateChange(run.started_at, RunState.running, "")
    assert [change.reason for change in kept[1:]] == [f"waiting: {number}" for number in range(20, 30)]


def test_a_run_that_has_ended_stays_as_it_ended(ledger, a_run, clock):
    run = ledger.create_run(a_run())
    clock.pass_time(minutes=5)
    ledger.finish(run.id, FAILED, "over limits.max")
    ended = ledger.run(run.id)
    assert (ended.state, ended.reason, ended.ended_at) == (FAILED, "over limits.max", clock.now())
    for change in (
        lambda: ledger.set_state(run.id, RunState.running, ""),
        lambda: ledger.finish(run.id, COMPLETED),
    ):
        with pytest.raises(UserError, match="has ended: failed") as error:
            change()
        assert code(error) == "run-ended"
    ledger.note(run.id, "late")
    assert ledger.run(run.id) == ended


def test_ending_is_only_for_finish_and_finish_only_for_ending(ledger, a_run):
    run = ledger.create_run(a_run())
    with pytest.raises(ValueError, match="finish"):
        ledger.set_state(run.id, COMPLETED, "")
    with pytest.raises(ValueError, match="does not end"):
        ledger.finish(run.id, RunState.paused)
    assert ledger.run(run.id) == run


def test_a_run_that_does_not_exist(ledger):
    for change in (
        lambda: ledger.set_state("nosuchrun0000000", RunState.running, ""),
        lambda: ledger.note("nosuchrun0000000", "x"),
        lambda: ledger.finish("nosuchrun0000000", COMPLETED),
    ):
        with pytest.raises(UserError) as error:
            change()
        assert code(error) == "unknown-run"


def test_records_do_not_print_what_is_secret(ledger, a_run):
    key = b"0123456789abcdef"
    new = a_run(salt=key, secret=key)
    for record in (Intent(key, 1, EMAIL, "smtp", 1), new, ledger.create_run(new)):
        assert "0123456789abcdef" not in repr(record)
