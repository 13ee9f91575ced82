"""Old runs are pruned, except those that a campaign still needs; the ledger does not grow with the audience."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent, Tally
from connect.ledger.tables import METADATA
from connect.vocabulary import Channel, Mode, Outcome, RunState

COMPLETED, FAILED, CANCELLED = RunState.completed, RunState.failed, RunState.cancelled
SENT = (Channel.email, "", Outcome.sent, "")
REACHED = (Tally(*SENT, 1),)
QUARTER = timedelta(days=90)


@pytest.fixture
def ran(ledger, a_run, clock):
    """Runs, one a day, each ended in a state; gives the id."""

    def make(state: RunState | None = COMPLETED, **changes) -> str:
        clock.pass_time(days=1)
        run = ledger.create_run(a_run(**{"manual": False, "fire_time": clock.now(), **changes}))
        if state and state.ended:
            ledger.finish(run.id, state)
        elif state:
            ledger.set_state(run.id, state, "")
        return run.id

    return make


def kept(ledger) -> list[str]:
    return [run.id for run in reversed(ledger.runs(limit=1000))]


def test_runs_that_ended_long_ago_go_with_all_that_is_theirs(ledger, ran, clock):
    old = [ran(tallies=REACHED) for _ in range(3)]
    clock.pass_time(days=90)
    new = ran(tallies=REACHED)
    assert ledger.prune(QUARTER) == 3
    assert kept(ledger) == [new]
    assert ledger.run(old[0]) is None
    with ledger.read() as connection:
        rows = {
            name: connection.execute(select(func.count()).select_from(METADATA.tables[name])).scalar_one()
            for name in ("runs", "slices", "tallies", "intents", "states")
        }
    assert rows == {"runs": 1, "slices": 1, "tallies": 1, "intents": 0, "states": 2}
    assert ledger.prune(QUARTER) == 0


def test_age_counts_from_the_end(ledger, ran, clock):
    ran()
    clock.pass_time(days=89)
    ran()
    assert ledger.prune(QUARTER) == 0
    clock.pass_time(seconds=1)
    assert ledger.prune(QUARTER) == 1


@pytest.mark.parametrize("state", [RunState.running, RunState.paused, RunState.stopped])
def test_a_run_that_has_not_ended_stays(ledger, ran, clock, state):
    waiting = ran(state, campaign="a")
    done = [ran(campaign="b"), ran(campaign="b")]
    clock.pass_time(days=1000)
    assert ledger.prune(QUARTER) == 1
    assert kept(ledger) == [waiting, done[1]]


def test_the_newest_of_a_campaign_and_mode_stays_however_old(ledger, ran, clock):
    first = ran(campaign="once", manual=True)
    others = [ran(campaign="yearly"), ran(campaign="yearly", mode=Mode.test)]
    clock.pass_time(days=1000)
    assert ledger.prune(QUARTER) == 0
    assert kept(ledger) == [first, *others]
    assert ledger.has_run_live("once").id == first


def test_what_only_an_older_run_tells_stays(ledger, ran, clock):
    """Later ones that failed before they reached anybody do not say that the campaign has run."""
    completed = ran()
    reached = ran(FAILED, tallies=REACHED)
    failed = [ran(FAILED), ran(CANCELLED)]
    clock.pass_time(days=1000)
    before = [ledger.last_completed(Mode.live, "trial-ending"), ledger.has_run_live("trial-ending")]
    assert ledger.prune(QUARTER) == 1
    assert kept(ledger) == [completed, reached, failed[1]]
    assert [ledger.last_completed(Mode.live, "trial-ending"), ledger.has_run_live("trial-ending")] == before


def test_a_fire_time_does_not_become_due_again(ledger, ran, clock):
    """A run by hand comes later, and has another fire time than the one that is due."""
    due = ran()
    fire_time = clock.now()
    by_hand = ran(manual=True)
    clock.pass_time(days=1000)
    assert ledger.prune(QUARTER) == 0
    assert ledger.ran(Mode.live, "trial-ending", fire_time).id == due
    assert kept(ledger) == [due, by_hand]


def test_many_runs_are_pruned_at_once(ledger, a_run, clock, monkeypatch):
    monkeypatch.setattr(type(ledger._place), "forget", lambda *_: None)  # once is enough, and not for each run
    for _ in range(60):
        clock.pass_time(hours=1)
        ledger.finish(ledger.create_run(a_run(fire_time=clock.now())).id, COMPLETED)
    clock.pass_time(days=100)
    assert ledger.prune(QUARTER) == 59


async def sweep(commits: Commits, start: int, stop: int) -> None:
    for first in range(start, stop, 500):
        keys = [number.to_bytes(16, "little") for number in range(first, first + 500)]
        await commits.intend([Intent(key, first, Channel.email, "smtp", 0) for key in keys])
        await commits.settle([(key, Outcome.sent, "") for key in keys])
        await commits.advance(f"{first:032x}", {SENT: 500}, keys)


async def test_the_size_does_not_follow_the_audience(ledger, a_run):
    """Ten times the deliveries, and no more on the disk than the space that waits to be used again."""
    sizes = []
    for deliveries in (2_000, 20_000):
        run = ledger.create_run(a_run())
        commits = Commits(ledger, ledger.claim_slice(run.id, owner=Owner.here(), lease=timedelta(hours=1)), linger=0)
        await sweep(commits, 0, deliveries)
        await commits.close()
        await asyncio.to_thread(ledger.finish, run.id, COMPLETED)
        sizes.append(ledger.size())
    assert sizes[0] > 0
    assert sizes[1] < sizes[0] + 4_000_000
