"""What `connect report` prints and writes: readable in 80 columns, and never a number that nobody knows."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from sqlalchemy import insert

from connect import wiring
from connect.clock import SystemClock
from connect.ledger.tables import EVENTS

LINK = "https://shop.example/p/{{ user.id }}"


@pytest.fixture
def sent(shop: Any) -> Any:
    """Two runs of 30 people, of which nothing has been reported."""
    shop.people(30)
    assert shop.run("hello").code == 0
    assert shop.run("hello", "--again").code == 0
    return shop


def heard(shop: Any, *counts: tuple[str, int, int], day: str = "2026-09-03") -> None:
    """(type or link, count, firsts) of the newest run, as if they had been counted."""
    project = wiring.open_project(shop.root, None, None, {})
    ledger = wiring.open_ledger(project, SystemClock())
    run = ledger.runs()[0].id
    place = {"run_id": run, "channel": "email", "arm": "", "bounce": "", "machine": False, "day": day}
    with ledger.write() as connection:
        for what, count, firsts in counts:
            type, link = ("clicked", what) if "://" in what else (what, "")
            row = {**place, "type": type, "link": link, "count": count, "firsts": firsts}
            connection.execute(insert(EVENTS), row)
    ledger.close()


def test_what_nobody_has_reported_is_said_and_is_not_nought(sent: Any) -> None:
    told = sent.connect("report", "hello").out
    assert "60 deliveries = 60 sent" in told
    assert "no events have been reported: see docs/webhooks.md" in told
    assert "%" not in told
    shown = sent.connect("report", "hello", "--by", "link").out
    assert "no clicks have been reported" in shown


def test_it_fits_into_80_columns(sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    heard(sent, ("delivered", 29, 29), ("opened", 40, 12), (LINK, 9, 6), ("clicked", 0, 6), ("unsubscribed", 1, 1))
    told = sent.connect("report", "hello", "--by", "run").out
    assert max(map(len, told.splitlines())) <= 80
    lines = [line.split() for line in told.splitlines()]
    assert ["opened", "12", "40", "41.4", "%", "of", "29", "delivered"] in lines
    assert ["delivered", "29", "29", "48.3", "%", "of", "60", "sent"] in lines
    assert "never reported: bounced (hard), bounced (soft), complained" in told
    heads, newest, before = [line for line in lines if line][-3:]
    assert heads == ["fire", "time", "sent", "deliv.", "open", "%", "click", "%", "unsub."]
    assert newest[2:] == ["30", "29", "12", "41.4", "6", "20.7", "1"]
    assert before[2:] == ["30"]
    links = sent.connect("report", "hello", "--by", "link").out
    assert ["9", "6", "20.7", "%", "https://shop.example/p/{{", "user.id", "}}"] in [
        line.split() for line in links.splitlines()
    ]
    assert "41.4 %" in sent.connect("runs", "show", sent.connect("runs", "list", "--json").json[0]["id"]).out


def test_a_table_and_a_page_are_written(sent: Any) -> None:
    heard(sent, ("opened", 40, 12))
    printed = sent.connect("report", "--csv", "-", "--by", "run")
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [(row["sent"], row["opened_unique"]) for row in rows] == [("30", "12"), ("30", "")]
    written = sent.connect("report", "hello", "--csv", "table.csv", "--by", "run", "--html", "page.html")
    assert written.out == ""
    assert (sent.root / "table.csv").read_text() == printed.out
    assert "<h1>hello</h1>" in (sent.root / "page.html").read_text()


def test_only_some_runs_are_counted_when_that_is_asked(sent: Any) -> None:
    assert sent.connect("report", "hello", "--json").json["outcomes"]["sent"] == 60
    newest = sent.connect("report", "hello", "--runs", "1")
    assert "30 deliveries" in newest.out
    assert "the newest 1 run of more" in newest.out
    assert sent.connect("report", "hello", "--since", "2026-01-01", "--until", "2026-01-02").error.code == "never-ran"
    assert sent.connect("report", "hello", "--since", "2026-01-01", "--json").json["deliveries"] == 60


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--since", "2026-01-02", "--until", "2026-01-01"), "bad-window"),
        (("--since", "yesterday"), "bad-time"),
        (("--csv", "no/such/folder.csv"), "file-not-written"),
    ],
)
def test_mistakes_on_the_command_line_are_the_users(sent: Any, options: tuple[str, ...], code: str) -> None:
    ended = sent.connect("report", "hello", *options)
    assert (ended.code, ended.error.code) == (2, code)


def test_a_page_is_of_one_campaign(sent: Any) -> None:
    assert sent.connect("report", "--html", "page.html").error.code == "no-campaign"
