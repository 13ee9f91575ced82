"""`connect runs prune` forgets old runs, and says how many."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect.cli.main import app
from connect.cli.terminal import failing
from connect.ledger.records import NewRun
from connect.ledger.store import Ledger
from connect.testing.ledgers import HandClock
from connect.vocabulary import Mode, RunState


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command line; returns its exit code."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["connect", *arguments])
        return failing(app)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Callable[..., int]) -> Path:
    """Three runs of one campaign, which ended 100, 50 and 0 days ago."""
    monkeypatch.setenv("CONNECT_SECRET", "a-secret-of-the-shop-0123456789")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "connect.yml").write_text(
        'name: shop\nsecret: ${CONNECT_SECRET}\nsources: {shop: {url: "duckdb://"}}\n'
    )
    assert connect("runs", "list") == 0
    for days in (100, 50, 0):
        _ran(tmp_path, datetime.now(UTC) - timedelta(days=days))
    return tmp_path


def _ran(folder: Path, instant: datetime) -> None:
    clock = HandClock()
    clock.pass_time(seconds=(instant - clock.now()).total_seconds())
    url = f"sqlite:///{folder}/.connect/state.db"
    with closing(Ledger.open(url, project="shop", target="default", clock=clock)) as ledger:
        number = f"{int(instant.timestamp()):016}"
        ledger.create_run(NewRun(number, Mode.live, "hello", instant, True, "d", "{}", b"salt", b"secret"))
        ledger.finish(number, RunState.completed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "removed 1 run that ended more than 90d ago"),
        (["--older-than", "30d"], "removed 2 runs that ended more than 30d ago"),
        (["--older-than", "0s"], "removed 2 runs that ended more than 0s ago"),
        (["--older-than", "99999999d"], "removed 0 runs that ended more than 99999999d ago"),
    ],
)
def test_runs_older_than_that_are_removed(project, connect, capsys, arguments, said):
    assert connect("runs", "prune", *arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said


def test_a_machine_reads_how_many(project, connect, capsys):
    capsys.readouterr()
    assert connect("runs", "prune", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": 1}


def test_what_is_not_a_duration_says_so_and_removes_nothing(project, connect, capsys):
    assert connect("runs", "prune", "--older-than", "3 months") == 2
    assert "error[bad-duration]" in capsys.readouterr().err
    connect("runs", "list", "--json")
    assert len(json.loads(capsys.readouterr().out)) == 3
