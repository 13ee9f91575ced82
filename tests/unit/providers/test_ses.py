"""Amazon SES: which calls are made, and what each answer means for each message."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import botocore.session
import pytest
from pydantic import ValidationError

from connect.channels.message import Mailbox, Outgoing
from connect.errors import Disposition, RunTrouble
from connect.providers import ses_replies
from connect.providers.interface import Account, Status
from connect.providers.ses import Ses, Settings
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.api import Answer, ApiServer
from connect.testing.messages import an_attachment
from connect.testing.ses import SesServer


@pytest.fixture
def server() -> Iterator[SesServer]:
    with SesServer() as running:
        yield running
        assert running.misfits == [], "a request that the service's own model refuses"


@asynccontextmanager
async def opened(url: str, **fields: object) -> AsyncIterator[Ses]:
    given: dict[str, object] = {
        "region": "eu-west-1",
        "access_key_id": Secret("AKIAIOSFODNN7EXAMPLE"),
        "secret_access_key": Secret("only for tests"),
        "endpoint_url": url,
    }
    settings = Settings.model_validate({**given, **fields})
    provider = Ses(Account("mail", settings, Path(), concurrency=2, timeout=timedelta(seconds=5)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


def operations(server: SesServer) -> list[str]:
    return [request.operation for request in server.requests]


async def test_fifty_messages_go_in_one_call(server: SesServer) -> None:
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number) for number in range(50)])
    assert operations(server) == ["SendBulkEmail"]
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert len({receipt.provider_id for receipt in receipts}) == 50


async def test_one_message_goes_in_its_parts(server: SesServer) -> None:
    headers = (("List-Unsubscribe", "<https://acme.example/u/1>"),)
    outgoing = an_email(1, subject="Grüße 🎉", headers=headers, reply_to=(Mailbox("help@acme.example"),), html=None)
    async with opened(server.url, configuration_set="campaigns") as provider:
        await provider.send([outgoing])
    (request,), (delivered,) = server.requests, server.delivered
    assert request.operation == "SendEmail"
    assert request.body["ConfigurationSetName"] == "campaigns"
    assert request.body["ReplyToAddresses"] == ["help@acme.example"]
    assert request.body["Destination"] == {"ToAddresses": ["Person 1 <person-1@mail.example>"]}
    assert (delivered.subject, delivered.text, delivered.html) == ("Grüße 🎉", outgoing.message.text, None)  # type: ignore[union-attr]
    assert delivered.headers == headers
    assert delivered.tags == (("connect_id", outgoing.correlation_id.replace(".", "-")),)


async def test_what_ses_can_not_put_together_goes_as_it_is(server: SesServer) -> None:
    outgoing = an_email(1, attachments=(an_attachment(),))
    async with opened(server.url) as provider:
        await provider.send([outgoing])
    parsed = message_from_bytes(server.delivered[0].raw or b"", policy=policy.default)
    assert parsed["Message-ID"] == f"<{outgoing.message.message_id}>"  # type: ignore[union-attr]


async def test_bulk_can_be_turned_off(server: SesServer) -> None:
    async with opened(server.url, bulk=False) as provider:
        await provider.send([an_email(1), an_email(2)])
    assert operations(server) == ["SendEmail", "SendEmail"]


async def test_an_entry_carries_headers_tags_and_what_was_rendered(server: SesServer) -> None:
    unsubscribe = ("List-Unsubscribe", "<https://acme.example/u/1>")
    text = 'braces {{subject}} {{{html}}}, "quotes", </script>\n'
    batch = [an_email(n, headers=(unsubscribe,), subject="Grüße 🎉", text=text) for n in range(2)]
    async with opened(server.url) as provider:
        await provider.send(batch)
    delivered = server.delivered[1]
    assert delivered.headers == (unsubscribe,)
    assert delivered.tags == (("connect_id", batch[1].correlation_id.replace(".", "-")),)
    assert (delivered.subject, delivered.text) == ("Grüße 🎉", text)


def singles() -> dict[str, Outgoing]:
    """Messages that a bulk call can not carry."""
    return {
        "attachment": an_email(1, attachments=(an_attachment(),)),
        "cc": an_email(1, cc=(Mailbox("cc@mail.example"),)),
        "bcc": an_email(1, bcc=(Mailbox("bcc@mail.example"),)),
        "many headers": an_email(1, headers=tuple((f"X-{n}", "1") for n in range(16))),
        "a long header": an_email(1, headers=(("X-Long", "x" * 996),)),
        "a header outside ASCII": an_email(1, headers=(("X-Name", "Zoë"),)),
        "a long body": an_email(1, text="x" * 262_145),
        "a long name": an_email(1, to=(Mailbox("p@mail.example", "Zoë " * 80),)),
    }


@pytest.mark.parametrize("what", singles())
async def test_what_a_bulk_call_can_not_carry_goes_alone(server: SesServer, what: str) -> None:
    batch = [an_email(2), singles()[what], an_email(3)]
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    assert [receipt.status for receipt in receipts] == [Status.accepted] * 3
    assert sorted(operations(server)) == ["SendBulkEmail", "SendEmail"]
    assert receipts[1].provider_id.startswith("single")


async def test_messages_of_different_senders_and_shapes_are_not_mixed(server: SesServer) -> None:
    other = Mailbox("news@acme.example", "Größe & Co")
    batch = [an_email(n, sender=other) if n % 2 else an_email(n) for n in range(4)]
    batch += [an_email(n, html=None) for n in (4, 5)]
    async with opened(server.url) as provider:
        receipts = await provider.send(batch)
    assert [receipt.status for receipt in receipts] == [Status.accepted] * 6
    senders = [request.body["FromEmailAddress"] for request in server.requests]
    assert sorted(senders) == sorted(
        ["Acme <hello@acme.example>"] * 2 + ["=?utf-8?b?R3LDtsOfZSAmIENv?= <news@acme.example>"]
    )


async def test_calls_are_packed_by_bytes(server: SesServer) -> None:
    async with opened(server.url) as provider:
        await provider.send([an_email(n, text="x" * 200_000) for n in range(9)])
    assert operations(server) == ["SendBulkEmail"] * 3 or operations(server).count("SendEmail") == 1
    for request in server.requests:
        assert len(json.dumps(request.body, default=str)) < 1_000_000


async def test_each_entry_has_its_own_status(server: SesServer) -> None:
    statuses = list(ses_replies.STATUSES)
    for number, status in enumerate(statuses):
        server.answer(f"person-{number}@mail.example", status, f"person-{number}@mail.example is {status}")
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number) for number in range(len(statuses))])
    assert [(receipt.status, receipt.reason) for receipt in receipts] == list(ses_replies.STATUSES.values())
    assert "mail.example" not in repr(receipts)


def test_every_status_and_error_of_the_model_is_mapped() -> None:
    model = botocore.session.get_session().get_service_model("sesv2")
    assert set(ses_replies.STATUSES) == set(model.shape_for("BulkEmailStatus").enum)
    for name in ("SendEmail", "SendBulkEmail"):
        errors = {shape.name for shape in model.operation_model(name).error_shapes}
        assert errors <= set(ses_replies.ERRORS)


async def test_a_status_that_nobody_knows_is_in_doubt(server: SesServer) -> None:
    server.answer("person-1@mail.example", "SOMETHING_NEW")
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(0), an_email(1)])
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.ambiguous]


@pytest.mark.parametrize("answer", [{}, {"MessageId": None}, {"MessageId": ["x"]}])
async def test_what_has_no_id_was_not_accepted_by_ses(answer: dict[str, object]) -> None:
    with ApiServer(lambda call: Answer(200, answer)) as somebody:
        async with opened(somebody.url) as provider:
            (receipt,) = await provider.send([an_email(0)])
    assert (receipt.status, receipt.reason) == (Status.ambiguous, "unrecognised_answer")


@pytest.mark.parametrize(
    ("code", "words", "http_status", "status", "reason"),
    [
        ("ThrottlingException", "Maximum sending rate exceeded.", 400, Status.throttled, "slow_down"),
        ("Throttling", "Daily message quota exceeded.", 400, Status.quota, "daily_quota"),
        ("LimitExceededException", "Maximum sending rate exceeded.", 400, Status.throttled, "slow_down"),
        ("SendingPausedException", "paused", 400, Status.config, "sending_paused"),
        ("AccessDeniedException", "not authorized", 403, Status.config, "access_denied"),
        ("ExpiredTokenException", "expired", 403, Status.config, "credentials_expired"),
        ("NewAuthError", "no", 403, Status.config, "access_denied"),
        ("MessageRejected", "Email address is not verified.", 400, Status.config, "sender_not_verified"),
        (
            "BadRequestException",
            "Message length is more than 1 and exceeds 2.",
            400,
            Status.rejected_content,
            "message_too_large",
        ),
        ("NewError", "?", 418, Status.rejected_content, "refused"),
        ("InternalFailure", "", 500, Status.transient, "provider_failed"),
        ("ServiceUnavailable", "", 503, Status.transient, "provider_failed"),
        ("", "", 504, Status.ambiguous, "unrecognised_answer"),
    ],
)
async def test_what_an_error_of_a_call_means(
    server: SesServer, code: str, words: str, http_status: int, status: Status, reason: str
) -> None:
    server.refuse(code, words, http_status)
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2)])
    assert [(receipt.status, receipt.reason) for receipt in receipts] == [(status, reason)] * 2
    assert server.delivered == []


async def test_one_bad_address_does_not_refuse_the_others_of_its_call(server: SesServer) -> None:
    bad = "person-1@mail.example"
    server.refuse("BadRequestException", f"Illegal address <{bad}>", address=bad)
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(number) for number in range(3)])
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.rejected_recipient, Status.accepted]
    assert operations(server) == ["SendBulkEmail", "SendEmail", "SendEmail", "SendEmail"]


async def test_botocore_does_not_repeat_a_call(server: SesServer) -> None:
    server.refuse("InternalFailure", "", 500, times=1)
    async with opened(server.url) as provider:
        assert (await provider.send([an_email(1)]))[0].status is Status.transient
    assert len(server.requests) == 1


async def test_an_address_outside_ascii_is_refused_here(server: SesServer) -> None:
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2, to=(Mailbox("zoë@mail.example"),))])
    assert [receipt.reason for receipt in receipts] == ["", "smtputf8_unsupported"]


async def test_check_says_quota_and_sandbox(server: SesServer) -> None:
    quota = {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 3.0}
    async with opened(server.url) as provider:
        assert "may not ask" in await provider.check()
        server.account(ProductionAccessEnabled=False, SendingEnabled=True, SendQuota=quota)
        assert "in the sandbox" in await provider.check()
        server.account(ProductionAccessEnabled=True, SendingEnabled=True, SendQuota=quota)
        assert await provider.check() == "signed in; 1/s, 3 of 200 in 24 hours"


async def test_check_names_a_paused_account(server: SesServer) -> None:
    server.account(SendingEnabled=False)
    async with opened(server.url) as provider:
        with pytest.raises(RunTrouble) as caught:
            await provider.check()
    assert caught.value.problems[0].code == "ses-paused"


async def test_no_credentials_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(RunTrouble) as caught:
        async with opened("http://127.0.0.1:1", access_key_id=None, secret_access_key=None):
            pass
    assert caught.value.disposition is Disposition.pause
    assert caught.value.problems[0].code == "ses-credentials"


def test_half_a_key_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="come together"):
        Settings(access_key_id=Secret("AKIA"))
