"""`/metrics`: off unless asked for, every name on its page, nobody in a label."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connect.ledger.owner import Owner
from connect.ledger.records import DaemonRecord, NewRun, Tally
from connect.server import measures
from connect.testing.serving import Served, served
from connect.vocabulary import Channel, Mode, Outcome, RunState
from docs import markdown

PAGE = markdown.ROOT / "docs" / "metrics.md"
PROJECT = """
name: shop
secret: ${CONNECT_SECRET}
serve: {metrics: true}
providers: {outbox: {type: outbox}}
channels: {sms: outbox}
webhooks: {crm: {url: "https://crm.example/", signing_secret: "${SIGNING}"}}
"""
CAMPAIGN = """
trigger: {type: immediate}
audience: {people: [{id: 1}]}
message: {content: [{channel: sms, body: Hi}]}
"""
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "connect.yml").write_text(PROJECT)
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "weekly.yml").write_text(CAMPAIGN)
    monkeypatch.setenv("CONNECT_SECRET", "a secret of this test")
    monkeypatch.setenv("SIGNING", "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz")
    with served(tmp_path) as made:
        yield made


def ask(server: Served, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def scrape(server: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) → value."""
    status, text = ask(server, "/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(server: Served, name: str, **labels: str) -> float | None:
    return scrape(server).get((name, frozenset(labels.items())))


def a_run(server: Served) -> None:
    run = NewRun("run1", Mode.live, "weekly", AT, False, "d", "{}", b"salt", b"secret", tallies=(SENT, DOUBT))
    server.site.ledger.create_run(run)


SENT = Tally(Channel.email, "", Outcome.sent, "", 7)
DOUBT = Tally(Channel.email, "", Outcome.unknown, "in_doubt", 2)


def everything(server: Served) -> None:
    """Something of each name."""
    a_run(server)
    ledger, counters = server.site.ledger, server.site.counters
    ledger.end_slice(ledger.claim_slice("run1", owner=Owner.here(), lease=timedelta(minutes=1)))
    ledger.create_run(NewRun("run2", Mode.live, "daily", AT, False, "d", "{}", b"", b"", state=RunState.queued))
    ledger.beat(DaemonRecord("me", Mode.live, "1", AT, AT, 3))
    server.site.herald.tell([])
    for name, measure in measures.COUNTED.items():
        counters.add(name, 1, **dict.fromkeys(measure.labels, "x"))


def test_it_tells_how_runs_stand(server: Served) -> None:
    a_run(server)
    assert value(server, "connect_runs", mode="live", state="running") == 1
    of_weekly = {"campaign": "weekly", "channel": "email"}
    assert value(server, "connect_last_run_deliveries", **of_weekly, outcome="sent") == 7
    assert value(server, "connect_last_run_deliveries", **of_weekly, outcome="unknown") == 2
    assert value(server, "connect_last_run_state", campaign="weekly", state="running") == 1
    assert value(server, "connect_ledger_reachable") == 1


def test_it_tells_of_daemons_and_of_what_waits_for_them(server: Served) -> None:
    everything(server)
    found = scrape(server)
    mode = frozenset({("mode", "live")})
    assert (found["connect_daemons", mode], found["connect_daemon_runs", mode]) == (1, 3)
    assert found["connect_queue_lag_seconds", mode] > 0
    assert found["connect_queue_lag_seconds", frozenset({("mode", "test")})] == 0
    assert found["connect_last_success_timestamp_seconds", frozenset({("campaign", "weekly")})] > 0
    assert found["connect_outgoing_webhooks_waiting", frozenset({("webhook", "crm")})] == 0


def test_it_is_off_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "connect.yml").write_text("name: shop\nsecret: ${CONNECT_SECRET}\n")
    monkeypatch.setenv("CONNECT_SECRET", "a secret of this test")
    with served(tmp_path) as server:
        assert ask(server, "/metrics")[0] == 404


def test_a_ledger_that_is_away_is_told(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from connect.errors import OutsideError

    def away(campaigns: list[str]) -> None:
        raise OutsideError.of("ledger-unavailable", "away")

    monkeypatch.setattr(server.site.ledger, "census", away)
    found = scrape(server)
    assert found["connect_ledger_reachable", frozenset()] == 0
    assert not any(name.startswith("connect_runs") for name, _ in found)


def test_requests_are_counted_by_route(server: Served) -> None:
    ask(server, "/livez")
    ask(server, "/livez", "POST")
    ask(server, "/livez", "PROPFIND")
    ask(server, "/nobody-ada@example.com?who=ada@example.com")
    ask(server, "/webhooks/webhooks")
    found = scrape(server)
    told = {
        tuple(sorted(dict(labels).values())): count
        for (name, labels), count in found.items()
        if name == "connect_requests_total"
    }
    assert told == {
        ("/livez", "200", "GET"): 1,
        ("/livez", "405", "POST"): 1,
        ("/livez", "405", "other"): 1,
        ("404", "GET", "none"): 1,
        ("/webhooks/{account}", "404", "GET"): 1,
    }
    assert found["connect_request_seconds_count", frozenset({("route", "/livez")})] == 3


def test_nobody_is_in_a_scrape(server: Served) -> None:
    everything(server)
    for path in ("/u/canary-token", "/webhooks/canary-account", "/livez?who=canary", "/canary"):
        for method in ("GET", "POST", "CANARY"):
            ask(server, path, method)
    assert "canary" not in ask(server, "/metrics")[1].lower()


ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<kind>\w+) \| (?P<unit>[^|]+) \| (?P<labels>[^|]*)\|", re.MULTILINE)


def test_every_metric_is_on_the_page_with_its_labels(server: Served) -> None:
    everything(server)
    ask(server, "/livez")
    text = ask(server, "/metrics")[1]
    families = {family.name: family for family in text_string_to_metric_families(text)}
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    told = {
        (name, kinds[name], labels_of(families[name.removesuffix("_total") if kinds[name] == "counter" else name]))
        for name in kinds
        if name.startswith("connect_")
    }
    page = {
        (row["name"], row["kind"], frozenset(re.findall(r"`(\w+)`", row["labels"])))
        for row in ROW.finditer(PAGE.read_text())
    }
    assert page == told


def labels_of(family: object) -> frozenset[str]:
    samples = family.samples  # type: ignore[attr-defined]
    assert samples, f"{family} has no value in this test"
    return frozenset(label for sample in samples for label in sample.labels if label != "le")
