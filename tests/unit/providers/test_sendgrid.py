"""SendGrid: what is asked, what each answer means, and what its webhooks report."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, derive_private_key
from pydantic import ValidationError

from connect.channels.message import Attachment, Mailbox, Outgoing
from connect.errors import Disposition, RunTrouble
from connect.providers import sendgrid_events, sendgrid_replies
from connect.providers.interface import Account, Receipt, Status
from connect.providers.sendgrid import SendGrid, Settings
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.api import Answer, ApiServer
from connect.testing.fakes.sendgrid import KEY, FakeSendGrid, error
from connect.testing.rigs.sendgrid import verification_key

PAGE = Path(__file__).parents[3] / "docs" / "providers" / "sendgrid.md"


@pytest.fixture
def fake() -> FakeSendGrid:
    return FakeSendGrid()


@pytest.fixture
def server(fake: FakeSendGrid) -> Iterator[ApiServer]:
    with ApiServer(fake) as running:
        yield running
        assert fake.misfits == [], "a request that SendGrid would not take"


@asynccontextmanager
async def opened(url: str, *, sandbox: bool = False, **fields: Any) -> AsyncIterator[SendGrid]:
    settings = Settings.model_validate({"api_key": Secret(KEY), "endpoint_url": url, **fields})
    account = Account("mail", settings, Path(), concurrency=2, timeout=timedelta(seconds=5), sandbox=sandbox)
    provider = SendGrid(account)
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def sent(server: ApiServer, outgoing: Outgoing, *, sandbox: bool = False, **fields: Any) -> Receipt:
    async with opened(server.url, sandbox=sandbox, **fields) as provider:
        (receipt,) = await provider.send([outgoing])
    return receipt


async def request(server: ApiServer, outgoing: Outgoing, **fields: Any) -> dict[str, Any]:
    """What was asked for a message that was taken."""
    assert (await sent(server, outgoing, **fields)).status is Status.accepted
    found: dict[str, Any] = server.calls[-1].json
    return found


async def test_a_message_as_mail_send_has_it(server: ApiServer) -> None:
    outgoing = an_email(1, headers=(("List-Unsubscribe", "<https://acme.example/u/1>"),))
    assert await request(server, outgoing) == {
        "personalizations": [{"to": [{"email": "person-1@mail.example", "name": "Person 1"}]}],
        "from": {"email": "hello@acme.example", "name": "Acme"},
        "subject": "Offer number 1",
        "content": [
            {"type": "text/plain", "value": "Dear person 1,\nthere is news.\n"},
            {"type": "text/html", "value": "<p>Dear person 1,</p><p>there is news.</p>"},
        ],
        "headers": {
            "List-Unsubscribe": "<https://acme.example/u/1>",
            "Message-ID": f"<{outgoing.message.message_id}>",  # type: ignore[union-attr]
        },
        "custom_args": {"connect_id": outgoing.correlation_id},
    }
    call = server.calls[-1]
    assert (call.method, call.path) == ("POST", "/v3/mail/send")
    assert call.headers["authorization"] == f"Bearer {KEY}"


async def test_the_answers_id_is_kept(server: ApiServer) -> None:
    assert (await sent(server, an_email(1))).provider_id == "message-1"


async def test_everything_that_an_email_may_have(server: ApiServer) -> None:
    binary = bytes(range(256))
    outgoing = an_email(
        1,
        to=(Mailbox("person-1@mail.example"),),
        cc=(Mailbox("cc@mail.example", "Zoë"),),
        bcc=(Mailbox("bcc@mail.example"), Mailbox("bcc-2@mail.example")),
        reply_to=(Mailbox("help@acme.example", "Help, please"), Mailbox("sales@acme.example")),
        attachments=(Attachment("Größe.pdf", "application/pdf", binary),),
    )
    asked = await request(server, outgoing)
    assert asked["personalizations"] == [
        {
            "to": [{"email": "person-1@mail.example"}],
            "cc": [{"email": "cc@mail.example", "name": "Zoë"}],
            "bcc": [{"email": "bcc@mail.example"}, {"email": "bcc-2@mail.example"}],
        }
    ]
    assert asked["reply_to_list"] == [
        {"email": "help@acme.example", "name": "Help, please"},
        {"email": "sales@acme.example"},
    ]
    (attachment,) = asked["attachments"]
    assert base64.b64decode(attachment.pop("content")) == binary
    assert attachment == {"type": "application/pdf", "filename": "Größe.pdf", "disposition": "attachment"}


async def test_one_reply_address(server: ApiServer) -> None:
    asked = await request(server, an_email(1, reply_to=(Mailbox("help@acme.example"),)))
    assert asked["reply_to"] == {"email": "help@acme.example"}


async def test_what_an_account_says_of_every_message(server: ApiServer) -> None:
    asked = await request(
        server,
        an_email(1),
        categories=["campaigns", "Größe"],
        ip_pool="news",
        unsubscribe_group=0,
        track_opens=False,
        track_clicks=True,
    )
    assert asked["categories"] == ["campaigns", "Größe"]
    assert asked["ip_pool_name"] == "news"
    assert asked["asm"] == {"group_id": 0}
    assert asked["tracking_settings"] == {
        "open_tracking": {"enable": False},
        "click_tracking": {"enable": True, "enable_text": True},
    }


async def test_the_sandbox_is_asked_for(server: ApiServer, fake: FakeSendGrid) -> None:
    receipt = await sent(server, an_email(1), sandbox=True)
    assert receipt == Receipt(Status.accepted)
    assert server.calls[-1].json["mail_settings"] == {"sandbox_mode": {"enable": True}}
    assert fake.delivered == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Doe, Jane", '"Doe, Jane"'),
        ('Doe; "JD" \\ Jane', '"Doe; \\"JD\\" \\\\ Jane"'),
        ('Jane "JD" Doe', 'Jane "JD" Doe'),
    ],
)
async def test_a_recipients_name_that_would_be_taken_for_two_is_quoted(
    server: ApiServer, name: str, written: str
) -> None:
    asked = await request(
        server, an_email(1, to=(Mailbox("p@mail.example", name),), sender=Mailbox("a@b.example", name))
    )
    assert asked["personalizations"][0]["to"][0]["name"] == written
    assert asked["from"]["name"] == name


async def test_header_values_outside_ascii_are_encoded(server: ApiServer) -> None:
    value = "Größe 42 für 李小龙 " * 8 + "!"
    asked = await request(server, an_email(1, headers=(("X-Size", value),)))
    assert asked["headers"]["X-Size"].isascii()
    assert str(make_header(decode_header(asked["headers"]["X-Size"]))) == value


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"headers": (("X-SG-ID", "1"),)}, "reserved_header"),
        ({"headers": (("Received", "1"),)}, "reserved_header"),
        ({"headers": (("X-One", "1"), ("x-one", "2"))}, "repeated_header"),
        ({"headers": (("MESSAGE-ID", "<1@acme.example>"),)}, "repeated_header"),
        ({"text": "", "html": None}, "empty_body"),
    ],
)
async def test_what_sendgrid_can_not_carry_is_refused_here(
    server: ApiServer, fields: dict[str, object], reason: str
) -> None:
    assert await sent(server, an_email(1, **fields)) == Receipt(Status.rejected_content, reason)
    assert server.calls == []


async def test_a_blank_part_is_left_out(server: ApiServer) -> None:
    asked = await request(server, an_email(1, text=""))
    assert [part["type"] for part in asked["content"]] == ["text/html"]


async def test_half_a_surrogate_pair_does_not_break_the_request(server: ApiServer) -> None:
    assert (await request(server, an_email(1, text="\ud83d!")))["content"][0]["value"] == "?!"


ANSWERS: list[tuple[Answer, Status, str]] = [
    (error(401, "Maximum credits exceeded"), Status.quota, "credits_exceeded"),
    (error(403, "You've exceeded your messaging limits"), Status.quota, "credits_exceeded"),
    (error(401, "The provided authorization grant is invalid"), Status.config, "authentication_failed"),
    (error(401, "Authenticated user is not authorized to send mail"), Status.config, "sending_not_allowed"),
    (error(403, "access forbidden"), Status.config, "access_denied"),
    (
        error(403, "The from address does not match a verified Sender Identity.", "from"),
        Status.config,
        "sender_not_verified",
    ),
    (error(403, "The requestor's IP Address is not whitelisted"), Status.config, "address_not_allowed"),
    (error(404, "not found"), Status.config, "endpoint_not_found"),
    (error(405, "method not allowed"), Status.config, "endpoint_not_found"),
    (
        error(400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
        Status.rejected_recipient,
        "bad_address_syntax",
    ),
    (
        error(400, "Does not contain a valid address.", "personalizations[0].bcc[1].email"),
        Status.rejected_content,
        "bad_copy_address",
    ),
    (error(400, "Does not contain a valid address.", "from.email"), Status.config, "bad_sender"),
    (error(400, "Does not contain a valid address.", "reply_to.email"), Status.rejected_content, "bad_reply_address"),
    (error(400, "The subject is required.", "subject"), Status.rejected_content, "bad_subject"),
    (error(400, "must be a string", "content.0.value"), Status.rejected_content, "bad_body"),
    (error(400, "must be base64", "attachments.0.content"), Status.rejected_content, "bad_attachment"),
    (error(400, "too many", "personalizations.0.headers"), Status.rejected_content, "other"),
    (error(400, "can not be a reserved key", "headers.X-One"), Status.rejected_content, "bad_header"),
    (error(400, "no such pool", "ip_pool_name"), Status.config, "ip_pool_not_found"),
    (error(400, "no such group", "asm.group_id"), Status.config, "unsubscribe_group_not_found"),
    (
        error(400, "Each email address in the personalization block should be unique", "personalizations"),
        Status.rejected_content,
        "duplicate_recipient",
    ),
    (error(400, "something new"), Status.rejected_content, "other"),
    (Answer(400, b"<html>"), Status.rejected_content, "other"),
    (Answer(400, ["errors"]), Status.rejected_content, "other"),
    (Answer(400, {"errors": ["no", {"message": 7, "field": ["to"]}]}), Status.rejected_content, "other"),
    (Answer(413), Status.rejected_content, "message_too_large"),
    (Answer(418), Status.rejected_content, "refused"),
    (error(429, "too many requests. more than once!"), Status.throttled, "slow_down"),
    (Answer(500), Status.transient, "provider_failed"),
    (error(503, "Maximum credits exceeded"), Status.transient, "provider_failed"),
    (Answer(502), Status.ambiguous, "unrecognised_answer"),
    (Answer(504), Status.ambiguous, "unrecognised_answer"),
    (Answer(200), Status.ambiguous, "unrecognised_answer"),  # valid and not queued, says the documentation
    (Answer(204), Status.ambiguous, "unrecognised_answer"),
    (Answer(302, b"", {"location": "https://elsewhere.example"}), Status.config, "redirected"),
]


@pytest.mark.parametrize(("answer", "status", "reason"), ANSWERS, ids=lambda value: str(value)[:60])
async def test_what_an_answer_means(
    server: ApiServer, fake: FakeSendGrid, answer: Answer, status: Status, reason: str
) -> None:
    fake.refuse(answer)
    receipt = await sent(server, an_email(1))
    assert (receipt.status, receipt.reason) == (status, reason)
    assert len(server.calls) == 1, "nothing is repeated"


async def test_the_worst_of_several_errors_is_found_wherever_it_stands(server: ApiServer, fake: FakeSendGrid) -> None:
    errors = [
        {"message": "hm"},
        {"message": "Does not contain a valid address.", "field": "personalizations.0.to.0.email"},
    ]
    fake.refuse(Answer(400, {"errors": errors}))
    receipt = await sent(server, an_email(1))
    assert (receipt.status, receipt.detail) == (Status.rejected_recipient, "hm; Does not contain a valid address.")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"x_ratelimit_reset": "4102444800"}, timedelta(days=1)),
        ({"x_ratelimit_reset": "1000000000"}, timedelta(0)),
        ({"x_ratelimit_reset": "4102444800", "retry_after": "7"}, timedelta(seconds=7)),
        ({"x_ratelimit_reset": "soon"}, None),
        ({"x_ratelimit_reset": "9" * 40}, None),
        ({}, None),
    ],
)
async def test_how_long_to_wait(
    server: ApiServer, fake: FakeSendGrid, headers: dict[str, str], wait: timedelta | None
) -> None:
    fake.refuse(error(429, "too many requests", **headers))
    assert (await sent(server, an_email(1))).retry_after == wait


@pytest.mark.parametrize(
    ("region", "host"), [("us", "https://api.sendgrid.com"), ("eu", "https://api.eu.sendgrid.com")]
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    settings = Settings.model_validate({"api_key": Secret(KEY), "region": region})
    assert SendGrid(Account("mail", settings, Path(), concurrency=1))._url == f"{host}/v3/mail/send"


@pytest.mark.parametrize(
    "fields",
    [
        {"region": "au"},
        {"categories": ["x"] * 11},
        {"categories": [""]},
        {"ip_pool": "x"},
        {"endpoint_url": "api.sendgrid.com"},
        {"webhook_public_key": "MFkw"},
        {"webhook_public_key": "Größe"},
        {"webhook_public_key": verification_key(derive_private_key(7, SECP384R1()))},
    ],
)
def test_settings_that_can_not_be(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_key": Secret(KEY), **fields})


@pytest.mark.parametrize("key", ["", " \n", "SG.\nhost: elsewhere", "SG.schlüssel"])
async def test_a_key_that_is_none_is_found_when_opening(key: str) -> None:
    with pytest.raises(RunTrouble) as caught:
        async with opened("http://127.0.0.1:1", api_key=Secret(key)):
            pass
    assert caught.value.disposition is Disposition.pause
    assert caught.value.problems[0].code == "sendgrid-credentials"


async def test_a_key_from_a_file_ends_in_a_line_end(server: ApiServer) -> None:
    assert (await sent(server, an_email(1), api_key=Secret(KEY + "\n"))).status is Status.accepted


async def checked(url: str, **fields: Any) -> str:
    """What `check` says, or the code of its trouble."""
    async with opened(url, **fields) as provider:
        try:
            return await provider.check()
        except RunTrouble as trouble:
            return trouble.problems[0].code if trouble.problems[0].hint else "no hint"


async def test_check_asks_what_the_key_may_do(server: ApiServer, fake: FakeSendGrid) -> None:
    assert await checked(server.url) == "signed in; this key may send"
    fake.scopes = ["stats.read"]
    assert await checked(server.url) == "sendgrid-credentials"
    assert await checked(server.url, api_key=Secret("SG.wrong")) == "sendgrid-credentials"
    assert await checked("http://127.0.0.1:1") == "sendgrid-unreachable"
    assert fake.delivered == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error(403, "access forbidden"), "signed in; this key may not ask for its own scopes"),
        (Answer(500), "sendgrid-unreachable"),
        (Answer(200, b"<html>"), "sendgrid-unreachable"),
    ],
)
async def test_check_of_an_account_that_says_something_else(answer: Answer, said: str) -> None:
    with ApiServer(lambda call: answer) as server:
        assert await checked(server.url) == said


def test_every_reason_is_explained() -> None:
    tables = (sendgrid_replies.STATUSES, sendgrid_replies.WORDS, sendgrid_replies.FIELDS)
    reasons = {reason for table in tables for _, reason in table.values()}
    reasons |= {reason for _, reason in sendgrid_events.DROPS.values()} | set(sendgrid_events.CLASSES.values())
    reasons |= {"empty_body", "reserved_header", "repeated_header"}
    assert reasons - set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text())) == set()
