"""Mailgun: which form is posted, what each answer means, and what its webhooks report."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connect.channels.message import Attachment, Mailbox, Outgoing
from connect.errors import Disposition, RunTrouble
from connect.providers import mailgun_events, mailgun_replies
from connect.providers.interface import Account, Receipt, Status
from connect.providers.mailgun import Mailgun, Settings
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.api import Answer, ApiServer, Call
from connect.testing.fakes.mailgun import DOMAIN, KEY, Delivered, FakeMailgun, said
from connect.testing.messages import unusual_emails

PAGE = Path(__file__).parents[3] / "docs" / "providers" / "mailgun.md"


@pytest.fixture
def fake() -> FakeMailgun:
    return FakeMailgun()


@pytest.fixture
def server(fake: FakeMailgun) -> Iterator[ApiServer]:
    with ApiServer(fake) as running:
        yield running
        assert fake.misfits == [], "a form that Mailgun would not take"


@asynccontextmanager
async def opened(url: str, *, sandbox: bool = False, **fields: Any) -> AsyncIterator[Mailgun]:
    given = {"api_key": Secret(KEY), "domain": DOMAIN, "endpoint_url": url, **fields}
    settings = Settings.model_validate(given)
    account = Account("mail", settings, Path(), concurrency=2, timeout=timedelta(seconds=5), sandbox=sandbox)
    provider = Mailgun(account)
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def sent(server: ApiServer, outgoing: Outgoing, *, sandbox: bool = False, **fields: Any) -> Receipt:
    async with opened(server.url, sandbox=sandbox, **fields) as provider:
        (receipt,) = await provider.send([outgoing])
    return receipt


async def delivered(server: ApiServer, fake: FakeMailgun, outgoing: Outgoing, **fields: Any) -> Delivered:
    assert (await sent(server, outgoing, **fields)).status is Status.accepted
    return fake.delivered[-1]


def as_python_reads_it(call: Call) -> list[tuple[str, str | None, bytes]]:
    """(name, filename, value) of each field, by the standard library."""
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + call.body, policy=policy.HTTP)
    found = []
    for part in message.iter_parts():
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        assert part.defects == message.defects == []
        name = part.get_param("name", header="content-disposition")
        found.append((str(name), part.get_filename(), value))
    return found


async def test_a_form_byte_by_byte(server: ApiServer) -> None:
    outgoing = replace(an_email(1, headers=(("List-Unsubscribe", "<https://acme.example/u/1>"),)), key=bytes(range(16)))
    receipt = await sent(server, outgoing, tags=["campaigns"])
    call = server.calls[-1]
    assert (call.method, call.path) == ("POST", f"/v3/{DOMAIN}/messages")
    boundary = "connect-000102030405060708090a0b0c0d0e0f"
    assert call.headers["content-type"] == f"multipart/form-data; boundary={boundary}"
    fields = {
        "from": "Acme <hello@acme.example>",
        "to": "Person 1 <person-1@mail.example>",
        "subject": "Offer number 1",
        "text": "Dear person 1,\nthere is news.\n",
        "html": "<p>Dear person 1,</p><p>there is news.</p>",
        "h:Message-Id": f"<{outgoing.message.message_id}>",  # type: ignore[union-attr]
        "h:List-Unsubscribe": "<https://acme.example/u/1>",
        "v:connect_id": outgoing.correlation_id,
        "o:tag": "campaigns",
    }
    head = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    lines = [f"--{boundary}\r\n" + head.format(name, value) for name, value in fields.items()]
    assert call.body.decode() == "".join(lines) + f"--{boundary}--\r\n"
    assert receipt == Receipt(Status.accepted, provider_id=outgoing.message.message_id)  # type: ignore[union-attr]


async def test_the_same_message_is_the_same_bytes(server: ApiServer) -> None:
    for outgoing in (an_email(1), an_email(1), replace(an_email(1), key=bytes(16))):
        await sent(server, outgoing)
    once, again, other = server.calls
    assert (once.body, once.headers["content-type"]) == (again.body, again.headers["content-type"])
    assert other.headers["content-type"] != once.headers["content-type"]


async def test_unusual_text_as_the_standard_library_reads_it(server: ApiServer) -> None:
    for outgoing in unusual_emails():
        await sent(server, outgoing)
        email = outgoing.message
        fields = {name: value.decode() for name, _, value in as_python_reads_it(server.calls[-1])}
        wanted = {"subject": email.subject, "text": email.text, "html": email.html}  # type: ignore[union-attr]
        assert {name: fields.get(name) for name in wanted} == wanted
        ((name, address),) = getaddresses([fields["to"]])
        assert (str(make_header(decode_header(name))), address) == (email.to[0].name, email.address)  # type: ignore[union-attr]


async def test_a_text_that_holds_the_boundary_gets_another(server: ApiServer) -> None:
    usual = an_email(1)
    boundary = f"connect-{usual.key.hex()}"
    hostile = replace(
        an_email(1, text=f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="bcc"\r\n\r\na@b.c'), key=usual.key
    )
    await sent(server, hostile)
    call = server.calls[-1]
    assert boundary not in call.headers["content-type"]
    assert "bcc" not in [name for name, _, _ in as_python_reads_it(call)]


async def test_everything_that_an_email_may_have(server: ApiServer, fake: FakeMailgun) -> None:
    outgoing = an_email(
        1,
        to=(Mailbox("person-1@mail.example", 'Doe, "JD" Jane'),),
        cc=(Mailbox("cc@mail.example", "Zoë"), Mailbox("cc-2@mail.example")),
        bcc=(Mailbox("bcc@mail.example"),),
        reply_to=(Mailbox("help@acme.example", "Help, please"), Mailbox("sales@acme.example")),
        headers=(("X-Size", "Größe 42"),),
    )
    got = await delivered(server, fake, outgoing)
    assert getaddresses(got.all("to")) == [('Doe, "JD" Jane', "person-1@mail.example")]
    (zoe, second) = getaddresses(got.all("cc"))
    assert (str(make_header(decode_header(zoe[0]))), zoe[1]) == ("Zoë", "cc@mail.example")
    assert second == ("", "cc-2@mail.example")
    assert got.all("bcc") == ["bcc@mail.example"]
    assert getaddresses(got.all("h:Reply-To")) == [("Help, please", "help@acme.example"), ("", "sales@acme.example")]
    assert str(make_header(decode_header(got.all("h:X-Size")[0]))) == "Größe 42"


async def test_attachments_are_carried_as_they_are(server: ApiServer) -> None:
    binary = bytes(range(256)) + b"\r\n--connect-\r\n\r\n"
    files = (
        Attachment("Größe.pdf", "application/pdf", binary),
        Attachment('a "b";\\.txt', "text/plain", b""),
    )
    await sent(server, an_email(1, attachments=files))
    call = server.calls[-1]
    assert (
        b'name="attachment"; filename="Gr\xc3\xb6\xc3\x9fe.pdf"\r\nContent-Type: application/pdf\r\n\r\n' in call.body
    )
    found = [value for name, _, value in as_python_reads_it(call) if name == "attachment"]
    assert found == [binary, b""]


async def test_what_an_account_says_of_every_message(server: ApiServer, fake: FakeMailgun) -> None:
    got = await delivered(
        server,
        fake,
        an_email(1),
        tags=["campaigns", "spring sale"],
        ip_pool="60140bc1fee3e84dec5abeeb",
        require_tls=True,
        track_opens=False,
        track_clicks=True,
    )
    options = [(part.name, part.text) for part in got.parts if part.name.startswith("o:")]
    assert options == [
        ("o:tag", "campaigns"),
        ("o:tag", "spring sale"),
        ("o:sending-ip-pool", "60140bc1fee3e84dec5abeeb"),
        ("o:require-tls", "yes"),
        ("o:tracking-opens", "no"),
        ("o:tracking-clicks", "yes"),
    ]


async def test_the_sandbox_is_asked_for(server: ApiServer, fake: FakeMailgun) -> None:
    assert (await sent(server, an_email(1), sandbox=True)).status is Status.accepted
    assert ("o:testmode", None, b"yes") in as_python_reads_it(server.calls[-1])
    assert fake.delivered == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"headers": (("X-One", "1"), ("x-one", "2"))}, "repeated_header"),
        ({"text": "", "html": None}, "empty_body"),
    ],
)
async def test_what_mailgun_can_not_carry_is_refused_here(
    server: ApiServer, fields: dict[str, object], reason: str
) -> None:
    assert await sent(server, an_email(1, **fields)) == Receipt(Status.rejected_content, reason)
    assert server.calls == []


async def test_a_blank_part_is_left_out(server: ApiServer, fake: FakeMailgun) -> None:
    assert (await delivered(server, fake, an_email(1, text=""))).all("text") == []


async def test_half_a_surrogate_pair_does_not_break_the_form(server: ApiServer, fake: FakeMailgun) -> None:
    assert (await delivered(server, fake, an_email(1, text="\ud83d!"))).one("text") == "?!"


MAY_NOT = f"Domain {DOMAIN} is not allowed to send: "
ANSWERS: list[tuple[Answer, Status, str]] = [
    (said(400, "'to' parameter is not a valid address. please check"), Status.rejected_recipient, "bad_address_syntax"),
    (said(400, "to parameter is not a valid address. please check"), Status.rejected_recipient, "bad_address_syntax"),
    (said(400, "'cc' parameter is not a valid address."), Status.rejected_content, "bad_copy_address"),
    (said(400, "'from' parameter is not a valid address."), Status.config, "bad_sender"),
    (said(400, "'h:Reply-To' parameter is not a valid address."), Status.rejected_content, "bad_reply_address"),
    (said(400, "'o:tag' parameter is not a valid address."), Status.rejected_content, "other"),
    (said(400, "Need at least one of 'text' or 'html'"), Status.rejected_content, "empty_body"),
    (said(400, "something new"), Status.rejected_content, "other"),
    (said(400, MAY_NOT + "recipient limit exceeded"), Status.quota, "limit_exceeded"),
    (said(400, MAY_NOT + "You are sending too fast. Your account is disabled."), Status.throttled, "slow_down"),
    (said(403, MAY_NOT + "Sandbox subdomains are for test purposes only."), Status.config, "sandbox_domain"),
    (said(403, MAY_NOT + "Account disabled"), Status.config, "account_disabled"),
    (said(403, MAY_NOT + "Account Inactivity"), Status.config, "account_disabled"),
    (said(403, MAY_NOT + "Please activate your Mailgun account."), Status.config, "account_not_activated"),
    (said(400, MAY_NOT + "The domain is unverified"), Status.config, "domain_not_verified"),
    (said(400, MAY_NOT + "something new"), Status.config, "sending_not_allowed"),
    (Answer(401, b"Forbidden"), Status.config, "authentication_failed"),
    (said(402, "Request Failed"), Status.transient, "request_failed"),
    (said(404, "Domain not found: acme"), Status.config, "domain_not_found"),
    (Answer(413), Status.rejected_content, "message_too_large"),
    (said(418, ""), Status.rejected_content, "refused"),
    (Answer(420), Status.throttled, "slow_down"),
    (said(420, MAY_NOT + "recipient limit exceeded, try again after soon"), Status.throttled, "limit_exceeded"),
    (said(429, "Too Many Requests"), Status.throttled, "slow_down"),
    (Answer(429, b"<html>"), Status.throttled, "slow_down"),
    (Answer(500), Status.transient, "provider_failed"),
    (said(503, "limit exceeded"), Status.transient, "provider_failed"),
    (Answer(502), Status.ambiguous, "unrecognised_answer"),
    (Answer(504), Status.ambiguous, "unrecognised_answer"),
    (Answer(200, b"<html>"), Status.ambiguous, "unrecognised_answer"),
    (Answer(200, {"message": "Queued. Thank you."}), Status.ambiguous, "unrecognised_answer"),
    (Answer(202, {"id": "<1@acme.example>"}), Status.ambiguous, "unrecognised_answer"),
]


@pytest.mark.parametrize(("answer", "status", "reason"), ANSWERS, ids=lambda value: str(value)[:60])
async def test_what_an_answer_means(
    server: ApiServer, fake: FakeMailgun, answer: Answer, status: Status, reason: str
) -> None:
    fake.refuse(answer)
    receipt = await sent(server, an_email(1))
    assert (receipt.status, receipt.reason) == (status, reason)
    assert len(server.calls) == 1, "nothing is repeated"


@pytest.mark.parametrize(
    ("words", "headers", "wait"),
    [
        ("request limit exceeded, try again after 120 seconds", {}, timedelta(seconds=120)),
        ("request limit exceeded, try again after 120 seconds", {"retry_after": "7"}, timedelta(seconds=7)),
        ("recipient limit exceeded, try again after Mon, 25 Aug 2025 07:00:31 UTC", {}, timedelta(0)),
        ("recipient limit exceeded, try again after Fri, 25 Aug 2090 07:00:31 UTC", {}, timedelta(days=1)),
        ("recipient limit exceeded, try again after 99999999 seconds", {}, timedelta(days=1)),
        ("recipient limit exceeded, try again after Xxx, 99 Foo 2090 77:00:31 UTC", {}, None),
        ("Too Many Requests", {}, None),
    ],
)
@pytest.mark.parametrize("status", [420, 429])
async def test_how_long_to_wait(
    server: ApiServer, fake: FakeMailgun, status: int, words: str, headers: dict[str, str], wait: timedelta | None
) -> None:
    fake.refuse(said(status, words, **headers))
    receipt = await sent(server, an_email(1))
    assert (receipt.status, receipt.retry_after) == (Status.throttled, wait)


@pytest.mark.parametrize(("region", "host"), [("us", "https://api.mailgun.net"), ("eu", "https://api.eu.mailgun.net")])
def test_each_region_has_its_host(region: str, host: str) -> None:
    settings = Settings.model_validate({"api_key": Secret(KEY), "domain": "acme.example", "region": region})
    assert Mailgun(Account("mail", settings, Path(), concurrency=1))._url == f"{host}/v3/acme.example/messages"


@pytest.mark.parametrize(
    "fields",
    [
        {"region": "au"},
        {"domain": "acme.example/../other"},
        {"domain": ""},
        {"domain": "acme.example\n"},
        {"tags": ["x"] * 11},
        {"tags": ["Größe"]},
        {"tags": ["x" * 129]},
        {"ip_pool": "a b"},
        {"endpoint_url": "api.mailgun.net"},
    ],
)
def test_settings_that_can_not_be(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_key": Secret(KEY), "domain": DOMAIN, **fields})


async def checked(url: str, **fields: Any) -> str:
    """What `check` says, or the code of its trouble."""
    async with opened(url, **fields) as provider:
        try:
            return await provider.check()
        except RunTrouble as trouble:
            (problem,) = trouble.problems
            return problem.code if problem.hint and trouble.disposition is Disposition.pause else "no hint"


async def test_check_asks_for_the_domain(server: ApiServer, fake: FakeMailgun) -> None:
    assert await checked(server.url) == f"signed in; {DOMAIN} is active"
    assert await checked(server.url, api_key=Secret(KEY + "\n")) == f"signed in; {DOMAIN} is active"
    assert await checked(server.url, domain="other.example") == "mailgun-domain"
    assert await checked(server.url, api_key=Secret("wrong")) == "mailgun-credentials"
    assert await checked("http://127.0.0.1:1") == "mailgun-unreachable"
    fake.state = "unverified"
    assert await checked(server.url) == "mailgun-domain"
    assert fake.delivered == []


async def test_check_of_a_key_that_may_only_send(server: ApiServer, fake: FakeMailgun) -> None:
    fake.sending_key = True
    assert await checked(server.url) == f"signed in; this key may send from {DOMAIN}, and ask nothing"
    assert await checked(server.url, domain="other.example") == "mailgun-domain"
    assert fake.delivered == []


@pytest.mark.parametrize("answer", [Answer(500), Answer(200, b"<html>"), Answer(200, {"domain": []})])
async def test_check_of_an_answer_that_is_none(answer: Answer) -> None:
    with ApiServer(lambda call: answer) as server:
        assert await checked(server.url) == "mailgun-unreachable"


async def test_check_of_a_form_that_is_not_refused() -> None:
    """A key that may only send, at a Mailgun that answers an empty form in a way that says nothing."""
    with ApiServer(lambda call: Answer(403 if call.method == "GET" else 500)) as server:
        assert await checked(server.url) == "mailgun-unreachable"


def test_every_reason_is_explained() -> None:
    tables = (mailgun_replies.STATUSES, mailgun_replies.WORDS, mailgun_replies.PARAMETERS)
    reasons = {reason for table in tables for _, reason in table.values()}
    reasons |= {reason for _, reason in mailgun_events.FAILURES.values()}
    reasons |= {"empty_body", "repeated_header", "rejected", "invalid_address"}
    assert reasons - set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text())) == set()
