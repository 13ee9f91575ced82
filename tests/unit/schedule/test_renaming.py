"""A file that is renamed while daemons share the work: no fire time is lost, and none fires under both names."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connect.ledger.records import RunRecord
from connect.ledger.store import Ledger
from connect.project.campaigns import Loaded
from connect.redact import Redactor
from connect.schedule.following import Following
from connect.schedule.log import Log
from connect.schedule.turns import NotHere
from connect.schedule.work import Doors, Works, make_run
from connect.testing import FakeClock
from connect.vocabulary import Mode, RunState

BEFORE_NINE = datetime(2026, 6, 1, 8, 59, 30, tzinfo=UTC)
NINE = datetime(2026, 6, 1, 9, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(BEFORE_NINE)


@pytest.fixture
def ledger(tmp_path, clock) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/state.db", project="club", target="default", clock=clock)
    yield ledger
    ledger.close()


@pytest.fixture
def follower(club, ledger, clock):
    """Begins to follow; returns itself, and how it looks again once it has read the files."""

    def begin():
        house = club.house()
        assert not house.problems
        following = Following(house, ledger, clock, make_run, Log(io.StringIO(), "json", Redactor(), clock))
        following.look()

        def again():
            following.hear(house.reload())
            following.look()

        return again

    return begin


def rename(club, clock):
    """Just before nine; it is noticed just after."""
    (club.root / "campaigns/daily.yml").rename(club.root / "campaigns/morning.yml")
    clock.advance(60)


def fired(ledger: Ledger) -> list[tuple[str, datetime]]:
    return [(run.campaign, run.fire_time) for run in ledger.runs()]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_daemon_that_dies_while_it_takes_over_loses_nothing(club, ledger, clock, follower, monkeypatch, writes):
    club.campaign("daily")
    first, second = follower(), follower()
    rename(club, clock)
    left, put = iter(range(writes)), ledger.put_schedule

    def dying(*arguments, **named):
        if next(left, None) is None:
            raise Killed
        return put(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "put_schedule", dying)
        with contextlib.suppress(Killed):
            first()
    second()
    second()

    assert fired(ledger) == [("morning", NINE)]
    assert ledger.schedules(Mode.live)["daily"].live_since is None


def test_one_that_has_not_read_the_files_fires_under_the_old_name_and_nobody_again(
    club, ledger, clock, follower, monkeypatch
):
    club.campaign("daily")
    first, put, others = follower(), ledger.put_schedule, []

    def slower(schedule, runs=(), **named):
        if not others:  # right before the first write
            before = ledger.schedules(Mode.live)["daily"]
            others.append(put(replace(before, cursor=NINE)))
        return put(schedule, runs, **named)

    rename(club, clock)
    monkeypatch.setattr(ledger, "put_schedule", slower)
    first()

    assert fired(ledger) == []  # nine o'clock is the other's
    schedules = ledger.schedules(Mode.live)
    assert (schedules["daily"].live_since, schedules["morning"].cursor) == (None, NINE)
    clock.advance(86_400)
    first()
    assert fired(ledger) == [("morning", NINE + timedelta(days=1))]


@pytest.fixture
def queued(club, ledger, clock, follower) -> RunRecord:
    club.write("connect.yml", (club.root / "connect.yml").read_text() + 'sources: {shop: {url: "duckdb:///shop.db"}}\n')
    file = club.campaign("daily")
    file.write_text(file.read_text().replace("{people: [{id: 1, email: ann@mail.example}]}", "{sql: select 1 as id}"))
    follower()
    clock.advance(60)
    follower()
    (run,) = ledger.queued(Mode.live, "daily")
    return run


def nobody(*_: object) -> object:
    raise AssertionError("nothing is opened for it")


async def test_a_queued_run_waits_for_a_daemon_that_has_its_file(club, ledger, clock, queued):
    works = Works(Doors(nobody, nobody), ledger, clock)
    with pytest.raises(NotHere):
        await works(queued, club.house().project, None, asyncio.Event())
    club.campaign("daily", status="paused")
    with pytest.raises(NotHere):
        await works(queued, club.house().project, club.house().loaded("daily"), asyncio.Event())
    assert ledger.run(queued.id).state is RunState.queued


class Opened(Exception):
    pass


async def test_a_queued_run_goes_on_after_its_campaign_was_renamed(club, ledger, clock, queued, follower):
    again = follower()
    rename(club, clock)
    again()

    def warehouse(*_: object) -> object:
        raise Opened

    works = Works(Doors(warehouse, nobody), ledger, clock)
    with pytest.raises(Opened):
        await works(queued, club.house().project, None, asyncio.Event())
    assert ledger.run(queued.id).state is RunState.queued


@pytest.mark.parametrize("loaded", [None, Loaded(None, (), ())])
async def test_a_queued_run_that_nobody_wants_any_more_is_skipped(club, ledger, clock, queued, loaded):
    assert ledger.put_schedule(replace(ledger.schedules(Mode.live)["daily"], live_since=None))
    works = Works(Doors(nobody, nobody), ledger, clock)
    assert await works(queued, club.house().project, loaded, asyncio.Event()) is RunState.skipped
    assert ledger.run(queued.id).reason == "the campaign is not live any more"
