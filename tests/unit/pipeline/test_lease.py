"""How long a process may send: by its own clock, and by the ledger."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connect.ledger.owner import Owner
from connect.ledger.refusals import LeaseLost, SliceHeld
from connect.pipeline.lease import Lease
from connect.vocabulary import RunState

LENGTH, CALL = timedelta(seconds=30), timedelta(seconds=20)
OTHER = Owner("another machine", 1, "1")


@pytest.fixture
def lease(bench, clock):
    bench.ledger.release(bench.claimed)
    claimed = bench.ledger.claim_slice(bench.run.id, owner=Owner.here(), lease=LENGTH + CALL)
    return Lease(bench.ledger, claimed, LENGTH, CALL, clock, clock.monotonic())


async def test_others_wait_longer_than_this_process_sends(bench, clock, lease):
    clock.advance((LENGTH + CALL).total_seconds() - 1)
    with pytest.raises(SliceHeld):
        bench.ledger.claim_slice(bench.run.id, owner=OTHER, lease=LENGTH)
    clock.advance(2)
    bench.ledger.claim_slice(bench.run.id, owner=OTHER, lease=LENGTH)


async def test_a_process_that_wakes_up_late_asks_before_it_sends(bench, clock, lease):
    await lease.held()
    clock.advance(300)
    await lease.held()  # nobody took over: it goes on, with a new lease
    clock.advance(300)
    bench.ledger.claim_slice(bench.run.id, owner=OTHER, lease=LENGTH)
    with pytest.raises(LeaseLost):
        await lease.held()


async def test_it_is_renewed_while_the_run_lasts_and_notices_a_pause(bench, clock, lease):
    asked = asyncio.Event()
    keeping = asyncio.ensure_future(lease.keep(asked.set))
    bench.ledger.set_state(bench.run.id, RunState.running, "")
    for _ in range(10):
        await clock.asleep()  # it has looked, and renewed what was due
        clock.advance(2)
    await clock.asleep()
    assert lease.began == pytest.approx(20, abs=10)
    assert not asked.is_set()
    bench.ledger.set_state(bench.run.id, RunState.paused, "paused by hand")
    clock.advance(2)
    await asked.wait()
    keeping.cancel()
