"""Runs that wait, are paused, or meet a daemon that lacks something: nobody hears twice, too late, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect import wiring
from connect.errors import OutsideError
from connect.ledger.owner import Owner
from connect.ledger.records import RunRecord
from connect.ledger.refusals import RunExists
from connect.project.campaigns import Loaded, load_campaign
from connect.project.project import Project
from connect.providers import memory
from connect.schedule.fires import Fire
from connect.schedule.turns import NotHere
from connect.schedule.work import Doors, Works, make_run
from connect.vocabulary import Mode, RunState
from connect.warehouses.interface import Warehouse
from tests.stories.on_time.world import ENVIRONMENT, Person, World

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAILY = '{type: recurring, cron: "0 12 * * *"}'


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    memory.reset()
    made = World(tmp_path, NOON)
    made.people([Person("ada", "Europe/London"), Person("grace", "Europe/London")])
    made.campaign(DAILY)
    yield made
    made.close()
    memory.reset()


def loaded(world: World, environment: dict[str, str] | None = None) -> tuple[Project, Loaded]:
    project = wiring.open_project(world.root, None, None, environment or ENVIRONMENT)
    return project, load_campaign(project, "morning")


def queue(world: World, fire_time: datetime = NOON, *, manual: bool = False) -> RunRecord:
    project, morning = loaded(world)
    assert morning.campaign
    fire = Fire(fire_time, RunState.queued)
    return world.ledger.create_run(make_run(project, morning.campaign, fire, world.clock, manual=manual))


def works(world: World) -> Works:
    return Works(Doors(wiring.open_audience, wiring.open_accounts), world.ledger, world.clock, workers=1)


async def take_up(world: World, record: RunRecord, doors: Doors | None = None) -> RunState:
    project, morning = loaded(world)
    able = replace(works(world), doors=doors) if doors else works(world)
    return await able(record, project, morning, asyncio.Event())


def state(world: World, run: RunRecord) -> tuple[RunState, str]:
    now = world.ledger.run(run.id)
    assert now
    return now.state, now.reason


async def test_a_run_that_has_waited_for_longer_than_its_grace_is_skipped(world: World) -> None:
    """Its campaign was paused for days: nobody gets all that mail at once."""
    run = queue(world, NOON - timedelta(hours=7))
    assert await take_up(world, run) is RunState.skipped
    assert state(world, run) == (RunState.skipped, "missed: it waited for longer than 6h")
    assert world.came == []


async def test_one_that_somebody_has_asked_for_waits_for_as_long_as_it_takes(world: World) -> None:
    run = queue(world, NOON - timedelta(hours=7), manual=True)
    assert await take_up(world, run) is RunState.completed
    assert len(world.came) == 2


async def test_a_run_that_is_paused_just_before_it_is_taken_up_stays_paused(world: World) -> None:
    queued = queue(world)
    run = world.ledger.start_run(queued.id, audience_rows=2)
    world.ledger.set_state(run.id, RunState.paused, "paused by hand")
    await take_up(world, run)  # as it was read a moment ago: running
    assert state(world, run) == (RunState.paused, "paused by hand")
    assert world.came == []
    assert world.ledger.slice(run.id).owner == ""


async def test_a_daemon_with_another_secret_leaves_the_run_to_others(world: World) -> None:
    run = queue(world)
    project, morning = loaded(world, {"CONNECT_SECRET": "quite another secret, as long"})
    with pytest.raises(NotHere, match="another project secret"):
        await works(world)(run, project, morning, asyncio.Event())
    assert state(world, run)[0] is RunState.queued
    assert await take_up(world, run) is RunState.completed


async def test_a_daemon_that_can_not_plan_a_run_ends_no_other_one_s(world: World) -> None:
    """The other one has begun with it meanwhile."""
    run = queue(world)
    world.ledger.start_run(run.id, audience_rows=2)
    assert world.ledger.finish(run.id, RunState.failed, "no such table", only_from=RunState.queued) is False
    assert state(world, run)[0] is RunState.running


class _Away:
    """A warehouse that goes away once it has been counted."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def __getattr__(self, name: str) -> object:
        return getattr(self._warehouse, name)

    def read(self, *_: object) -> object:
        raise OutsideError.of("warehouse-unavailable", "the warehouse does not answer")


async def test_a_warehouse_that_is_away_for_a_while_pauses_nothing(world: World) -> None:
    run = queue(world)
    away = Doors(lambda project, name: _Away(wiring.open_audience(project, name)), wiring.open_accounts)  # type: ignore[arg-type, return-value]
    with pytest.raises(OutsideError):
        await take_up(world, run, away)
    assert state(world, run) == (RunState.running, "waiting: the warehouse does not answer")
    (again,) = world.ledger.work(Mode.live)
    assert await take_up(world, again) is RunState.completed
    assert len(world.came) == 2


async def test_two_runs_of_what_fires_once_are_one(world: World) -> None:
    """Somebody runs it by hand while a daemon's look makes a run of it."""
    world.campaign("{type: immediate}")
    first = queue(world)
    second = queue(world, NOON + timedelta(seconds=1))
    assert await take_up(world, first) is RunState.completed
    with pytest.raises(RunExists):
        await take_up(world, second)
    assert state(world, second) == (RunState.skipped, f"it has run already: run {first.id}")
    assert len(world.came) == 2


async def test_whoever_holds_a_slice_is_asked_nothing(world: World) -> None:
    run = world.ledger.start_run(queue(world).id, audience_rows=2)
    world.ledger.claim_slice(run.id, owner=Owner.here(), lease=timedelta(minutes=1))
    assert world.ledger.work(Mode.live) == []
