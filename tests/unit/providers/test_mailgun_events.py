"""Mailgun: what its webhooks report, and which are believed."""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connect.identity import read_correlation_id
from connect.providers import mailgun_events
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.mailgun import Mailgun, Settings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.fakes.mailgun import DOMAIN, KEY

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SIGNING_KEY = "key-of-the-account"


def settings(secret: str | None = SIGNING_KEY) -> Settings:
    given = {"api_key": Secret(KEY), "domain": DOMAIN, "webhook_secret": None if secret is None else Secret(secret)}
    return Settings.model_validate(given)


def data(event: str, **fields: object) -> dict[str, object]:
    return {
        "event": event,
        "id": "ncV2XwymRUKbPek_MIM-Gw",
        "timestamp": NOW.timestamp() + 0.25,
        "recipient": "person-1@mail.example",
        "user-variables": {"connect_id": an_email(1).correlation_id, "other": "1"},
        "message": {"headers": {"message-id": "1.run@acme.example"}, "size": 3},
        **fields,
    }


def proof(token: str = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0", seconds: str = "") -> dict[str, str]:
    seconds = seconds or str(int(NOW.timestamp()))
    signature = hmac.new(SIGNING_KEY.encode(), (seconds + token).encode(), "sha256").hexdigest()
    return {"timestamp": seconds, "token": token, "signature": signature}


def webhook(event: object, signature: object = None, replays: Remembered | None = None) -> Webhook:
    body = json.dumps({"signature": signature or proof(), "event-data": event}).encode()
    headers = {"content-type": "application/json"}
    return Webhook(headers, body, "https://connect.acme.example", NOW, replays or Remembered())


def parsed(event: dict[str, object]) -> list[Event]:
    return [each for each in Mailgun.parse_events(webhook(event), settings()) if isinstance(each, Event)]


def refused(given: Webhook, secret: str | None = SIGNING_KEY) -> str:
    with pytest.raises(EventsRefused) as caught:
        Mailgun.parse_events(given, settings(secret))
    return caught.value.reason


def test_a_signature_as_mailgun_documents_it() -> None:
    """Computed with openssl: printf 1529006854a8ce0e… | openssl dgst -sha256 -hmac key-of-the-account"""
    token = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
    assert proof(token, "1529006854")["signature"] == "a27b35095e88bcfebb889ecab6bf71cbccf8207197a81acdcd01a6351132a3fc"
    given = replace(webhook(data("opened"), proof(token, "1529006854")), at=datetime.fromtimestamp(1529006900, UTC))
    assert len(Mailgun.parse_events(given, settings())) == 1


def test_an_event_in_full() -> None:
    (event,) = parsed(data("clicked", url="https://acme.example/?a=1&b=2"))
    run_id, key = read_correlation_id(an_email(1).correlation_id) or (None, None)
    assert event == Event(
        EventType.clicked,
        NOW + timedelta(seconds=0.25),
        "20261120.ncV2XwymRUKbPek_MIM-Gw",
        an_email(1).channel,
        run_id,
        key,
        address="person-1@mail.example",
        link="https://acme.example/?a=1&b=2",
        provider_id="1.run@acme.example",
    )


@pytest.mark.parametrize(("name", "type"), mailgun_events.TYPES.items())
def test_every_event_that_has_a_name(name: str, type: EventType) -> None:
    (event,) = parsed(data(name, url="https://acme.example"))
    assert (event.type, event.machine) == (type, False)
    assert (event.bounce is not None) == (type is EventType.bounced)
    assert (event.link != "") == (type is EventType.clicked)


@pytest.mark.parametrize(
    "event",
    [
        data("accepted"),
        data("stored"),
        data("something new"),
        data("failed", severity="temporary", reason="generic"),
        data("delivered", **{"delivery-status": {"code": 650}}),  # in test mode
        {},
    ],
)
def test_what_is_no_news_is_left_out(event: dict[str, object]) -> None:
    assert parsed(event) == []


@pytest.mark.parametrize(("bot", "machine"), [("apple", True), ("", False), (None, False)])
def test_opens_by_machines_are_told_apart(bot: str | None, machine: bool) -> None:
    assert parsed(data("opened", **{"client-info": {"bot": bot}}))[0].machine is machine


FAILURES = [({"reason": said}, bounce, reason) for said, (bounce, reason) in mailgun_events.FAILURES.items()]


@pytest.mark.parametrize(
    ("fields", "bounce", "reason"),
    [
        *FAILURES,
        ({"reason": "new"}, Bounce.soft, "other"),
        ({}, Bounce.soft, "other"),
        ({"reason": "generic", "delivery-status": {"bounce-code": "5.1.1"}}, Bounce.hard, "invalid_address"),
        ({"reason": "generic", "delivery-status": {"enhanced-code": "5.7.1"}}, Bounce.soft, "refused"),
        ({"reason": "bounce", "delivery-status": {"enhanced-code": "5.1.10"}}, Bounce.hard, "invalid_address"),
    ],
)
def test_failures_are_hard_or_soft(fields: dict[str, object], bounce: Bounce, reason: str) -> None:
    (event,) = parsed(data("failed", severity="permanent", **fields))
    assert (event.bounce, event.reason) == (bounce, reason)


def test_what_mailgun_would_not_send_is_no_fault_of_the_address() -> None:
    (event,) = parsed(data("rejected", reject={"reason": "Sandbox subdomains are for test purposes only"}))
    assert (event.bounce, event.reason) == (Bounce.soft, "rejected")


@pytest.mark.parametrize("variables", [{}, {"connect_id": 7}, [], None, {"connect_id": "c1.x.y"}])
def test_an_event_of_somebody_elses_message_is_nobodys(variables: object) -> None:
    (event,) = parsed(data("opened", **{"user-variables": variables}))
    assert (event.run_id, event.key) == (None, None)


def test_ids_are_unique_within_a_day_only() -> None:
    (today,), (tomorrow,) = parsed(data("opened")), parsed(data("opened", timestamp=NOW.timestamp() + 86_400))
    assert today.id != tomorrow.id


def test_nothing_of_a_person_is_in_a_repr() -> None:
    shown = repr(parsed(data("clicked", url="https://acme.example/secret")))
    assert not re.search("person-1|secret|1.run", shown)


def test_a_signature_is_good_for_one_body() -> None:
    """It does not cover the body: whoever saw one could put another event behind it."""
    replays = Remembered()
    genuine = webhook(data("opened"), replays=replays)
    first = Mailgun.parse_events(genuine, settings())
    assert Mailgun.parse_events(genuine, settings()) == first, "Mailgun tries again"
    forged = webhook(data("complained"), replays=replays)
    assert refused(forged) == "replayed"
    assert refused(replace(genuine, body=genuine.body + b" ")) == "replayed"
    assert Mailgun.parse_events(webhook(data("complained"), proof("another token"), replays), settings()) != []


def test_a_signature_can_not_be_cut_in_another_place() -> None:
    """What is signed is the time and the token, without anything between."""
    replays = Remembered()
    whole = proof("e0a1b2c3")
    assert Mailgun.parse_events(webhook(data("opened"), whole, replays), settings())
    for moved in ("e0", "e"):
        cut = {**whole, "timestamp": whole["timestamp"] + moved, "token": whole["token"].removeprefix(moved)}
        assert refused(webhook(data("complained"), cut, replays)) == "bad_signature"
    moved_back = {**whole, "timestamp": whole["timestamp"][:-1], "token": whole["timestamp"][-1] + whole["token"]}
    assert refused(webhook(data("complained"), moved_back, replays)) == "too_old"


def test_what_is_refused_is_not_remembered() -> None:
    """Else somebody could spend the signature of a webhook that has not come yet."""
    replays = Remembered()
    fake = {**proof(), "signature": "0" * 64}
    assert refused(webhook(data("opened"), fake, replays)) == "bad_signature"
    assert Mailgun.parse_events(webhook(data("clicked"), replays=replays), settings())


@pytest.mark.parametrize(
    "signature",
    [
        {"timestamp": "1", "token": "1"},
        {"signature": "0"},
        "text",
        ["list"],
        {**proof(), "signature": proof()["signature"].upper()},
        {**proof(), "signature": "ü"},
        {**proof(), "signature": "\ud800"},
        {**proof(), "token": "other"},
        {**proof(), "token": "\ud800"},
        {**proof(), "timestamp": "²"},
        {**proof(), "timestamp": None},
    ],
)
def test_a_signature_that_is_none(signature: object) -> None:
    assert refused(webhook(data("opened"), signature)) == "bad_signature"


@pytest.mark.parametrize(("age", "fine"), [(299, True), (301, False), (-299, True), (-301, False)])
def test_how_old_a_webhook_may_be(age: int, fine: bool) -> None:
    given = replace(webhook(data("opened")), at=NOW + timedelta(seconds=age))
    if fine:
        assert len(Mailgun.parse_events(given, settings())) == 1
    else:
        assert refused(given) == "too_old"


def test_the_time_may_come_as_a_number() -> None:
    signature = {**proof(), "timestamp": int(NOW.timestamp())}
    assert Mailgun.parse_events(webhook(data("opened"), signature), settings())


@pytest.mark.parametrize("content", [b"", b"[]", b'"text"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_readable(content: bytes) -> None:
    assert refused(replace(webhook({}), body=content)) == "unreadable"


@pytest.mark.parametrize(
    "event", [data("opened", timestamp="soon"), data("opened", timestamp=1e300), data("opened", id="")]
)
def test_a_genuine_event_that_is_not_readable(event: dict[str, object]) -> None:
    assert refused(webhook(event)) == "unreadable"


def test_forms_as_webhooks_were_of_old_are_not_read() -> None:
    given = webhook(data("opened"))
    assert refused(replace(given, headers={"content-type": "application/x-www-form-urlencoded"})) == "unreadable"
    assert Mailgun.parse_events(replace(given, headers={"content-type": "Application/JSON; charset=utf-8"}), settings())


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_key_nothing_is_believed(secret: str | None) -> None:
    blank = {
        **proof(),
        "signature": hmac.new(b"", "".join((proof()["timestamp"], proof()["token"])).encode(), "sha256").hexdigest(),
    }
    assert refused(webhook(data("opened"), blank), secret) == "not_configured"
