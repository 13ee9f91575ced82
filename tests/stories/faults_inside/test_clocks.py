"""The wall clock jumps while a run is going: rates, retries and leases go by a clock that does not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from connect import clock as clocks
from connect import wiring
from connect.clock import SystemClock
from connect.errors import ConnectError
from connect.identity import system_random
from connect.ledger.owner import Owner
from connect.ledger.refusals import LeaseLost, SliceHeld
from connect.liquid.library import Library
from connect.pipeline.accounts import providers_of
from connect.pipeline.beginning import begin
from connect.pipeline.job import Tools
from connect.pipeline.plan import plan_run
from connect.pipeline.run import execute
from connect.project.campaigns import load_campaign
from connect.project.load import templates
from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.testing import FakeClock
from connect.vocabulary import Mode, RunState

HOUR = timedelta(hours=1)
OTHER = Owner("another-machine", 1, "1")


class JumpingClock(FakeClock):
    """Its wall clock can be set; its monotonic one can not."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.jumped


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


async def run(shop: Any, clock: JumpingClock) -> RunState:
    """The whole run in this process, by this clock."""
    project = wiring.open_project(shop.root, None, Mode.live, {"CONNECT_SECRET": "a-secret-of-the-shop-0123456789"})
    loaded, texts = load_campaign(project, "hello"), templates(shop.root)
    assert loaded.campaign is not None
    accounts = wiring.open_accounts(project, providers_of(loaded.campaign))
    warehouse = wiring.open_warehouse(project, loaded.campaign.audience.source)
    ledger = wiring.open_ledger(project, clock)
    try:
        library = Library(texts)
        plan = plan_run(project, loaded, library, texts, warehouse, ledger, clock, reaches_people=False, again=True)
        job = begin(plan, ledger, clock, system_random, accounts)
        return await clock.hurry(execute(job, Tools(ledger, clock, Random(3), asyncio.Event())))
    finally:
        warehouse.close()
        ledger.close()


def the_ledger(shop: Any, clock: JumpingClock) -> Any:
    project = wiring.open_project(shop.root, None, Mode.live, {"CONNECT_SECRET": "a-secret-of-the-shop-0123456789"})
    return wiring.open_ledger(project, clock)


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_everybody_hears_once_and_nobodys_retries_are_used_up(
    shop: Any, clock: JumpingClock, jump: timedelta
) -> None:
    shop.people(200)

    def answer(outgoing: Any, attempt: int) -> Receipt | None:
        clock.jumped = jump if attempt > 1 else timedelta(0)  # ten minutes begin with the first failure
        return Receipt(Status.transient, "busy") if attempt < 3 else None

    memory.script("mail", answer)
    assert await run(shop, clock) is RunState.completed
    assert Counter(shop.addresses()) == Counter({address: 1 for (address,) in shop.sql("select email from people")})
    (report,) = shop.connect("runs", "list", "--json").json
    outcomes = shop.connect("runs", "show", report["id"], "--json").json["outcomes"]
    assert outcomes == {"sent": 200, "skipped": 0, "refused": 0, "failed": 0, "unknown": 0}


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_a_throttled_account_waits_as_long_as_it_was_told(
    shop: Any, clock: JumpingClock, jump: timedelta
) -> None:
    shop.people(5)
    asked: list[float] = []

    def answer(outgoing: Any, attempt: int) -> Receipt | None:
        asked.append(clock.monotonic())
        if attempt > 1:
            return None
        clock.jumped = jump
        return Receipt(Status.throttled, "slow_down", retry_after=timedelta(seconds=90))

    memory.script("mail", answer)
    assert await run(shop, clock) is RunState.completed
    assert 90 <= asked[-1] - asked[0] < 600  # time passes in steps, whenever somebody waits


async def test_another_machine_that_takes_over_because_of_a_jump_is_never_joined(
    shop: Any, crowd: int, clock: JumpingClock
) -> None:
    """Forward, a lease seems to have ended. Whoever held it sends what was released, and not one message more."""
    shop.configure(mail="{type: memory, concurrency: 1}")
    ledger = the_ledger(shop, clock)
    taken: list[int] = []

    def jump(outgoing: Any, attempt: int) -> None:
        if not taken and memory.counts("mail").calls == 2:
            run = ledger.runs()[0]
            while ledger.slice(run.id).owner != str(OTHER):
                clock.jumped += HOUR
                with suppress(SliceHeld):  # it was renewed at this moment, by the new time
                    ledger.claim_slice(run.id, owner=OTHER, lease=HOUR)
            near = {intent.key for intent in ledger.intents(ledger.slice(run.id).id)}
            taken.append(memory.counts("mail").messages + len(near))

    memory.script("mail", jump)
    with pytest.raises(ConnectError) as caught:
        await run(shop, clock)
    assert isinstance(caught.value, LeaseLost)
    assert memory.counts("mail").accepted <= taken[0]
    assert memory.counts("mail").accepted < crowd
    found = ledger.runs()[0]
    counted = sum(tally.count for tally in ledger.tallies(found.id))
    near = ledger.intents(ledger.slice(found.id).id)
    assert found.state is RunState.running  # it is the other's now
    assert counted + len(near) >= memory.counts("mail").accepted  # who may have heard is counted, or in doubt
    ledger.close()


async def test_a_worker_that_lost_its_run_and_then_breaks_does_not_pause_its_successor(
    shop: Any, crowd: int, clock: JumpingClock
) -> None:
    ledger = the_ledger(shop, clock)

    def lose_and_break(outgoing: Any, attempt: int) -> None:
        run = ledger.runs()[0]
        while ledger.slice(run.id).owner != str(OTHER):
            clock.jumped += HOUR
            with suppress(SliceHeld):
                ledger.claim_slice(run.id, owner=OTHER, lease=HOUR)
        raise RuntimeError

    memory.script("mail", lose_and_break)
    with pytest.raises(RuntimeError):
        await run(shop, clock)
    found = ledger.runs()[0]
    ledger.close()
    assert found.state is RunState.running


async def test_backwards_others_wait_longer_and_then_go_on(shop: Any, clock: JumpingClock) -> None:
    """A machine that died before the clock was set back: its lease lasts longer by what was set back, at most."""
    shop.people(5)
    memory.script("mail", lambda outgoing, attempt: Receipt(Status.config))
    with pytest.raises(ConnectError):
        await run(shop, clock)
    ledger = the_ledger(shop, clock)
    found = ledger.runs()[0]
    ledger.claim_slice(found.id, owner=OTHER, lease=timedelta(seconds=30))
    clock.jumped = -HOUR
    clock.advance(31)
    memory.script("mail", None)
    with pytest.raises(SliceHeld):
        await run(shop, clock)
    clock.advance(HOUR.total_seconds())
    assert await run(shop, clock) is RunState.completed
    assert len(shop.sent()) == 5
    ledger.close()


def test_a_closed_lid_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_MONOTONIC stands still while a machine sleeps. A lease must not: it goes by CLOCK_BOOTTIME."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no clock that goes on while it sleeps")
    monkeypatch.setattr(time, "clock_gettime", lambda which: 7.0 if which == time.CLOCK_BOOTTIME else 1.0)
    monkeypatch.setattr(clocks, "_since_boot", clocks._watch())  # which looked for the clock when it was imported
    assert SystemClock().monotonic() == 7.0
