"""Mailjet: what is asked, what each answer means, and what its webhooks report."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connect.channels.message import Mailbox, Outgoing
from connect.errors import Disposition, RunTrouble
from connect.identity import read_correlation_id
from connect.providers import mailjet_events, mailjet_replies
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.interface import Account, Status
from connect.providers.mailjet import Mailjet, Settings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.api import Answer, ApiServer
from connect.testing.fakes.mailjet import API_KEY, SECRET_KEY, FakeMailjet, error
from connect.testing.messages import RUN_ID, an_attachment
from connect.testing.rigs.accounts import Nobody


@pytest.fixture
def fake() -> FakeMailjet:
    return FakeMailjet()


@pytest.fixture
def server(fake: FakeMailjet) -> Iterator[ApiServer]:
    with ApiServer(fake) as running:
        yield running
    assert fake.misfits == []


def account(url: str | None, sandbox: bool = False, **fields: object) -> Account:
    given = {"api_key": Secret(API_KEY), "secret_key": Secret(SECRET_KEY), "endpoint_url": url, **fields}
    settings = Settings.model_validate(given)
    return Account("mail", settings, Path(), concurrency=2, timeout=timedelta(seconds=5), sandbox=sandbox)


@asynccontextmanager
async def opened(url: str, sandbox: bool = False, **fields: object) -> AsyncIterator[Mailjet]:
    provider = Mailjet(account(url, sandbox, **fields))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


def sizes(server: ApiServer) -> list[int]:
    """How many messages each call had."""
    return [len(call.json["Messages"]) for call in server.calls]


async def test_a_call_is_as_documented(server: ApiServer) -> None:
    outgoing = an_email(
        1,
        subject="Grüße 🎉",
        headers=(("List-Unsubscribe", "<https://acme.example/u/1>"), ("X-Connect-ID", "c1")),
        cc=(Mailbox("cc@mail.example"),),
        bcc=(Mailbox("bcc@mail.example", "Zoë"),),
        reply_to=(Mailbox("help@acme.example", "Help"),),
        attachments=(an_attachment(),),
    )
    async with opened(server.url) as provider:
        await provider.send([outgoing])
    (call,) = server.calls
    assert (call.method, call.path) == ("POST", "/v3.1/send")
    signed_in = base64.b64encode(f"{API_KEY}:{SECRET_KEY}".encode()).decode()
    assert call.headers["authorization"] == f"Basic {signed_in}"
    assert call.headers["content-type"] == "application/json"
    assert call.json == {
        "Messages": [
            {
                "From": {"Email": "hello@acme.example", "Name": "Acme"},
                "To": [{"Email": "person-1@mail.example", "Name": "Person 1"}],
                "Cc": [{"Email": "cc@mail.example"}],
                "Bcc": [{"Email": "bcc@mail.example", "Name": "Zoë"}],
                "ReplyTo": {"Email": "help@acme.example", "Name": "Help"},
                "Subject": "Grüße 🎉",
                "TextPart": "Dear person 1,\nthere is news.\n",
                "HTMLPart": "<p>Dear person 1,</p><p>there is news.</p>",
                "CustomID": outgoing.correlation_id,
                "CustomCampaign": RUN_ID,
                "Headers": {"List-Unsubscribe": "<https://acme.example/u/1>", "X-Connect-ID": "c1"},
                "Attachments": [
                    {
                        "ContentType": "application/pdf",
                        "Filename": "Größe.pdf",
                        "Base64Content": base64.b64encode(bytes(range(256))).decode(),
                    }
                ],
            }
        ]
    }


@pytest.mark.parametrize(
    ("text", "html", "parts"),
    [("", "<img>", {"HTMLPart"}), ("read", "", {"TextPart"}), ("read", "<b>", {"TextPart", "HTMLPart"})],
)
async def test_a_part_that_is_blank_is_left_out(server: ApiServer, text: str, html: str, parts: set[str]) -> None:
    """A page of pictures alone has no text; Mailjet takes no empty string."""
    async with opened(server.url, track_opens=True) as provider:
        await provider.send([an_email(1, text=text, html=html)])
    ((message,),) = (call.json["Messages"] for call in server.calls)
    assert {"TextPart", "HTMLPart"} & message.keys() == parts


async def test_the_text_is_written_once_as_utf_8(server: ApiServer) -> None:
    async with opened(server.url) as provider:
        await provider.send([an_email(1, subject="Größe \ud83c")])  # half an emoji, which UTF-8 has not
    assert "Größe ?".encode() in server.calls[0].body


async def test_fifty_messages_go_in_one_call(server: ApiServer, fake: FakeMailjet) -> None:
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number) for number in range(50)])
    assert sizes(server) == [50]
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert len({receipt.provider_id for receipt in receipts}) == 50
    assert len(fake.delivered) == 50


async def test_recipients_of_all_messages_of_a_call_are_counted(server: ApiServer, fake: FakeMailjet) -> None:
    copies = (Mailbox("one@mail.example"), Mailbox("two@mail.example"))
    batch = [an_email(number, cc=copies) for number in range(40)]
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    assert sorted(sizes(server)) == [8, 16, 16]
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert len(fake.delivered) == 40


async def test_calls_are_packed_by_bytes(server: ApiServer) -> None:
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number, text="x" * 6_000_000) for number in range(5)])
    assert sorted(sizes(server)) == [1, 2, 2]
    assert {receipt.status for receipt in receipts} == {Status.accepted}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"reply_to": (Mailbox("a@acme.example"), Mailbox("b@acme.example"))}, "too_many_reply_addresses"),
        ({"headers": (("X-One", "1"), ("x-one", "2"))}, "repeated_header"),
        ({"headers": (("List-ID", "<news.acme.example>"),)}, "header_not_allowed"),
        ({"bcc": tuple(Mailbox(f"copy-{n}@mail.example") for n in range(50))}, "too_many_recipients"),
    ],
)
async def test_what_the_api_can_not_carry_is_refused_alone(
    server: ApiServer, fields: dict[str, object], reason: str
) -> None:
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2, **fields), an_email(3)])
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.rejected_content, Status.accepted]
    assert receipts[1].reason == reason
    assert sizes(server) == [2]


async def test_settings_reach_every_message(server: ApiServer) -> None:
    async with opened(server.url, deduplicate=True, track_opens=False, track_clicks=True) as provider:
        await provider.send([an_email(1), an_email(2, html=None)])
    first, second = server.calls[0].json["Messages"]
    assert (first["DeduplicateCampaign"], first["TrackOpens"], first["TrackClicks"]) == (True, "disabled", "enabled")
    assert second["DeduplicateCampaign"] is True
    assert "TrackOpens" not in second, "Mailjet refuses it without an HTML part"


async def test_deduplicating_looks_at_addresses(server: ApiServer, fake: FakeMailjet) -> None:
    """The trap of it: two people who share an address."""
    shared = Mailbox("family@mail.example")
    async with opened(server.url, deduplicate=True) as provider:
        receipts = await provider.send([an_email(1, to=(shared,)), an_email(2, to=(shared,))])
    assert [receipt.status for receipt in receipts] == [Status.accepted] * 2
    assert (len(fake.delivered), len(fake.blocked)) == (1, 1)


async def test_the_sandbox_is_said_once(server: ApiServer, fake: FakeMailjet) -> None:
    async with opened(server.url, sandbox=True) as provider:
        receipts = await provider.send([an_email(1), an_email(2, to=(Mailbox("broken"),))])
    assert server.calls[0].json["SandboxMode"] is True
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.rejected_recipient]
    assert [receipt.provider_id for receipt in receipts] == ["", ""]
    assert fake.delivered == []


@pytest.mark.parametrize(
    ("region", "host"),
    [(None, "https://api.mailjet.com"), ("us", "https://api.us.mailjet.com"), ("eu", "https://api.eu.mailjet.com")],
)
def test_regions(region: str | None, host: str) -> None:
    assert Mailjet(account(None, region=region))._url == f"{host}/v3.1/send"


async def test_some_are_refused_and_the_others_are_sent(server: ApiServer, fake: FakeMailjet) -> None:
    """Mailjet answers 400 then, with all entries in it."""
    batch = [an_email(1), an_email(2, to=(Mailbox("no address", "Person 2"),)), an_email(3)]
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.rejected_recipient, Status.accepted]
    assert receipts[1].reason == "bad_address_syntax"
    assert "no address" not in receipts[1].detail
    assert len(fake.delivered) == 2


@pytest.mark.parametrize("code", mailjet_replies.ERRORS)
async def test_what_an_error_of_a_message_means(server: ApiServer, fake: FakeMailjet, code: str) -> None:
    fake.errors["person-1@mail.example"] = [error(code, "Dear person 1 <person-1@mail.example>")]
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2)])
    assert (receipts[0].status, receipts[0].reason) == mailjet_replies.ERRORS[code]
    assert receipts[0].detail.startswith(code)
    assert "person-1" not in receipts[0].detail
    assert receipts[1].status is Status.accepted


@pytest.mark.parametrize(
    ("errors", "status", "reason"),
    [
        ([error("mj-0013", "?", related=["From.Email"])], Status.rejected_content, "bad_address_syntax"),
        ([error("mj-0013", "?", related=["Cc[0].Email"])], Status.rejected_content, "bad_address_syntax"),
        ([error("mj-0013", "?", related=["To[0].Email"])], Status.rejected_recipient, "bad_address_syntax"),
        ([error("mj-0013", "?"), error("send-0008", "?", 403)], Status.config, "sender_not_verified"),
        ([error("mj-9999", "?")], Status.rejected_content, "other"),
        ([error("mj-9999", "?", 403)], Status.config, "access_denied"),
        ([error("mj-9999", "?", 429)], Status.throttled, "slow_down"),
        ([error("mj-9999", "?", 500)], Status.transient, "provider_failed"),
    ],
)
async def test_what_several_or_new_errors_mean(
    server: ApiServer, fake: FakeMailjet, errors: list[dict[str, Any]], status: Status, reason: str
) -> None:
    fake.errors["person-1@mail.example"] = errors
    async with opened(server.url) as provider:
        (receipt,) = await provider.send([an_email(1)])
    assert (receipt.status, receipt.reason) == (status, reason)


async def answered(answer: Answer, *batch: Outgoing) -> tuple[list[tuple[Status, str]], int]:
    """What comes of a batch whose every call is answered so, and how many calls there were."""
    with ApiServer(lambda _: answer) as server:
        async with opened(server.url) as provider:
            receipts = await provider.send(batch or [an_email(1)])
        return [(receipt.status, receipt.reason) for receipt in receipts], len(server.calls)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Answer(401, error("mj-0001", "suspended", 401)), Status.config, "account_suspended"),
        (Answer(401, b"<html>"), Status.config, "authentication_failed"),
        (Answer(403, {}), Status.config, "access_denied"),
        (Answer(404, {}), Status.config, "endpoint_not_found"),
        (Answer(302, b""), Status.config, "redirected"),
        (Answer(413, b""), Status.rejected_content, "message_too_large"),
        (Answer(400, error("mj-0002", "Malformed JSON")), Status.rejected_content, "bad_request"),
        (Answer(418, {"ErrorCode": ["odd"]}), Status.rejected_content, "other"),
        (Answer(429, {"StatusCode": 429}), Status.throttled, "slow_down"),
        (Answer(500, error("mj-0002", "?", 500)), Status.transient, "provider_failed"),
        (Answer(500, {"Messages": [{"Status": "success"}]}), Status.accepted, ""),
        (Answer(503, b""), Status.transient, "provider_failed"),
        (Answer(502, b""), Status.ambiguous, "unrecognised_answer"),
        (Answer(504, b""), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, b"ok"), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, []), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {"Messages": []}), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {"Messages": ["odd"]}), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {"Messages": [{"Status": "queued"}]}), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {"Messages": [{"Status": "error", "Errors": []}]}), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {"Messages": [{"Status": "success", "To": "odd"}, {}, {}]}), Status.accepted, ""),
    ],
)
async def test_what_the_answer_to_a_call_means(answer: Answer, status: Status, reason: str) -> None:
    assert await answered(answer) == ([(status, reason)], 1)


async def test_who_is_missing_in_an_answer_is_in_doubt() -> None:
    found, calls = await answered(Answer(200, {"Messages": [{"Status": "success"}]}), an_email(1), an_email(2))
    assert [status for status, _ in found] == [Status.accepted, Status.ambiguous]
    assert calls == 1


async def test_a_call_that_is_refused_whole_is_tried_one_by_one() -> None:
    """Only the guilty one fails."""

    def strict(call: Any) -> Answer:
        messages = call.json["Messages"]
        if any(message["Subject"] == "bad" for message in messages):
            return Answer(400, error("mj-0004", "Type mismatch."))
        return Answer(200, {"Messages": [{"Status": "success"} for _ in messages]})

    batch = [an_email(1), an_email(2, subject="bad"), an_email(3)]
    with ApiServer(strict) as server:
        async with opened(server.url) as provider:
            receipts = await provider.send(batch)
        assert sorted(sizes(server)) == [1, 1, 1, 3]
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.rejected_content, Status.accepted]


async def test_a_call_that_is_refused_for_the_account_is_not_tried_again() -> None:
    found, calls = await answered(Answer(401, {}), an_email(1), an_email(2))
    assert found == [(Status.config, "authentication_failed")] * 2
    assert calls == 1


async def test_empty_keys_are_told_before_anything_is_sent() -> None:
    with pytest.raises(RunTrouble) as told:
        await Mailjet(account(None, secret_key=Secret(""))).open()
    assert told.value.problems[0].code == "mailjet-credentials"
    assert told.value.disposition is Disposition.pause


async def test_check_counts_senders(server: ApiServer, fake: FakeMailjet) -> None:
    fake.senders = [{"Email": "*@acme.example", "Status": "Active"}, {"Email": "x@y.example", "Status": "Inactive"}]
    async with opened(server.url) as provider:
        assert await provider.check() == "signed in; 1 active sender"
    assert server.calls[0].method == "GET"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(401, {}), "mailjet-credentials"),
        (Answer(403, {}), "mailjet-credentials"),
        (Answer(500, {}), "mailjet-unreachable"),
        (Answer(429, {}), "mailjet-unreachable"),
    ],
)
async def test_check_tells_what_is_wrong(answer: Answer, code: str) -> None:
    with ApiServer(lambda _: answer) as server, pytest.raises(RunTrouble) as told:
        async with opened(server.url) as provider:
            await provider.check()
    assert told.value.problems[0].code == code
    assert told.value.problems[0].hint


async def test_check_tells_that_nobody_is_there() -> None:
    with closing(Nobody()) as nobody, pytest.raises(RunTrouble) as told:
        async with opened(nobody.url) as provider:
            await provider.check()
    assert told.value.problems[0].code == "mailjet-unreachable"


@pytest.mark.parametrize(
    "fields",
    [
        {"endpoint_url": "api.mailjet.com"},
        {"endpoint_url": "https://api.mailjet.com/?a=b"},
        {"region": "au"},
        {"webhook_username": "mailjet"},
        {"webhook_password": "secret"},
    ],
)
def test_settings_that_can_not_work_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_key": "a", "secret_key": "b", **fields})


# What is reported

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
BOTH: dict[str, Any] = {"webhook_username": "mailjet", "webhook_password": "geheim", "webhook_token": "also secret"}
URL = "https://connect.example/hooks/mail"


def webhook(said: object, headers: dict[str, str] | None = None, query: str = "?token=also+secret") -> Webhook:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Webhook(headers or {}, body, URL + query, NOW, Remembered())


def parsed(said: object) -> list[Event]:
    settings = account(None, **BOTH).settings
    return [event for event in Mailjet.parse_events(webhook(said), settings) if isinstance(event, Event)]


def event(**fields: object) -> dict[str, object]:
    """As the documentation has it."""
    return {
        "event": "sent",
        "time": 1433333949,
        "MessageID": 19421777835146490,
        "email": "api@mail.example",
        "mj_campaign_id": 7257,
        "mj_contact_id": 4,
        "customcampaign": "",
        "mj_message_id": "19421777835146490",
        "smtp_reply": "sent (250 2.0.0 OK 1433333948 fa5si855896wjc.199 - gsmtp)",
        "CustomID": an_email(1).correlation_id,
        "Payload": "",
        **fields,
    }


def test_an_event_says_what_happened_to_whom() -> None:
    (found,) = parsed([event()])
    assert found.type is EventType.delivered
    assert found.at == datetime(2015, 6, 3, 12, 19, 9, tzinfo=UTC)
    assert (found.run_id, found.key) == read_correlation_id(an_email(1).correlation_id)
    assert (found.address, found.provider_id) == ("api@mail.example", "19421777835146490")
    assert (found.bounce, found.reason, found.link, found.machine) == (None, "", "", False)


def test_one_event_may_come_without_an_array() -> None:
    assert parsed(event()) == parsed([event()])
    assert parsed([]) == []


@pytest.mark.parametrize("kind", mailjet_events.TYPES)
def test_each_kind_of_event(kind: str) -> None:
    (found,) = parsed([event(event=kind, url="https://acme.example/offer")])
    assert found.type is mailjet_events.TYPES[kind]
    assert found.link == ("https://acme.example/offer" if kind == "click" else "")


def test_other_events_are_left_out() -> None:
    assert parsed([event(event="parse"), {"event": None}, {}]) == []


@pytest.mark.parametrize("said", mailjet_events.ERRORS)
def test_each_error_of_a_blocked_message(said: str) -> None:
    (found,) = parsed([event(event="blocked", error=said)])
    assert (found.bounce, found.reason) == mailjet_events.ERRORS[said]


@pytest.mark.parametrize(
    ("fields", "bounce", "reason"),
    [
        ({"hard_bounce": True, "error": "user unknown"}, Bounce.hard, "mailbox_unavailable"),
        ({"hard_bounce": False, "error": "user unknown"}, Bounce.soft, "mailbox_unavailable"),
        ({"hard_bounce": True, "error": "something new"}, Bounce.hard, "other"),
        ({"hard_bounce": True, "error": "greylisted"}, Bounce.hard, "greylisted"),
        ({"error": None}, Bounce.soft, "other"),
    ],
)
def test_a_bounce_is_hard_where_mailjet_says_so(fields: dict[str, object], bounce: Bounce, reason: str) -> None:
    (found,) = parsed([event(event="bounce", **fields)])
    assert (found.bounce, found.reason) == (bounce, reason)


def test_what_is_greylisted_is_still_on_its_way() -> None:
    assert parsed([event(event="bounce", error="greylisted", hard_bounce=False)]) == []


def test_ids_are_made_from_what_makes_an_event_unique() -> None:
    same, again, *others = parsed(
        [
            event(event="open", ip="192.0.2.1"),
            event(event="open", ip="192.0.2.1", mj_contact_id=5),
            event(event="open", ip="192.0.2.2"),
            event(event="open", time=1433333950),
            event(event="click", url="https://acme.example/a"),
            event(event="click", url="https://acme.example/b"),
            event(event="open", MessageID=None, mj_message_id="7"),
        ]
    )
    assert same.id == again.id
    assert len({same.id, *(other.id for other in others)}) == 6
    assert "api@mail.example" not in same.id


def test_an_event_with_odd_values_is_read_as_far_as_it_goes() -> None:
    odd = event(event="click", time="?", CustomID=7, email=None, url=["?"], MessageID=None, mj_message_id=None)
    (found,) = parsed([odd])
    assert (found.at, found.run_id, found.key, found.address, found.link) == (NOW, None, None, "", "")


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"mailjet:{password}".encode()).decode()}


TOKEN, WRONG = "?token=also+secret", "?token=guessed"


@pytest.mark.parametrize(
    ("configured", "headers", "query", "outcome"),
    [
        ("both", basic("geheim"), TOKEN, ""),
        ("both", basic("geheim"), "", ""),
        ("both", {}, TOKEN, ""),
        ("both", {}, "", "bad_signature"),
        ("both", basic("guessed"), TOKEN, "bad_signature"),
        ("both", basic("geheim"), WRONG, "bad_signature"),
        ("both", {}, TOKEN + "&token=guessed", "bad_signature"),
        ("both", {"authorization": "Bearer geheim"}, TOKEN, "bad_signature"),
        ("password", basic("geheim"), "", ""),
        ("password", basic("geheim"), WRONG, ""),
        ("password", {}, TOKEN, "bad_signature"),
        ("token", {}, TOKEN, ""),
        ("token", basic("guessed"), TOKEN, ""),
        ("token", basic("geheim"), "", "bad_signature"),
        ("none", basic("geheim"), TOKEN, "not_configured"),
        ("empty", basic(""), "?token=", "not_configured"),
    ],
)
def test_who_may_report(configured: str, headers: dict[str, str], query: str, outcome: str) -> None:
    fields: dict[str, Any] = {
        "both": BOTH,
        "password": {name: BOTH[name] for name in ("webhook_username", "webhook_password")},
        "token": {"webhook_token": "also secret"},
        "none": {},
        "empty": dict.fromkeys(BOTH, ""),
    }[configured]
    settings = account(None, **fields).settings
    if not outcome:
        assert len(Mailjet.parse_events(webhook([event()], headers, query), settings)) == 1
        return
    with pytest.raises(EventsRefused, match=outcome):
        Mailjet.parse_events(webhook([event()], headers, query), settings)


@pytest.mark.parametrize("body", [b"", b"{", b"7", b'["sent"]', b"null", b"[" * 100_000])
def test_what_can_not_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(EventsRefused, match="unreadable"):
        parsed(body)
