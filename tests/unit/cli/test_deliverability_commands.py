"""`connect validate` and `connect doctor` about what becomes of messages after a provider took them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connect.pipeline import domains
from tests.unit.pipeline.name_server import NameServer

RELAY = """\
name: club
secret: ${CONNECT_SECRET}
mode: live
providers:
  relay: {type: smtp, host: 127.0.0.1, port: 1, security: none}
  box: {type: outbox}
channels: {email: relay}
subscriptions: {sql_file: off.sql}
unsubscribe: {url: "https://club.example/off?t={{ url.token }}"}
"""
CAMPAIGN = """\
status: {status}
trigger: {{type: immediate}}
audience:
  people: [{{id: 1, email: ann@mail.example}}]
message:
  content:
    - channel: email
      from: Club <hello@club.example>
      subject: Hello
      html: '<p>Hi</p><img src="http://club.example/a.png" alt="">'
{more}"""
RECORDS = {"club.example": ["v=spf1 -all"], "_dmarc.club.example": ["v=DMARC1; p=reject"]}


def campaign(club: Any, name: str = "spring", status: str = "live", more: str = "") -> None:
    (club.root / f"campaigns/{name}.yml").write_text(CAMPAIGN.format(status=status, more=more))


@pytest.fixture
def relay(club: Any) -> Any:
    (club.root / "connect.yml").write_text(RELAY.replace("subscriptions: {sql_file: off.sql}\n", ""))
    return club


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """The records of the machine's name server."""
    with NameServer(RECORDS) as server:
        monkeypatch.setattr(domains, "system_resolver", server.resolver)
        yield server.records


def codes(problems: list[dict[str, Any]]) -> list[str]:
    assert {problem["severity"] for problem in problems} <= {"warning"}
    return [problem["code"] for problem in problems]


@pytest.mark.parametrize("status", ["live", "draft"])
def test_validate_warns_and_is_content(relay, status):
    campaign(relay, status=status)
    ended = relay.connect("validate", "--no-warehouse", "--json")
    assert ended.code == 0
    (checked,) = ended.json["campaigns"]
    assert codes(checked["problems"]) == ["insecure-link", "no-unsubscribe-link"]
    assert (ended.json["warnings"], checked["sound"], "notes" in ended.json) == (2, True, False)
    link = checked["problems"][0]
    assert (link["file"], link["line"], link["column"]) == ("campaigns/spring.yml", 10, 33)


def test_links_to_leave_are_not_missed_where_nobody_is_reached(relay):
    (relay.root / "connect.yml").write_text(
        (relay.root / "connect.yml").read_text().replace("email: relay", "email: box")
    )
    campaign(relay)
    ended = relay.connect("validate", "--no-warehouse", "--json")
    assert codes(ended.json["campaigns"][0]["problems"]) == ["insecure-link"]


def test_a_failover_account_that_reaches_people_counts(relay):
    text = (relay.root / "connect.yml").read_text()
    (relay.root / "connect.yml").write_text(text.replace("email: relay", "email: [box, relay]"))
    campaign(relay)
    ended = relay.connect("validate", "--no-warehouse", "--json")
    assert "no-unsubscribe-link" in codes(ended.json["campaigns"][0]["problems"])


def test_what_is_wrong_is_said_before_what_is_unwise(relay):
    campaign(relay, more="      colour: red\n")
    ended = relay.connect("validate", "--no-warehouse", "--json")
    assert [problem["code"] for problem in ended.json["campaigns"][0]["problems"]] == ["unknown-key"]


def test_what_several_campaigns_share_is_told_once(relay):
    text = (relay.root / "connect.yml").read_text().replace("https://club.example/off", "http://club.example/off")
    (relay.root / "connect.yml").write_text(text)
    campaign(relay, "spring")
    campaign(relay, "summer")
    ended = relay.connect("validate", "--no-warehouse")
    assert ended.err.count("warning[no-one-click]") == 1
    assert ended.err.count("warning[insecure-link]") == 2
    assert "2 campaigns, 0 errors, 5 warnings" in ended.err


def test_nobody_asks_the_dns_by_himself(relay, monkeypatch):
    def never() -> None:
        raise AssertionError

    monkeypatch.setattr(domains, "system_resolver", never)
    campaign(relay)
    assert relay.connect("validate", "--no-warehouse").code == 0
    assert relay.connect("doctor").code == 3  # the relay is not there


def test_validate_with_dns(relay, named):
    campaign(relay)
    ended = relay.connect("validate", "--no-warehouse", "--dns", "--json")
    assert ended.code == 0
    assert codes(ended.json["campaigns"][0]["problems"]) == ["insecure-link", "no-unsubscribe-link"]
    assert ended.json["notes"] == ["DKIM of club.example: `relay` signs; the provider's own page has the selector"]
    named.clear()
    ended = relay.connect("validate", "--no-warehouse", "--dns")
    assert ended.code == 0
    assert "campaigns/spring.yml:8:25: warning[no-spf]" in ended.err
    assert "campaigns/spring.yml:8:25: warning[no-dmarc]" in ended.err
    assert "note: DKIM of club.example" in ended.err


def test_a_resolver_that_is_not_there_is_a_note(relay, monkeypatch):
    monkeypatch.setattr(domains, "system_resolver", lambda: None)
    campaign(relay)
    ended = relay.connect("validate", "--no-warehouse", "--dns", "--json")
    assert (ended.code, ended.json["warnings"]) == (0, 2)
    assert "SPF of club.example: the resolver does not answer" in ended.json["notes"]


def findings(ended: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(check["what"], check["name"]): check for check in ended.json["checks"]}


def test_doctor(club, named):
    club.campaign("hello", "{type: immediate}")
    good = club.connect("doctor", "--json")
    assert good.code == 0
    found = findings(good)[("deliverability", "default")]
    assert (found["ok"], found["found"]) == (True, "nothing to mend in 1 campaign")
    assert ("domain", "mail.example") not in findings(good)
    campaign(club)
    warned = findings(club.connect("doctor", "--json"))[("deliverability", "default")]
    assert warned["ok"]
    assert warned["found"] == "warnings in 1 of 2 campaigns, see `connect validate`: insecure-link"


def test_doctor_with_dns(club, named):
    campaign(club)
    good = club.connect("doctor", "--dns", "--json")
    assert good.code == 0
    assert findings(good)[("domain", "club.example")]["found"] == "SPF -all · DMARC p=reject"
    del named["_dmarc.club.example."]
    bad = club.connect("doctor", "--dns", "--json")
    assert bad.code == 3
    found = findings(bad)[("domain", "club.example")]
    assert (found["ok"], "no DMARC record" in found["found"], "_dmarc.club.example" in found["hint"]) == (
        False,
        True,
        True,
    )


def test_doctor_of_a_project_without_campaigns(club, named):
    checks = findings(club.connect("doctor", "--dns", "--json"))
    assert {what for what, _ in checks} == {"secret", "ledger", "provider"}


def test_doctor_passes_over_campaigns_that_do_not_load(club):
    club.campaign("hello", "{type: immediate}")
    (club.root / "campaigns/broken.yml").write_text("trigger: 1\n")
    found = findings(club.connect("doctor", "--json"))[("deliverability", "default")]
    assert found["found"] == "nothing to mend in 1 campaign"
