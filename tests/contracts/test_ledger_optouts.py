"""Opt-outs that wait for the warehouse, on every engine of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from connect.ledger import optouts
from connect.ledger.shared_clock import SharedClock
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, HandClock, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer
from tests.contracts.test_ledgers import HERE, a_run, at_once

ONE, TWO, THREE = (bytes([number]) * 16 for number in (1, 2, 3))


@pytest.fixture(params=ENGINES)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerRig]:
    try:
        with ledger_rig(request.param, tmp_path) as rig:
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture
def ledger(rig: LedgerRig) -> Iterator[Ledger]:
    with closing(rig.open()) as ledger:
        yield ledger


def names(ledger: Ledger, after: int = 0) -> list[bytes]:
    return [one.name for one in ledger.held(after)]


def test_each_is_held_once_and_in_order(ledger: Ledger) -> None:
    ledger.hold({ONE: b"sealed"})
    ledger.hold({TWO: b"other", ONE: b"sealed again"})
    assert [(one.name, one.sealed) for one in ledger.held()] == [(ONE, b"sealed"), (TWO, b"other")]
    assert (ledger.held_count(), len(ledger.held_ids())) == (2, 2)


def test_what_the_warehouse_has_is_kept_for_a_while(ledger: Ledger, rig: LedgerRig) -> None:
    ledger.hold({ONE: b"1"})
    ledger.note_taken({TWO: b"2"})
    ledger.let_go([ONE])
    ledger.hold({TWO: b"2"})  # the warehouse has it already
    ledger.forget_gone()
    assert (ledger.held(), ledger.held_ids(), ledger.held_count()) == ([], [], 0)
    assert [(one.name, one.is_gone) for one in ledger.taken()] == [(ONE, True), (TWO, True)]
    ledger.hold({THREE: b"3"})
    ledger.transact(lambda connection: optouts.remove_past(connection, ledger.clock.now() + 2 * optouts.KEPT))
    assert [one.name for one in ledger.taken()] == names(ledger) == [THREE]


def test_what_the_warehouse_has_is_kept_for_a_run_whose_read_takes_longer(ledger: Ledger, rig: LedgerRig) -> None:
    rig.clock.pass_time(hours=1)
    ledger.note_taken({ONE: b"1"})
    rig.clock.pass_time(minutes=40)
    slice = ledger.claim_slice(ledger.create_run(a_run()).id, owner=HERE, lease=timedelta(seconds=30))
    ledger.forget_gone()
    assert ledger.taken() == []  # no read of this run is so old
    ledger.note_taken({TWO: b"2"})
    for _ in range(4):
        rig.clock.pass_time(minutes=20)
        slice = ledger.renew(slice, timedelta(minutes=21))
    ledger.forget_gone()
    assert [one.name for one in ledger.taken()] == [TWO]
    rig.clock.pass_time(minutes=22)  # whoever read has died
    ledger.forget_gone()
    assert ledger.taken() == []


def test_what_the_warehouse_has_is_kept_for_a_day_at_most(ledger: Ledger, rig: LedgerRig) -> None:
    ledger.claim_slice(ledger.create_run(a_run()).id, owner=HERE, lease=timedelta(days=3))
    ledger.note_taken({ONE: b"1"})
    rig.clock.pass_time(hours=23)
    ledger.forget_gone()
    assert [one.name for one in ledger.taken()] == [ONE]
    rig.clock.pass_time(hours=2)
    ledger.forget_gone()
    assert ledger.taken() == []


def test_an_id_is_never_used_again(ledger: Ledger) -> None:
    ledger.hold({ONE: b"1", TWO: b"2"})
    last = ledger.held()[-1].id
    ledger.let_go([ONE, TWO])
    ledger.let_go([TWO])
    assert ledger.held() == []
    ledger.hold({THREE: b"3"})
    assert names(ledger, after=last) == [THREE]


def test_who_reads_on_misses_none_of_many_that_come_at_once(rig: LedgerRig, ledger: Ledger) -> None:
    def hold(mine: Ledger, number: int) -> None:
        for turn in range(10):
            mine.hold({bytes([number, turn]) * 8: b"sealed"})

    seen: list[bytes] = []
    behind = 0

    def read(mine: Ledger, number: int) -> None:
        nonlocal behind
        if number:
            hold(mine, number)
            return
        while len(seen) < 50:
            for one in mine.held(behind):
                seen.append(one.name)
                behind = one.id

    at_once(rig, read)
    assert len(set(seen)) == len(seen) == 50


def test_servers_whose_clocks_differ_go_by_the_ledgers(rig: LedgerRig, ledger: Ledger) -> None:
    slow = HandClock()  # of another machine; the first one's goes with the database's
    rig.clock.pass_time(hours=1)
    with closing(Ledger.open(rig.url, project="acme", target="dev", clock=slow)) as there:
        shared = SharedClock(there)
        assert shared.now() == slow.now()  # it has not looked yet
        shared.look()
        slow.pass_time(seconds=5)  # by its own count
        rig.clock.pass_time(seconds=5)
        expected = ledger.now() if rig.engine == "postgresql" else slow.now()
        assert abs(shared.now() - expected) < timedelta(milliseconds=1)
