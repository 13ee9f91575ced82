"""What a ledger promises to several daemons that share it, also when they come at once and connections break."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connect.errors import ConnectError
from connect.ledger import transactions
from connect.ledger.owner import Owner
from connect.ledger.records import Bucket, NewRun, NewSlice, RunRecord, Schedule, Slice, Slots
from connect.ledger.refusals import LeaseLost, RunExists, SliceHeld
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, NOON, HandClock, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer
from connect.vocabulary import Mode, RunState

LEASE = timedelta(minutes=1)
HERE = Owner.here()
WEEKLY = Schedule(Mode.live, "weekly", "spec", "content", cursor=NOON)


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


def a_run(number: int, fire_time: int = 0, **changes: Any) -> NewRun:
    """One that has come due; the number makes its id."""
    fields: dict[str, Any] = {
        "id": f"run{number:013}",
        "mode": Mode.live,
        "campaign": "weekly",
        "fire_time": NOON + timedelta(minutes=fire_time),
        "manual": False,
        "digest": "d",
        "campaign_json": "{}",
        "salt": b"salt",
        "secret": b"secret",
        "state": RunState.queued,
    }
    return NewRun(**{**fields, **changes})


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


@pytest.mark.parametrize("known", [False, True])
def test_of_many_that_follow_a_trigger_at_once_one_decides(rig: LedgerRig, ledger: Ledger, known: bool) -> None:
    before = ledger.put_schedule(WEEKLY) if known else WEEKLY
    assert before is not None

    def follow(mine: Ledger, number: int) -> Schedule | None:
        after = replace(before, cursor=NOON + LEASE * (number + 1))
        return mine.put_schedule(after, [a_run(10 * number + minute, minute) for minute in range(number + 1)])

    (written,) = [answer for answer in at_once(rig, follow) if answer is not None]
    assert ledger.schedules(Mode.live) == {"weekly": written}
    assert written.version == before.version + 1
    queued = ledger.queued(Mode.live, "weekly")
    assert [run.fire_time for run in queued] == [NOON + LEASE * minute for minute in range(len(queued))]
    assert written.cursor == NOON + LEASE * len(queued)  # its own runs, and only those
    assert len({run.id[:-1] for run in queued}) == 1


def test_a_fire_time_and_a_person_come_at_once(rig: LedgerRig, ledger: Ledger) -> None:
    """Whoever is second is told so, or leaves the run out."""

    def either(mine: Ledger, number: int) -> object:
        if number % 2:
            return mine.create_run(a_run(number, manual=True, state=RunState.running))
        return mine.put_schedule(replace(WEEKLY, campaign="weekly"), [a_run(number)])

    answers = at_once(rig, either)
    assert len([answer for answer in answers if isinstance(answer, Schedule)]) == 1
    assert len(ledger.runs()) == 1
    assert ledger.ran(Mode.live, "weekly", NOON) == ledger.runs()[0]
    assert len(ledger.states(ledger.runs()[0].id)) == 1


def test_of_many_that_start_a_queued_run_at_once_one_does(rig: LedgerRig, ledger: Ledger) -> None:
    ledger.put_schedule(WEEKLY, [a_run(number, number) for number in range(3)])
    answers = at_once(rig, lambda mine, number: mine.start_run(a_run(number % 3).id, slices=(NewSlice(),) * 2))
    (started,) = [answer for answer in answers if isinstance(answer, RunRecord)]
    assert [answer.record.id for answer in answers if isinstance(answer, RunExists)] == [started.id] * 5
    assert [run.state for run in ledger.runs()].count(RunState.running) == 1
    assert [len(ledger.slices(run.id)) for run in ledger.runs() if run.id != started.id] == [0, 0]
    assert len(ledger.slices(started.id)) == 2


def test_a_run_is_started_and_cancelled_at_once(rig: LedgerRig, ledger: Ledger) -> None:
    """Whoever is first, nobody goes on with a run that has ended."""
    for number in range(8):
        run = a_run(number, number, campaign=f"c{number}")
        ledger.create_run(run)

        def either(mine: Ledger, which: int, run: NewRun = run) -> object:
            if which == 0:
                mine.finish(run.id, RunState.cancelled)
                return None
            mine.start_run(run.id)
            return mine.claim_slice(run.id, owner=HERE, lease=LEASE)

        answers = at_once(rig, either, count=2)
        assert (ended := ledger.run(run.id)) is not None
        assert (ended.state, ended.salt) == (RunState.cancelled, None)
        for claimed in [answer for answer in answers if isinstance(answer, Slice)]:
            with pytest.raises(LeaseLost):
                ledger.renew(claimed, LEASE)
        assert ledger.work(Mode.live) == []


def parted(ledger: Ledger, parts: int, number: int = 0) -> str:
    bounds = [f"{number:x}" for number in range(parts + 1)]
    slices = tuple(NewSlice(low, high) for low, high in pairwise(bounds))
    run = a_run(number, number, campaign=f"c{number}", state=RunState.running, slices=slices)
    return ledger.create_run(run).id


def test_many_that_claim_at_once_get_each_a_slice_of_its_own(rig: LedgerRig, ledger: Ledger) -> None:
    run_id = parted(ledger, 4)
    answers = at_once(rig, lambda mine, _: mine.claim_slice(run_id, owner=HERE, lease=LEASE))
    claimed = [answer for answer in answers if isinstance(answer, Slice)]
    assert sorted(slice.low for slice in claimed) == ["0", "1", "2", "3"]
    assert Counter(type(answer) for answer in answers)[SliceHeld] == 2
    assert sorted(ledger.slices(run_id), key=lambda slice: slice.id) == sorted(claimed, key=lambda slice: slice.id)


def test_of_slices_that_end_at_once_one_is_the_last(rig: LedgerRig, ledger: Ledger) -> None:
    run_ids = [parted(ledger, 4, number) for number in range(12)]
    claimed = [[ledger.claim_slice(run_id, owner=HERE, lease=LEASE) for _ in range(4)] for run_id in run_ids]
    ready = threading.Barrier(4)

    def end(mine: Ledger, number: int) -> list[bool]:
        """One of each run, side by side with the others."""
        return [ready.wait() >= 0 and mine.end_slice(slices[number]) for slices in claimed]

    answers = at_once(rig, end, count=4)
    assert [sum(each) for each in zip(*answers, strict=True)] == [1] * len(run_ids)
    assert {(run.state, run.salt) for run in ledger.runs()} == {(RunState.completed, None)}


def dates(slots: Slots) -> list[Any]:
    return [slots.first + number * slots.spacing for number in range(slots.count)]


def test_slots_that_are_taken_at_once_keep_the_rate(rig: LedgerRig, ledger: Ledger) -> None:
    """Buckets that nobody has used yet, in either order; not one slot is given twice or too early."""
    account, campaign = Bucket("account/ses", LEASE / 600), Bucket("campaign/live/weekly", LEASE / 300)

    def take(mine: Ledger, number: int) -> list[Any]:
        both = [account, campaign] if number % 2 else [campaign, account]
        return [date for _ in range(5) for date in dates(mine.take_slots(both, 3))]

    taken = sorted(date for answer in at_once(rig, take) for date in answer)
    assert taken == [NOON + campaign.spacing * number for number in range(6 * 5 * 3)]


class Lost:
    """Connections break once, at the next commit: before the server has it, or before its answer has come back."""

    def __init__(self, rig: LedgerRig, ledger: Ledger, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._rig, self._when, self.armed, self.times = rig, when, False, 0
        self._commit = ledger._engine.dialect.do_commit
        monkeypatch.setattr(ledger._engine.dialect, "do_commit", self.commit)
        monkeypatch.setattr(transactions, "WAITS", (0.0, 0.0))

    def commit(self, connection: Any) -> None:
        if not self.armed:
            return self._commit(connection)
        self.armed, self.times = False, self.times + 1
        if self._when == "after":
            self._commit(connection)
        self._rig.cut()
        connection.execute("SELECT 1")  # the driver notices, and raises what it raises
        raise AssertionError("the connection was cut")

    def with_(self, work: Callable[[], Any]) -> Any:
        self.armed = True
        return work()


@only_postgresql
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_has_no_answer_is_done_once(
    rig: LedgerRig, ledger: Ledger, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Lost(rig, ledger, when, monkeypatch)
    first = lost.with_(lambda: ledger.put_schedule(WEEKLY, [a_run(0)]))
    second = lost.with_(lambda: ledger.put_schedule(replace(first, paused=True), [a_run(1, 1)]))
    assert ledger.schedules(Mode.live) == {"weekly": second}
    assert (second.version, len(ledger.queued(Mode.live, "weekly"))) == (2, 2)
    run = lost.with_(lambda: ledger.start_run(a_run(0).id, slices=(NewSlice("", "8"), NewSlice("8"))))
    assert (ledger.run(run.id), len(ledger.slices(run.id))) == (run, 2)
    slice = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    lost.with_(lambda: ledger.park(slice, opens_at=NOON, reason="waiting"))
    assert [change.reason for change in ledger.states(run.id)] == ["", "", "waiting"]
    for is_last in (False, True):
        slice = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
        assert lost.with_(partial(ledger.end_slice, slice)) is is_last
    assert [change.state for change in ledger.states(run.id)][2:] == [RunState.running, RunState.completed]
    assert lost.times == 6


@only_postgresql
@pytest.mark.parametrize("when", ["before", "after"])
def test_slots_without_an_answer_are_lost_and_never_doubled(
    rig: LedgerRig, ledger: Ledger, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, bucket = Lost(rig, ledger, when, monkeypatch), Bucket("account/ses", LEASE)
    given = [lost.with_(lambda: ledger.take_slots([bucket], 2)), ledger.take_slots([bucket], 1)]
    begins = NOON if when == "before" else NOON + 2 * LEASE
    assert [slots.first for slots in given] == [begins, begins + 2 * LEASE]


@only_postgresql
def test_slots_and_beats_go_by_the_servers_clock(rig: LedgerRig) -> None:
    ahead = HandClock()
    ahead.pass_time(days=1)
    with closing(Ledger.open(rig.url, project="acme", target="dev", clock=ahead)) as other:
        assert other.now() == NOON
        assert other.take_slots([Bucket("account/ses", LEASE)], 1).first == NOON
        run_id = other.create_run(a_run(0, state=RunState.running, slices=(NewSlice(opens_at=NOON + LEASE),))).id
        assert other.work(Mode.live) == []
        rig.clock.pass_time(minutes=1)
        assert [run.id for run in other.work(Mode.live)] == [run_id]
