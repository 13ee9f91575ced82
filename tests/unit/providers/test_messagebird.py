"""Bird: what is asked, what each answer means, and which webhooks are believed."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from connect.errors import RunTrouble
from connect.identity import read_correlation_id
from connect.providers import messagebird_events, messagebird_replies
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.interface import Account, Status
from connect.providers.messagebird import HOST, MessageBird, Settings
from connect.redact import Secret
from connect.testing import an_sms
from connect.testing.api import Answer, ApiServer, Call
from connect.testing.fakes.messagebird import CHANNEL, KEY, WORKSPACE, FakeBird, refusal
from connect.testing.rigs.messagebird import SIGNING_KEY, URL, signed

PAGE = Path(__file__).parents[3] / "docs" / "providers" / "messagebird.md"
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


class Fake(FakeBird):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.url = ""

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        return super().answer(call)


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    with ApiServer(fake.answer) as server:
        fake.url = server.url
        yield fake
    assert fake.misfits == []


def settings(**fields: object) -> Settings:
    given: dict[str, object] = {"access_key": Secret(KEY), "workspace_id": WORKSPACE, "channel_id": CHANNEL}
    return Settings.model_validate({**given, **fields})


@asynccontextmanager
async def opened(url: str, **fields: object) -> AsyncIterator[MessageBird]:
    made = settings(endpoint_url=url, **fields)
    provider = MessageBird(Account("texts", made, Path(), concurrency=2, timeout=timedelta(seconds=5)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def test_the_whole_request(fake: Fake) -> None:
    sms = an_sms(1, body="Grüße 🎉\nMorgen", sender="Acme")
    async with opened(fake.url) as provider:
        (receipt,) = await provider.send([sms])
    (call,) = fake.calls
    assert (call.method, call.path) == ("POST", f"/workspaces/{WORKSPACE}/channels/{CHANNEL}/messages")
    assert call.headers["authorization"] == f"AccessKey {KEY}"
    assert call.json == {
        "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": "+4915112000001"}]},
        "body": {"type": "text", "text": {"text": "Grüße 🎉\nMorgen"}},
        "reference": sms.correlation_id,
        "sender": {"connector": {"identifierValue": "Acme"}},
    }
    assert (receipt.status, len(receipt.provider_id)) == (Status.accepted, 36)
    assert HOST == "https://api.bird.com"


async def test_the_channel_has_a_sender_of_its_own(fake: Fake) -> None:
    async with opened(fake.url) as provider:
        await provider.send([an_sms(1, sender="")])
    assert "sender" not in fake.delivered[0]


@pytest.mark.parametrize("fields", [{"workspace_id": "acme"}, {"channel_id": f"{CHANNEL}/messages"}, {"from": "Acme"}])
def test_settings_that_can_not_work_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**fields)


def invalid(status: int, *fields: str) -> Answer:
    return refusal(status, "InvalidPayload", "validation failed", details={field: ["is not valid"] for field in fields})


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (invalid(422, ".receiver.contacts[0].identifierValue"), (Status.rejected_recipient, "invalid_number")),
        (invalid(400, "receiver"), (Status.rejected_recipient, "invalid_number")),
        (invalid(422, ".receiver.contacts", ".receiver"), (Status.rejected_recipient, "invalid_number")),
        (invalid(422, ".sender.connector"), (Status.config, "sender_not_usable")),
        (invalid(422, ".body.text.text"), (Status.rejected_content, "invalid_parameters")),
        (invalid(422, ".reference"), (Status.rejected_content, "other")),
        (invalid(422, ".receiver", ".body"), (Status.rejected_content, "other")),
        (invalid(409, ".receiver"), (Status.rejected_content, "conflict")),
        (refusal(400, "BadRequest", "no"), (Status.rejected_content, "other")),
        (refusal(422, "BadRequest", "no", details=["receiver"]), (Status.rejected_content, "other")),
        (refusal(401, "Unauthorized", "who"), (Status.config, "authentication_failed")),
        (refusal(403, "Forbidden", "no"), (Status.config, "access_denied")),
        (refusal(403, "Forbidden", "insufficient funds"), (Status.quota, "balance_used_up")),
        (refusal(422, "InsufficientBalance", "no"), (Status.quota, "balance_used_up")),
        (refusal(402, "PaymentRequired", "no"), (Status.quota, "balance_used_up")),
        (refusal(404, "NotFound", "no"), (Status.config, "endpoint_not_found")),
        (refusal(429, "TooManyRequests", "slow"), (Status.throttled, "slow_down")),
        (refusal(500, "Internal", "insufficient funds"), (Status.transient, "provider_failed")),
        (Answer(504, b"<html>"), (Status.ambiguous, "unrecognised_answer")),
        (Answer(202, b""), (Status.ambiguous, "unreadable_answer")),
        (Answer(202, {"status": "accepted"}), (Status.ambiguous, "unreadable_answer")),
    ],
)
async def test_answers(fake: Fake, answer: Answer, meaning: tuple[Status, str]) -> None:
    sms = an_sms(1)
    fake.arranged[sms.message.address] = answer
    async with opened(fake.url) as provider:
        (receipt,) = await provider.send([sms])
    assert (receipt.status, receipt.reason) == meaning


async def test_a_number_is_hidden_however_it_is_spaced(fake: Fake) -> None:
    fake.arranged["+4915112000007"] = refusal(422, "InvalidPayload", "+49 (151) 1200 0007 is not valid")
    async with opened(fake.url) as provider:
        (receipt,) = await provider.send([an_sms(7)])
    assert receipt.detail == "InvalidPayload: *** is not valid"


async def test_check_looks_at_the_channel(fake: Fake) -> None:
    async with opened(fake.url) as provider:
        assert await provider.check() == "signed in; the channel is active"
        for odd in ({"platformId": "email-messagebird"}, {"status": "inactive"}):
            fake.channel = {"platformId": "sms-messagebird", "status": "active", **odd}
            with pytest.raises(RunTrouble, match="messagebird-channel"):
                await provider.check()
        fake.may_read = False
        assert "may not read" in await provider.check()


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "messagebird-credentials"), (404, "messagebird-channel"), (503, "messagebird-unreachable")],
)
async def test_check_says_what_to_mend(status: int, said: str) -> None:
    with ApiServer(lambda _: refusal(status, "No", "no")) as server:
        async with opened(server.url) as provider:
            with pytest.raises(RunTrouble, match=said) as trouble:
                await provider.check()
    assert trouble.value.problems[0].hint


# Events

MESSAGE: dict[str, object] = {
    "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "channelId": CHANNEL,
    "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": "+4915112000001"}]},
    "reference": an_sms(1).correlation_id,
    "status": "delivered",
    "lastStatusAt": "2026-11-20T09:29:58.123456789Z",
}


def reported(message: object, at: datetime = NOW, event: str = "sms.outbound", url: str = URL) -> Webhook:
    body = json.dumps({"service": "channels", "event": event, "payload": message}).encode()
    return signed(body, SIGNING_KEY, at, url)


def parsed(webhook: Webhook, **fields: object) -> list[Event]:
    made = settings(webhook_secret=Secret(SIGNING_KEY), **fields)
    return messagebird_events.parse_events(webhook, made)  # type: ignore[return-value]


def refused(webhook: Webhook, **fields: object) -> str:
    with pytest.raises(EventsRefused) as refusal:
        parsed(webhook, **fields)
    return refusal.value.reason


def test_delivered() -> None:
    (event,) = parsed(reported(MESSAGE))
    assert event.type is EventType.delivered
    assert event.id == "3fa85f64-5717-4562-b3fc-2c963f66afa6:delivered"
    assert event.at == datetime(2026, 11, 20, 9, 29, 58, 123456, tzinfo=UTC)
    assert (event.run_id, event.key) == read_correlation_id(an_sms(1).correlation_id)
    assert event.address == "+4915112000001"


@pytest.mark.parametrize("status", ["accepted", "processing", "sent", "new", None])
def test_what_is_on_its_way_is_no_event(status: object) -> None:
    assert parsed(reported({**MESSAGE, "status": status})) == []


@pytest.mark.parametrize("event", ["sms.inbound", "whatsapp.outbound", ""])
def test_other_events_are_left_out(event: str) -> None:
    assert parsed(reported(MESSAGE, event=event)) == []


@pytest.mark.parametrize("status", ["sending_failed", "delivery_failed"])
@pytest.mark.parametrize(
    ("failure", "kind"),
    [({"details": name}, kind) for name, kind in messagebird_events.BOUNCES.items()]
    + [({"failure": {"code": code}}, kind) for code, kind in messagebird_events.CODES.items()]
    + [
        ({"details": "Unknown subscriber"}, (Bounce.hard, "unknown_number")),
        ({"reason": "details: x; reason: unknown_subscriber; code: 1"}, (Bounce.hard, "unknown_number")),
        ({"reason": "details: x; reason: opted out"}, (Bounce.hard, "unsubscribed")),
        ({"details": "new", "failure": {"code": 15005}}, (Bounce.hard, "unknown_number")),
        ({"details": "new", "reason": "new", "failure": {"code": 19999}}, (Bounce.soft, "other")),
        ({"failure": "15005"}, (Bounce.soft, "other")),
        ({}, (Bounce.soft, "other")),
    ],
)
def test_bounces(status: str, failure: dict[str, object], kind: tuple[Bounce, str]) -> None:
    (event,) = parsed(reported({**MESSAGE, "status": status, **failure}))
    assert (event.type, (event.bounce, event.reason)) == (EventType.bounced, kind)


@pytest.mark.parametrize("receiver", [None, {}, {"contacts": []}, {"contacts": ["x"]}, {"contacts": [{}]}])
def test_a_message_whose_receiver_is_not_said(receiver: object) -> None:
    (event,) = parsed(reported({**MESSAGE, "receiver": receiver, "reference": None, "lastStatusAt": "?"}))
    assert (event.address, event.run_id, event.at) == ("", None, NOW)


def test_only_what_the_key_signed_is_believed() -> None:
    genuine = reported(MESSAGE)
    assert refused(replace(genuine, body=genuine.body.replace(b"delivered", b"sent"))) == "bad_signature"
    assert refused(replace(genuine, url=f"{URL}?x")) == "bad_signature"
    for name in ("messagebird-signature", "messagebird-request-timestamp"):
        assert refused(replace(genuine, headers={**genuine.headers, name: ""})) == "bad_signature"
        assert refused(replace(genuine, headers={**genuine.headers, name: "1763631000"})) == "bad_signature"


def test_a_proxy_may_change_the_url_where_the_account_says_what_it_is() -> None:
    webhook = replace(reported(MESSAGE), url="http://10.0.0.7:8000/texts")
    assert refused(webhook) == "bad_signature"
    assert parsed(webhook, webhook_url=URL)


def test_bird_tries_again_for_hours_with_the_first_time() -> None:
    genuine = reported(MESSAGE)
    assert parsed(replace(genuine, at=NOW + timedelta(hours=9)))
    assert refused(replace(genuine, at=NOW + timedelta(hours=25))) == "too_old"
    assert refused(replace(genuine, at=NOW - timedelta(hours=25))) == "too_old"


@pytest.mark.parametrize("body", [b"[]", b"7", b"{", b"\xff"])
def test_signed_bodies_that_are_no_notice(body: bytes) -> None:
    assert refused(signed(body, SIGNING_KEY, NOW)) == "unreadable"


def test_a_notice_without_a_message() -> None:
    assert parsed(reported(None)) == []
    assert parsed(reported({})) == []


def test_the_page_explains_every_reason() -> None:
    tables: tuple[dict[object, tuple[object, str]], ...] = (
        messagebird_replies.STATUSES,  # type: ignore[assignment]
        messagebird_replies.FIELDS,
        messagebird_events.BOUNCES,
        messagebird_events.CODES,
    )
    reasons = {reason for table in tables for _, reason in table.values()}
    assert reasons - set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text())) == set()
