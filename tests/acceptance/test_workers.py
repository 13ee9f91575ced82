"""Several worker processes: killed, suspended, stopped or misled, they send what one would send, and count it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.chaos.accounts import account, violations
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.scenario import Scenario
from benchmarks.chaos.trial import trial
from connect.testing.smtp import HANG, At

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

PEOPLE = 150
TWO = ("--workers", "2")
BRISK = (*TWO, "--lease", "2")

PLUGIN = """\
import asyncio
from connect.testing.http_provider import Http


class Raises(Http):
    async def send(self, batch):
        address = batch[0].message.to[0].address
        forgotten = asyncio.get_running_loop().create_task(self.forget(address))
        await asyncio.wait((forgotten,))
        print(address)
        raise ValueError(f"what about {address}?")

    async def forget(self, address):
        raise KeyError(address)
"""


@pytest.fixture
def brisk(shop):
    """Nobody waits for a call that hangs for longer than two seconds."""
    project = shop.root / "connect.yml"
    project.write_text(project.read_text().replace("timeout: 10m", "timeout: 2s"))
    return shop


def workers(process):
    """The process ids of the workers of a run, by what the kernel says."""
    found = set()
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with suppress(OSError):
            found |= {int(pid) for pid in (thread / "children").read_text().split() if is_worker(int(pid))}
    return sorted(found)


def is_worker(pid):
    with suppress(OSError):
        return b"connect.executors.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def until(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)  # other processes share no event with this one


def hanging(shop, place=At.end, options=TWO, who=None):
    """A run of two workers of which one keeps a message waiting, or all do."""
    shop.server.answer(place, HANG, address=who, times=1 if who else None)
    process = shop.start("run", "news", "--yes", *options)
    assert shop.server.hanging.wait(60), process.communicate()
    return process


def calm(shop):
    shop.server.forget_answers()
    shop.server.hanging.clear()


def adds_up(report, people=PEOPLE):
    outcomes = report["outcomes"]
    assert report["deliveries"] == people == outcomes["sent"] + outcomes["unknown"]


def traces(shop, word):
    """Files that hold this, the warehouse aside."""
    files = [path for path in shop.root.rglob("*") if path.is_file() and path.name != "shop.duckdb"]
    return [path for path in files if word.encode() in path.read_bytes()]


def test_two_workers_reach_everybody_once(shop):
    shop.people(1500).campaign()
    process = shop.start("run", "news", "--yes", "--json", *TWO)
    until(lambda: len(workers(process)) == 2, process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert '"sent": 1500' in out
    assert Counter(shop.reached().values()) == {1: 1500}
    assert shop.server.connections >= 4  # as many as one process makes: each has its share


def test_a_worker_that_is_killed_pauses_the_run_which_goes_on_with_another_number(brisk, window):
    brisk.people(PEOPLE).campaign()
    process = hanging(brisk, who="person-77@mail.example")
    victim, _ = workers(process)
    os.kill(victim, signal.SIGKILL)
    calm(brisk)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "error[worker-died]: a worker process was killed by signal 9" in err
    (run,) = brisk.runs()
    assert (run["state"], run["reason"]) == ("paused", "a worker process was killed by signal 9")
    assert not traces(brisk, "@mail.example")
    report = brisk.finish("--workers", "3")
    adds_up(report)
    assert report["outcomes"]["unknown"] <= window
    assert max(brisk.reached().values()) == 1


def test_workers_die_with_the_process_that_deals_and_nothing_leaves_afterwards(shop, window):
    shop.people(PEOPLE).campaign()
    process = hanging(shop)
    started = workers(process)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(is_worker(pid) for pid in started):
        assert time.monotonic() < deadline, "they live on"
        time.sleep(0.002)
    before = shop.reached()
    calm(shop)
    assert shop.reached() == before
    assert not traces(shop, "@mail.example")
    report = shop.finish("--workers", "1")
    adds_up(report)
    assert 1 <= report["outcomes"]["unknown"] <= window
    assert max(shop.reached().values()) == 1


def test_ctrl_c_in_a_terminal_goes_to_all_and_stops_well(shop):
    shop.people(1200).campaign()
    process = started_in_a_group(shop)
    shop.until_reached(50, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    (run,) = shop.runs()
    assert (run["state"], run["reason"]) == ("stopped", "stopped on request")
    report = shop.finish("--workers", "3")
    assert report["outcomes"]["sent"] == 1200
    assert Counter(shop.reached().values()) == {1: 1200}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_while_workers_start_stops_well(shop, number):
    shop.people(50).campaign()
    process = started_in_a_group(shop)
    until(lambda: workers(process), process)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "worker" not in err
    assert shop.finish()["outcomes"]["sent"] == 50


def started_in_a_group(shop):
    """As a shell starts it: with its workers in a process group of its own."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("connect")), "run", "news", "--yes", *TWO, "--project", str(shop.root)],
        env=shop.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    shop._started.append(process)
    return process


def test_workers_of_a_suspended_process_send_nothing_once_another_took_over(brisk, window):
    brisk.people(PEOPLE).campaign()
    process = hanging(brisk, At.mail, BRISK)
    brisk.suspend(process)
    calm(brisk)
    report = taken_over(brisk)
    before = brisk.reached()
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "error[lease-lost]" in err or "error[run-ended]" in err
    assert brisk.reached() == before
    assert set(before.values()) == {1}
    adds_up(report)
    assert report["outcomes"]["unknown"] <= window


def taken_over(shop):
    """Another process goes on as soon as it may: after the lease and a call's time-out, which only time brings."""
    time.sleep(4)
    while (done := shop.connect("run", "news", "--yes", "--json", *BRISK)).returncode == 3:
        assert "run-held" in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_worker_that_was_suspended_for_longer_than_the_lease_goes_on(brisk):
    brisk.people(PEOPLE).campaign(in_doubt="resend")
    process = hanging(brisk, At.mail, BRISK)  # nobody is asleep behind a message that was taken
    sleeper, _ = workers(process)
    os.kill(sleeper, signal.SIGSTOP)
    calm(brisk)
    time.sleep(2.5)  # what is waited for is the time itself
    os.kill(sleeper, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"{PEOPLE} sent" in out
    assert Counter(brisk.reached().values()) == {1: PEOPLE}


def test_wrong_credentials_pause_the_run_and_nobody_is_marked_failed(shop):
    shop.people(20).campaign()
    refused = shop.connect("run", "news", "--yes", *TWO, SMTP_PASSWORD="wrong")
    assert refused.returncode == 3
    assert "error[smtp-auth]" in refused.stderr
    assert [run["state"] for run in shop.runs()] == ["paused"]
    assert shop.reached() == {}


def test_pausing_and_cancelling_by_hand(brisk):
    brisk.people(2000).campaign()
    process = brisk.start("run", "news", "--yes", *TWO)
    brisk.until_reached(20, process)
    (run,) = brisk.runs()
    assert brisk.connect("runs", "pause", run["id"]).returncode == 0
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert [run["state"] for run in brisk.runs()] == ["paused"]
    process = hanging(brisk)
    assert brisk.connect("runs", "cancel", run["id"]).returncode == 0
    calm(brisk)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "error[lease-lost]" in err
    assert [run["state"] for run in brisk.runs()] == ["cancelled"]
    assert max(brisk.reached().values()) == 1


def test_what_an_adapter_raises_in_a_worker_says_nothing_about_anybody(shop):
    plugin = shop.root / "plugins" / "raises-0.dist-info"
    plugin.mkdir(parents=True)
    (plugin.parent / "raising_adapter.py").write_text(PLUGIN)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: raises\nVersion: 0\n")
    (plugin / "entry_points.txt").write_text("[connect.providers]\nraises = raising_adapter:Raises\n")
    project = shop.root / "connect.yml"
    before, _, after = project.read_text().partition("  mail:\n")
    rest = after[after.index("channels:") :]
    project.write_text(f"{before}  mail: {{type: raises, port: 1, concurrency: 4}}\n{rest}")
    shop.people(20).campaign()
    done = shop.connect("run", "news", "--yes", *TWO, PYTHONPATH=str(plugin.parent))
    assert done.returncode == 3
    assert "error[worker-failed]: a worker process has met ValueError in send" in done.stderr
    assert "KeyError in forget" in done.stderr
    assert "@mail.example" not in done.stdout + done.stderr
    assert not traces(shop, "@mail.example")


def test_bulk_calls_that_are_known_by_their_members_are_repeated_whole_whoever_is_dealt_them(tmp_path):
    scenario = Scenario("http", True, 100, "skip", churn=False, whole_calls=True, workers=2)
    evidence = trial(scenario, (Fault.kill, Fault.kill), 7, tmp_path, patient=False)
    found = account(evidence)
    assert not list(violations(evidence, found)), found
    assert found.kills == 2
    assert (found.duplicates, found.unknown) == (0, 0)
