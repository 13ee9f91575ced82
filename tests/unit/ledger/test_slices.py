"""A slice has one worker at a time; another takes over only when that is certain to be right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from connect.errors import UserError
from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent
from connect.ledger.refusals import LeaseLost, SliceHeld
from connect.vocabulary import Channel, Outcome, RunState

LEASE = timedelta(seconds=60)
HERE = Owner.here()
ELSEWHERE = Owner("other-machine/boot/1", 4711, "1")


@pytest.fixture
def run(ledger, a_run):
    return ledger.create_run(a_run())


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Another process of this machine, which says who it is and waits."""
    script = "from connect.ledger.owner import Owner; print(Owner.here(), flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", script], text=True, **pipes)
    with process:
        yield process
        process.kill()


def test_a_claim_covers_the_whole_hash_space(ledger, run, clock):
    slice = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    assert (slice.run_id, slice.low, slice.high, slice.cursor) == (run.id, "", None, None)
    assert (slice.owner, slice.epoch, slice.lease_until) == (str(HERE), 1, clock.now() + LEASE)
    assert ledger.slice(run.id) == slice


def test_a_slice_is_held_while_its_lease_lives(ledger, run, clock):
    ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
    clock.pass_time(seconds=59)
    with pytest.raises(SliceHeld, match="process 4711 on other-machine") as error:
        ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    assert (error.value.owner, error.value.until) == (ELSEWHERE, clock.now() + timedelta(seconds=1))


def test_not_even_its_own_process_claims_it_twice(ledger, run):
    ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    with pytest.raises(SliceHeld):
        ledger.claim_slice(run.id, owner=HERE, lease=LEASE)


def test_a_lease_that_ran_out_is_taken_over_under_the_next_epoch(ledger, run, clock):
    old = ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
    clock.pass_time(seconds=60)
    new = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    assert (new.id, new.epoch, new.owner) == (old.id, 2, str(HERE))


def test_a_renewed_lease_lives_longer(ledger, run, clock):
    slice = ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
    clock.pass_time(seconds=59)
    renewed = ledger.renew(slice, LEASE)
    assert (renewed.epoch, renewed.lease_until) == (slice.epoch, clock.now() + LEASE)
    clock.pass_time(seconds=59)
    with pytest.raises(SliceHeld):
        ledger.claim_slice(run.id, owner=HERE, lease=LEASE)


def test_a_lease_that_ran_out_is_renewed_unless_somebody_took_over(ledger, run, clock):
    slice = ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
    clock.pass_time(hours=1)
    slice = ledger.renew(slice, LEASE)
    clock.pass_time(hours=1)
    taken = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    with pytest.raises(LeaseLost):
        ledger.renew(slice, LEASE)
    assert ledger.slice(run.id) == taken


def test_a_released_slice_is_claimed_at_once_and_is_no_recovery(ledger, run):
    ledger.release(ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE))
    assert ledger.claim_slice(run.id, owner=HERE, lease=LEASE).epoch == 2
    assert ledger.run(run.id).recoveries == 0


def test_releasing_what_was_lost_takes_nothing_from_the_new_holder(ledger, run, clock):
    old = ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
    clock.pass_time(minutes=2)
    new = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    ledger.release(old)
    assert ledger.slice(run.id) == new


def test_a_process_that_lives_keeps_its_slice(ledger, run, process):
    owner = Owner.read(process.stdout.readline().strip())
    assert owner.pid == process.pid
    ledger.claim_slice(run.id, owner=owner, lease=LEASE)
    with pytest.raises(SliceHeld):
        ledger.claim_slice(run.id, owner=HERE, lease=LEASE)


def test_a_process_of_this_machine_that_is_gone_need_not_be_waited_for(ledger, run, process):
    owner = Owner.read(process.stdout.readline().strip())
    ledger.claim_slice(run.id, owner=owner, lease=LEASE)
    process.kill()
    process.wait()
    assert ledger.claim_slice(run.id, owner=HERE, lease=LEASE).epoch == 2
    assert ledger.run(run.id).recoveries == 1


def test_a_later_process_with_the_same_number_is_not_mistaken_for_the_owner():
    assert Owner(HERE.host, HERE.pid, HERE.started + "9").is_gone()
    assert not HERE.is_gone()


def test_a_killed_process_is_gone_even_before_its_parent_looks(process):
    owner = Owner.read(process.stdout.readline().strip())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and still in the process table
    assert owner.is_gone()


@pytest.mark.parametrize("host", ["other", HERE.host + "x", HERE.hostname])
def test_nothing_is_certain_about_processes_that_can_not_be_seen(host):
    assert not Owner(host, 999_999_999, "1").is_gone()


def test_an_owner_is_read_as_it_was_written():
    assert Owner.read(str(HERE)) == HERE
    assert Owner.read(str(Owner("h", 1, "Sat Nov 21 10:00:00 2026"))) == Owner("h", 1, "Sat Nov 21 10:00:00 2026")


async def test_recoveries_count_until_the_cursor_moves(ledger, run, clock):
    for expected in (0, 1, 2, 3):
        slice = ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
        clock.pass_time(minutes=2)
        assert ledger.run(run.id).recoveries == expected
    commits = Commits(ledger, slice)
    await commits.intend([Intent(b"k" * 16, 1, Channel.email, "smtp", 1)])
    assert ledger.run(run.id).recoveries == 3
    await commits.advance("5", {(Channel.email, "", Outcome.sent, ""): 1}, [b"k" * 16])
    assert ledger.run(run.id).recoveries == 0
    await commits.close()


async def test_who_settles_what_the_cursor_can_not_pass_yet_may_have_got_further_too(ledger, run, clock):
    for _ in range(3):
        slice = ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
        clock.pass_time(minutes=2)
    commits = Commits(ledger, slice)
    await commits.intend([Intent(b"k" * 16, 1, Channel.email, "smtp", 1)])
    await commits.advance(None, {}, (), settled=[(b"k" * 16, Outcome.sent, "")])
    assert ledger.run(run.id).recoveries == 2
    await commits.advance(None, {}, (), further=True)
    assert ledger.run(run.id).recoveries == 0
    assert ledger.slice(run.id).cursor is None
    await commits.close()


def test_runs_that_ended_or_do_not_exist_can_not_be_claimed(ledger, run):
    ledger.finish(run.id, RunState.completed)
    for run_id, code in ((run.id, "run-ended"), ("nosuchrun0000000", "unknown-run")):
        with pytest.raises(UserError) as error:
            ledger.claim_slice(run_id, owner=HERE, lease=LEASE)
        assert error.value.problems[0].code == code


def test_only_the_holder_of_the_slice_given_may_end_the_run(ledger, run, clock):
    old = ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
    clock.pass_time(minutes=2)
    new = ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    with pytest.raises(LeaseLost):
        ledger.finish(run.id, RunState.failed, slice=old)
    assert ledger.run(run.id).state is RunState.running
    ledger.finish(run.id, RunState.completed, slice=new)
    with pytest.raises(LeaseLost):
        ledger.renew(new, LEASE)
    ledger.release(new)


# Runs that were interrupted


def test_a_run_whose_process_is_gone_is_interrupted_until_it_is_taken_up(ledger, a_run, process):
    run, other = ledger.create_run(a_run()), ledger.create_run(a_run(campaign="other"))
    assert ledger.interrupted() == frozenset()  # nobody has begun
    owner = Owner.read(process.stdout.readline().strip())
    ledger.claim_slice(run.id, owner=owner, lease=LEASE)
    ledger.claim_slice(other.id, owner=HERE, lease=LEASE)
    assert ledger.interrupted() == frozenset()
    process.kill()
    process.wait()
    assert ledger.interrupted() == {run.id}
    ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    assert ledger.interrupted() == frozenset()


def test_a_run_of_another_machine_is_interrupted_once_its_lease_is_over(ledger, run, clock):
    ledger.claim_slice(run.id, owner=ELSEWHERE, lease=LEASE)
    clock.pass_time(seconds=59)
    assert ledger.interrupted() == frozenset()
    clock.pass_time(seconds=2)
    assert ledger.interrupted() == {run.id}


def test_who_lets_go_of_a_run_does_not_interrupt_it(ledger, a_run, clock):
    paused, ended = (ledger.create_run(a_run(campaign=name)) for name in ("paused", "ended"))
    for run in (paused, ended):
        ledger.claim_slice(run.id, owner=HERE, lease=LEASE)
    ledger.set_state(paused.id, RunState.paused, "provider-down", slice=ledger.slice(paused.id))
    ledger.finish(ended.id, RunState.completed, slice=ledger.slice(ended.id))
    clock.pass_time(hours=9)
    assert ledger.interrupted() == frozenset()
