"""A schedule that takes another one's place: both are written, or none, on every engine that a ledger can be on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connect.ledger.records import Schedule
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, NOON, ledger_rig
from connect.testing.postgres import NoServer
from connect.vocabulary import Mode

OLD = Schedule(Mode.live, "weekly", "spec", "content", cursor=NOON, live_since=NOON)


@pytest.fixture(params=ENGINES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    try:
        with ledger_rig(request.param, tmp_path) as rig, closing(rig.open()) as ledger:
            yield ledger
    except NoServer as why:
        pytest.skip(str(why))


def test_both_are_written(ledger: Ledger) -> None:
    old = ledger.put_schedule(OLD)
    assert old
    new = ledger.put_schedule(replace(OLD, campaign="news"), instead_of=replace(old, live_since=None))
    found = ledger.schedules(Mode.live)
    assert found["news"] == new
    assert (found["weekly"].live_since, found["weekly"].version) == (None, 2)


def test_nothing_is_written_where_the_old_one_has_moved_on(ledger: Ledger) -> None:
    old = ledger.put_schedule(OLD)
    assert old
    moved = ledger.put_schedule(replace(old, cursor=NOON + timedelta(hours=1)))
    assert ledger.put_schedule(replace(OLD, campaign="news"), instead_of=replace(old, live_since=None)) is None
    assert ledger.schedules(Mode.live) == {"weekly": moved}


def test_nothing_is_written_where_the_new_one_is_there(ledger: Ledger) -> None:
    old, new = ledger.put_schedule(OLD), ledger.put_schedule(replace(OLD, campaign="news"))
    assert old
    assert ledger.put_schedule(replace(OLD, campaign="news"), instead_of=replace(old, live_since=None)) is None
    assert ledger.schedules(Mode.live) == {"weekly": old, "news": new}
