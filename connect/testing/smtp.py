"""A real SMTP server for tests: STARTTLS or TLS, AUTH, and whatever it is told to say or do to somebody's message.

    with SmtpServer() as server:
        server.answer(At.rcpt, "550 5.1.1 no such user", address="person-3@mail.example")
        server.answer(At.end, DROP)          # the connection is gone once the final dot was read

Needs aiosmtpd and trustme.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Protocol
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

DROP = "drop"
"""Cut the connection instead of answering."""
HANG = "hang"
"""Say nothing until the client is gone."""


class At(StrEnum):
    """Where an answer is given."""

    greeting = "greeting"
    mail = "mail"
    rcpt = "rcpt"
    data = "data"  # to DATA, before any content
    content = "content"  # after the 354, with some content read; the connection ends with it
    end = "end"  # after the final dot
    reset = "reset"


@dataclass
class Answer:
    """What to say at one place, to whom, and how often; None is everybody, always."""

    at: At
    what: str
    address: str | None = None
    times: int | None = None

    def fits(self, at: At, addresses: list[str]) -> bool:
        return self.at is at and self.times != 0 and (self.address is None or self.address in addresses)


@dataclass(frozen=True)
class Received:
    """One message that the server took."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    options: tuple[str, ...]
    encrypted: bool
    signed_in: bool
    at: float = field(default_factory=time.monotonic, compare=False)
    """When it was taken, in monotonic seconds."""


@dataclass
class _State:
    answers: list[Answer] = field(default_factory=list)
    messages: list[Received] = field(default_factory=list)
    connections: int = 0
    hanging: threading.Event = field(default_factory=threading.Event)
    live: set[_Scripted] = field(default_factory=set)

    def answer(self, at: At, addresses: list[str]) -> str | None:
        """The newest answer that fits, used up once."""
        for answer in reversed(self.answers):
            if answer.fits(at, addresses):
                answer.times = None if answer.times is None else answer.times - 1
                return answer.what
        return None


class SmtpServer:
    """A server in a thread of its own; leave the context to stop it."""

    username = "campaigns"
    password = "correct horse"  # not a secret: it opens nothing but this server

    def __init__(
        self,
        *,
        starttls: bool = True,
        tls: bool = False,
        auth: bool = True,
        smtputf8: bool = True,
        pipelining: bool = True,
    ) -> None:
        self._state = _State()
        self._certificates = tempfile.TemporaryDirectory()
        self.ca_file = Path(self._certificates.name, "ca.pem")
        context = _certificate(self.ca_file)
        self._controller = _Controller(
            self._state,
            pipelining,
            hostname="127.0.0.1",
            port=0,
            ssl_context=context if tls else None,
            tls_context=context if starttls and not tls else None,
            require_starttls=starttls and not tls,
            auth_required=auth and not tls,  # aiosmtpd warns of AUTH in clear: it does not see TLS from the first byte
            auth_require_tls=not tls,
            authenticator=self._authenticate if auth else None,
            enable_SMTPUTF8=smtputf8,
            data_size_limit=64 * 1024 * 1024,
        )

    def __enter__(self) -> Self:
        self._controller.start()
        self._state.connections = 0  # the controller tries it out once
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.hang_up()
        self._controller.stop()
        self._certificates.cleanup()

    @property
    def host(self) -> str:
        return "localhost"

    @property
    def port(self) -> int:
        return self._controller.bound_port()

    @property
    def messages(self) -> list[Received]:
        """Every message that was taken, in order."""
        return list(self._state.messages)

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._state.connections

    @property
    def open(self) -> int:
        """How many of them are open."""
        return len(self._state.live)

    def hang_up(self) -> None:
        """Cut every connection, as a server does that closes those that are idle."""
        self._controller.hang_up()

    def answer(self, at: At, what: str, address: str | None = None, times: int | None = None) -> None:
        """Say this from now on: a reply such as `451 4.3.0 later`, DROP or HANG."""
        self._state.answers.append(Answer(at, what, address, times))

    @property
    def hanging(self) -> threading.Event:
        """Set once a client is kept waiting by HANG."""
        return self._state.hanging

    def forget_answers(self) -> None:
        self._state.answers.clear()

    def _authenticate(
        self, server: Protocol, session: Session, envelope: Envelope, mechanism: str, credentials: object
    ) -> AuthResult:
        known = LoginPassword(self.username.encode(), self.password.encode())
        return AuthResult(success=credentials == known, handled=False)


def _certificate(ca_file: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


class _Handler:
    """What aiosmtpd calls: for its answer to EHLO, and once the final dot was read."""

    def __init__(self, pipelining: bool) -> None:
        self._pipelining = pipelining

    async def handle_EHLO(
        self, server: _Scripted, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # It reads line by line from a buffer, and so can do it, but does not say so.
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self._pipelining else responses

    async def handle_DATA(self, server: _Scripted, session: Session, envelope: Envelope) -> str:
        return await server.ended(session, envelope)


class _Controller(Controller):
    def __init__(self, state: _State, pipelining: bool, **options: Any) -> None:
        super().__init__(_Handler(pipelining), **options)
        self._state = state

    def factory(self) -> Protocol:
        return _Scripted(self._state, self.handler, **self.SMTP_kwargs)

    def bound_port(self) -> int:
        assert isinstance(self.server, asyncio.Server)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    def _trigger_server(self) -> None:
        """Port 0 is only known once the server listens; aiosmtpd would try to connect to port 0."""
        self.port = self.bound_port()
        super()._trigger_server()  # type: ignore[no-untyped-call]

    def hang_up(self) -> None:
        """Cut every connection, and wait until it is gone: a stopped loop would leave it open."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(timeout=10)

    async def _hang_up(self) -> None:
        while self._state.live:
            for connection in list(self._state.live):
                connection.cut()
            await asyncio.sleep(0)


class _Scripted(Protocol):
    """aiosmtpd's own server, asked before each reply whether it was told something else."""

    transport: Any

    def __init__(self, state: _State, *arguments: Any, **options: Any) -> None:
        self._script = state
        self._options: tuple[str, ...] = ()
        self._greeted = False
        super().__init__(*arguments, **options)

    def connection_made(self, transport: Any) -> None:
        if self not in self._script.live:  # STARTTLS makes the connection a second time
            self._script.live.add(self)
            self._script.connections += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._script.live.discard(self)
        super().connection_lost(error)

    def cut(self) -> None:
        transports: tuple[Any, ...] = (self.transport, self._original_transport)
        for transport in transports:
            if transport is not None:
                transport.abort()

    async def push(self, status: Any) -> None:
        told = None if self._greeted else self._script.answer(At.greeting, [])
        self._greeted = True
        if told:
            await self._obey(told)
        else:
            await super().push(status)

    async def smtp_MAIL(self, arg: str | None) -> None:
        if not await self._told(At.mail, _paths(arg)):
            self._options = tuple((arg or "").split()[1:])
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:
        if not await self._told(At.rcpt, _paths(arg)):
            await super().smtp_RCPT(arg)

    async def smtp_RSET(self, arg: str | None) -> None:
        if not await self._told(At.reset, []):
            await super().smtp_RSET(arg)

    async def smtp_DATA(self, arg: str | None) -> None:
        assert self.envelope is not None
        addresses = list(self.envelope.rcpt_tos)
        if await self._told(At.data, addresses):
            return
        if told := self._script.answer(At.content, addresses):
            await super().push("354 go on")
            await self._reader.read(1)
            await self._obey(told)
            self.transport.close()
            await self.loop.create_future()
        await super().smtp_DATA(arg)

    async def ended(self, session: Session, envelope: Envelope) -> str:
        told = self._script.answer(At.end, envelope.rcpt_tos)
        if told is not None:
            await self._hang_or_drop(told)
            return told
        self._script.messages.append(self._received(session, envelope))
        return f"250 2.0.0 Ok: queued as TEST{len(self._script.messages):06d}"

    def _received(self, session: Session, envelope: Envelope) -> Received:
        return Received(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            content=envelope.original_content or b"",
            options=self._options,
            encrypted=self.transport.get_extra_info("sslcontext") is not None,
            signed_in=bool(session.authenticated),
        )

    async def _told(self, at: At, addresses: list[str]) -> bool:
        told = self._script.answer(at, addresses)
        if told is not None:
            await self._obey(told)
        return told is not None

    async def _obey(self, told: str) -> None:
        await self._hang_or_drop(told)
        await super().push(told)
        if told.startswith("421"):
            self.transport.close()

    async def _hang_or_drop(self, told: str) -> None:
        """aiosmtpd cancels this task when the connection is gone, whoever closed it."""
        if told == DROP:
            self.transport.abort()
        if told == HANG:
            self._script.hanging.set()
        if told in (HANG, DROP):
            await self.loop.create_future()


def _paths(arg: str | None) -> list[str]:
    """The address of `FROM:<a@b> SIZE=1`."""
    return [(arg or "").partition("<")[2].partition(">")[0]]
