"""A connection until it can carry mail: greeting, EHLO, TLS, AUTH, and what the server offers."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from connect.providers.smtp_replies import Reply
from connect.providers.smtp_wire import Said, Wire
from connect.redact import HIDDEN


class Auth(StrEnum):
    """How to sign in."""

    auto = "auto"  # plain, or login where the server offers nothing else
    plain = "plain"
    login = "login"
    xoauth2 = "xoauth2"  # the password is an OAuth 2 access token


class Obstacle(StrEnum):
    """What stood between us and a connection that can send."""

    unreachable = "unreachable"  # DNS, refused, no greeting: nothing was written
    busy = "busy"  # a 4xx greeting: too many connections
    tls = "tls"  # no STARTTLS, or a certificate that can not be trusted
    sign_in = "sign_in"  # credentials refused


class NotReady(Exception):
    """No connection. The text is the server's or the system's, and knows nothing of any recipient."""

    def __init__(self, obstacle: Obstacle, text: str) -> None:
        super().__init__(text)
        self.obstacle = obstacle
        self.text = text


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and as whom."""

    host: str
    port: int
    tls: bool
    starttls: bool
    username: str = ""
    password: str = ""
    auth: Auth = Auth.auto
    local_hostname: str | None = None
    verify: bool = True
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Offers:
    """What the server said it can do, in its answer to EHLO."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    starttls: bool = False
    size: int | None = None
    """The largest message in octets; 0 where it names none, None where SIZE is not offered (RFC 1870)."""
    auth: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> Offers:
        """From the lines of an EHLO reply, the first of which is only a name."""
        lines = [line.upper().replace("AUTH=", "AUTH ").split() for line in text.splitlines()[1:]]
        words = {line[0]: line[1:] for line in lines if line and line[0] != "AUTH"}
        size = words.get("SIZE")
        return cls(
            pipelining="PIPELINING" in words,
            eight_bit="8BITMIME" in words,
            smtputf8="SMTPUTF8" in words,
            starttls="STARTTLS" in words,
            size=None if size is None else int(size[0]) if size and size[0].isdigit() else 0,
            auth=frozenset(word for line in lines if line and line[0] == "AUTH" for word in line[1:]),
        )


class Session:
    """One question at a time, until the connection is handed to whoever carries messages."""

    def __init__(self) -> None:
        self.wire = Wire(self)
        self._inbox: deque[Reply] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    @property
    def quiet(self) -> bool:
        """Whether the server has said nothing beyond what it was asked."""
        return not self._inbox and not self.wire.replies.pending

    async def ask(self, command: str) -> Reply:
        """Say one line and hear the answer. Raises ConnectionError."""
        self.wire.write(command.encode() + b"\r\n")
        return await self.hear()

    async def hear(self) -> Reply:
        """The next reply. Raises ConnectionError."""
        if not self._inbox and self._error is None:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if self._inbox:
            return self._inbox.popleft()
        raise self._error or ConnectionResetError("connection lost")

    def replied(self, replies: Sequence[Said]) -> None:
        self._inbox.extend(Reply(code, text.decode(errors="replace")) for code, text in replies)
        self._wake()

    def writable(self) -> None:
        pass

    def lost(self, error: Exception | None) -> None:
        self._error = error or ConnectionResetError("connection lost")
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


async def connect(target: Target, hostname: str, trust: ssl.SSLContext | None) -> tuple[Wire, Offers]:
    """A connection on which MAIL may be said. Raises NotReady."""
    session = Session()
    try:
        offers = await _ready(session, target, hostname, trust)
        if not session.quiet or not session.wire.usable:
            raise NotReady(Obstacle.unreachable, "the server speaks out of turn, or hung up")
        return session.wire, offers
    except BaseException:
        session.wire.abort()
        raise


async def _ready(session: Session, target: Target, hostname: str, trust: ssl.SSLContext | None) -> Offers:
    try:
        offers = await _reach(session, target, hostname, trust)
        if target.starttls:
            offers = await _secure(session, target, hostname, trust, offers)
        if target.username:
            await _sign_in(session, target, offers)
    except OSError as error:
        raise NotReady(_network_obstacle(error), str(error) or type(error).__name__) from None
    return offers


async def _reach(session: Session, target: Target, hostname: str, trust: ssl.SSLContext | None) -> Offers:
    loop = asyncio.get_running_loop()
    secure, name = (trust, target.host) if target.tls else (None, None)
    await loop.create_connection(lambda: session.wire, target.host, target.port, ssl=secure, server_hostname=name)
    greeting = await session.hear()
    if not greeting.accepted:
        raise NotReady(_refused(greeting, Obstacle.unreachable), _words(greeting))
    return await _hello(session, hostname)


async def _hello(session: Session, hostname: str) -> Offers:
    """EHLO, or HELO for a server that does not know it."""
    reply = await session.ask(f"EHLO {hostname}")
    if reply.accepted:
        return Offers.read(reply.text)
    if reply.code >= 500:
        reply = await session.ask(f"HELO {hostname}")
    if not reply.accepted:
        raise NotReady(_refused(reply, Obstacle.unreachable), _words(reply))
    return Offers()


async def _secure(
    session: Session, target: Target, hostname: str, trust: ssl.SSLContext | None, offers: Offers
) -> Offers:
    """STARTTLS. What a server offers before TLS counts for nothing (RFC 3207), nor does what it says."""
    if not offers.starttls:
        raise NotReady(Obstacle.tls, "the server does not offer STARTTLS")
    reply = await session.ask("STARTTLS")
    if reply.code != 220:
        raise NotReady(_refused(reply, Obstacle.tls), _words(reply))
    if not session.quiet:  # put there by somebody in between (CVE-2011-0411)
        raise NotReady(Obstacle.tls, "the server speaks in clear after STARTTLS")
    wire = session.wire
    assert wire.transport is not None
    assert trust is not None
    loop = asyncio.get_running_loop()
    plain = wire.transport
    try:
        wire.transport = await loop.start_tls(plain, wire, trust, server_hostname=target.host)
    except BaseException:
        plain.abort()
        raise
    if wire.transport is None:  # uvloop, when the connection broke meanwhile
        raise ConnectionResetError("connection lost")
    return await _hello(session, hostname)


async def _sign_in(session: Session, target: Target, offers: Offers) -> None:
    try:
        reply = await _authenticated(session, target, offers.auth)
    except OSError as error:
        raise NotReady(Obstacle.unreachable, str(error) or type(error).__name__) from None
    if not reply.accepted:
        raise NotReady(_refused(reply, Obstacle.sign_in), _without(target, _words(reply)))


async def _authenticated(session: Session, target: Target, offered: frozenset[str]) -> Reply:
    match _way(target.auth, offered):
        case Auth.xoauth2:
            return await _by_token(session, target)
        case Auth.login:
            return await _by_login(session, target)
        case _:
            return await session.ask("AUTH PLAIN " + _base64(f"\0{target.username}\0{target.password}"))


def _way(auth: Auth, offered: frozenset[str]) -> Auth:
    """The way that was asked for, or the first of ours that the server offers."""
    if auth is not Auth.auto:
        return auth
    for way in (Auth.plain, Auth.login):
        if way.value.upper() in offered:
            return way
    known = ", ".join(sorted(offered)) or "none"
    raise NotReady(Obstacle.sign_in, f"the server offers no way to sign in with a password (it offers: {known})")


async def _by_login(session: Session, target: Target) -> Reply:
    reply = await session.ask("AUTH LOGIN")
    for answer in (target.username, target.password):
        if reply.code != 334:
            return reply
        reply = await session.ask(_base64(answer))
    return reply


async def _by_token(session: Session, target: Target) -> Reply:
    """XOAUTH2, as Google and Microsoft document it: a refusal comes as a 334 that wants an empty line."""
    words = f"user={target.username}\1auth=Bearer {target.password}\1\1"
    reply = await session.ask(f"AUTH XOAUTH2 {_base64(words)}")
    return await session.ask("") if reply.code == 334 else reply


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _without(target: Target, text: str) -> str:
    """A server's words without the credentials that it may repeat."""
    for secret in (target.password, target.username):
        text = text.replace(secret, HIDDEN)
    return text


_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""A handshake that broke off is a network's trouble; one that was refused is a setting's."""


def _network_obstacle(error: BaseException) -> Obstacle:
    refused = isinstance(error, ssl.SSLError) and not isinstance(error, _CUT_OFF)
    return Obstacle.tls if refused else Obstacle.unreachable


def _refused(reply: Reply, for_good: Obstacle) -> Obstacle:
    """A 4xx is a server that is busy; a 5xx is what it says."""
    return Obstacle.busy if 400 <= reply.code < 500 else for_good


def _words(reply: Reply) -> str:
    return f"{reply.code} {reply.text}"


def trust(target: Target) -> ssl.SSLContext | None:
    """What makes a certificate good, or None where there is no TLS. Reads files. Raises NotReady."""
    if not (target.tls or target.starttls):
        return None
    try:
        context = ssl.create_default_context(cafile=target.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NotReady(Obstacle.tls, f"`ca_file` can not be read: {error.strerror or error}") from None
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
