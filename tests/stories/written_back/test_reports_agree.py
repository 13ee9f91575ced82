"""The ledger's report, the warehouse's, and plain SQL come to the same numbers, in whichever order things came."""

from __future__ import annotations

import asyncio
import csv
import io
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.pipeline.counters import Counters
from connect.pipeline.intake import Intake, Outlets
from connect.pipeline.subscriptions import Change
from connect.providers.events import Bounce, Event, EventType
from connect.testing.canaries import Canaries
from connect.vocabulary import Channel

PERSONAL, PLAIN = "https://shop.example/for/{{ user.email }}?ref=mail", "https://shop.example/sale"
EMAIL = {
    "channel": "email",
    "from": "Shop <hello@shop.example>",
    "subject": "Hello",
    "html": f'<p><a href="{PERSONAL}">Yours</a> <a href="{PLAIN}">Everybody’s</a></p>',
}
SMS = {"channel": "sms", "body": "Good day"}
MIDNIGHT = datetime(2026, 9, 2, 14, tzinfo=UTC)
"""In Sydney."""
PEOPLE = 9
HERE = "destination: {}\ntimezone: Australia/Sydney"

Sent = tuple[str, str, str, str]
"""Run, message key, channel, id."""


@pytest.fixture
def shop_sent(home: Any) -> Any:
    """Two live runs, and one test."""
    home.configure(HERE)
    home.campaign(EMAIL, SMS)
    home.crowd(PEOPLE)
    home.change("insert into opt_outs values ('id-00002', 'unsubscribed')")
    home.init()
    assert home.shop.run("hello").code == 0
    assert home.shop.run("hello", "--again").code == 0
    assert home.shop.run("hello", "--mode", "test").code == 0
    return home


def deliveries(home: Any) -> list[Sent]:
    """In an order that is always the same: runs and keys are random."""
    told = "run, message_key, channel, id"
    rows = home.ask(f"select {told}, fire_time from connect_deliveries where outcome = 'sent'")
    rows.sort(key=lambda row: (row["fire_time"], row["channel"], row["id"]))
    return [tuple(row.values())[:4] for row in rows]


def life(sent: Sequence[Sent], chance: random.Random) -> Iterator[Event]:
    """What becomes of messages: most are delivered, some opened again and again, by people and by programs."""
    for number, (run, key, channel, id) in enumerate(sent):
        made = Event(EventType.delivered, MIDNIGHT, f"e{number}", Channel(channel), run, bytes.fromhex(key))
        at = MIDNIGHT - timedelta(hours=chance.randrange(9))
        if chance.random() < 0.15:
            bounce = chance.choice([Bounce.hard, Bounce.soft, Bounce.soft])
            yield replace(made, type=EventType.bounced, at=at, bounce=bounce, id=f"b{number}")
            continue
        yield replace(made, at=at)
        if channel == "sms":
            continue
        for again in range(chance.randrange(5)):
            at += timedelta(hours=chance.randrange(20))
            opened = replace(made, type=EventType.opened, at=at, id=f"o{number}.{again}", machine=chance.random() < 0.3)
            yield opened
            if chance.random() < 0.6:
                link = chance.choice([f"https://shop.example/for/anna{id[3:]}%40mail.example?ref=mail", PLAIN, ""])
                yield replace(opened, type=EventType.clicked, id=f"c{number}.{again}", link=link)
        for kind in (EventType.complained, EventType.unsubscribed, EventType.resubscribed):
            if chance.random() < 0.15:
                yield replace(made, type=kind, at=at, id=f"{kind}{number}")


def messy(events: Sequence[Event], chance: random.Random) -> list[Event]:
    """Some come twice, in no order."""
    found = [*events, *chance.sample(list(events), len(events) // 3)]
    chance.shuffle(found)
    return found


def report_all(home: Any, events: Sequence[Event]) -> None:
    """As a server takes them, in several requests."""

    async def nothing(changes: Sequence[Change]) -> None:
        """Opt-outs are another story."""

    async def take() -> None:
        outlets = Outlets(
            project=lambda: project,
            open=wiring.open_warehouse,
            ledger=ledger,
            clock=clock,
            changes=nothing,
            tell=told.extend,
            counters=Counters(),
            trouble=lambda action, error: trouble.append(action),
        )
        intake, stop = Intake(outlets), asyncio.Event()
        for start in range(0, len(events), 23):
            if start > len(events) / 2 and not stop.is_set():  # others may end later, and report what they held
                stop.set()
                await intake.run(stop)
            await intake.take("mail", events[start : start + 23])
        assert stop.is_set()
        assert ledger.spells() == []

    told: list[Any] = []
    trouble: list[str] = []
    clock = SystemClock()
    project = wiring.open_project(home.shop.root, None, None, {})
    ledger = wiring.open_ledger(project, clock)
    try:
        asyncio.run(take())
    finally:
        ledger.close()
    assert not trouble


@pytest.fixture
def heard(shop_sent: Any) -> Any:
    chance = random.Random(8)
    sent = deliveries(shop_sent)
    tests = [run["id"] for run in shop_sent.shop.connect("runs", "list", "--json").json if run["mode"] == "test"]
    of_a_test = [(tests[0], "ab" * 16, "email", "id-00001")]
    report_all(shop_sent, messy(list(life([*sent, *of_a_test, *of_a_test], chance)), chance))
    return shop_sent


def test_the_ledger_the_warehouse_and_plain_sql_agree_to_the_last_number(heard: Any) -> None:
    report = ledger_and_warehouse_agree(heard)
    for by, divided in (("", "''"), ("run", "d.run"), ("channel", "d.channel")):
        assert plain_sql(heard, divided) == counts(report, by)
    nobody_is_in_the_ledger_nor_in_what_a_report_writes(heard)


def ledger_and_warehouse_agree(heard: Any) -> Any:
    counted = heard.shop.connect("report", "hello", "--json").json
    recounted = heard.shop.connect("report", "hello", "--json", "--from-warehouse").json
    assert (counted.pop("from"), recounted.pop("from")) == ("ledger", "warehouse")
    assert counted == recounted
    assert len(counted["by"]["day"]) > 2
    assert [group["name"] for group in counted["by"]["link"] if group["name"]] == sorted(
        (PERSONAL, PLAIN), key=lambda link: -clicks(counted, link)
    )
    assert set(counted["figures"]) >= {
        "delivered",
        "opened",
        "machine_opened",
        "clicked",
        "hard_bounced",
        "unsubscribed",
    }
    assert [run["mode"] for run in counted["runs"]] == ["live"] * 2
    for options in (("--runs", "1"), ("--since", "2026-01-01", "--until", "2026-01-02")):
        one, other = (
            heard.shop.connect("report", "hello", "--csv", "-", "--by", "day", *options, *where).out
            for where in ((), ("--from-warehouse",))
        )
        assert one == other
    return counted


def clicks(report: Any, link: str) -> int:
    return sum(group["figures"]["clicked"]["total"] for group in report["by"]["link"] if group["name"] == link)


PLAIN_SQL = """
select e.type, coalesce(e.bounce, '') as bounce, e.machine, {divided} as part, count(*) as total,
count(distinct e.run || e.message_key) as people
from connect_events e join connect_deliveries d on d.run = e.run and d.message_key = e.message_key
where d.campaign = 'hello' and d.target = 'default'
group by 1, 2, 3, 4
"""
NAMES = {("bounced", "hard"): "hard_bounced", ("bounced", "soft"): "soft_bounced"}


def counts(report: Any, by: str) -> dict[tuple[str, str, str], int]:
    """(part, measure, total or unique) of what was reported."""
    told: Counter[tuple[str, str, str]] = Counter()
    for group in report["by"][by] if by else [{"name": "", "figures": report["figures"]}]:
        for measure, figure in group["figures"].items():
            told[group["name"], measure, "total"] += figure["total"]
            told[group["name"], measure, "unique"] += figure["unique"]
    outcomes = {"sent", "skipped", "refused", "failed", "unknown"}
    return {key: count for key, count in told.items() if count and key[1] not in outcomes}


def plain_sql(heard: Any, divided: str) -> dict[tuple[str, str, str], int]:
    found: Counter[tuple[str, str, str]] = Counter()
    for row in heard.ask(PLAIN_SQL.format(divided=divided)):
        name = NAMES.get((row["type"], row["bounce"]), row["type"])
        measure = f"machine_{name}" if row["machine"] else name
        found[row["part"], measure, "total"] += row["total"]
        found[row["part"], measure, "unique"] += row["people"]
    return dict(found)


def nobody_is_in_the_ledger_nor_in_what_a_report_writes(heard: Any) -> None:
    canaries = Canaries()
    for number in range(PEOPLE):
        canaries.add("email", f"anna{number:05}@mail.example")
    heard.shop.connect("report", "hello", "--html", "page.html", "--csv", "table.csv", "--by", "link")
    heard.shop.connect("report", "hello", "--html", "again.html", "--from-warehouse")
    kept = heard.shop.root / "kept"
    kept.mkdir()
    for name in ("page.html", "again.html", "table.csv"):
        (heard.shop.root / name).rename(kept / name)
    assert canaries.search_files([kept, heard.shop.root / ".connect"], []) == set()
    (clicked,) = heard.ask("select count(*) as n from connect_events where link like '%anna%'")
    assert clicked["n"] > 0  # they are where they may be
    assert "{{ user.email }}" in (kept / "page.html").read_text()
    names = [row["name"] for row in csv.DictReader(io.StringIO((kept / "table.csv").read_text()))]
    assert set(names) <= {PERSONAL, PLAIN, ""}


def test_what_was_only_tested_is_not_counted_from_the_warehouse(file: Any) -> None:
    home = file
    home.configure(HERE)
    home.campaign(EMAIL)
    home.crowd(1)
    home.init()
    assert home.shop.run("hello", "--mode", "test").code == 0
    assert home.shop.connect("report", "hello").code == 0
    assert home.shop.connect("report", "hello", "--from-warehouse").error.code == "never-ran"
    home.configure("")
    assert home.shop.connect("report", "hello", "--from-warehouse").error.code == "no-destination"
