"""A process that loses its run, suspended for longer than its lease or cancelled, sends nothing of its queue."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connect.testing.smtp import HANG, At

PEOPLE = 100
LEASE = ("--lease", "4")
TIMEOUT = "3s"


@pytest.fixture
def brisk(shop: Any) -> Any:
    """Others wait for a silent process as long as its lease, and a call may last."""
    project: Path = shop.root / "connect.yml"
    project.write_text(project.read_text().replace("timeout: 10m", f"timeout: {TIMEOUT}"))
    return shop.people(PEOPLE)


def lease(shop: Any) -> tuple[float, str]:
    """Until when the only run is held, in seconds since 1970, and by whom."""
    ledger = f"file:{shop.root / '.connect' / 'state.db'}?mode=ro"
    with closing(sqlite3.connect(ledger, uri=True)) as reading:
        ((until, owner),) = reading.execute("select lease_until, owner from slices")
    return until / 1_000_000, owner


def outwait(shop: Any) -> None:
    """Until the lease of a process that says nothing has run out: what is waited for is the time itself."""
    time.sleep(max(0.0, lease(shop)[0] - time.time()))


def taken_over(shop: Any) -> dict[str, Any]:
    """Another process goes on as soon as it may, and is refused before; its report."""
    command = ("run", "news", "--yes", "--json", *LEASE)
    while (done := shop.connect(*command)).returncode == 3:  # a busy machine may take longer to start one than a lease
        assert "run-held" in done.stdout + done.stderr
        outwait(shop)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["runs"][0]["state"] == "completed"
    return report


def suspended(shop: Any, place: At, *arguments: str) -> Any:
    """A process that stands still while the server keeps its calls waiting at this place."""
    shop.server.answer(place, HANG)
    process = shop.start("run", "news", "--yes", *LEASE, *arguments)
    assert shop.server.hanging.wait(60), process.communicate()
    shop.suspend(process)
    shop.server.forget_answers()
    return process


@pytest.mark.parametrize(
    ("place", "in_doubt"), [(At.mail, "skip"), (At.mail, "resend"), (At.data, "resend"), (At.end, "skip")]
)
def test_one_that_wakes_up_after_another_took_over_sends_nothing_of_its_queue(
    brisk: Any, window: int, place: At, in_doubt: str
) -> None:
    brisk.campaign(in_doubt=in_doubt)
    process = suspended(brisk, place)
    report = taken_over(brisk)
    before = brisk.reached()

    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 3, err
    assert "error[lease-lost]" in err or "error[run-ended]" in err
    assert brisk.reached() - before == Counter()  # nothing is begun late, and nothing that was begun is finished
    outcomes = report["outcomes"]
    assert report["deliveries"] == outcomes["sent"] + outcomes["unknown"] == PEOPLE
    assert outcomes["unknown"] <= (window if in_doubt == "skip" else 0)
    assert set(before.values()) == {1}  # what the server kept waiting, it had not taken
    assert len(before) == outcomes["sent"]
    (run,) = brisk.runs()
    assert (run["state"], run["reason"]) == ("completed", "")


def test_worker_processes_whose_coordinator_is_suspended_send_nothing_once_another_took_over(brisk: Any) -> None:
    """They go on themselves, for as long as the lease that they know of lasts."""
    brisk.campaign()
    process = suspended(brisk, At.mail, "--workers", "2")
    report = taken_over(brisk)
    before = brisk.reached()

    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 3, err
    assert brisk.reached() == before
    assert set(before.values()) == {1}
    outcomes = report["outcomes"]
    assert outcomes["sent"] <= len(before) <= outcomes["sent"] + outcomes["unknown"] == PEOPLE


def test_one_that_wakes_up_before_anybody_took_over_goes_on(brisk: Any) -> None:
    """Its lease has run out, and nobody minded: it asks before it sends."""
    brisk.campaign(in_doubt="resend")
    process = suspended(brisk, At.mail)
    assert f" {process.pid} " in lease(brisk)[1]
    outwait(brisk)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"{PEOPLE} sent" in out
    assert Counter(brisk.reached().values()) == {1: PEOPLE}


def test_one_whose_run_is_cancelled_sends_nothing_more(brisk: Any, window: int) -> None:
    brisk.campaign()
    brisk.server.answer(At.end, HANG)
    process = brisk.start("run", "news", "--yes", *LEASE)
    assert brisk.server.hanging.wait(60), process.communicate()
    (run,) = brisk.runs()

    cancelled = brisk.connect("runs", "cancel", run["id"], "--json")
    brisk.server.forget_answers()

    _, err = process.communicate(timeout=60)
    assert (cancelled.returncode, process.returncode) == (0, 3), err
    assert "error[lease-lost]" in err
    assert brisk.reached() == {}
    outcomes = json.loads(cancelled.stdout)["outcomes"]
    assert outcomes["sent"] == 0
    assert 1 <= outcomes["unknown"] <= 2 * window  # those that were never answered, and those released after them
    assert [run["state"] for run in brisk.runs()] == ["cancelled"]
