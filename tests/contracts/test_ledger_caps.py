"""Runs that share a cap are taken one after the other, on every engine of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from connect.ledger import caps
from connect.ledger.commits import Commits
from connect.ledger.records import RunRecord
from connect.ledger.refusals import CapHeld
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer
from connect.vocabulary import Mode, Outcome, RunState
from tests.contracts.test_ledgers import HERE, LEASE, a_run, at_once, intents


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


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("all", "all", True),
        ("all", "campaign:a", True),
        ("topic:news", "all", True),
        ("topic:news", "topic:news", True),
        ("topic:news", "topic:offers", False),
        ("campaign:a", "campaign:b", False),
        ("campaign:a", "campaign:a", True),
        ("topic:news", "campaign:a", True),
        ("", "all", False),
        ("", "", False),
    ],
)
def test_what_is_shared(one: str, other: str, shared: bool) -> None:
    assert caps.share(one, other) is shared
    assert caps.share(other, one) is shared


def capped(ledger: Ledger, number: int, cap: str = "all") -> RunRecord:
    return ledger.create_run(a_run(number, mode=Mode.live, campaign=f"campaign-{number}", cap=cap))


def held_by(ledger: Ledger, run: RunRecord) -> str:
    with pytest.raises(CapHeld) as raised:
        ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    return raised.value.holder.campaign


def test_the_second_waits_until_the_first_lets_go(ledger: Ledger) -> None:
    one, other = capped(ledger, 1), capped(ledger, 2)
    free = capped(ledger, 3, cap="")
    held = ledger.claim_slice(one.id, owner=HERE, lease=LEASE)
    assert held_by(ledger, other) == "campaign-1"
    assert ledger.claim_slice(free.id, owner=HERE, lease=LEASE)
    ledger.release(held)
    again = ledger.claim_slice(other.id, owner=HERE, lease=LEASE)
    assert held_by(ledger, one) == "campaign-2"
    assert ledger.end_slice(again)
    assert ledger.claim_slice(one.id, owner=HERE, lease=LEASE)


async def test_who_has_deliveries_that_are_not_written_holds_it_though_nobody_works(ledger: Ledger) -> None:
    one, other = capped(ledger, 1), capped(ledger, 2)
    held = ledger.claim_slice(one.id, owner=HERE, lease=LEASE)
    commits = Commits(ledger, held)
    await commits.intend(intents(1))
    await commits.close()
    ledger.set_state(one.id, RunState.paused, "looked at", slice=held)
    assert held_by(ledger, other) == "campaign-1"
    assert [run.id for run in ledger.work(Mode.live)] == []
    ledger.finish(one.id, RunState.cancelled)
    assert [tally.outcome for tally in ledger.tallies(one.id)] == [Outcome.unknown]
    assert [run.id for run in ledger.work(Mode.live)] == [other.id]
    assert ledger.claim_slice(other.id, owner=HERE, lease=LEASE)


def test_a_worker_that_is_gone_holds_nothing(ledger: Ledger, rig: LedgerRig) -> None:
    one, other = capped(ledger, 1), capped(ledger, 2)
    ledger.claim_slice(one.id, owner=HERE, lease=timedelta(0))
    assert ledger.claim_slice(other.id, owner=HERE, lease=LEASE)


def test_of_many_that_claim_at_once_one_does(rig: LedgerRig, ledger: Ledger) -> None:
    made = [capped(ledger, number) for number in range(6)]
    answers = at_once(rig, lambda mine, number: mine.claim_slice(made[number].id, owner=HERE, lease=LEASE))
    assert sum(isinstance(answer, CapHeld) for answer in answers) == 5
