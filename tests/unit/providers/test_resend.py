"""Resend: which calls are made and under which keys, what each answer means, and what its webhooks report."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from pydantic import ValidationError

from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.errors import RunTrouble
from connect.identity import call_key, correlation_id, read_correlation_id
from connect.providers import resend_messages as messages
from connect.providers import resend_replies as replies
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.interface import Account, Receipt, Status
from connect.providers.replays import Remembered
from connect.providers.resend import Resend
from connect.providers.resend_events import REASONS, TYPES, parse_events
from connect.providers.resend_settings import Settings
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.api import DROP, Answer, ApiServer
from connect.testing.fakes.resend import KEY, RESTRICTED_KEY, FakeResend, failure
from connect.testing.messages import an_attachment

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PAGE = (Path(__file__).parents[3] / "docs" / "providers" / "resend.md").read_text()


@pytest.fixture
def fake() -> Iterator[FakeResend]:
    fake = FakeResend()
    yield fake
    assert fake.misfits == []


@pytest.fixture
def server(fake: FakeResend) -> Iterator[ApiServer]:
    with ApiServer(fake) as running:
        yield running


@asynccontextmanager
async def opened(url: str, **fields: Any) -> AsyncIterator[Resend]:
    settings = Settings.model_validate({"api_key": Secret(KEY), "endpoint_url": url, **fields})
    provider = Resend(Account("mail", settings, Path(), concurrency=2, timeout=timedelta(seconds=5)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


def with_file(number: int) -> Outgoing:
    return an_email(number, attachments=(an_attachment(),))


def paths(server: ApiServer) -> list[str]:
    return [call.path for call in server.calls]


def said(receipts: Sequence[Receipt]) -> list[tuple[Status, str]]:
    return [(receipt.status, receipt.reason) for receipt in receipts]


def recipients(fake: FakeResend) -> list[str]:
    return sorted(item["to"][0] for item in fake.delivered)


async def test_a_message_is_written_like_this(server: ApiServer) -> None:
    outgoing = an_email(
        1,
        to=(Mailbox("person-1@mail.example", 'Zoë "Q", Quill'),),
        cc=(Mailbox("boss@acme.example"),),
        bcc=(Mailbox("archive@acme.example"),),
        reply_to=(Mailbox("help@acme.example", "Hilfe, bitte"),),
        subject="Grüße 🎉",
        headers=(("List-Unsubscribe", "<https://acme.example/u/1>"), ("X-Connect-ID", "c1")),
        attachments=(Attachment("Größe.pdf", "application/pdf", b"%PDF"),),
    )
    async with opened(server.url, tags={"team": "a"}) as provider:
        (receipt,) = await provider.send([outgoing])
    assert (receipt.status, receipt.provider_id) == (Status.accepted, "00000000-0000-0000-0000-000000000001")
    (call,) = server.calls
    assert (call.method, call.path, call.headers["authorization"]) == ("POST", "/emails", f"Bearer {KEY}")
    assert call.headers["idempotency-key"] == outgoing.key.hex()
    assert call.headers["user-agent"]  # without one Resend answers 403
    assert call.json == {
        "from": "Acme <hello@acme.example>",
        "to": ['"Zoë \\"Q\\", Quill" <person-1@mail.example>'],
        "cc": ["boss@acme.example"],
        "bcc": ["archive@acme.example"],
        "reply_to": ['"Hilfe, bitte" <help@acme.example>'],
        "subject": "Grüße 🎉",
        "text": "Dear person 1,\nthere is news.\n",
        "html": "<p>Dear person 1,</p><p>there is news.</p>",
        "headers": {"List-Unsubscribe": "<https://acme.example/u/1>", "X-Connect-ID": "c1"},
        "tags": [
            {"name": "team", "value": "a"},
            {"name": "connect_id", "value": outgoing.correlation_id.replace(".", "-")},
        ],
        "attachments": [{"filename": "Größe.pdf", "content": "JVBERg==", "content_type": "application/pdf"}],
    }


async def test_a_hundred_messages_go_in_one_call_that_is_known_by_its_members(server: ApiServer) -> None:
    batch = [an_email(number) for number in range(100)]
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    (call,) = server.calls
    assert call.path == "/emails/batch"
    assert call.headers["idempotency-key"] == call_key([outgoing.key for outgoing in batch]).hex()
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert len({receipt.provider_id for receipt in receipts}) == 100


def test_html_alone_has_no_text_made_of_it() -> None:
    item = json.loads(messages.written(an_email(1, text=None), {}))
    assert item["text"] == ""
    assert "html" not in json.loads(messages.written(an_email(1, html=None), {}))


def test_the_correlation_id_comes_back_out_of_its_tag() -> None:
    for number in range(64):
        known = correlation_id("01lg030gehin6t3j", bytes([number * 4 + 3]) * 16)  # dashes, underscores and neither
        tag = messages.tag_of(known)
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag)
        assert messages.correlation_of(tag) == known


async def test_messages_with_attachments_go_alone_under_their_own_keys(fake: FakeResend, server: ApiServer) -> None:
    batch = [an_email(0), with_file(1), an_email(2), with_file(3)]
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert paths(server) == ["/emails/batch", "/emails", "/emails"]
    keys = [call.headers["idempotency-key"] for call in server.calls]
    assert keys[0] == call_key([batch[0].key, batch[2].key]).hex()
    assert sorted(keys[1:]) == sorted([batch[1].key.hex(), batch[3].key.hex()])
    assert len(fake.delivered) == 4


async def test_a_batch_that_is_repeated_makes_the_same_calls_and_sends_nothing_again(
    fake: FakeResend, server: ApiServer
) -> None:
    batch = [an_email(0), with_file(1), an_email(2), with_file(3), an_email(4)]
    fake.take_and(DROP)
    async with opened(server.url) as provider:
        first = await provider.send(batch)
        assert said(first)[0] == (Status.ambiguous, "connection_lost_after_write")
        fake.relent()
        second = await provider.send(batch)
        third = await provider.send(batch)
    assert {receipt.status for receipt in second} == {Status.accepted}
    assert [each.provider_id for each in second] == [each.provider_id for each in third]
    assert len(fake.delivered) == 5
    for one, other in zip(server.calls[1:4], server.calls[4:], strict=True):
        assert one.headers["idempotency-key"] in {call.headers["idempotency-key"] for call in server.calls[4:]}
        assert one.path == other.path


@pytest.mark.parametrize(
    ("answer", "bulk", "rest"),
    [
        (DROP, (Status.ambiguous, "connection_lost_after_write"), (Status.transient, "held_back")),
        (failure(500, "application_error", ""), (Status.ambiguous, "provider_failed"), (Status.transient, "held_back")),
        (failure(503, "", ""), (Status.transient, "provider_unavailable"), (Status.transient, "held_back")),
        (failure(429, "rate_limit_exceeded", ""), (Status.throttled, "slow_down"), (Status.throttled, "slow_down")),
        (failure(429, "daily_quota_exceeded", ""), (Status.quota, "daily_quota"), (Status.quota, "daily_quota")),
        (Answer(200, {"data": []}), (Status.ambiguous, "unrecognised_answer"), (Status.transient, "held_back")),
    ],
)
async def test_nothing_else_is_written_while_the_common_call_is_not_settled(
    fake: FakeResend, server: ApiServer, answer: Answer, bulk: tuple[Status, str], rest: tuple[Status, str]
) -> None:
    """Else the pipeline would take the answers apart, and try its messages again in a call with another key."""
    fake.answer_path("/emails/batch", answer)
    async with opened(server.url) as provider:
        unable = an_email(4, headers=(("X-Code", "a"), ("x-code", "b")))
        receipts = await provider.send([with_file(0), an_email(1), an_email(2), with_file(3), unable])
    assert said(receipts) == [rest, bulk, bulk, rest, rest]
    assert paths(server) == ["/emails/batch"]


async def test_one_message_beside_attachments_is_settled_first_too(fake: FakeResend, server: ApiServer) -> None:
    fake.answer_all(failure(429, "rate_limit_exceeded", "Too many", {"retry-after": "2"}))
    batch = [with_file(0), an_email(1)]
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    assert said(receipts) == [(Status.throttled, "slow_down")] * 2
    assert [receipt.retry_after for receipt in receipts] == [timedelta(seconds=2)] * 2
    assert [call.headers["idempotency-key"] for call in server.calls] == [batch[1].key.hex()]


async def test_the_same_key_with_another_body_decides_nothing(fake: FakeResend, server: ApiServer) -> None:
    batch = [an_email(1), an_email(2)]
    changed = [batch[0], replace(batch[1], message=replace(_email(batch[1]), subject="Something else"))]
    async with opened(server.url) as provider:
        await provider.send(batch)
        receipts = await provider.send(changed)
    assert said(receipts) == [(Status.undecidable, "same_key_other_body")] * 2
    assert len(fake.delivered) == 2


async def test_each_refusal_of_a_batch_finds_its_message(fake: FakeResend, server: ApiServer) -> None:
    batch = [an_email(number) for number in range(6)]
    fake.refuse("person-0@mail.example", "Invalid `to` field.")
    fake.refuse("person-4@mail.example", "The `headers` field is odd, says person-4@mail.example.")
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    statuses = [receipt.status for receipt in receipts]
    assert statuses == [
        Status.rejected_recipient,
        Status.accepted,
        Status.accepted,
        Status.accepted,
        Status.rejected_content,
        Status.accepted,
    ]
    assert (receipts[4].reason, "person-4" in receipts[4].detail) == ("other", False)
    numbers = [receipt.provider_id[-1] for receipt in receipts if receipt.status is Status.accepted]
    assert numbers == ["1", "2", "3", "4"]
    assert len(server.calls) == 1


async def test_only_the_guilty_one_fails_where_a_batch_is_refused_whole(fake: FakeResend, server: ApiServer) -> None:
    fake.strict = True
    fake.refuse("person-2@mail.example", "Invalid `to` field.")
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number) for number in range(4)])
    assert [receipt.reason for receipt in receipts] == ["", "", "bad_address_syntax", ""]
    assert paths(server) == ["/emails/batch", "/emails", "/emails", "/emails", "/emails"]


async def test_one_by_one_stops_where_one_is_not_settled(fake: FakeResend, server: ApiServer) -> None:
    fake.answer_path("/emails/batch", failure(422, "validation_error", "odd"))
    fake.answer_path("/emails", failure(429, "rate_limit_exceeded", "Too many"))
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number) for number in range(3)])
    assert said(receipts) == [(Status.throttled, "slow_down")] * 3
    assert paths(server) == ["/emails/batch", "/emails"]


async def test_what_resend_can_not_carry_is_refused_here(server: ApiServer) -> None:
    twice = an_email(1, headers=(("X-Code", "a"), ("x-code", "b")))
    huge = an_email(2, attachments=(Attachment("b.bin", "application/octet-stream", bytes(30_100_000)),))
    async with opened(server.url) as provider:
        receipts = await provider.send([twice, an_email(0), huge])
    reasons = [
        (Status.rejected_content, "header_twice"),
        (Status.accepted, ""),
        (Status.rejected_content, "message_too_large"),
    ]
    assert said(receipts) == reasons


WHOLE = [
    (failure(400, "invalid_idempotency_key", ""), Status.config, "idempotency_key_refused"),
    (failure(400, "validation_error", "API key is invalid"), Status.config, "authentication_failed"),
    (failure(401, "missing_api_key", ""), Status.config, "authentication_failed"),
    (failure(401, "restricted_api_key", ""), Status.config, "access_denied"),
    (failure(403, "invalid_api_key", ""), Status.config, "authentication_failed"),
    (
        failure(403, "validation_error", "The acme.example domain is not verified."),
        Status.config,
        "sender_not_verified",
    ),
    (
        failure(403, "validation_error", "You can only send testing emails to your own email address (a@b.example)."),
        Status.config,
        "testing_only",
    ),
    (failure(403, "validation_error", "Something new"), Status.config, "access_denied"),
    (Answer(403, b"error code: 1010"), Status.config, "access_denied"),
    (failure(404, "not_found", ""), Status.config, "endpoint_not_found"),
    (failure(409, "invalid_idempotent_request", ""), Status.undecidable, "same_key_other_body"),
    (failure(409, "concurrent_idempotent_requests", ""), Status.ambiguous, "still_in_progress"),
    (failure(409, "", ""), Status.ambiguous, "still_in_progress"),
    (failure(413, "", ""), Status.rejected_content, "message_too_large"),
    (failure(422, "validation_error", "Invalid `to` field."), Status.rejected_recipient, "bad_address_syntax"),
    (failure(422, "validation_error", "Invalid `reply_to` field."), Status.rejected_content, "bad_copy_address"),
    (failure(422, "validation_error", "Invalid `from` field."), Status.config, "sender_not_verified"),
    (failure(422, "validation_error", "odd"), Status.rejected_content, "invalid_message"),
    (failure(422, "validation_error", "The size exceeds the limit"), Status.rejected_content, "message_too_large"),
    (failure(422, "missing_required_field", ""), Status.rejected_content, "bad_request"),
    (failure(422, "invalid_attachment", ""), Status.rejected_content, "invalid_attachment"),
    (failure(422, "novelty", ""), Status.rejected_content, "refused"),
    (failure(429, "rate_limit_exceeded", ""), Status.throttled, "slow_down"),
    (Answer(429, b"slower"), Status.throttled, "slow_down"),
    (failure(429, "daily_quota_exceeded", ""), Status.quota, "daily_quota"),
    (failure(429, "monthly_quota_exceeded", ""), Status.quota, "monthly_quota"),
    (failure(451, "security_error", ""), Status.rejected_content, "security_error"),
    (failure(500, "application_error", ""), Status.ambiguous, "provider_failed"),
    (Answer(500, b""), Status.ambiguous, "provider_failed"),
    (Answer(502, b""), Status.ambiguous, "unrecognised_answer"),
    (Answer(503, b""), Status.transient, "provider_unavailable"),
    (Answer(200, b"<html>welcome</html>"), Status.ambiguous, "unrecognised_answer"),
    (Answer(200, {"object": "email"}), Status.ambiguous, "unrecognised_answer"),
    (Answer(200, ["id"]), Status.ambiguous, "unrecognised_answer"),
]


@pytest.mark.parametrize(("answer", "status", "reason"), WHOLE)
async def test_a_call_that_is_refused(
    fake: FakeResend, server: ApiServer, answer: Answer, status: Status, reason: str
) -> None:
    fake.answer_all(answer)
    async with opened(server.url) as provider:
        (receipt,) = await provider.send([an_email(1)])
    assert said([receipt]) == [(status, reason)]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"id": "1"}]},
        {"data": [{"id": "1"}, {"id": "2"}, {"id": "3"}]},
        {"data": [{"id": "1"}], "errors": [{"index": 2, "message": "?"}]},
        {"data": [{"id": "1"}], "errors": [{"index": True, "message": "?"}]},
        {"data": [{"id": "1"}], "errors": [{"message": "?"}]},
        {"data": [], "errors": [{"index": 0, "message": "?"}, {"index": 0, "message": "?"}]},
        {"data": [{}, None]},
        {"data": {"id": "1"}},
        {"data": [{"id": "1"}, {"id": "2"}], "errors": "none"},
    ],
)
async def test_answers_that_do_not_add_up_decide_nothing(fake: FakeResend, server: ApiServer, answer: object) -> None:
    fake.answer_all(Answer(200, answer))
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2)])
    assert said(receipts) == [(Status.ambiguous, "unrecognised_answer")] * 2


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "3", "ratelimit-reset": "1"}, timedelta(seconds=3)),
        ({"ratelimit-reset": "1"}, timedelta(seconds=1)),
        ({"ratelimit-reset": "soon"}, None),
        ({"ratelimit-reset": "99999"}, None),  # no window is longer than a day
        ({}, None),
    ],
)
async def test_a_wait_is_heeded_where_one_is_named(
    fake: FakeResend, server: ApiServer, headers: dict[str, str], wait: timedelta | None
) -> None:
    fake.answer_all(failure(429, "rate_limit_exceeded", "Too many", headers))
    async with opened(server.url) as provider:
        (receipt,) = await provider.send([an_email(1)])
    assert receipt.retry_after == wait


async def test_a_quota_is_not_a_wait_of_a_second(fake: FakeResend, server: ApiServer) -> None:
    """The headers are those of the rate of requests, which has nothing to do with it."""
    fake.answer_all(failure(429, "daily_quota_exceeded", "", {"retry-after": "1"}))
    async with opened(server.url) as provider:
        (receipt,) = await provider.send([an_email(1)])
    assert receipt.retry_after is None


async def test_check_says_which_domains_are_verified(fake: FakeResend, server: ApiServer) -> None:
    fake.domains += [
        {"id": "d2", "name": "aaa.example", "status": "verified"},
        {"id": "d3", "name": "new.example", "status": "pending"},
    ]
    async with opened(server.url) as provider:
        assert await provider.check() == "signed in; verified: aaa.example, acme.example"
    async with opened(server.url, api_key=Secret(RESTRICTED_KEY)) as provider:
        assert (await provider.check()).startswith("signed in; this key may only send")


@pytest.mark.parametrize(
    ("fields", "domains", "code"),
    [
        ({"api_key": Secret("wrong")}, True, "resend-key"),
        ({}, False, "resend-domain"),
        ({"endpoint_url": "http://127.0.0.1:1"}, True, "resend-unreachable"),
    ],
)
async def test_check_says_what_to_mend(
    fake: FakeResend, server: ApiServer, fields: dict[str, Any], domains: bool, code: str
) -> None:
    fake.domains = fake.domains if domains else []
    async with opened(fields.pop("endpoint_url", server.url), **fields) as provider:
        with pytest.raises(RunTrouble) as trouble:
            await provider.check()
    assert trouble.value.problems[0].code == code
    assert trouble.value.problems[0].hint


@pytest.mark.parametrize(
    "fields",
    [
        {"tags": {"connect_id": "mine"}},
        {"tags": {"a.b": "x"}},
        {"tags": {"a": "x y"}},
        {"tags": {"a": "x\n"}},
        {"webhook_secret": Secret("not base64!")},
        {"region": "eu"},
    ],
)
def test_settings_that_resend_does_not_take(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_key": Secret(KEY), **fields})


def test_there_is_no_account_without_a_key() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({})


# Webhooks

SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()
SETTINGS = Settings.model_validate({"api_key": Secret(KEY), "webhook_secret": Secret(SECRET)})
OUTGOING = an_email(1)


def webhook(body: object, at: datetime = NOW, name: str = "msg_1") -> Webhook:
    """Signed by the reference implementation."""
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {
        "svix-id": name,
        "svix-timestamp": str(int(at.timestamp())),
        "svix-signature": "v1,c29tZWJvZHkgZWxzZQ== " + standardwebhooks.Webhook(SECRET).sign(name, at, text),
    }
    return Webhook(headers, text.encode(), "https://acme.example/hooks", NOW, Remembered())


def report(kind: str, **data: object) -> dict[str, object]:
    known = {
        "email_id": "56761188",
        "to": ["Person 1 <person-1@mail.example>"],
        "tags": {"connect_id": OUTGOING.correlation_id.replace(".", "-")},
    }
    return {"type": kind, "created_at": "2024-11-22T23:41:12.126Z", "data": {**known, **data}}


def event(body: object) -> Event:
    (found,) = parse_events(webhook(body), SETTINGS)
    assert isinstance(found, Event)
    return found


def test_a_click_from_the_documentation() -> None:
    click = {
        "ipAddress": "122.115.53.11",
        "link": "https://resend.com",
        "timestamp": "2024-11-24T05:00:57.163Z",
        "userAgent": "Mozilla/5.0",
    }
    found = event(report("email.clicked", click=click))
    assert (found.type, found.link, found.id) == (EventType.clicked, "https://resend.com", "msg_1")
    assert found.at == datetime(2024, 11, 24, 5, 0, 57, 163000, UTC)
    assert (found.run_id, found.key) == read_correlation_id(OUTGOING.correlation_id)
    assert (found.address, found.provider_id) == ("person-1@mail.example", "56761188")


def bounced(kind: str, sub: str) -> dict[str, object]:
    return report("email.bounced", bounce={"type": kind, "subType": sub, "message": "No."})


HAPPENED = [
    (report("email.delivered"), EventType.delivered, None, ""),
    (report("email.opened"), EventType.opened, None, ""),
    (report("email.complained"), EventType.complained, None, "spam"),
    (report("email.bounced"), EventType.bounced, Bounce.hard, "other"),
    (bounced("Permanent", "NoEmail"), EventType.bounced, Bounce.hard, "no_such_address"),
    (bounced("Transient", "MailboxFull"), EventType.bounced, Bounce.soft, "mailbox_full"),
    (bounced("Undetermined", "?"), EventType.bounced, Bounce.soft, "other"),
    (bounced("Novelty", "General"), EventType.bounced, Bounce.soft, "general"),
    (report("email.suppressed", suppressed={"type": "Any"}), EventType.bounced, Bounce.hard, "suppressed"),
    (report("email.failed", failed={"reason": "daily_limit"}), EventType.bounced, Bounce.soft, "daily_limit"),
    (report("email.failed", failed={"reason": "It says: a@b"}), EventType.bounced, Bounce.soft, "other"),
    (report("email.failed"), EventType.bounced, Bounce.soft, "other"),
]


@pytest.mark.parametrize(("body", "type", "bounce", "reason"), HAPPENED)
def test_what_happened(body: dict[str, object], type: EventType, bounce: Bounce | None, reason: str) -> None:
    found = event(body)
    assert (found.type, found.bounce, found.reason) == (type, bounce, reason)


@pytest.mark.parametrize("kind", ["email.sent", "email.delivery_delayed", "contact.updated", "novelty", None])
def test_what_is_no_event_is_left_out(kind: str | None) -> None:
    assert parse_events(webhook({**report("x"), "type": kind}), SETTINGS) == []


def test_tags_as_requests_have_them() -> None:
    tags = [
        {"name": "team", "value": "a"},
        7,
        {"name": "connect_id", "value": OUTGOING.correlation_id.replace(".", "-")},
    ]
    assert event(report("email.delivered", tags=tags)).key == OUTGOING.key


def test_odd_fields_do_no_harm() -> None:
    body = {"type": "email.clicked", "created_at": 7, "data": {"to": [7], "tags": 7, "click": "x", "email_id": None}}
    found = event(body)
    assert (found.run_id, found.address, found.link, found.provider_id, found.at) == (None, "", "", "", NOW)
    assert (
        event({"type": "email.opened", "data": {"to": "a@b.example", "tags": {"connect_id": 7}}}).address
        == "a@b.example"
    )


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "7", '{"type": "email.opened"}', '{"type": "email.opened", "data": []}']
)
def test_what_can_not_be_read(body: str) -> None:
    with pytest.raises(EventsRefused) as refused:
        parse_events(webhook(body), SETTINGS)
    assert refused.value.reason == "unreadable"


def test_a_body_that_was_changed_is_refused() -> None:
    genuine = webhook(report("email.opened"))
    with pytest.raises(EventsRefused) as refused:
        parse_events(replace(genuine, body=genuine.body.replace(b"opened", b"bounced")), SETTINGS)
    assert refused.value.reason == "bad_signature"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_what_is_signed_for_another_time_is_refused(minutes: int) -> None:
    with pytest.raises(EventsRefused) as refused:
        parse_events(webhook(report("email.opened"), NOW + timedelta(minutes=minutes)), SETTINGS)
    assert refused.value.reason == "too_old"


def test_headers_of_standard_webhooks_are_not_svixs() -> None:
    genuine = webhook(report("email.opened"))
    headers = {name.replace("svix", "webhook"): value for name, value in genuine.headers.items()}
    with pytest.raises(EventsRefused) as refused:
        parse_events(replace(genuine, headers=headers), SETTINGS)
    assert refused.value.reason == "bad_signature"


def test_every_reason_is_explained() -> None:
    tables = (replies.ERRORS, replies.HTTP_STATUSES)
    reasons = {reason for table in tables for _, reason in table.values()} | {reason for _, _, reason in WHOLE}
    reasons |= {"held_back", "header_twice", "other"} | set(REASONS.values())
    assert reasons - set(re.findall(r"`([a-z0-9_]+)`", PAGE)) == set()
    assert all(f"`{kind}`" in PAGE for kind in TYPES)


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
