"""How things stand, in numbers, on each engine of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.ledger.owner import Owner
from connect.ledger.records import NewRun, Tally
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, NOON, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer
from connect.vocabulary import Channel, Mode, Outcome, RunState


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


def a_run(number: int, **changes: Any) -> NewRun:
    fields: dict[str, Any] = {
        "id": f"run{number:013}",
        "mode": Mode.live,
        "campaign": "weekly",
        "fire_time": NOON + timedelta(hours=number),
        "manual": False,
        "digest": "d",
        "campaign_json": "{}",
        "salt": b"salt",
        "secret": b"secret",
    }
    return NewRun(**{**fields, **changes})


def sent(count: int) -> tuple[Tally, ...]:
    return (
        Tally(Channel.email, "", Outcome.sent, "", count),
        Tally(Channel.email, "", Outcome.failed, "a", 1),
        Tally(Channel.email, "", Outcome.failed, "b", 2),
    )


def test_of_each_campaign_the_last_live_run(rig: LedgerRig, ledger: Ledger) -> None:
    ledger.create_run(a_run(1, tallies=sent(10)))
    rig.clock.pass_time(minutes=5)
    completed_at = ledger.now()
    ledger.end_slice(ledger.claim_slice("run0000000000001", owner=Owner.here(), lease=timedelta(minutes=1)))
    rig.clock.pass_time(minutes=5)
    ledger.create_run(a_run(2, tallies=sent(20)))
    ledger.set_state("run0000000000002", RunState.paused, "why")
    ledger.create_run(a_run(3, campaign="daily", mode=Mode.test))
    census = ledger.census(["daily", "never", "weekly"])
    (last,) = census.last
    assert (last.campaign, last.run_id, last.state) == ("weekly", "run0000000000002", RunState.paused)
    assert last.completed_at is not None
    assert abs(last.completed_at - completed_at) < timedelta(seconds=1)
    assert last.deliveries == {(Channel.email, Outcome.sent): 20, (Channel.email, Outcome.failed): 3}
    assert census.runs == {(Mode.live, RunState.paused): 1, (Mode.test, RunState.running): 1}


def test_what_waits_for_its_turn_tells_since_when(rig: LedgerRig, ledger: Ledger) -> None:
    assert ledger.census([]).queued_since == {}
    for number in (3, 1, 2):
        ledger.create_run(a_run(number, state=RunState.queued))
    census = ledger.census(["weekly"])
    assert census.queued_since == {Mode.live: NOON + timedelta(hours=1)}
    assert census.runs == {(Mode.live, RunState.queued): 3}
    assert census.last[0].completed_at is None
    assert (census.held, census.daemons) == (0, ())
