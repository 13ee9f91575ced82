"""What webhooks have in common is read whatever it is, and nothing that is odd gets past a proof."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connect.providers.events import EventsRefused, EventType, Webhook, bare, correlated, instant, parse_events_of
from connect.providers.replays import Remembered
from connect.providers.signatures import check_age, check_password, check_standard, equal
from connect.redact import Secret
from connect.testing import an_email, an_sms, rigs
from connect.testing.providers import Happened

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SECRET = Secret("whsec_" + base64.b64encode(b"only for tests").decode())


def webhook(**headers: str) -> Webhook:
    return Webhook(headers, b"{}", "https://acme.example/", NOW, Remembered())


def test_halves_of_characters_are_equal_to_nothing_else() -> None:
    assert equal("a", "a")
    for odd in ("\ud800", "\udfff", "?", "\ufffd"):
        assert not any(equal(odd, other) for other in ("\ud800", "\udfff", "?", "\ufffd") if other != odd)


def _standard(each: Webhook) -> None:
    check_standard(each, SECRET)


def _basic(each: Webhook) -> None:
    check_password(each, "connect", Secret("é"))


@pytest.mark.parametrize("check", [_standard, _basic])
@pytest.mark.parametrize("odd", ["", "9" * 5000, "-1", "1e3", "٣", "\ud800", "nan", "Basic \ud800", "Basic é"])
def test_odd_proofs_are_refused(check: Callable[[Webhook], None], odd: str) -> None:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature", "authorization")
    given = dict.fromkeys(names, odd) | {"webhook-id": odd or "a"}
    with pytest.raises(EventsRefused, match="bad_signature"):
        check(Webhook(given, b"{}", "https://acme.example/", NOW, Remembered()))


@pytest.mark.parametrize("seconds", ["nan", "inf", "9" * 400, "", "é"])
def test_a_time_of_no_calendar_is_no_signature(seconds: str) -> None:
    with pytest.raises(EventsRefused, match="bad_signature"):
        check_age(seconds, NOW)


def test_tokens_of_any_characters_are_remembered() -> None:
    replays = Remembered()
    assert replays.is_new("\ud800", b"a")
    assert replays.is_new("\ud800", b"a")
    assert not replays.is_new("\ud800", b"b")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20T10:30:00+01:00", NOW),
        ("2026-11-20T09:30:00", NOW),
        ("0001-01-01T00:00:00+23:59", None),  # before the first year, in UTC
        ("9999-12-31T23:59:59-23:59", None),
        ("yesterday", None),
        (1763631000, None),
        (None, None),
    ],
)
def test_times_are_in_utc_or_the_other_one(text: object, at: datetime | None) -> None:
    other = datetime(2020, 1, 1, tzinfo=UTC)
    found = instant(text, other)
    assert found == (at or other)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a@b.example", "a@b.example"),
        ("Zoë <a@b.example>", "a@b.example"),
        ('"<x@y>" <a@b.example>', "a@b.example"),
        (" <a@b.example", "a@b.example"),
        ("", ""),
        ("(" * 5000, "(" * 5000),
    ],
)
def test_addresses_are_read_without_names(text: str, address: str) -> None:
    assert bare(text) == address


def test_a_correlation_id_is_ours_or_nobodys() -> None:
    ours = an_email().correlation_id
    run_id, key = correlated(ours)
    assert (run_id, len(key or b"")) == ("01lg030gehin6t3j", 16)
    for odd in (ours + "\n", ours.replace("01lg", "\ud8001l"), ours.upper(), ours[:-1], f" {ours}", 7, None):
        assert correlated(odd) == (None, None)


@pytest.mark.parametrize("name", ["twilio", "mailjet", "messagebird"])
@pytest.mark.parametrize("url", ["https://[", "//[?token=a&bodySHA256=b", "\ud800", ""])
def test_urls_that_are_none_are_no_proof(name: str, url: str, tmp_path: Path) -> None:
    with rigs.rig(name, tmp_path) as rig:
        happened = Happened(EventType.delivered, an_email() if name == "mailjet" else an_sms())
        genuine = rig.webhook([happened], NOW)  # type: ignore[attr-defined]
        odd = replace(genuine, headers={**genuine.headers, "authorization": ""}, url=url)
        parse = parse_events_of(rig.adapter)
        assert parse is not None
        with pytest.raises(EventsRefused, match="bad_signature"):
            parse(replace(odd, headers={**odd.headers, "messagebird-signature": ""}), rig.account().settings)


def test_a_token_without_end_is_no_proof(tmp_path: Path) -> None:
    """Its head is read before it is known whose it is."""
    head = base64.urlsafe_b64encode(b"[" * 60_000).decode().rstrip("=")
    with rigs.rig("vonage", tmp_path) as rig:
        parse = parse_events_of(rig.adapter)
        assert parse is not None
        with pytest.raises(EventsRefused, match="bad_signature"):
            parse(webhook(authorization=f"Bearer {head}.e30.e30"), rig.account().settings)
