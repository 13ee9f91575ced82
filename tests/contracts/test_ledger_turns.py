"""Whose turn it is: which runs of a campaign wait for each other, which overlap, and which never begin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from connect.errors import ConnectError, OutsideError, UserError
from connect.ledger import runs, transactions
from connect.ledger.owner import Owner
from connect.ledger.records import NewRun, NewSlice, RunRecord, Schedule, Tally
from connect.ledger.refusals import LeaseLost, RunExists, RunPaused
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, NOON, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer
from connect.vocabulary import Channel, Mode, Outcome, RunState

LEASE = timedelta(minutes=1)
HERE = Owner.here()
WEEKLY = Schedule(Mode.live, "weekly", "spec", "content", cursor=NOON)
UNFINISHED = [RunState.running, RunState.paused, RunState.stopped]


@pytest.fixture(params=ENGINES)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerRig]:
    try:
        with ledger_rig(request.param, tmp_path) as rig:
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


only_postgresql = pytest.mark.parametrize("rig", ["postgresql"], indirect=True)


@pytest.fixture
def ledger(rig: LedgerRig) -> Iterator[Ledger]:
    with closing(rig.open()) as ledger:
        yield ledger


def a_run(number: int, **changes: Any) -> NewRun:
    """One that has come due; the number makes its id and its fire time."""
    fields: dict[str, Any] = {
        "id": f"run{number:013}",
        "mode": Mode.live,
        "campaign": "weekly",
        "fire_time": NOON + timedelta(days=number),
        "manual": False,
        "digest": "d",
        "campaign_json": "{}",
        "salt": b"salt",
        "secret": b"secret",
        "state": RunState.queued,
    }
    return NewRun(**{**fields, **changes})


def by_hand(number: int, **changes: Any) -> NewRun:
    return a_run(number, manual=True, state=RunState.running, **changes)


def numbers(found: list[RunRecord]) -> list[int]:
    return [int(run.id[3:]) for run in found]


def queue(ledger: Ledger, *new: NewRun) -> None:
    before = ledger.schedules(Mode.live).get("weekly", WEEKLY)
    assert ledger.put_schedule(before, new) is not None


def in_the_way_of(attempt: Callable[[], object]) -> int:
    with pytest.raises(RunExists) as error:
        attempt()
    return numbers([error.value.record])[0]


def at_once(rig: LedgerRig, work: Callable[[Ledger, int], object], count: int = 6) -> list[Any]:
    """What each of several answers or raises, each with a ledger of its own, all at one instant."""
    ready, answers = threading.Barrier(count), []

    def one(number: int) -> None:
        with closing(rig.open()) as ledger:
            ready.wait()
            try:
                answers.append(work(ledger, number))
            except ConnectError as error:
                answers.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# Beside each other


def test_runs_that_are_made_for_it_run_beside_each_other(ledger: Ledger) -> None:
    queue(ledger, *(a_run(number, beside=True) for number in range(3)))
    assert numbers(ledger.work(Mode.live)) == [0, 1, 2]
    for number in (1, 0, 2):
        started = ledger.start_run(a_run(number).id, slices=(NewSlice(opens_at=NOON + LEASE),))
        assert (started.state, started.beside) == (RunState.running, True)
    assert ledger.work(Mode.live) == []


def test_one_that_runs_beside_others_still_starts_once(rig: LedgerRig, ledger: Ledger) -> None:
    queue(ledger, a_run(0, beside=True), a_run(1, beside=True))
    answers = at_once(rig, lambda mine, number: mine.start_run(a_run(number % 2).id))
    started = [answer for answer in answers if isinstance(answer, RunRecord)]
    assert sorted(numbers(started)) == [0, 1]
    assert all(isinstance(answer, RunExists) for answer in answers if answer not in started)
    assert [len(ledger.slices(run.id)) for run in started] == [1, 1]


@pytest.mark.parametrize("state", UNFINISHED)
def test_nobody_waits_for_one_that_runs_beside_others(ledger: Ledger, state: RunState) -> None:
    queue(ledger, a_run(0, beside=True), a_run(1))
    ledger.start_run(a_run(0).id, slices=(NewSlice(opens_at=NOON + LEASE),))
    ledger.set_state(a_run(0).id, state, "")
    assert numbers(ledger.work(Mode.live)) == [1]
    assert ledger.start_run(a_run(1).id).state is RunState.running


@pytest.mark.parametrize("state", UNFINISHED)
def test_among_others_each_still_waits_for_the_one_before_it(ledger: Ledger, state: RunState) -> None:
    queue(ledger, a_run(0, beside=True), a_run(1), a_run(2), a_run(3, beside=True))
    assert numbers(ledger.work(Mode.live)) == [0, 1, 3]
    ledger.start_run(a_run(1).id, slices=(NewSlice(opens_at=NOON + LEASE),))
    ledger.set_state(a_run(1).id, state, "")
    assert numbers(ledger.work(Mode.live)) == [0, 3]
    assert in_the_way_of(lambda: ledger.start_run(a_run(2).id)) == 1
    assert ledger.start_run(a_run(3).id).beside
    ledger.finish(a_run(1).id, RunState.cancelled)
    assert ledger.start_run(a_run(2).id).state is RunState.running


def test_of_several_that_are_unfinished_the_oldest_is_told(ledger: Ledger, rig: LedgerRig) -> None:
    queue(ledger, *(a_run(number, beside=number != 1) for number in range(3)))
    for number in (2, 1, 0):
        rig.clock.pass_time(minutes=1)
        ledger.start_run(a_run(number).id)
    for number in range(3):
        oldest = ledger.unfinished(Mode.live, "weekly")
        assert oldest is not None
        assert numbers([oldest]) == [number]
        ledger.finish(oldest.id, RunState.cancelled)
    assert ledger.unfinished(Mode.live, "weekly") is None


def test_one_by_hand_that_runs_beside_others_is_stopped_only_by_its_fire_time(ledger: Ledger) -> None:
    queue(ledger, a_run(0), a_run(1))
    ledger.start_run(a_run(0).id)
    made = ledger.create_run(by_hand(2, beside=True), again=False)
    assert (made.beside, ledger.run(made.id)) == (True, made)
    assert len(ledger.slices(made.id)) == 1
    again = replace(by_hand(9, beside=True), fire_time=made.fire_time)
    assert in_the_way_of(lambda: ledger.create_run(again)) == 2


def test_the_database_itself_keeps_runs_apart_that_are_not_made_for_it(ledger: Ledger) -> None:
    """Whatever a racing process believes."""

    def insert(run: NewRun) -> None:
        with ledger.write() as connection:
            runs.insert_new(connection, "dev", run, NOON)

    for number, beside in enumerate([False, True, True]):
        insert(by_hand(number, beside=beside))
    with pytest.raises((IntegrityError, OutsideError)):
        insert(by_hand(3))
    assert len(ledger.runs()) == 3


# What waits is in the way of what is made by hand


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_nobody_goes_ahead_of_a_queued_run(ledger: Ledger, again: bool, beside: bool) -> None:
    queue(ledger, a_run(0, beside=beside), a_run(1))
    assert in_the_way_of(lambda: ledger.create_run(by_hand(2), again=again)) == 0
    for number in (0, 1):
        ledger.finish(a_run(number).id, RunState.cancelled)
    assert ledger.create_run(by_hand(2), again=again).state is RunState.running


def test_what_goes_on_is_told_before_what_waits(ledger: Ledger) -> None:
    queue(ledger, a_run(0), a_run(1))
    ledger.start_run(a_run(1).id)
    assert in_the_way_of(lambda: ledger.create_run(by_hand(2))) == 1


def test_a_queued_run_and_others_by_hand_never_begin_both(rig: LedgerRig, ledger: Ledger) -> None:
    queue(ledger, a_run(0))

    def either(mine: Ledger, number: int) -> object:
        return mine.create_run(by_hand(number)) if number else mine.start_run(a_run(0).id)

    answers = at_once(rig, either)
    assert numbers([answer for answer in answers if isinstance(answer, RunRecord)]) == [0]
    assert len(ledger.runs()) == 1


# What fires only once


def reach_somebody(ledger: Ledger, number: int, outcome: Outcome, state: RunState) -> None:
    run = ledger.create_run(by_hand(number, tallies=(Tally(Channel.email, "", outcome, "", 1),)))
    if state.ended:
        ledger.finish(run.id, state)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.sent, RunState.failed),
        (Outcome.unknown, RunState.cancelled),
        (Outcome.refused, RunState.completed),
    ],
)
def test_what_has_run_live_does_not_run_again(ledger: Ledger, outcome: Outcome, state: RunState) -> None:
    reach_somebody(ledger, 0, outcome, state)
    queue(ledger, a_run(1), a_run(2, beside=True))
    for number in (1, 2):
        once = a_run(number).id
        assert in_the_way_of(lambda run_id=once: ledger.start_run(run_id, not_if_live=True)) == 0  # type: ignore[misc]
        assert ledger.slices(once) == []
    assert numbers(ledger.queued(Mode.live, "weekly")) == [1, 2]
    assert ledger.start_run(a_run(1).id).state is RunState.running  # of another trigger


def test_what_reached_nobody_does_not_count_nor_does_the_run_itself(ledger: Ledger) -> None:
    reach_somebody(ledger, 0, Outcome.refused, RunState.failed)
    queue(ledger, a_run(1), a_run(2, state=RunState.skipped))
    assert ledger.start_run(a_run(1).id, not_if_live=True).state is RunState.running
    assert in_the_way_of(lambda: ledger.start_run(a_run(1).id, not_if_live=True)) == 1


def test_outside_of_live_it_does_not_matter_who_was_reached(ledger: Ledger) -> None:
    reach_somebody(ledger, 0, Outcome.sent, RunState.completed)
    tried = ledger.create_run(a_run(1, mode=Mode.test))
    assert ledger.start_run(tried.id, not_if_live=True).state is RunState.running


# A campaign that is paused by hand


def test_what_waits_is_held_while_the_campaign_is_paused(ledger: Ledger) -> None:
    queue(ledger, a_run(0), a_run(1, beside=True))
    ledger.create_run(a_run(2, campaign="daily"))
    ledger.create_run(a_run(3, mode=Mode.test))
    paused = ledger.put_schedule(replace(ledger.schedules(Mode.live)["weekly"], paused=True))
    assert paused is not None
    assert numbers(ledger.work(Mode.live)) == [2]
    assert numbers(ledger.work(Mode.test)) == [3]
    assert numbers(ledger.queued(Mode.live, "weekly")) == [0, 1]
    ledger.put_schedule(replace(paused, paused=False))
    assert numbers(ledger.work(Mode.live)) == [0, 1, 2]


def test_what_has_begun_goes_on_while_the_campaign_is_paused(ledger: Ledger) -> None:
    queue(ledger, a_run(0))
    ledger.start_run(a_run(0).id)
    ledger.put_schedule(replace(ledger.schedules(Mode.live)["weekly"], paused=True))
    assert numbers(ledger.work(Mode.live)) == [0]


# Endings that come too late


@pytest.mark.parametrize("state", [*UNFINISHED, RunState.completed])
def test_an_ending_for_what_waits_leaves_what_has_begun_alone(ledger: Ledger, state: RunState) -> None:
    queue(ledger, a_run(0))
    run = ledger.start_run(a_run(0).id)
    claimed = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    if state.ended:
        ledger.finish(run.id, state)
    else:
        ledger.set_state(run.id, state, "so it is")
    before = ledger.run(run.id), ledger.states(run.id), ledger.slices(run.id)
    assert ledger.finish(run.id, RunState.skipped, "not live any more", only_from=RunState.queued) is False
    assert (ledger.run(run.id), ledger.states(run.id), ledger.slices(run.id)) == before
    if not state.ended:
        ledger.renew(claimed, LEASE)


def test_an_ending_for_what_waits_ends_it(ledger: Ledger) -> None:
    queue(ledger, a_run(0), a_run(1))
    assert ledger.finish(a_run(0).id, RunState.skipped, "too late", only_from=RunState.queued) is True
    assert ledger.finish(a_run(1).id, RunState.cancelled) is True
    assert (ended := ledger.run(a_run(0).id)) is not None
    assert (ended.state, ended.reason, ended.salt) == (RunState.skipped, "too late", None)
    with pytest.raises(UserError):
        ledger.finish("nosuchrun0000000", RunState.failed, only_from=RunState.queued)


def test_an_ending_by_a_holder_asks_for_its_lease_first(ledger: Ledger) -> None:
    run = ledger.create_run(by_hand(0))
    held = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    ledger.release(held)
    with pytest.raises(LeaseLost):
        ledger.finish(run.id, RunState.failed, slice=held, only_from=RunState.paused)
    held = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    assert not ledger.finish(run.id, RunState.failed, slice=held, only_from=RunState.paused)
    assert ledger.finish(run.id, RunState.failed, slice=held, only_from=RunState.running)


def test_a_run_is_started_and_skipped_at_once(rig: LedgerRig, ledger: Ledger) -> None:
    for number in range(4):
        run = ledger.create_run(a_run(number, campaign=f"c{number}"))

        def either(mine: Ledger, which: int, run_id: str = run.id) -> object:
            return mine.start_run(run_id) if which else mine.finish(run_id, RunState.skipped, only_from=RunState.queued)

        answers = at_once(rig, either, count=2)
        after = ledger.run(run.id)
        assert after is not None
        skipped = after.state is RunState.skipped
        assert skipped in answers  # True or False, as it is
        assert any(isinstance(answer, RunRecord) for answer in answers) is not skipped


# What a paused run says


@pytest.mark.parametrize("state", [RunState.paused, RunState.stopped])
def test_what_stands_still_goes_on_saying_why(ledger: Ledger, state: RunState) -> None:
    run = ledger.create_run(by_hand(0))
    held = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    ledger.set_state(run.id, state, "by hand")
    ledger.note(run.id, "waiting: rate 14/s")
    ledger.park(held, opens_at=NOON + LEASE, closes_at=NOON + 2 * LEASE, reason="waiting: quiet hours")
    assert (after := ledger.run(run.id)) is not None
    assert (after.state, after.reason) == (state, "by hand")
    assert [change.reason for change in ledger.states(run.id)] == ["", "by hand"]
    parked = ledger.slice(run.id)
    assert (parked.owner, parked.opens_at, parked.closes_at) == ("", NOON + LEASE, NOON + 2 * LEASE)


@pytest.mark.parametrize("state", [RunState.running, RunState.queued])
def test_what_goes_on_or_waits_says_what_for(ledger: Ledger, state: RunState) -> None:
    run = ledger.create_run(a_run(0, state=state))
    ledger.note(run.id, "waiting")
    assert [(change.state, change.reason) for change in ledger.states(run.id)] == [(state, ""), (state, "waiting")]


# Taking up what was paused meanwhile


def test_a_run_that_was_paused_meanwhile_is_left_alone(ledger: Ledger) -> None:
    run = ledger.create_run(by_hand(0))
    held = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    ledger.set_state(run.id, RunState.paused, "paused by hand")
    for holder in (None, held):
        with pytest.raises(RunPaused) as error:
            ledger.set_state(run.id, RunState.running, "", slice=holder, unless=RunState.paused)
        assert (error.value.run_id, error.value.exit_code) == (run.id, 0)
        assert error.value.problems[0].code == "run-paused"
    assert (after := ledger.run(run.id)) is not None
    assert (after.state, after.reason) == (RunState.paused, "paused by hand")
    assert ledger.slice(run.id) == held  # it still holds what it held
    ledger.set_state(run.id, RunState.running, "")  # who knows that it is paused may say so


@pytest.mark.parametrize("state", [RunState.running, RunState.stopped])
def test_a_run_that_nobody_paused_is_taken_up(ledger: Ledger, state: RunState) -> None:
    run = ledger.create_run(by_hand(0))
    ledger.set_state(run.id, state, "waiting")
    ledger.set_state(run.id, RunState.running, "", unless=RunState.paused)
    assert (after := ledger.run(run.id)) is not None
    assert (after.state, after.reason) == (RunState.running, "")


def test_a_run_is_paused_and_taken_up_at_once(rig: LedgerRig, ledger: Ledger) -> None:
    """Whoever is first, it is paused in the end."""
    for number in range(4):
        run = ledger.create_run(by_hand(number, campaign=f"c{number}"))

        def either(mine: Ledger, which: int, run_id: str = run.id) -> None:
            if which:
                mine.set_state(run_id, RunState.paused, "by hand")
            else:
                mine.set_state(run_id, RunState.running, "", unless=RunState.paused)

        at_once(rig, either, count=2)
        assert (after := ledger.run(run.id)) is not None
        assert (after.state, after.reason) == (RunState.paused, "by hand")


# Answers that are lost


@only_postgresql
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_ending_without_an_answer_is_made_once(
    rig: LedgerRig, ledger: Ledger, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(ledger, a_run(0))
    monkeypatch.setattr(transactions, "WAITS", (0.0, 0.0))
    commit, breaks = ledger._engine.dialect.do_commit, iter([True])

    def lose(connection: Any) -> None:
        if not next(breaks, False):
            return commit(connection)
        if when == "after":
            commit(connection)
        rig.cut()
        connection.execute("SELECT 1")  # the driver notices, and raises what it raises
        raise AssertionError("the connection was cut")

    monkeypatch.setattr(ledger._engine.dialect, "do_commit", lose)
    assert ledger.finish(a_run(0).id, RunState.skipped, "late", only_from=RunState.queued) is True
    assert [change.state for change in ledger.states(a_run(0).id)] == [RunState.queued, RunState.skipped]
    assert next(breaks, None) is None
