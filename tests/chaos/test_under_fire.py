"""A few of the trials of `make chaos`: real processes, killed at random instants."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos import house, written
from benchmarks.chaos import trial as trials
from benchmarks.chaos.accounts import account, violations
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.scenario import FCM, POSTGRESQL, POSTMARK, RESEND, Scenario
from benchmarks.chaos.trial import trial
from benchmarks.chaos.written import Ended
from connect.ledger.records import Tally
from connect.testing.postgres import NoServer
from connect.testing.receivers import Manners
from connect.vocabulary import Channel, Outcome
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


def test_what_is_written_back_says_the_same(tmp_path: Path) -> None:
    """PostgreSQL is the warehouse, the ledger and the destination at once."""
    scenario = Scenario("http", False, 1, "skip", POSTGRESQL, churn=False, written=True)
    try:
        evidence = trial(scenario, KILLS, SEED, tmp_path, patient=False)
    except NoServer as why:
        pytest.skip(str(why))
    found = account(evidence)
    assert not list(violations(evidence, found)), f"seed {SEED}: {found}"
    assert found.kills == len(KILLS), f"seed {SEED}: the run was over before it was fired at"
    assert found.sent > found.audience / 2


SENT = Tally(Channel.http, "", Outcome.sent, "", 3)
ROWS: list[Ended] = [(person, "sent", "", 1) for person in (1, 2, 3)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, []),
        (ROWS[1:], ["the table has {('sent', ''): 2}, and the run counted {('sent', ''): 3}"]),
        ([*ROWS[1:], ROWS[1]], ["1 messages have more than one row"]),
        ([*ROWS[1:], (None, "sent", "", 1)], ["1 rows say that nobody was sent something"]),
        ([*ROWS[1:], (1, "failed", "no", 1)], ["the table has {('sent', ''): 2, ('failed', 'no'): 1}, and"]),
    ],
    ids=["all is well", "one is missing", "one has two", "one is nobody's", "another outcome"],
)
def test_the_harness_finds_what_is_wrong_in_what_is_written_back(rows: list[Ended], said: list[str]) -> None:
    found = list(written.violations(rows, [SENT]))
    assert len(found) == len(said)
    assert all(one.startswith(words) for one, words in zip(found, said, strict=True))


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
