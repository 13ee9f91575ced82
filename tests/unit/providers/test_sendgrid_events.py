"""SendGrid: what its webhooks report, and which are believed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from connect.identity import read_correlation_id
from connect.providers import sendgrid_events
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.replays import Remembered
from connect.providers.sendgrid import SendGrid, Settings
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.fakes.sendgrid import KEY
from connect.testing.rigs.sendgrid import signed, verification_key

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PRIVATE = derive_private_key(0x5EC2E7, SECP256R1())
PUBLIC = verification_key(PRIVATE)


def settings(public_key: str | None = PUBLIC) -> Settings:
    return Settings.model_validate({"api_key": Secret(KEY), "webhook_public_key": public_key})


def entry(event: str, **fields: object) -> dict[str, object]:
    return {
        "email": "person-1@mail.example",
        "timestamp": int(NOW.timestamp()),
        "event": event,
        "sg_event_id": f"id-of-{event}",
        "sg_message_id": "14c5d75ce93.recvd-5f54b5d587-pczjm-1-61BA9F60-5.0",
        "smtp-id": "<14c5d75ce93@ismtpd-555>",
        "connect_id": an_email(1).correlation_id,
        **fields,
    }


def parsed(*entries: object) -> list[Event]:
    events = SendGrid.parse_events(signed(json.dumps(list(entries)).encode(), NOW, PRIVATE), settings())
    return [event for event in events if isinstance(event, Event)]


def refused(webhook: Webhook, public_key: str | None = PUBLIC) -> str:
    with pytest.raises(EventsRefused) as caught:
        SendGrid.parse_events(webhook, settings(public_key))
    return caught.value.reason


def test_an_event_in_full() -> None:
    (event,) = parsed(entry("click", url="https://acme.example/?a=1&b=2", url_offset={"index": 0, "type": "html"}))
    run_id, key = read_correlation_id(an_email(1).correlation_id) or (None, None)
    assert event == Event(
        EventType.clicked,
        NOW,
        "id-of-click",
        an_email(1).channel,
        run_id,
        key,
        address="person-1@mail.example",
        link="https://acme.example/?a=1&b=2",
        provider_id="14c5d75ce93",
    )


@pytest.mark.parametrize(("name", "type"), sendgrid_events.TYPES.items())
def test_every_event_that_has_a_name(name: str, type: EventType) -> None:
    (event,) = parsed(entry(name, url="https://acme.example"))
    assert (event.type, event.machine) == (type, False)
    assert (event.bounce is not None) == (type is EventType.bounced)
    assert (event.link != "") == (type is EventType.clicked)


def test_what_is_no_news_is_left_out() -> None:
    others = ("processed", "deferred", "account_status_change", "something_new")
    assert [event.type for event in parsed(*map(entry, others), entry("open"))] == [EventType.opened]


@pytest.mark.parametrize(("said", "machine"), [(True, True), (False, False), ("true", False), (None, False)])
def test_opens_by_machines_are_told_apart(said: object, machine: bool) -> None:
    assert parsed(entry("open", sg_machine_open=said))[0].machine is machine


@pytest.mark.parametrize(
    ("fields", "bounce", "reason"),
    [
        ({"type": "bounce", "bounce_classification": "Invalid Address"}, Bounce.hard, "invalid_address"),
        ({"type": "bounce", "reason": "550 5.1.1 person-1@mail.example?"}, Bounce.hard, "other"),
        ({"type": "blocked", "bounce_classification": "Reputation"}, Bounce.soft, "bad_reputation"),
        ({"type": "blocked", "bounce_classification": "Mailbox Unavailable"}, Bounce.soft, "mailbox_unavailable"),
        ({"type": "something new", "bounce_classification": "New"}, Bounce.soft, "other"),
        ({}, Bounce.soft, "other"),
    ],
)
def test_bounces_are_hard_or_soft(fields: dict[str, object], bounce: Bounce, reason: str) -> None:
    (event,) = parsed(entry("bounce", **fields))
    assert (event.bounce, event.reason) == (bounce, reason)


@pytest.mark.parametrize(
    ("said", "bounce", "reason"),
    [(said, *found) for said, found in sendgrid_events.DROPS.items()] + [("New", Bounce.soft, "other")],
)
def test_a_dropped_message_says_why(said: str, bounce: Bounce, reason: str) -> None:
    (event,) = parsed(entry("dropped", reason=said))
    assert (event.type, event.bounce, event.reason) == (EventType.bounced, bounce, reason)


def test_an_event_of_somebody_elses_message_is_nobodys() -> None:
    (event,) = parsed(entry("delivered", connect_id=["not", "ours"]))
    assert (event.run_id, event.key) == (None, None)


def test_an_event_without_an_id_gets_one_that_stays() -> None:
    once, again, later = (
        parsed(entry("open", sg_event_id=None, timestamp=int(NOW.timestamp()) + seconds))[0].id for seconds in (0, 0, 1)
    )
    assert once == again != later


def test_nothing_of_a_person_is_in_a_repr() -> None:
    shown = repr(parsed(entry("click", url="https://acme.example/secret")))
    assert not re.search("person-1|secret|14c5d75ce93", shown)


@pytest.mark.parametrize("content", [b"", b"{}", b'"text"', b"[1]", b'[{"event": "open"}]', b"[" * 100_000, b"\xff"])
def test_a_signed_body_that_is_not_readable(content: bytes) -> None:
    assert refused(signed(content, NOW, PRIVATE)) == "unreadable"


@pytest.mark.parametrize("seconds", ["soon", "", "nan", "inf", "-", "9" * 400])
def test_a_signed_time_that_is_none(seconds: str) -> None:
    webhook = signed(b"[]", NOW, PRIVATE, seconds or " ")
    assert refused(webhook) == "bad_signature"


@pytest.mark.parametrize(("age", "fine"), [(299, True), (301, False), (-299, True), (-301, False)])
def test_how_old_a_webhook_may_be(age: int, fine: bool) -> None:
    webhook = replace(signed(b"[]", NOW, PRIVATE), at=NOW + timedelta(seconds=age))
    if fine:
        assert SendGrid.parse_events(webhook, settings()) == []
    else:
        assert refused(webhook) == "too_old"


def test_the_signature_covers_every_byte_of_body_and_time() -> None:
    genuine = signed(json.dumps([entry("open")]).encode() + b"\r\n", NOW, PRIVATE)
    assert len(SendGrid.parse_events(genuine, settings())) == 1
    assert refused(replace(genuine, body=genuine.body.rstrip())) == "bad_signature"
    assert refused(replace(genuine, body=genuine.body.replace(b"open", b"spam"))) == "bad_signature"
    later = {**genuine.headers, sendgrid_events.TIMESTAMP: str(int(NOW.timestamp()) + 1)}
    assert refused(replace(genuine, headers=later)) == "bad_signature"


@pytest.mark.parametrize("signature", ["", "!", "AAAA", "MEUCIQ==", "ü", base64.b64encode(b"\0" * 72).decode()])
def test_a_signature_that_is_none(signature: str) -> None:
    genuine = signed(b"[]", NOW, PRIVATE)
    assert (
        refused(replace(genuine, headers={**genuine.headers, sendgrid_events.SIGNATURE: signature})) == "bad_signature"
    )


def test_a_key_may_be_pasted_with_its_line_ends() -> None:
    webhook = signed(b"[]", NOW, PRIVATE)
    assert SendGrid.parse_events(webhook, settings(PUBLIC[:60] + "\n  " + PUBLIC[60:] + "\n")) == []


def test_a_signature_by_the_book() -> None:
    """Signed with nothing but the arithmetic of SEC 1 and FIPS 186: the adapter's library agrees."""
    private = 0xC0FFEE
    public = verification_key(derive_private_key(private, SECP256R1()))
    body, seconds = json.dumps([entry("delivered")]).encode() + b"\r\n", str(int(NOW.timestamp()))
    signature = base64.b64encode(by_the_book(private, seconds.encode() + body)).decode()
    headers = {sendgrid_events.SIGNATURE: signature, sendgrid_events.TIMESTAMP: seconds}
    webhook = Webhook(headers, body, "https://connect.acme.example", NOW, Remembered())
    assert len(SendGrid.parse_events(webhook, settings(public))) == 1
    assert refused(replace(webhook, body=body + b" "), public) == "bad_signature"


_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None


def by_the_book(private: int, message: bytes) -> bytes:
    """An ECDSA signature on P-256 with SHA-256, as DER."""
    digest = int.from_bytes(hashlib.sha256(message).digest())
    nonce = int.from_bytes(hashlib.sha256(b"nonce" + message).digest()) % _N
    point = times(nonce, _G)
    assert point is not None
    r = point[0] % _N
    s = pow(nonce, -1, _N) * (digest + r * private) % _N
    numbers = b"".join(b"\x02" + bytes([len(each)]) + each for each in map(octets, (r, s)))
    return b"\x30" + bytes([len(numbers)]) + numbers


def octets(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1)


def times(factor: int, point: Point) -> Point:
    total: Point = None
    while factor:
        total = plus(total, point) if factor & 1 else total
        point, factor = plus(point, point), factor >> 1
    return total


def plus(one: Point, other: Point) -> Point:
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % _P == 0:
        return None
    if one == other:
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, _P)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P)
    x = (slope * slope - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P
