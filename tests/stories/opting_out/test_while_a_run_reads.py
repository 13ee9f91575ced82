"""Opt-outs by hand and from files, heeded by runs that have read these rows already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.ledger.records import NewRun
from connect.ledger.store import Ledger
from connect.pipeline import sealing
from connect.pipeline.waiting import Waiting
from connect.vocabulary import Mode, RunState

LEAVERS = "id,status\n" + "".join(f"id-0000{number},unsubscribed\n" for number in range(4, 8)) + "id-00008,subscribed\n"
Heeded = Callable[[], set[str | None]]


@pytest.fixture
def ledger(listing: Any) -> Iterator[Ledger]:
    with closing(wiring.open_ledger(wiring.open_project(listing.root, None, None, os.environ), SystemClock())) as found:
        yield found


@pytest.fixture
def heeded(listing: Any, ledger: Ledger) -> Heeded:
    """The ids of those who have opted out since a run has read everything."""
    project = wiring.open_project(listing.root, None, None, os.environ)
    waiting = Waiting(ledger, project.secret, ledger.clock)
    waiting.look()
    read_at = ledger.clock.monotonic()

    def heeded() -> set[str | None]:
        waiting.look()
        return {change.id for change in waiting.changes(read_at) if change.status != "subscribed"}

    return heeded


def test_by_hand(listing: Any, heeded: Heeded, ledger: Ledger) -> None:
    assert listing.connect("subscriptions", "unsubscribe", "id-00001").code == 0
    assert heeded() == {"id-00001"}
    assert b"id-00001" not in b"".join(one.sealed + one.name for one in ledger.taken())
    assert ledger.held_count() == 0


def test_from_a_file_where_a_run_is_at_work(
    listing: Any, heeded: Heeded, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listing.root / "leavers.csv").write_text(LEAVERS)
    importing = ("subscriptions", "import", "leavers.csv", "--at", "2026-11-22 09:00", "--yes")
    assert listing.connect(*importing).code == 0
    assert heeded() == set()  # whoever begins to read now, reads the table
    run = NewRun("0" * 16, Mode.live, "hello", datetime.now(UTC), True, "d", "{}", b"salt", b"secret")
    ledger.create_run(run)
    assert ledger.runs(state=RunState.running)
    assert "a run is at work" not in listing.connect(*importing).err
    assert heeded() == {"id-00004", "id-00005", "id-00006", "id-00007"}
    monkeypatch.setattr(sealing, "MOST_NOTED", 3)
    assert "heeds the first 3 of these" in listing.connect(*importing).err
