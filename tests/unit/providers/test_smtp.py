"""What an SMTP server says or does at each stage, and what is known of the message then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from connect.channels.message import Email, Mailbox
from connect.errors import Disposition, RunTrouble
from connect.providers.interface import Account, Receipt, Status
from connect.providers.smtp import Security, Settings, Smtp
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.messages import an_attachment
from connect.testing.smtp import DROP, HANG, At, SmtpServer
from tests.leaping import leaping

LONG = 30.0
"""Seconds that nobody waits for: a busy machine is not a server that says nothing."""


@pytest.fixture(params=[True, False], ids=["pipelining", "one-by-one"])
def server(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    with SmtpServer(pipelining=request.param) as running:
        yield running


def settings(server: SmtpServer, **fields: object) -> Settings:
    given: dict[str, object] = {
        "host": server.host,
        "port": server.port,
        "username": server.username,
        "password": Secret(server.password),
        "ca_file": str(server.ca_file),
        "local_hostname": "sender.example",
    }
    return Settings.model_validate({**given, **fields})


@asynccontextmanager
async def opened(given: Settings, concurrency: int = 2, seconds: float = LONG) -> AsyncIterator[Smtp]:
    provider = Smtp(Account("mail", given, Path("/"), concurrency, timedelta(seconds=seconds)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


STAGES = [
    (At.mail, "451 4.3.0 later", Status.transient, "try_again_later"),
    (At.mail, "421 4.3.2 closing", Status.throttled, "slow_down"),
    (At.mail, "454 Throttling failure: Maximum sending rate exceeded.", Status.throttled, "slow_down"),
    (At.mail, "550 5.7.1 not your address", Status.config, "sender_refused"),
    (At.mail, "530 5.7.0 sign in first", Status.config, "authentication_required"),
    (At.mail, "552 5.3.4 too big", Status.rejected_content, "message_too_large"),
    (At.mail, DROP, Status.transient, "connection_lost"),
    (At.rcpt, "450 4.7.1 greylisted", Status.transient, "blocked"),
    (At.rcpt, "450 4.7.1 rate limit for this sender", Status.throttled, "slow_down"),
    (At.rcpt, "452 4.2.2 over quota", Status.transient, "mailbox_full"),
    (At.rcpt, "550 5.1.1 no such user", Status.rejected_recipient, "mailbox_unavailable"),
    (At.rcpt, "550 no such user", Status.rejected_recipient, "mailbox_unavailable"),
    (At.rcpt, "552 5.2.2 mailbox quota exceeded", Status.rejected_recipient, "mailbox_full"),
    (At.rcpt, "556 5.1.10 null MX", Status.rejected_recipient, "bad_domain"),
    (At.rcpt, "571 whatever", Status.rejected_recipient, "recipient_refused"),
    (At.rcpt, "554 5.7.1 Relay access denied", Status.config, "relay_denied"),
    (At.rcpt, "550 5.4.5 Daily user sending quota exceeded", Status.quota, "sending_quota"),
    (At.rcpt, DROP, Status.transient, "connection_lost"),
    (At.data, "451 4.3.0 later", Status.transient, "try_again_later"),
    (At.data, "554 5.5.1 no valid recipients", Status.rejected_content, "blocked"),
    (At.data, DROP, Status.transient, "connection_lost"),
    (At.end, "451 4.3.0 later", Status.transient, "try_again_later"),
    (At.end, "421 4.7.0 too many messages", Status.throttled, "slow_down"),
    (At.end, "454 Throttling failure: Daily message quota exceeded.", Status.quota, "sending_quota"),
    (At.end, "550 5.1.1 no such user after all", Status.rejected_recipient, "mailbox_unavailable"),
    (At.end, "554 5.7.1 looks like spam", Status.rejected_content, "blocked"),
    (At.end, "552 5.2.3 too big", Status.rejected_content, "message_too_large"),
    (At.end, "599 nonsense", Status.rejected_content, "content_refused"),
    (At.end, "what was that", Status.ambiguous, "connection_lost_after_data"),
    (At.end, DROP, Status.ambiguous, "connection_lost_after_data"),
]


@pytest.mark.parametrize(("at", "what", "status", "reason"), STAGES)
async def test_a_reply_means_the_same_on_a_new_and_on_a_used_connection(
    server: SmtpServer, at: At, what: str, status: Status, reason: str
) -> None:
    async with opened(settings(server)) as provider:
        server.answer(at, what)
        new = (await provider.send([an_email(1)]))[0]
        server.forget_answers()
        between = (await provider.send([an_email(2)]))[0]
        server.answer(at, what)
        used = (await provider.send([an_email(3)]))[0]
    assert between.status is Status.accepted, "a refused message must not spoil the connection"
    assert [(each.status, each.reason) for each in (new, used)] == [(status, reason)] * 2
    assert [message.recipients for message in server.messages] == [("person-2@mail.example",)]


async def timed_out(server: SmtpServer, at: At) -> Receipt:
    """Of a message to which the server says no more from here on."""
    server.answer(at, HANG)
    async with opened(settings(server)) as provider:
        with leaping(asyncio.to_thread(server.hanging.wait, LONG), LONG):
            return (await provider.send([an_email()]))[0]


@pytest.mark.parametrize("at", [At.mail, At.rcpt, At.data])
async def test_silence_before_the_content_is_transient(server: SmtpServer, at: At) -> None:
    assert await timed_out(server, at) == Receipt(Status.transient, "timed_out")


async def test_silence_after_the_final_dot_is_in_doubt(server: SmtpServer) -> None:
    assert await timed_out(server, At.end) == Receipt(Status.ambiguous, "timed_out_after_data")


async def test_a_connection_cut_in_the_middle_of_the_content_is_not_in_doubt(server: SmtpServer) -> None:
    """Far more than the kernel's buffers hold: the final dot was never given to the network."""
    large = replace(an_attachment(), content=bytes(12 * 1024 * 1024))
    async with opened(settings(server)) as provider:
        server.answer(At.content, DROP)
        receipt = (await provider.send([an_email(attachments=(large,))]))[0]
    assert (receipt.status, receipt.reason) == (Status.transient, "connection_lost")


async def test_a_small_message_cut_while_it_is_read_is_in_doubt(server: SmtpServer) -> None:
    """It left in one write, final dot and all: we can not know how much of it was read."""
    async with opened(settings(server)) as provider:
        server.answer(At.content, DROP)
        receipt = (await provider.send([an_email()]))[0]
    assert receipt.status is Status.ambiguous


async def test_a_large_message_arrives_whole(server: SmtpServer) -> None:
    large = replace(an_attachment(), content=bytes(range(256)) * 4096)
    async with opened(settings(server)) as provider:
        (receipt,) = await provider.send([an_email(attachments=(large,), text=".\n..a\n.b\n")])
    assert receipt.status is Status.accepted
    assert receipt.provider_id == "TEST000001"
    assert len(server.messages[0].content) > 1024 * 1024
    assert b"\r\n..a\r\n.b\r\n" in server.messages[0].content


async def test_a_cancelled_send_leaves_no_reply_for_the_next_message(server: SmtpServer) -> None:
    async with opened(settings(server), concurrency=1) as provider:
        server.answer(At.end, HANG, times=1)
        sending = asyncio.create_task(provider.send([an_email(1)]))
        await asyncio.to_thread(server.hanging.wait)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await provider.send([an_email(2)]))[0].status is Status.accepted


async def heard_of(provider: Smtp, *numbers: int) -> dict[int, list[Receipt | Exception]]:
    """Post these, and wait until each was heard of."""
    heard: dict[int, list[Receipt | Exception]] = {number: [] for number in numbers}
    for number in numbers:
        provider.post(an_email(number), heard[number].append)
    while not all(heard.values()):  # noqa: ASYNC110 - the test's own time limit is for when they never are
        await asyncio.sleep(0.001)
    return heard


async def test_each_message_that_is_posted_is_heard_of_once(server: SmtpServer) -> None:
    server.answer(At.rcpt, "550 5.1.1 no such user", times=1)
    async with opened(settings(server), concurrency=4) as provider:
        heard = await heard_of(provider, *range(40))
        assert isinstance((await provider.send([an_email(40)]))[0], Receipt)
    statuses = [receipt.status for (receipt,) in heard.values() if isinstance(receipt, Receipt)]
    assert sorted(statuses) == [Status.accepted] * 39 + [Status.rejected_recipient]
    assert len(server.messages) == 40


async def test_what_closing_keeps_from_being_carried_is_heard_of_too(server: SmtpServer) -> None:
    heard: list[Receipt | Exception] = []
    async with opened(settings(server), concurrency=1) as provider:
        server.answer(At.end, HANG, times=1)
        for number in range(3):
            provider.post(an_email(number), heard.append)
        await asyncio.to_thread(server.hanging.wait)
    said = [(receipt.status, receipt.reason) for receipt in heard if isinstance(receipt, Receipt)]
    assert sorted(said) == [(Status.ambiguous, "connection_lost_after_data"), *[(Status.transient, "unreachable")] * 2]


@pytest.mark.parametrize("at", [At.mail, At.rcpt, At.data, At.end])
async def test_of_messages_that_are_dropped_nothing_is_written_or_heard_any_more(server: SmtpServer, at: At) -> None:
    async with opened(settings(server), concurrency=2) as provider:
        await heard_of(provider, 0)  # a connection that carried one may have its next ones moved to another
        heard: list[Receipt | Exception] = []
        server.answer(at, HANG, times=1)
        for number in range(1, 6):
            provider.post(an_email(number), heard.append)
        await asyncio.to_thread(server.hanging.wait)
        before = list(heard)
        provider.drop()
        messages = len(server.messages)
        (receipt,) = await provider.send([an_email(9)])
        assert receipt.status is Status.accepted
    assert heard == before
    assert len(server.messages) == messages + 1


async def test_an_error_of_the_program_is_heard_of_and_the_next_message_goes(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings(server), concurrency=1) as provider:
        with monkeypatch.context() as patch:
            patch.setattr(provider, "_encode", lambda *args, **names: 1 // 0)
            (error,) = (await heard_of(provider, 1))[1]
        assert isinstance(error, ZeroDivisionError)
        (receipt,) = (await heard_of(provider, 2))[2]
    assert isinstance(receipt, Receipt)
    assert receipt.status is Status.accepted


async def test_connections_are_used_again(server: SmtpServer) -> None:
    async with opened(settings(server), concurrency=3) as provider:
        for _ in range(3):
            await provider.send([an_email(number) for number in range(9)])
    assert len(server.messages) == 27
    assert server.connections <= 3
    assert {(message.encrypted, message.signed_in) for message in server.messages} == {(True, True)}


async def test_a_connection_carries_no_more_than_its_share(server: SmtpServer) -> None:
    async with opened(settings(server, messages_per_connection=2), concurrency=1) as provider:
        await provider.send([an_email(number) for number in range(6)])
    assert len(server.messages) == 6
    assert server.connections == 3


@pytest.mark.parametrize("goodbye", [DROP, "421 4.4.2 idle too long"])
async def test_a_kept_connection_that_the_server_closed_costs_nothing(server: SmtpServer, goodbye: str) -> None:
    async with opened(settings(server), concurrency=1) as provider:
        await provider.send([an_email(1)])
        server.answer(At.mail, goodbye, times=1)
        assert (await provider.send([an_email(2)]))[0].status is Status.accepted
    assert server.connections == 2


@pytest.mark.parametrize("reset", ["500 what", DROP])
async def test_a_connection_that_can_not_be_reset_is_not_used_again(server: SmtpServer, reset: str) -> None:
    async with opened(settings(server), concurrency=1) as provider:
        server.answer(At.rcpt, "550 5.1.1 unknown", address="person-1@mail.example")
        server.answer(At.reset, reset)
        statuses = [(await provider.send([an_email(number)]))[0].status for number in (1, 2)]
    assert statuses == [Status.rejected_recipient, Status.accepted]
    assert server.connections == 2


def copies(to: str) -> Email:
    message = an_email(
        1, to=(Mailbox(to),), cc=(Mailbox("cc@mail.example"),), bcc=(Mailbox("bcc@mail.example"),)
    ).message
    assert isinstance(message, Email)
    return message


async def test_the_envelope_is_to_cc_and_bcc_and_no_header_names_bcc(server: SmtpServer) -> None:
    outgoing = replace(an_email(1), message=copies("to@mail.example"))
    async with opened(settings(server)) as provider:
        assert (await provider.send([outgoing]))[0].status is Status.accepted
    (message,) = server.messages
    assert message.sender == "hello@acme.example"
    assert message.recipients == ("to@mail.example", "cc@mail.example", "bcc@mail.example")
    assert b"bcc@mail.example" not in message.content


async def test_a_refused_copy_does_not_keep_the_message_from_its_recipient(server: SmtpServer) -> None:
    server.answer(At.rcpt, "550 5.1.1 <cc@mail.example> unknown", address="cc@mail.example")
    async with opened(settings(server)) as provider:
        (receipt,) = await provider.send([replace(an_email(1), message=copies("to@mail.example"))])
    assert (receipt.status, receipt.reason) == (Status.accepted, "some_recipients_refused")
    assert receipt.detail == "550 5.1.1 <***> unknown"
    assert server.messages[0].recipients == ("to@mail.example", "bcc@mail.example")


async def test_copies_do_not_go_without_their_recipient(server: SmtpServer) -> None:
    server.answer(At.rcpt, "550 5.1.1 unknown", address="to@mail.example")
    async with opened(settings(server)) as provider:
        (receipt,) = await provider.send([replace(an_email(1), message=copies("to@mail.example"))])
    assert receipt.status is Status.rejected_recipient
    assert server.messages == []


async def test_an_address_outside_ascii_goes_with_smtputf8(server: SmtpServer) -> None:
    async with opened(settings(server)) as provider:
        (receipt,) = await provider.send([an_email(1, to=(Mailbox("zoë@mail.example", "Zoë"),))])
    assert receipt.status is Status.accepted
    assert server.messages[0].recipients == ("zoë@mail.example",)
    assert "SMTPUTF8" in server.messages[0].options


async def test_an_address_outside_ascii_is_refused_where_the_server_can_not(server: SmtpServer) -> None:
    with SmtpServer(smtputf8=False) as plain:
        async with opened(settings(plain)) as provider:
            receipts = await provider.send([an_email(1, to=(Mailbox("zoë@mail.example"),)), an_email(2)])
    assert receipts[0] == Receipt(Status.rejected_content, "smtputf8_unsupported")
    assert receipts[1].status is Status.accepted


async def test_tls_from_the_first_byte() -> None:
    with SmtpServer(tls=True) as server:
        async with opened(settings(server, security="tls")) as provider:
            assert "over TLSv1" in await provider.check()
            assert (await provider.send([an_email()]))[0].status is Status.accepted
        assert (server.messages[0].encrypted, server.messages[0].signed_in) == (True, True)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls_under_uvloop(security: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def sending(given: Settings) -> list[Receipt]:
        async with opened(given, concurrency=4) as provider:
            assert "over TLSv1" in await provider.check()
            return await provider.send([an_email(number) for number in range(20)])

    async def refused(given: Settings) -> str:
        return (await refused_to_open(given)).problems[0].code

    with SmtpServer(tls=security == "tls") as server:
        receipts = uvloop.run(sending(settings(server, security=security)))
        assert uvloop.run(refused(settings(server, security=security, ca_file=None))) == "smtp-tls"
        assert uvloop.run(refused(settings(server, security=security, port=1))) == "smtp-unreachable"
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert all(message.encrypted for message in server.messages)


async def test_an_address_that_is_a_command_goes_nowhere(server: SmtpServer) -> None:
    sly = an_email(1, bcc=(Mailbox("a@b.example>\r\nRCPT TO:<c@d.example"),))
    async with opened(settings(server)) as provider:
        with pytest.raises(ValueError, match="line end"):
            await provider.send([sly])
        assert (await provider.send([an_email(2)]))[0].status is Status.accepted
    assert [message.recipients for message in server.messages] == [("person-2@mail.example",)]


async def test_in_clear_on_this_machine() -> None:
    with SmtpServer(starttls=False, auth=False) as server:
        async with opened(settings(server, security="none", username=None, password=None)) as provider:
            assert await provider.check() == f"localhost:{server.port} answers in clear, without signing in"
            assert (await provider.send([an_email()]))[0].status is Status.accepted


async def refused_to_open(given: Settings) -> RunTrouble:
    with pytest.raises(RunTrouble) as caught:
        async with opened(given):
            pass
    assert caught.value.disposition is Disposition.pause
    assert caught.value.problems[0].hint
    return caught.value


Change = Callable[[SmtpServer], dict[str, object]]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda server: {"password": Secret("wrong")}, "smtp-auth"),
        (lambda server: {"ca_file": None}, "smtp-tls"),
        (lambda server: {"ca_file": "no-such-file.pem"}, "smtp-tls"),
        (lambda server: {"host": "127.0.0.1"}, "smtp-tls"),
        (lambda server: {"security": Security.tls}, "smtp-tls"),
        (lambda server: {"host": "no-such-host.invalid"}, "smtp-unreachable"),
    ],
)
async def test_opening_says_what_is_wrong(server: SmtpServer, change: Change, code: str) -> None:
    trouble = await refused_to_open(settings(server, **change(server)))
    assert trouble.problems[0].code == code
    assert server.password not in str(trouble)


async def test_nobody_listens_there(server: SmtpServer) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        trouble = await refused_to_open(settings(server, port=nobody.getsockname()[1]))
    assert trouble.problems[0].code == "smtp-unreachable"


async def test_a_server_without_starttls_is_not_spoken_to_in_clear() -> None:
    with SmtpServer(starttls=False, auth=False) as server:
        trouble = await refused_to_open(settings(server, username=None, password=None))
    assert trouble.problems[0].code == "smtp-tls"


async def test_a_server_that_is_full_is_unreachable_for_now(server: SmtpServer) -> None:
    server.answer(At.greeting, "421 4.7.0 too many connections")
    assert (await refused_to_open(settings(server))).problems[0].code == "smtp-unreachable"


@pytest.mark.parametrize(
    ("what", "status", "reason"),
    [
        ("421 4.7.0 too many connections", Status.throttled, "slow_down"),
        ("554 go away", Status.transient, "unreachable"),
        (DROP, Status.transient, "unreachable"),
    ],
)
async def test_trouble_with_a_second_connection_is_in_the_receipt(
    server: SmtpServer, what: str, status: Status, reason: str
) -> None:
    async with opened(settings(server), concurrency=2) as provider:
        server.answer(At.greeting, what)
        receipts = await provider.send([an_email(1), an_email(2)])
    assert sorted((each.status, each.reason) for each in receipts) == sorted([(Status.accepted, ""), (status, reason)])


def test_credentials_and_mail_do_not_travel_in_clear() -> None:
    with pytest.raises(ValidationError, match="allow_plaintext"):
        Settings(host="mail.acme.example", security=Security.none)
    assert Settings(host="mail.acme.example", security=Security.none, allow_plaintext=True)
    assert Settings(host="localhost", security=Security.none)


def test_a_user_without_a_password_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="come together"):
        Settings(host="mail.acme.example", username="me")
