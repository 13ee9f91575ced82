"""Two campaigns over real purchases, by the installed command line; every number checked against plain SQL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests import processes

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "cdnow"

WIN_BACK = """
select 'customer_' || customer_id || '@example.com', sum(amount), max(purchased_on)
from purchases
group by customer_id
having count(*) >= 3 and max(purchased_on) < date '1998-07-01' - 180
"""
RECENT = """
select 'customer_' || customer_id || '@example.com', sum(amount)
from purchases
where purchased_on >= date '1998-07-01' - 30
group by customer_id
"""


def without_connect(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("CONNECT_")}


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = without_connect(os.environ)
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def connect(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return processes.run(
        processes.COMMAND, *arguments, folder=folder, environment=without_connect(os.environ), text=True
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, built as its README says."""
    folder = tmp_path_factory.mktemp("cdnow") / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.duckdb", ".connect", "outbox", ".env"))
    built = command(folder, sys.executable, "build.py")
    assert built.returncode == 0, built.stderr
    return folder


def ran(project: Path, campaign: str) -> dict[str, Any]:
    ended = connect(project, "run", campaign, "--yes", "--json")
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


@pytest.fixture(scope="module")
def win_back(project: Path) -> dict[str, Any]:
    return ran(project, "win_back")


@pytest.fixture(scope="module")
def recent_buyers(project: Path) -> dict[str, Any]:
    return ran(project, "recent_buyers")


def asked(project: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(project / "cdnow.duckdb"), read_only=True) as database:
        return database.execute(sql).fetchall()


def captured(project: Path, report: dict[str, Any]) -> dict[str, Any]:
    """Address → message of a run. Fails where somebody got two."""
    files = list((project / "outbox" / report["runs"][0]["id"]).glob("*.eml"))
    messages = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    found = {str(message["To"]): message for message in messages}
    assert len(found) == len(messages)
    return found


def adds_up(report: dict[str, Any]) -> bool:
    total: int = report["deliveries"]
    return total == sum(report["outcomes"].values()) == sum(tally["count"] for tally in report["tallies"])


def test_the_example_validates(project: Path) -> None:
    checked = connect(project, "validate", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found = json.loads(checked.stdout)
    assert (found["errors"], found["warnings"]) == (0, 0)
    assert {campaign["name"] for campaign in found["campaigns"]} == {"win_back", "recent_buyers"}


def test_ids_keep_their_leading_zeros(project: Path) -> None:
    assert asked(project, "select count(*) from customers where length(customer_id) = 5") == [(2357,)]


def test_win_back_reaches_every_regular_who_left(project: Path, win_back: dict[str, Any]) -> None:
    regulars = asked(project, WIN_BACK)
    assert len(regulars) > 100
    assert win_back["deliveries"] == win_back["outcomes"]["sent"] == len(regulars)
    assert adds_up(win_back)
    assert captured(project, win_back).keys() == {email for email, _, _ in regulars}


def test_win_back_tells_each_their_own_total(project: Path, win_back: dict[str, Any]) -> None:
    messages = captured(project, win_back)
    for email, total, last in asked(project, WIN_BACK):
        text = messages[email].get_body(("plain",)).get_content()
        assert f"${total:,.2f} in all" in " ".join(text.split())
        assert f"{last.day} {last:%B %Y}" in " ".join(text.split())


def test_only_the_ten_best_are_told_so(project: Path, win_back: dict[str, Any]) -> None:
    messages = captured(project, win_back)
    told = {email for email, message in messages.items() if "ten best" in message.get_body(("html",)).get_content()}
    best = sorted(asked(project, WIN_BACK), key=lambda row: -row[1])[:10]
    assert told == {email for email, _, _ in best}


def test_recent_buyers_are_thanked_and_small_orders_skipped(project: Path, recent_buyers: dict[str, Any]) -> None:
    buyers = asked(project, RECENT)
    thanked = {email for email, spent in buyers if spent >= 10}
    assert 0 < len(thanked) < len(buyers)
    assert recent_buyers["deliveries"] == len(buyers)
    assert recent_buyers["outcomes"]["sent"] == len(thanked)
    assert recent_buyers["outcomes"]["skipped"] == len(buyers) - len(thanked)
    assert [tally["reason"] for tally in recent_buyers["tallies"] if tally["outcome"] == "skipped"] == [
        "skip_tag: only a single"
    ]
    assert adds_up(recent_buyers)
    assert captured(project, recent_buyers).keys() == thanked


def test_it_is_not_sent_twice(project: Path, win_back: dict[str, Any]) -> None:
    before = captured(project, win_back).keys()
    again = connect(project, "run", "win_back", "--yes")
    assert again.returncode == 2
    assert "--again" in again.stderr
    assert [run.name for run in (project / "outbox").iterdir() if run.is_dir()].count(win_back["runs"][0]["id"]) == 1
    assert captured(project, win_back).keys() == before


def test_an_opt_out_counts_from_the_next_run(project: Path, win_back: dict[str, Any]) -> None:
    regulars = asked(project, WIN_BACK)
    email = regulars[0][0]
    with duckdb.connect(str(project / "cdnow.duckdb")) as database:
        database.execute("insert into unsubscribes (address) values (?)", [f" {email.upper()} "])
    ended = connect(project, "run", "win_back", "--yes", "--again", "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert {(tally["outcome"], tally["reason"]): tally["count"] for tally in report["tallies"]} == {
        ("sent", ""): len(regulars) - 1,
        ("skipped", "unsubscribed"): 1,
    }
    assert email not in captured(project, report)
