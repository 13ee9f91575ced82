"""A few of the trials of `make chaos`: real processes, killed at random instants."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos import house
from benchmarks.chaos import trial as trials
from benchmarks.chaos.accounts import account, violations
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.scenario import FCM, POSTMARK, RESEND, Scenario
from benchmarks.chaos.trial import trial
from connect.testing.receivers import Manners
from tests import processes

SEED = 7
"""Always the same, so that nobody's change is refused for another one's luck; `make chaos` takes another each time."""

KILLS = (Fault.kill, Fault.kill)


@pytest.fixture(autouse=True)
def without_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make chaos` starts the installed command; here it is forked."""

    def started(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        return processes.start(processes.COMMAND, *arguments, folder=Path.cwd(), environment=environment, log=log)

    monkeypatch.setattr(house, "started", started)
    monkeypatch.setattr(trials, "_suspended", suspended)


def suspended(process: subprocess.Popen[bytes]) -> bool:
    try:
        processes.suspend(process)
    except FileNotFoundError:  # it ended before
        return False
    return True


@pytest.mark.parametrize(
    ("scenario", "faults"),
    [
        (Scenario("http", True, 100, "skip"), KILLS),
        (Scenario("http", False, 1, "resend"), KILLS),
        (Scenario("smtp", False, 1, "skip"), (Fault.term, Fault.kill)),
        (Scenario("http", False, 1, "skip"), (Fault.cut, Fault.stop)),
        (Scenario(POSTMARK, False, 500, "skip"), KILLS),
        (Scenario(RESEND, True, 100, "skip", churn=False, whole_calls=True), KILLS),
        (Scenario(FCM, False, 1, "skip"), (Fault.kill, Fault.term, Fault.kill)),
    ],
    ids=str,
)
def test_every_delivery_is_accounted_for(scenario: Scenario, faults: tuple[Fault, ...], tmp_path: Path) -> None:
    evidence = trial(scenario, faults, SEED, tmp_path, patient=False)
    found = account(evidence)
    assert not list(violations(evidence, found)), f"seed {SEED}: {found}"
    assert found.kills == len(faults), f"seed {SEED}: the run was over before it was fired at"
    assert found.sent > found.audience / 2


def test_the_harness_finds_what_is_wrong(tmp_path: Path) -> None:
    """A receiver that says it remembers keys, and does not."""
    scenario = Scenario("http", True, 100, "skip", churn=False)
    evidence = trial(scenario, KILLS, SEED, tmp_path, patient=False, manners=Manners(remembers=False))
    found = account(evidence)
    assert found.duplicates
    assert f"{found.duplicates} duplicates" in list(violations(evidence, found))


def test_the_harness_finds_a_device_that_hears_twice(tmp_path: Path) -> None:
    """A run that sends again, to a receiver that remembers nothing, though it is said to."""
    scenario = Scenario(FCM, False, 1, "resend", churn=False)
    evidence = trial(scenario, KILLS, SEED, tmp_path, patient=False, manners=Manners(drops=0.05))
    assert account(evidence).duplicates
    strict = replace(evidence, scenario=replace(scenario, idempotent=True))
    assert f"{account(evidence).duplicates} duplicates" in list(violations(strict, account(strict)))
