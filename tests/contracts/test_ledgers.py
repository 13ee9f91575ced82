"""What a ledger promises on every engine, also when several come at once and connections break."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.errors import OutsideError, UserError
from connect.ledger import transactions
from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent, NewRun, RunRecord, Slice
from connect.ledger.refusals import LeaseLost, RunExists, SliceHeld
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, NOON, HandClock, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer, shared_server
from connect.vocabulary import Channel, Mode, Outcome, RunState

LEASE = timedelta(minutes=1)
SENT = (Channel.email, "", Outcome.sent, "")
HERE = Owner.here()


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


def a_run(number: int = 0, **changes: Any) -> NewRun:
    fields: dict[str, Any] = {
        "id": f"run{number:013}",
        "mode": Mode.live,
        "campaign": "welcome",
        "fire_time": NOON + timedelta(minutes=number),
        "manual": False,
        "digest": "d",
        "campaign_json": "{}",
        "salt": b"salt",
        "secret": b"secret",
    }
    return NewRun(**{**fields, **changes})


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def intents(*numbers: int) -> list[Intent]:
    return [Intent(key(number), number, Channel.email, "smtp", 0) for number in numbers]


@pytest.fixture
def slice(ledger: Ledger) -> Slice:
    return ledger.claim_slice(ledger.create_run(a_run()).id, owner=HERE, lease=LEASE)


def at_once(rig: LedgerRig, work: Callable[[Ledger, int], object], count: int = 6) -> list[object]:
    """What each of several answers or raises, each with a ledger of its own, all at one instant."""
    ready, answers = threading.Barrier(count), []

    def one(number: int) -> None:
        with closing(rig.open()) as ledger:
            ready.wait()
            try:
                answers.append(work(ledger, number))
            except (OutsideError, UserError) as error:
                answers.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_of_many_that_start_a_run_at_once_one_does(rig: LedgerRig, ledger: Ledger) -> None:
    answers = at_once(rig, lambda mine, number: mine.create_run(a_run(number, fire_time=NOON)))
    made = [answer for answer in answers if isinstance(answer, RunRecord)]
    assert len(made) == 1
    assert [answer.record for answer in answers if isinstance(answer, RunExists)] == made * 5
    assert ledger.runs() == made


def test_of_many_that_claim_a_slice_at_once_one_gets_it(rig: LedgerRig, ledger: Ledger) -> None:
    run = ledger.create_run(a_run())
    answers = at_once(rig, lambda mine, _: mine.claim_slice(run.id, owner=HERE, lease=LEASE))
    assert sorted(type(answer).__name__ for answer in answers) == ["Slice", *["SliceHeld"] * 5]
    assert ledger.slice(run.id).epoch == 1


def test_states_that_are_told_at_once_are_all_kept(rig: LedgerRig, ledger: Ledger) -> None:
    run = ledger.create_run(a_run())
    assert at_once(rig, lambda mine, number: mine.note(run.id, f"waiting: {number}")) == [None] * 6
    assert {change.reason for change in ledger.states(run.id)} == {"", *(f"waiting: {number}" for number in range(6))}


async def test_a_run_that_is_cancelled_while_it_sends_loses_no_delivery(ledger: Ledger, slice: Slice) -> None:
    """Every intent is either counted as in doubt when the run ends, or its worker hears that it lost the lease."""
    commits, written = Commits(ledger, slice, linger=0), 0
    ending = threading.Thread(target=ledger.finish, args=(slice.run_id, RunState.cancelled))
    try:
        while True:
            await commits.intend(intents(written))
            written += 1
            if written == 20:
                ending.start()
    except LeaseLost:
        ending.join()
    await commits.close()
    assert [(tally.reason, tally.count) for tally in ledger.tallies(slice.run_id)] == [("in_doubt", written)]


async def test_connections_that_went_stale_are_made_again(rig: LedgerRig, ledger: Ledger, slice: Slice) -> None:
    commits = Commits(ledger, slice)
    await commits.intend(intents(1))
    rig.cut()
    assert ledger.run(slice.run_id)
    rig.cut()
    await commits.intend(intents(2))
    rig.cut()
    ledger.renew(slice, LEASE)
    assert len(ledger.intents(slice.id)) == 2
    await commits.close()


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


@pytest.fixture(params=["before", "after"])
def lost(request: pytest.FixtureRequest, rig: LedgerRig, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Lost:
    return Lost(rig, ledger, request.param, monkeypatch)


@only_postgresql
async def test_writes_whose_commit_has_no_answer_are_written_once(ledger: Ledger, slice: Slice, lost: Lost) -> None:
    commits = Commits(ledger, slice)
    writes: list[Callable[[], Any]] = [
        lambda: commits.intend(intents(1, 2, 3)),
        lambda: commits.settle([(key(1), Outcome.sent, "")]),
        lambda: commits.withdraw([key(2)]),
        lambda: commits.advance("5", {SENT: 1}, [key(1)]),
        lambda: commits.advance("5", {SENT: 3}, [], settled=[(key(3), Outcome.failed, "other")]),
    ]
    for write in writes:
        lost.armed = True
        await write()
    assert lost.times == len(writes)
    assert [(each.key, each.outcome) for each in ledger.intents(slice.id)] == [(key(3), Outcome.failed)]
    assert [tally.count for tally in ledger.tallies(slice.run_id)] == [4]
    assert ledger.slice(slice.run_id).cursor == "5"
    await commits.close()


@only_postgresql
def test_what_is_done_with_a_run_is_done_once(ledger: Ledger, lost: Lost) -> None:
    def loses(work: Callable[[], Any]) -> Any:
        lost.armed = True
        return work()

    run = loses(lambda: ledger.create_run(a_run()))
    assert ledger.runs() == [run]
    slice = loses(lambda: ledger.claim_slice(run.id, owner=HERE, lease=LEASE))
    assert (slice.epoch, ledger.slice(run.id)) == (1, slice)
    assert loses(lambda: ledger.renew(slice, 2 * LEASE)) == ledger.slice(run.id)
    loses(lambda: ledger.note(run.id, "waiting: rate 14/s"))
    assert [change.reason for change in ledger.states(run.id)] == ["", "waiting: rate 14/s"]
    loses(lambda: ledger.finish(run.id, RunState.completed, slice=slice))
    assert [change.state for change in ledger.states(run.id)][1:] == [RunState.running, RunState.completed]
    assert lost.times == 5


@only_postgresql
async def test_a_commit_without_an_answer_may_meet_a_successor(
    rig: LedgerRig, ledger: Ledger, slice: Slice, lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the connection was gone another worker took over: nothing more is written by the old one."""

    def take_over(_: float) -> None:
        rig.clock.pass_time(minutes=5)
        with closing(rig.open()) as other:
            other.claim_slice(slice.run_id, owner=Owner("elsewhere", 1, "1"), lease=LEASE)

    commits = Commits(ledger, slice)
    monkeypatch.setattr(commits._closing, "wait", lambda seconds: take_over(seconds) if lost.times else None)
    lost.armed = True
    try:
        await commits.advance("5", {SENT: 1}, [])
    except LeaseLost:
        assert lost._when == "before"
    counted = sum(tally.count for tally in ledger.tallies(slice.run_id))
    assert counted == (1 if lost._when == "after" else 0)


class ComesBack:
    """Waits between tries: at the third, the database is back."""

    def __init__(self, come_back: Callable[[], None]) -> None:
        self.come_back, self.waited = come_back, 0

    def __iter__(self) -> Iterator[float]:
        for self.waited in (1, 2, 3):
            if self.waited == 3:
                self.come_back()
            yield 0.0


@only_postgresql
async def test_a_database_that_goes_and_comes_back(
    rig: LedgerRig, ledger: Ledger, slice: Slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ledger._engine.url.database
    server, allow = shared_server(), f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS'
    commits = Commits(ledger, slice)
    server.sql(f"{allow} false")
    rig.cut()
    monkeypatch.setattr(transactions, "WAITS", (0.0,))
    with pytest.raises(OutsideError, match="can not be reached") as error:
        await commits.intend(intents(1))
    assert error.value.problems[0].code == "ledger-unavailable"
    with pytest.raises(OutsideError, match="can not be reached"):
        ledger.runs()
    waits = ComesBack(lambda: server.sql(f"{allow} true"))
    monkeypatch.setattr(transactions, "WAITS", waits)
    await commits.intend(intents(2))
    assert waits.waited == 3
    assert [each.sequence for each in ledger.intents(slice.id)] == [2]
    await commits.close()


@only_postgresql
def test_leases_go_by_the_servers_clock(rig: LedgerRig, slice: Slice) -> None:
    ahead = HandClock()
    ahead.pass_time(days=1)
    with closing(Ledger.open(rig.url, project="acme", target="dev", clock=ahead)) as other:
        with pytest.raises(SliceHeld):
            other.claim_slice(slice.run_id, owner=Owner("elsewhere", 1, "1"), lease=LEASE)
        rig.clock.pass_time(seconds=61)
        taken = other.claim_slice(slice.run_id, owner=Owner("elsewhere", 1, "1"), lease=LEASE)
    assert taken.lease_until == rig.clock.now() + LEASE


@only_postgresql
def test_a_suspended_process_does_not_keep_its_locks_and_commits_are_durable(ledger: Ledger) -> None:
    wanted = {
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "10s",
        "statement_timeout": "30s",
        "synchronous_commit": "on",
        "transaction_isolation": "read committed",
    }
    with ledger.write() as connection:
        found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in wanted}
    assert found == wanted


@only_postgresql
def test_a_stricter_server_stays_strict(rig: LedgerRig, ledger: Ledger) -> None:
    server, name = shared_server(), ledger._engine.url.database
    for given, expected in (("remote_apply", "remote_apply"), ("off", "on")):
        server.sql(f'ALTER DATABASE "{name}" SET synchronous_commit = {given}')
        with closing(rig.open()) as other, other.read() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == expected
