"""Postmark: which requests are made, what each answer means for each message, and what its webhooks report."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connect.channels.message import Attachment, Mailbox
from connect.errors import Disposition, RunTrouble
from connect.identity import read_correlation_id
from connect.providers import postmark_messages as messages
from connect.providers import postmark_replies as replies
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.interface import Account, Status
from connect.providers.postmark import Postmark
from connect.providers.postmark_events import BOUNCES, parse_events
from connect.providers.postmark_settings import Settings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.api import Answer, ApiServer
from connect.testing.fakes.postmark import TEST_TOKEN, TOKEN, FakePostmark, failure

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PAGE = (Path(__file__).parents[3] / "docs" / "providers" / "postmark.md").read_text()


@pytest.fixture
def fake() -> Iterator[FakePostmark]:
    fake = FakePostmark()
    yield fake
    assert fake.misfits == []


@pytest.fixture
def server(fake: FakePostmark) -> Iterator[ApiServer]:
    with ApiServer(fake) as running:
        yield running


def account(url: str, *, sandbox: bool = False, **fields: object) -> Account:
    settings = Settings.model_validate({"server_token": Secret(TOKEN), "endpoint_url": url, **fields})
    return Account("mail", settings, Path(), concurrency=2, timeout=timedelta(seconds=5), sandbox=sandbox)


@asynccontextmanager
async def opened(url: str, **fields: Any) -> AsyncIterator[Postmark]:
    provider = Postmark(account(url, **fields))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def test_a_message_is_written_like_this(server: ApiServer) -> None:
    outgoing = an_email(
        1,
        to=(Mailbox("person-1@mail.example", 'Zoë "Q", Quill'),),
        cc=(Mailbox("boss@acme.example"), Mailbox("two@acme.example", "Two")),
        bcc=(Mailbox("archive@acme.example"),),
        reply_to=(Mailbox("help@acme.example", "Hilfe, bitte"),),
        subject="Grüße 🎉",
        headers=(("List-Unsubscribe", "<https://acme.example/u/1>"), ("X-Connect-ID", "c1")),
        attachments=(Attachment("Größe.pdf", "application/pdf", b"%PDF"),),
    )
    fields: dict[str, Any] = {
        "tag": "news",
        "metadata": {"team": "a"},
        "track_opens": False,
        "track_links": "html_only",
    }
    async with opened(server.url, **fields) as provider:
        (receipt,) = await provider.send([outgoing])
    assert (receipt.status, receipt.provider_id) == (Status.accepted, "00000000-0000-0000-0000-000000000001")
    (call,) = server.calls
    assert (call.method, call.path, call.headers["x-postmark-server-token"]) == ("POST", "/email/batch", TOKEN)
    assert call.json == [
        {
            "MessageStream": "broadcast",
            "Tag": "news",
            "TrackOpens": False,
            "TrackLinks": "HtmlOnly",
            "From": "Acme <hello@acme.example>",
            "To": '"Zoë \\"Q\\", Quill" <person-1@mail.example>',
            "Cc": "boss@acme.example, Two <two@acme.example>",
            "Bcc": "archive@acme.example",
            "ReplyTo": '"Hilfe, bitte" <help@acme.example>',
            "Subject": "Grüße 🎉",
            "TextBody": "Dear person 1,\nthere is news.\n",
            "HtmlBody": "<p>Dear person 1,</p><p>there is news.</p>",
            "Headers": [
                {"Name": "List-Unsubscribe", "Value": "<https://acme.example/u/1>"},
                {"Name": "X-Connect-ID", "Value": "c1"},
                {"Name": "Message-ID", "Value": "<1.01lg030gehin6t3j@acme.example>"},
                {"Name": "X-PM-KeepID", "Value": "true"},
            ],
            "Metadata": {"team": "a", "connect_id": outgoing.correlation_id},
            "Attachments": [
                {"Name": "Größe.pdf", "Content": "JVBERg==", "ContentType": "application/pdf"},
            ],
        }
    ]


async def test_five_hundred_messages_go_in_one_call(server: ApiServer) -> None:
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number) for number in range(500)])
    assert len(server.calls) == 1
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert len({receipt.provider_id for receipt in receipts}) == 500


def test_calls_are_packed_by_bytes_and_what_is_too_large_is_in_none() -> None:
    large = Attachment("a.bin", "application/octet-stream", bytes(7_000_000))
    batch = [an_email(number, attachments=(large,) if number < 3 else ()) for number in range(5)]
    huge = an_email(9, attachments=(Attachment("b.bin", "application/octet-stream", bytes(7_600_000)),))
    calls = list(messages.packed([*batch, huge], {}, {}))
    assert [members for members, _ in calls] == [[0, 1], [2, 3, 4]]
    assert all(sum(map(len, items)) <= messages.MOST_BYTES for _, items in calls)


async def test_what_postmark_does_not_take_is_refused_here(server: ApiServer) -> None:
    huge = an_email(1, attachments=(Attachment("b.bin", "application/octet-stream", bytes(7_600_000)),))
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(0), huge, an_email(2)])
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.rejected_content, Status.accepted]
    assert receipts[1].reason == "message_too_large"


async def test_only_the_guilty_one_fails_where_a_batch_is_refused_whole(fake: FakePostmark, server: ApiServer) -> None:
    batch = [an_email(number) for number in range(4)]
    fake.answer_calls_with("person-2@mail.example", failure(422, 402, "Invalid JSON"))
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    assert [receipt.reason for receipt in receipts] == ["", "", "bad_request", ""]
    assert len(server.calls) == 5
    assert len(fake.delivered) == 3


WORDS = [
    (10, "Bad token", Status.config, "authentication_failed"),
    (100, "Maintenance", Status.transient, "under_maintenance"),
    (300, "Invalid 'To' address: 'x'.", Status.rejected_recipient, "bad_address_syntax"),
    (300, "Error parsing 'To': Illegal email domain 'x'", Status.rejected_recipient, "bad_address_syntax"),
    (300, "Invalid 'To' address: 'message-stream.messagestream@x'.", Status.rejected_recipient, "bad_address_syntax"),
    (300, "Invalid 'Cc' address: 'x'.", Status.rejected_content, "bad_copy_address"),
    (300, "Invalid 'From' address: 'x' is not a verified sender signature.", Status.config, "sender_not_verified"),
    (300, "The subject is too odd", Status.rejected_content, "invalid_message"),
    (300, "The size of the message exceeds 10 MB", Status.rejected_content, "message_too_large"),
    (400, "Sender signature not found", Status.config, "sender_not_verified"),
    (401, "Sender signature not confirmed", Status.config, "sender_not_verified"),
    (405, "Not allowed to send", Status.quota, "not_allowed_to_send"),
    (406, "You tried to send to a recipient that is inactive", Status.rejected_recipient, "inactive_recipient"),
    (411, "Forbidden attachment", Status.rejected_content, "forbidden_attachment"),
    (412, "Account pending", Status.config, "account_pending"),
    (413, "Account may not send", Status.config, "account_may_not_send"),
    (429, "Rate limit", Status.throttled, "slow_down"),
    (1235, "The 'MessageStream' provided does not exist on this server.", Status.config, "stream_not_found"),
    (9999, "Something new", Status.rejected_content, "other"),
]


@pytest.mark.parametrize(("code", "words", "status", "reason"), WORDS)
async def test_a_message_that_is_refused(
    fake: FakePostmark, server: ApiServer, code: int, words: str, status: Status, reason: str
) -> None:
    fake.refuse("person-1@mail.example", code, words)
    async with opened(server.url) as provider:
        first, second = await provider.send([an_email(0), an_email(1)])
    assert first.status is Status.accepted
    assert (second.status, second.reason) == (status, reason)


WHOLE = [
    (failure(401, 10, "Bad token"), Status.config, "authentication_failed"),
    (failure(422, 405, "Not allowed to send"), Status.quota, "not_allowed_to_send"),
    (failure(422, 0, ""), Status.rejected_content, "bad_request"),
    (Answer(403, b"<html>Forbidden</html>", {"content-type": "text/html"}), Status.transient, "blocked_by_network"),
    (failure(404, 0, "gone"), Status.config, "endpoint_not_found"),
    (failure(413, 0, ""), Status.rejected_content, "message_too_large"),
    (failure(429, 429, "Rate limit"), Status.throttled, "slow_down"),
    (Answer(429, b"slower"), Status.throttled, "slow_down"),
    (failure(500, 0, "Internal Server Error"), Status.ambiguous, "provider_failed"),
    (Answer(502, b"Bad Gateway"), Status.ambiguous, "unrecognised_answer"),
    (failure(503, 100, "Maintenance"), Status.transient, "under_maintenance"),
    (Answer(200, b"<html>welcome</html>"), Status.ambiguous, "unrecognised_answer"),
    (Answer(200, []), Status.ambiguous, "unrecognised_answer"),
    (Answer(200, [{"Message": "?"}]), Status.ambiguous, "unrecognised_answer"),
    (Answer(200, [{"ErrorCode": True}]), Status.ambiguous, "unrecognised_answer"),
    (Answer(202, b""), Status.ambiguous, "unrecognised_answer"),
]


@pytest.mark.parametrize(("answer", "status", "reason"), WHOLE)
async def test_a_call_that_is_refused(
    fake: FakePostmark, server: ApiServer, answer: Answer, status: Status, reason: str
) -> None:
    fake.answer_all(answer)
    async with opened(server.url) as provider:
        (receipt,) = await provider.send([an_email(1)])
    assert (receipt.status, receipt.reason) == (status, reason)


async def test_answers_that_are_fewer_than_messages_decide_nothing(fake: FakePostmark, server: ApiServer) -> None:
    fake.answer_all(Answer(200, [{"ErrorCode": 0, "Message": "OK", "MessageID": "1"}]))
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2)])
    assert [receipt.status for receipt in receipts] == [Status.ambiguous] * 2


async def test_a_wait_is_heeded_where_one_is_named(fake: FakePostmark, server: ApiServer) -> None:
    fake.answer_all(failure(429, 429, "Rate limit", {"retry-after": "7"}))
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2)])
    assert [receipt.retry_after for receipt in receipts] == [timedelta(seconds=7)] * 2


async def test_an_inactive_copy_whose_address_ends_alike_is_somebody_else(
    fake: FakePostmark, server: ApiServer
) -> None:
    words = "Message OK, but will not deliver to these inactive addresses: another.person-1@mail.example."
    fake.answer_all(Answer(200, [{"ErrorCode": 0, "Message": words, "MessageID": "7"}]))
    async with opened(server.url) as provider:
        (receipt,) = await provider.send([an_email(1, cc=(Mailbox("another.person-1@mail.example"),))])
    assert (receipt.status, receipt.reason) == (Status.accepted, "some_recipients_refused")


async def test_copies_to_inactive_addresses_are_said_and_do_not_count(fake: FakePostmark, server: ApiServer) -> None:
    words = "Message OK, but will not deliver to these inactive addresses: "
    fake.answer_all(
        Answer(
            200,
            [
                {"ErrorCode": 0, "Message": words + "boss@acme.example", "MessageID": "1"},
                {"ErrorCode": 0, "Message": words + "Person-2@mail.example", "MessageID": "2"},
            ],
        )
    )
    batch = [an_email(number, cc=(Mailbox("boss@acme.example"),)) for number in (1, 2)]
    async with opened(server.url) as provider:
        first, second = await provider.send(batch)
    assert (first.status, first.reason) == (Status.accepted, "some_recipients_refused")
    assert (second.status, second.reason) == (Status.rejected_recipient, "inactive_recipient")
    assert "boss" not in first.detail
    assert "person-2" not in second.detail.lower()


async def test_the_sandbox_needs_no_token_and_sends_nothing(fake: FakePostmark, server: ApiServer) -> None:
    async with opened(server.url, sandbox=True, server_token=None) as provider:
        (receipt,) = await provider.send([an_email(1)])
        assert receipt.status is Status.accepted
        assert "none is sent" in await provider.check()
    assert {call.headers["x-postmark-server-token"] for call in server.calls} == {TEST_TOKEN}
    assert fake.delivered == []


async def test_without_a_token_nothing_is_opened() -> None:
    provider = Postmark(account("http://127.0.0.1:1", server_token=None))
    for attempt in (provider.open, provider.check):
        with pytest.raises(RunTrouble) as trouble:
            await attempt()
        assert trouble.value.disposition is Disposition.pause
        assert trouble.value.problems[0].code == "postmark-token"


async def test_check_says_what_the_server_is_and_who_unsubscribes(fake: FakePostmark, server: ApiServer) -> None:
    async with opened(server.url) as provider:
        found = await provider.check()
    assert found.startswith("server Acme: live; stream broadcast (Broadcasts); Postmark puts its own unsubscribe")
    fake.server["DeliveryType"] = "Sandbox"
    async with opened(server.url, message_stream="outbound") as provider:
        found = await provider.check()
    assert found == "server Acme: a sandbox server: nothing is delivered; stream outbound (Transactional)"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"server_token": Secret("wrong")}, "postmark-token"),
        ({"message_stream": "nowhere/../server"}, "postmark-stream"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "postmark-unreachable"),
        ({"endpoint_url": "http://127.0.0.1:1", "server_token": None, "sandbox": True}, "postmark-unreachable"),
    ],
)
async def test_check_says_what_to_mend(server: ApiServer, fields: dict[str, Any], code: str) -> None:
    async with opened(fields.pop("endpoint_url", server.url), **fields) as provider:
        with pytest.raises(RunTrouble) as trouble:
            await provider.check()
    assert trouble.value.problems[0].code == code
    assert trouble.value.problems[0].hint


async def test_an_archived_stream_is_told(fake: FakePostmark, server: ApiServer) -> None:
    fake.streams["broadcast"]["ArchivedAt"] = "2026-01-01T00:00:00Z"
    async with opened(server.url) as provider:
        with pytest.raises(RunTrouble, match="archived"):
            await provider.check()


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"connect_id": "mine"}},
        {"metadata": {"Connect_ID": "mine"}},
        {"metadata": {"x" * 21: ""}},
        {"metadata": {"x": "y" * 81}},
        {"metadata": {str(number): "" for number in range(10)}},
        {"tag": "x" * 1001},
        {"track_links": "all"},
        {"region": "eu"},
    ],
)
def test_settings_that_postmark_does_not_take(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"server_token": Secret(TOKEN), **fields})


# Webhooks

SETTINGS = Settings(server_token=Secret(TOKEN), webhook_password=Secret("only for tests"))
CREDENTIALS = "Basic " + base64.b64encode(b"connect:only for tests").decode()
OUTGOING = an_email(1)


def webhook(body: object, authorization: str = CREDENTIALS) -> Webhook:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Webhook({"authorization": authorization}, data, "https://acme.example/hooks", NOW, Remembered())


def record(kind: str, **fields: object) -> dict[str, object]:
    metadata = {"connect_id": OUTGOING.correlation_id}
    return {"RecordType": kind, "MessageID": "883953f4", "Metadata": metadata, **fields}


def event(body: object) -> Event:
    (found,) = parse_events(webhook(body), SETTINGS)
    assert isinstance(found, Event)
    return found


def test_a_bounce_from_the_documentation() -> None:
    found = event(
        record(
            "Bounce",
            ID=42,
            Type="HardBounce",
            Email="person-1@mail.example",
            BouncedAt="2014-08-01T13:28:10.2735393-04:00",
        )
    )
    assert (found.type, found.bounce, found.reason) == (EventType.bounced, Bounce.hard, "mailbox_unavailable")
    assert found.at == datetime(2014, 8, 1, 17, 28, 10, 273539, UTC)
    assert (found.run_id, found.key) == read_correlation_id(OUTGOING.correlation_id)
    assert (found.address, found.provider_id) == ("person-1@mail.example", "883953f4")


@pytest.mark.parametrize("kind", sorted(BOUNCES))
def test_every_type_of_bounce(kind: str) -> None:
    events = parse_events(webhook(record("Bounce", ID=1, Type=kind, Email="a@b.example")), SETTINGS)
    wanted = BOUNCES[kind]
    assert [(e.type, e.bounce, e.reason) for e in events if isinstance(e, Event)] == (
        [] if wanted is None else [wanted]
    )


def test_a_type_of_bounce_that_is_new_is_a_soft_one() -> None:
    found = event(record("Bounce", ID=1, Type="Novelty"))
    assert (found.type, found.bounce, found.reason) == (EventType.bounced, Bounce.soft, "other")


@pytest.mark.parametrize(
    ("fields", "type", "reason"),
    [
        ({"SuppressSending": True, "SuppressionReason": "ManualSuppression"}, EventType.unsubscribed, "by_request"),
        ({"SuppressSending": True, "SuppressionReason": "HardBounce"}, EventType.unsubscribed, "hard_bounce"),
        ({"SuppressSending": True, "SuppressionReason": "SpamComplaint"}, EventType.unsubscribed, "spam"),
        ({"SuppressSending": False, "SuppressionReason": None}, EventType.resubscribed, ""),
    ],
)
def test_changes_of_the_suppression_list(fields: dict[str, object], type: EventType, reason: str) -> None:
    found = event(record("SubscriptionChange", Recipient="a@b.example", ChangedAt="2026-11-20T09:30:00Z", **fields))
    assert (found.type, found.reason) == (type, reason)


def test_a_click_has_its_link_and_other_events_have_none() -> None:
    link = "https://acme.example/offer?a=1"
    assert event(record("Click", OriginalLink=link, ReceivedAt="2026-11-20T09:30:00")).link == link
    assert event(record("Open", OriginalLink=link)).link == ""


def test_the_same_record_has_one_id_and_every_other_its_own() -> None:
    first = record("Open", Recipient="a@b.example", ReceivedAt="2026-11-20T09:30:00.1234567Z")
    others = [
        record("Open", Recipient="a@b.example", ReceivedAt="2026-11-20T09:30:00.1234568Z"),
        record("Click", Recipient="a@b.example", ReceivedAt="2026-11-20T09:30:00.1234567Z"),
        record("Open", Recipient="c@b.example", ReceivedAt="2026-11-20T09:30:00.1234567Z"),
        {**first, "MessageID": "other"},
        record("Bounce", ID=1, Type="HardBounce"),
        record("Bounce", ID=2, Type="HardBounce"),
    ]
    ids = [event(each).id for each in (first, *others)]
    assert event(first).id == ids[0]
    assert len(set(ids)) == len(ids)
    assert not any("example" in each for each in ids)


@pytest.mark.parametrize(
    "body",
    [
        record("Inbound"),
        {"RecordType": 7},
        {},
    ],
)
def test_what_is_no_event_is_left_out(body: object) -> None:
    assert parse_events(webhook(body), SETTINGS) == []


def test_odd_fields_do_no_harm() -> None:
    found = event(
        {"RecordType": "Delivery", "Metadata": [1], "Recipient": 7, "DeliveredAt": "yesterday", "MessageID": None}
    )
    assert (found.run_id, found.key, found.address, found.provider_id, found.at) == (None, None, "", "", NOW)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_what_can_not_be_read(body: bytes) -> None:
    with pytest.raises(EventsRefused) as refused:
        parse_events(webhook(body), SETTINGS)
    assert refused.value.reason == "unreadable"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer " + CREDENTIALS.removeprefix("Basic "),
        CREDENTIALS[:-1],
        "Basic " + base64.b64encode(b"somebody:only for tests").decode(),
        "Basic ü",
    ],
)
def test_wrong_credentials(authorization: str) -> None:
    with pytest.raises(EventsRefused) as refused:
        parse_events(webhook(record("Open"), authorization), SETTINGS)
    assert refused.value.reason == "bad_signature"


def test_a_username_of_ones_own() -> None:
    settings = replace_username("hooks")
    authorization = "Basic " + base64.b64encode(b"hooks:only for tests").decode()
    assert len(parse_events(webhook(record("Open"), authorization), settings)) == 1


def replace_username(name: str) -> Settings:
    return SETTINGS.model_copy(update={"webhook_username": name})


def test_without_a_password_nothing_is_believed() -> None:
    with pytest.raises(EventsRefused) as refused:
        parse_events(replace(webhook(record("Open")), headers={"authorization": "Basic Y29ubmVjdDo="}), Settings())
    assert refused.value.reason == "not_configured"


def test_every_reason_is_explained() -> None:
    tables = (replies.CODES, replies.HTTP_STATUSES)
    reasons = {reason for table in tables for _, reason in table.values()} | {replies.SOME_REFUSED}
    reasons |= {replies.NETWORK[1]} | {reason for _, _, _, reason in WORDS} | {reason for _, _, reason in WHOLE}
    reasons |= {entry[2] for entry in BOUNCES.values() if entry} - {""}
    assert reasons - set(re.findall(r"`([a-z0-9_]+)`", PAGE)) == set()
