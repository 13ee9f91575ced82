"""Servers that answer in odd splits, hang up, stall and refuse early: what is known of each message stays exact."""

from __future__ import annotations

import asyncio
import base64
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.channels.message import Mailbox, Outgoing
from connect.errors import RunTrouble
from connect.providers.interface import LEASE_OVER, Account, Margin, Receipt, Status
from connect.providers.smtp import Settings, Smtp
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.messages import an_attachment
from tests.leaping import leaping

LONG = 30.0
"""Seconds that nobody waits for: a busy machine is not a server that says nothing."""
DROP = "drop"
SILENCE = "silence"


@dataclass
class Said:
    """What the server is asked to answer to: the verb (`.` is the final dot), and whose message it is."""

    verb: str
    argument: str
    recipients: list[str]
    connection: int
    carried: int
    """Messages that this connection has taken."""

    @property
    def person(self) -> str:
        """`3` of person-3@mail.example, or nothing where nobody is named yet."""
        named = [*self.recipients, self.argument]
        return next((each.partition("person-")[2].partition("@")[0] for each in named if "person-" in each), "")


@dataclass
class OddServer:
    """A server that answers as it is told, and knows exactly which messages it took."""

    answer: Callable[[Said], str | None] = lambda said: None
    offers: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SIZE 10000000", "SMTPUTF8", "AUTH PLAIN LOGIN XOAUTH2")
    byte_by_byte: bool = False
    taken: list[tuple[list[str], bytes]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    reads: list[bytes] = field(default_factory=list)
    connections: int = 0
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, nothing is read from a message's content."""
    all_gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nobody is connected."""
    port: int = 0
    _open: set[Conversation] = field(default_factory=set)

    @property
    def times(self) -> Counter[str]:
        """Address → how often a message to it was taken."""
        return Counter(address for recipients, content in self.taken for address in recipients if content)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OddServer]:
        self.reading.set()
        self.all_gone.set()
        server = await asyncio.get_running_loop().create_server(lambda: Conversation(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for conversation in list(self._open):
                conversation.transport.abort()
            await server.wait_closed()
            await self.all_gone.wait()


class Conversation(asyncio.Protocol):
    transport: Any

    def __init__(self, server: OddServer) -> None:
        self._server = server
        self._rest = b""
        self._recipients: list[str] = []
        self._in_content = False
        self._carried = 0
        self._silent = False
        self._resuming: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._server._open.add(self)
        self._server.all_gone.clear()
        self._server.connections += 1
        self._number = self._server.connections
        self._do("greeting", "", "220 odd.example")

    def connection_lost(self, error: Exception | None) -> None:
        self._server._open.discard(self)
        if not self._server._open:
            self._server.all_gone.set()

    def data_received(self, data: bytes) -> None:
        self._server.reads.append(data)
        self._rest += data
        while not self._silent and not self.transport.is_closing() and self._step():
            pass

    def _step(self) -> bool:
        if self._in_content:
            return self._content()
        line, end, rest = self._rest.partition(b"\r\n")
        if not end:
            return False
        self._rest = rest
        self._server.lines.append(line.decode())
        verb, _, argument = line.decode().partition(" ")
        self._command(verb.upper(), argument)
        return True

    def _content(self) -> bool:
        if not self._server.reading.is_set():
            self.transport.pause_reading()
            self._resuming = asyncio.get_running_loop().create_task(self._resume())
            return False
        if self._told("content", ""):
            return False
        if self._rest.startswith(b".\r\n"):
            content, self._rest = b"", self._rest[3:]
        else:
            before, end, rest = self._rest.partition(b"\r\n.\r\n")
            if not end:
                return False
            content, self._rest = before + b"\r\n", rest
        self._in_content = False
        self._ended(content)
        return True

    async def _resume(self) -> None:
        await self._server.reading.wait()
        self.transport.resume_reading()
        self.data_received(b"")

    def _ended(self, content: bytes) -> None:
        recipients, told = list(self._recipients), self._ask(".", "")
        self._recipients = []
        if told is None or told.startswith(("250", "taken")):
            self._carried += 1
            self._server.taken.append((recipients, content))
        self._say((told or "250 2.0.0 Ok: queued as 1234567").removeprefix("taken "))

    def _command(self, verb: str, argument: str) -> None:
        if self._told(verb, argument):
            return
        if verb == "RCPT":
            self._recipients.append(argument.partition("<")[2].partition(">")[0])
        elif verb in ("MAIL", "RSET"):
            self._recipients = []
        self._in_content = verb == "DATA"
        self._say(self._usual(verb))
        if verb == "QUIT":
            self.transport.close()

    def _usual(self, verb: str) -> str:
        if verb == "EHLO":
            return "\r\n".join(f"250-{line}" for line in ("odd.example", *self._server.offers)) + "\r\n250 HELP"
        return {"DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 hello"}.get(
            verb, "250-2.0.0 yes\r\n250 2.0.0 fine"
        )

    def _do(self, verb: str, argument: str, otherwise: str) -> None:
        if not self._told(verb, argument):
            self._say(otherwise)

    def _told(self, verb: str, argument: str) -> bool:
        told = self._ask(verb, argument)
        if told is not None:
            self._in_content = told.startswith("354")
            self._say(told)
        return told is not None

    def _ask(self, verb: str, argument: str) -> str | None:
        return self._server.answer(Said(verb, argument, self._recipients, self._number, self._carried))

    def _say(self, text: str) -> None:
        if text == DROP:
            self.transport.abort()
        elif text == SILENCE:
            self._silent = True
            self._server.silent.set()
        else:
            self._write(text.removesuffix(" and leave").encode() + b"\r\n")
            if text.startswith("421") or text.endswith(" and leave"):
                self.transport.close()

    def _write(self, data: bytes) -> None:
        if not self._server.byte_by_byte:
            self.transport.write(data)
            return
        for byte in data:
            self.transport.write(bytes([byte]))


def to(person: int | str, verb: str, what: str) -> Callable[[Said], str | None]:
    """Answer so to one person's message."""
    return lambda said: what if said.verb == verb and said.person == str(person) else None


def nth_on_a_connection(number: int, verb: str, what: str) -> Callable[[Said], str | None]:
    """Answer so once a connection has taken so many messages."""
    return lambda said: what if said.verb == verb and said.carried >= number else None


@asynccontextmanager
async def opened(
    server: OddServer, concurrency: int = 4, seconds: float = LONG, margin: Margin | None = None, **fields: Any
) -> AsyncIterator[Smtp]:
    given = {"host": "127.0.0.1", "security": "none", "local_hostname": "me.example", **fields}
    async with server.running():
        settings = Settings.model_validate({**given, "port": server.port})
        time_out = timedelta(seconds=seconds)
        provider = Smtp(Account("mail", settings, Path("/"), concurrency, time_out, margin or Margin()))
        try:
            await provider.open()
            yield provider
        finally:
            await provider.close()


async def send(provider: Smtp, *numbers: int) -> list[Receipt]:
    return await provider.send([an_email(number) for number in numbers])


def statuses(receipts: list[Receipt]) -> list[str]:
    return [receipt.status.value for receipt in receipts]


PIPELINING = ("PIPELINING", "8BITMIME", "SIZE")


async def test_the_next_envelope_leaves_with_the_final_dot() -> None:
    server = OddServer()
    async with opened(server, concurrency=4) as provider:
        for _ in range(4):
            assert statuses(await send(provider, *range(20))) == ["accepted"] * 20
    together = [read for read in server.reads if b"\r\n.\r\nMAIL FROM" in read and read.endswith(b"DATA\r\n")]
    assert len(together) > 40
    assert server.times == {f"person-{number}@mail.example": 4 for number in range(20)}


@pytest.mark.parametrize("byte_by_byte", [True, False])
@pytest.mark.parametrize("offers", [PIPELINING, ("SIZE",), ()])
async def test_every_message_arrives_once_however_the_replies_come(offers: tuple[str, ...], byte_by_byte: bool) -> None:
    server = OddServer(offers=offers, byte_by_byte=byte_by_byte)
    async with opened(server) as provider:
        assert statuses(await send(provider, *range(40))) == ["accepted"] * 40
    assert server.times == {f"person-{number}@mail.example": 1 for number in range(40)}
    assert server.connections == (2 if "PIPELINING" in offers else 4)
    assert [line for line in server.lines if line == "QUIT"] == ["QUIT"] * server.connections


async def test_a_server_that_knows_only_helo() -> None:
    server = OddServer(answer=lambda said: "502 5.5.1 what" if said.verb == "EHLO" else None)
    async with opened(server, concurrency=1) as provider:
        assert statuses(await send(provider, 1, 2)) == ["accepted"] * 2
    assert server.lines[:3] == ["EHLO me.example", "HELO me.example", "MAIL FROM:<hello@acme.example>"]


@pytest.mark.parametrize("offers", [PIPELINING, ()])
@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("MAIL", "421 4.7.0 too many messages"),
        ("MAIL", "452 4.5.3 Too many mails sent"),
        ("MAIL", DROP),
    ],
)
async def test_a_server_that_ends_each_connection_costs_nothing(offers: tuple[str, ...], verb: str, what: str) -> None:
    server = OddServer(answer=nth_on_a_connection(3, verb, what), offers=offers)
    async with opened(server, concurrency=4) as provider:
        assert statuses(await send(provider, *range(24))) == ["accepted"] * 24
    assert server.times == {f"person-{number}@mail.example": 1 for number in range(24)}
    assert 8 <= server.connections <= 12


async def test_a_server_that_hangs_up_after_each_message_costs_nothing() -> None:
    server = OddServer(answer=lambda said: "250 taken and leave" if said.verb == "." else None)
    async with opened(server, concurrency=2) as provider:
        assert statuses(await send(provider, *range(12))) == ["accepted"] * 12
    assert server.times == {f"person-{number}@mail.example": 1 for number in range(12)}


async def test_our_own_limit_is_kept_with_two_in_the_air() -> None:
    server = OddServer()
    async with opened(server, concurrency=2, messages_per_connection=5) as provider:
        assert statuses(await send(provider, *range(30))) == ["accepted"] * 30
    assert 6 <= server.connections <= 7


@pytest.mark.parametrize(
    ("verb", "what", "status", "reason"),
    [
        ("RCPT", "550 5.1.1 unknown", Status.rejected_recipient, "mailbox_unavailable"),
        ("RCPT", "451 4.3.0 later", Status.transient, "try_again_later"),
        ("RCPT", "421 4.3.0 closing", Status.throttled, "slow_down"),
        ("DATA", "451 4.3.0 later", Status.transient, "try_again_later"),
        ("DATA", "421 4.3.0 closing", Status.throttled, "slow_down"),
        (".", "550 5.7.1 spam", Status.rejected_content, "blocked"),
        (".", "421 4.3.0 closing", Status.throttled, "slow_down"),
        ("RCPT", DROP, Status.transient, "connection_lost"),
        ("DATA", DROP, Status.transient, "connection_lost"),
        (".", DROP, Status.ambiguous, "connection_lost_after_data"),
        (".", "taken drop", Status.ambiguous, "connection_lost_after_data"),
    ],
)
async def test_one_that_goes_wrong_leaves_the_others_alone(verb: str, what: str, status: Status, reason: str) -> None:
    server = OddServer(answer=to(5, verb, what))
    async with opened(server, concurrency=2) as provider:
        receipts = await send(provider, *range(12))
    assert (receipts[5].status, receipts[5].reason) == (status, reason)
    others = [receipt for number, receipt in enumerate(receipts) if number != 5]
    lost = [receipt for receipt in others if receipt.status is not Status.accepted]
    assert [(receipt.status, receipt.reason) for receipt in lost] in ([], [(Status.transient, "connection_lost")])
    assert not lost or status is Status.ambiguous, "only what breaks after the dot touches the envelope behind it"
    assert server.times["person-5@mail.example"] == (1 if what == "taken drop" else 0)
    taken = [server.times[f"person-{number}@mail.example"] for number in range(12) if number != 5]
    assert taken == [int(receipt.status is Status.accepted) for receipt in others]


@pytest.mark.parametrize(
    ("what", "status"), [("550 5.7.1 not you", Status.config), ("451 4.3.0 later", Status.transient)]
)
async def test_a_refused_sender_of_the_next_envelope_does_not_touch_the_message_before_it(
    what: str, status: Status
) -> None:
    server = OddServer(answer=lambda said: what if said.verb == "MAIL" and "other@" in said.argument else None)
    other = an_email(2, sender=Mailbox("other@acme.example"))
    async with opened(server, concurrency=2) as provider:
        receipts = await provider.send([an_email(1), other, an_email(3), other, an_email(4)])
    assert [receipt.status for receipt in receipts] == [
        Status.accepted,
        status,
        Status.accepted,
        status,
        Status.accepted,
    ]
    assert sum(server.times.values()) == 3


@pytest.mark.parametrize("reply", ["250 2.0.0 Ok", "554 5.5.1 no valid recipients", "503 5.5.1 no"])
async def test_354_with_every_recipient_refused_gets_a_lone_dot(reply: str) -> None:
    """RFC 2920 3.1: some servers do that; nothing is sent whatever they answer."""

    def answer(said: Said) -> str | None:
        if said.verb == "RCPT" and said.person == "2":
            return "550 5.1.1 unknown"
        return reply if said.verb == "." and not said.recipients else None

    server = OddServer(answer=answer)
    async with opened(server, concurrency=2) as provider:
        receipts = await send(provider, 1, 2, 3, 2, 4)
    assert statuses(receipts) == ["accepted", "rejected_recipient", "accepted", "rejected_recipient", "accepted"]
    assert {tuple(recipients) for recipients, content in server.taken if content} == {
        (f"person-{number}@mail.example",) for number in (1, 3, 4)
    }
    assert [content for recipients, content in server.taken if not recipients] in ([], [b"", b""])


async def test_copies_wait_for_their_recipient() -> None:
    server = OddServer(answer=to(1, "RCPT", "550 5.1.1 unknown"))
    copies = {"cc": (Mailbox("cc@mail.example"),), "bcc": (Mailbox("bcc@mail.example"),)}
    async with opened(server, concurrency=2) as provider:
        one_connection(provider)
        receipts = await provider.send([an_email(n, **copies) for n in (1, 2)])
    assert [receipt.status for receipt in receipts] == [Status.rejected_recipient, Status.accepted]
    assert [recipients for recipients, _ in server.taken] == [
        ["person-2@mail.example", "cc@mail.example", "bcc@mail.example"]
    ]
    assert "RSET" in server.lines


def one_connection(provider: Smtp) -> None:
    """Both messages over one connection: two would be opened for two messages."""
    provider._connections._most_connections = lambda: 1  # type: ignore[method-assign]


async def test_a_time_out_after_the_dot_gives_the_piped_envelope_back() -> None:
    server = OddServer(answer=to(1, ".", SILENCE))
    async with opened(server, concurrency=2) as provider:
        one_connection(provider)
        with leaping(server.silent.wait(), LONG):
            receipts = await send(provider, 1, 2)
    assert receipts[0] == Receipt(Status.ambiguous, "timed_out_after_data")
    assert (receipts[1].status, receipts[1].reason) == (Status.transient, "connection_lost")
    assert server.connections == 1


async def in_the_air(provider: Smtp, server: OddServer) -> list[asyncio.Task[list[Receipt]]]:
    """Two messages on one connection: the first waits for the reply to its dot, the second's envelope is written."""
    one_connection(provider)
    tasks = [asyncio.create_task(send(provider, number)) for number in (1, 2)]
    await server.silent.wait()
    return tasks


async def test_cancelling_the_second_does_not_put_the_first_in_doubt() -> None:
    tasks: list[asyncio.Task[list[Receipt]]] = []

    def cancel_second(said: Said) -> None:
        if said.verb == "." and said.person == "1":
            tasks[1].cancel()

    server = OddServer(answer=cancel_second)
    async with opened(server, concurrency=2) as provider:
        one_connection(provider)
        tasks += [asyncio.create_task(send(provider, number)) for number in (1, 2)]
        first, second = tasks
        assert statuses(await first) == ["accepted"]
        with pytest.raises(asyncio.CancelledError):
            await second
        assert statuses(await send(provider, 3)) == ["accepted"]
    assert server.times == {"person-1@mail.example": 1, "person-3@mail.example": 1}


async def test_cancelling_the_first_moves_the_second_elsewhere() -> None:
    server = OddServer(answer=to(1, ".", SILENCE))
    async with opened(server, concurrency=2) as provider:
        first, second = await in_the_air(provider, server)
        first.cancel()
        assert statuses(await second) == ["accepted"]
        with pytest.raises(asyncio.CancelledError):
            await first
    assert server.times == {"person-2@mail.example": 1}
    assert server.connections == 2


async def test_a_waiting_message_that_is_cancelled_never_leaves() -> None:
    server = OddServer(answer=to(1, ".", SILENCE))
    async with opened(server, concurrency=1) as provider:
        first = asyncio.create_task(send(provider, 1))
        waiting = asyncio.create_task(send(provider, 2))
        await server.silent.wait()
        for task in (waiting, first):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert statuses(await send(provider, 3)) == ["accepted"]
    assert not any("person-2" in line for line in server.lines)


class Lost:
    """A run that another process has taken over, once the server hears this of this person's message."""

    def __init__(self, verb: str, person: str) -> None:
        self.margin = Margin(lambda: not self._lost)
        self._verb, self._person, self._lost = verb, person, False

    def __call__(self, said: Said) -> None:
        self._lost = self._lost or (said.verb == self._verb and said.person == self._person)

    def taken_up(self) -> None:
        self._verb, self._lost = "", False


TOO_LATE = Receipt(Status.transient, LEASE_OVER)


@pytest.mark.parametrize("offers", [PIPELINING, ()], ids=["pipelining", "one-by-one"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_nothing_gets_its_final_dot_once_the_run_is_somebody_elses(verb: str, offers: tuple[str, ...]) -> None:
    lost = Lost(verb, "1" if verb != "MAIL" else "")
    server = OddServer(answer=lost, offers=offers)
    async with opened(server, concurrency=2, margin=lost.margin) as provider:
        assert await send(provider, 1, 2, 3, 4) == [TOO_LATE] * 4
        assert server.taken == []
        lost.taken_up()
        assert statuses(await send(provider, 1, 2, 3, 4)) == ["accepted"] * 4
    assert set(server.times.values()) == {1}


@pytest.mark.parametrize("connections", [1, 2])
@pytest.mark.parametrize("offers", [PIPELINING, ()], ids=["pipelining", "one-by-one"])
async def test_what_was_written_before_the_run_was_lost_is_known_and_nothing_follows(
    offers: tuple[str, ...], connections: int
) -> None:
    lost = Lost(".", "1")
    server = OddServer(answer=lost, offers=offers)
    async with opened(server, concurrency=2, margin=lost.margin) as provider:
        provider._connections._most_connections = lambda: connections  # type: ignore[method-assign]
        receipts = await send(provider, 1, 2, 3, 4)
    accepted = {number for number, receipt in enumerate(receipts, 1) if receipt.status is Status.accepted}
    assert 1 in accepted
    assert len(accepted) <= connections
    assert [receipt for receipt in receipts if receipt.status is not Status.accepted] == [TOO_LATE] * (
        4 - len(accepted)
    )
    assert server.times == {f"person-{number}@mail.example": 1 for number in accepted}


async def test_a_run_that_is_lost_before_a_message_is_begun_says_nothing_of_it() -> None:
    server = OddServer()
    async with opened(server, margin=Margin(lambda: False)) as provider:
        assert await send(provider, *range(10)) == [TOO_LATE] * 10
    assert not any(line.startswith(("MAIL", "RCPT", "DATA")) for line in server.lines)


async def test_a_large_message_stops_in_the_middle_when_the_run_is_lost() -> None:
    lost = Lost("content", "1")
    server = OddServer(answer=lost)
    async with opened(server, margin=lost.margin) as provider:
        outgoing = an_email(1)
        assert await provider.send([replace(outgoing, message=replace(outgoing.message, attachments=(LARGE,)))]) == [
            TOO_LATE
        ]
    assert server.taken == []


LARGE = replace(an_attachment(), content=bytes(4 * 1024 * 1024))


async def test_a_refusal_in_the_middle_of_a_large_message_counts() -> None:
    server = OddServer(answer=to(1, "content", "552 5.3.4 too big and leave"))
    async with opened(server, concurrency=2) as provider:
        receipts = await provider.send([an_email(1, attachments=(LARGE,)), an_email(2), an_email(3)])
    assert (receipts[0].status, receipts[0].reason) in (
        (Status.rejected_content, "message_too_large"),
        (Status.transient, "connection_lost"),  # where the system reports the closed connection first
    )
    assert statuses(receipts[1:]) == ["accepted", "accepted"]


async def test_a_server_that_does_not_read_makes_nothing_grow() -> None:
    server, paused = OddServer(), asyncio.Event()
    async with opened(server, concurrency=2) as provider:
        one_connection(provider)
        server.reading.clear()
        (pipeline,) = provider._connections._pipelines
        pause = pipeline.wire.pause_writing
        pipeline.wire.pause_writing = lambda: (pause(), paused.set())[0]  # type: ignore[func-returns-value,method-assign]
        sending = [asyncio.create_task(provider.send([an_email(number, attachments=(LARGE,))])) for number in (1, 2)]
        await paused.wait()
        assert pipeline.wire.transport is not None
        assert 0 < pipeline.wire.transport.get_write_buffer_size() < 256 * 1024
        server.reading.set()
        assert [statuses(await task) for task in sending] == [["accepted"], ["accepted"]]
    assert all(len(content) > 5_000_000 for _, content in server.taken)


async def test_a_message_larger_than_the_server_takes_is_not_sent() -> None:
    server = OddServer(offers=("PIPELINING", "SIZE 5000"))
    async with opened(server) as provider:
        receipts = await provider.send([an_email(1, text="long " * 2000), an_email(2)])
    assert receipts[0] == Receipt(Status.rejected_content, "message_too_large")
    assert receipts[1].status is Status.accepted
    assert len([line for line in server.lines if line.startswith("MAIL")]) == 1


@pytest.mark.parametrize("offers", [("PIPELINING", "8BITMIME"), ("PIPELINING",)])
async def test_text_outside_ascii_is_8bit_only_where_it_may_be(offers: tuple[str, ...]) -> None:
    server = OddServer(offers=offers)
    async with opened(server, concurrency=1) as provider:
        assert statuses(await provider.send([an_email(1, text="Größe\n" * 50), an_email(2)])) == ["accepted"] * 2
    mails = [line for line in server.lines if line.startswith("MAIL")]
    assert [("BODY=8BITMIME" in line) for line in mails] == ["8BITMIME" in offers, False]
    assert [content.isascii() for _, content in server.taken] == ["8BITMIME" not in offers, True]


async def test_leading_dots_arrive_stuffed_and_the_final_dot_is_ours() -> None:
    server = OddServer()
    async with opened(server) as provider:
        assert statuses(await provider.send([an_email(1, text=".\n..\n.a\nb\n")])) == ["accepted"]
    assert b"\r\n..\r\n...\r\n..a\r\nb\r\n" in server.taken[0][1]


def credentials(server: OddServer) -> list[str]:
    return [line for line in server.lines if line.startswith("AUTH")]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_signing_in_by_login() -> None:
    asked = iter(["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 hello"])
    server = OddServer(offers=("AUTH CRAM-MD5 LOGIN",))
    server.answer = lambda said: next(asked, None) if said.verb not in ("greeting", "EHLO", "QUIT") else None
    async with opened(server, username="me", password=Secret("pass")):
        pass
    assert server.lines[1:4] == ["AUTH LOGIN", encoded("me"), encoded("pass")]


async def test_signing_in_with_a_token() -> None:
    server = OddServer()
    async with opened(server, auth="xoauth2", username="me@acme.example", password=Secret("token")):
        pass
    assert credentials(server) == ["AUTH XOAUTH2 " + encoded("user=me@acme.example\1auth=Bearer token\1\1")]


async def test_a_token_that_has_ended_is_a_matter_of_credentials() -> None:
    said_first = encoded('{"status":"401"}')
    server = OddServer(
        answer=lambda said: {"AUTH": f"334 {said_first}", "": "535 5.7.8 token, me, is over"}.get(said.verb)
    )
    with pytest.raises(RunTrouble) as caught:
        async with opened(server, auth="xoauth2", username="me", password=Secret("token")):
            pass
    assert caught.value.problems[0].code == "smtp-auth"
    assert "535 5.7.8 ***, ***, is over" in str(caught.value)


async def test_no_way_to_sign_in_that_we_know() -> None:
    with pytest.raises(RunTrouble, match="it offers: GSSAPI") as caught:
        async with opened(OddServer(offers=("AUTH GSSAPI",)), username="me", password=Secret("pass")):
            pass
    assert caught.value.problems[0].code == "smtp-auth"


async def test_what_is_said_in_clear_after_starttls_is_not_believed() -> None:
    """CVE-2011-0411: somebody in between could answer for the server."""
    server = OddServer(offers=("STARTTLS",))
    server.answer = lambda said: "220 go on\r\n250 injected" if said.verb == "STARTTLS" else None
    with pytest.raises(RunTrouble, match="speaks in clear after STARTTLS") as caught:
        async with opened(server, security="starttls"):
            pass
    assert caught.value.problems[0].code == "smtp-tls"


@pytest.mark.parametrize("greeting", ["hello there", DROP, "220-more\r\n" * 10_000])
async def test_a_greeting_that_is_none(greeting: str) -> None:
    server = OddServer(answer=lambda said: greeting if said.verb == "greeting" else None)
    with pytest.raises(RunTrouble) as caught:
        async with opened(server):
            pass
    assert caught.value.problems[0].code == "smtp-unreachable"


NEVER_TAKEN = {Status.transient, Status.throttled, Status.rejected_recipient, Status.rejected_content, Status.config}


def moody(dice: random.Random) -> Callable[[Said], str | None]:
    """A server on a bad day, the same for the same seed."""
    moods = {
        "MAIL": [DROP, "421 4.3.2 bye", "451 4.3.0 later", "550 5.7.1 no"],
        "RCPT": [DROP, "421 4.3.2 bye", "450 4.2.1 later", "550 5.1.1 unknown"],
        "DATA": [DROP, "421 4.3.2 bye", "451 4.3.0 later", "554 5.5.1 no"],
        "content": [DROP],
        ".": [DROP, "taken drop", "421 4.3.2 bye", "451 4.3.0 later", "554 5.6.0 no", "250 taken and leave"],
        "RSET": [DROP, "500 what"],
    }
    return lambda said: dice.choice(moods[said.verb]) if said.verb in moods and dice.random() < 0.04 else None


async def on_a_bad_day(seed: int, offers: tuple[str, ...], messages: int = 300) -> set[Status]:
    server = OddServer(answer=moody(random.Random(seed)), offers=offers, byte_by_byte=seed % 2 == 0)
    emails: list[Outgoing] = [an_email(number) for number in range(messages)]
    async with opened(server, concurrency=8, messages_per_connection=17) as provider:
        receipts = await provider.send(emails)
    for number, receipt in enumerate(receipts):
        taken = server.times[f"person-{number}@mail.example"]
        assert taken <= 1, "nothing is ever sent twice"
        assert receipt.status is not Status.accepted or taken == 1, receipt
        assert receipt.status not in NEVER_TAKEN or taken == 0, receipt
    return {receipt.status for receipt in receipts}


@pytest.mark.parametrize("offers", [PIPELINING, ()], ids=["pipelining", "one-by-one"])
@pytest.mark.parametrize("seed", range(6))
async def test_what_is_said_of_a_message_is_what_became_of_it(seed: int, offers: tuple[str, ...]) -> None:
    assert await on_a_bad_day(seed, offers) >= {Status.accepted, Status.transient, Status.ambiguous}


@pytest.mark.parametrize("seed", range(2))
def test_the_same_under_uvloop(seed: int) -> None:
    uvloop = pytest.importorskip("uvloop")
    assert uvloop.run(on_a_bad_day(seed, PIPELINING)) >= {Status.accepted, Status.transient, Status.ambiguous}
