"""Connections to one SMTP server: opened with TLS and AUTH, kept for the next message, let go of when in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import aiosmtplib
from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPResponseException


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
    local_hostname: str | None = None
    verify: bool = True
    ca_file: Path | None = None


class Connection:
    """One connection, and how many messages it has carried."""

    def __init__(self, client: SMTP) -> None:
        self.client = client
        self.carried = 0
        self.dirty = False
        """A transaction was left open: RSET before the next one."""

    @property
    def used(self) -> bool:
        return self.carried > 0 or self.dirty


class Connections:
    """At most so many connections at a time, each for one message at a time."""

    def __init__(self, target: Target, most: int, messages_per_connection: int) -> None:
        self._target = target
        self._room = asyncio.Semaphore(most)
        self._messages = messages_per_connection
        self._idle: list[Connection] = []
        self._context: ssl.SSLContext | None = None
        self._name = target.local_hostname

    @contextlib.asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Wait for a place among the connections. Waiting here is no part of a message's time."""
        async with self._room:
            yield

    async def take(self) -> Connection:
        """A connection that is ready for MAIL FROM. Raises NotReady."""
        while self._idle:
            connection = self._idle.pop()
            if connection.client.is_connected and await _tidy(connection):
                return connection
            connection.client.close()
        return await self.fresh()

    async def fresh(self) -> Connection:
        """A new connection. Raises NotReady."""
        client = Client(
            hostname=self._target.host,
            port=self._target.port,
            use_tls=self._target.tls,
            start_tls=False,
            local_hostname=await self._local_hostname(),
            tls_context=await self._tls_context(),
            timeout=None,
        )
        try:
            await _connect(client, self._target)
        except BaseException:
            client.close()
            raise
        return Connection(client)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next message, unless it has carried its share."""
        if connection.client.is_connected and connection.carried < self._messages:
            self._idle.append(connection)
        else:
            connection.client.close()

    async def close(self, patience: float) -> None:
        """Say goodbye on every idle connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_quit(connection.client, patience) for connection in idle))
        await asyncio.sleep(0)  # lets the transports hear that they are closed

    async def _local_hostname(self) -> str:
        """The name for EHLO, looked up once: `getfqdn` may ask DNS."""
        if self._name is None:
            self._name = await asyncio.to_thread(socket.getfqdn)
        return self._name

    async def _tls_context(self) -> ssl.SSLContext | None:
        if self._context is None and (self._target.tls or self._target.starttls):
            self._context = await asyncio.to_thread(_trust, self._target)
        return self._context


class Client(SMTP):
    """aiosmtplib's client, which closes at once.

    By itself it says goodbye to TLS and waits for the other side's, which may take half a minute or outlive the loop.
    """

    def close(self) -> None:
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


def _trust(target: Target) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=target.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NotReady(Obstacle.tls, f"`ca_file` can not be read: {error.strerror or error}") from None
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _connect(client: SMTP, target: Target) -> None:
    await _reach(client)
    if target.starttls:
        await _secure(client)
    if target.username:
        await _sign_in(client, target)


async def _reach(client: SMTP) -> None:
    try:
        await client.connect()
        await _hello(client)
    except aiosmtplib.SMTPConnectResponseError as error:
        obstacle = Obstacle.busy if 400 <= error.code < 500 else Obstacle.unreachable
        raise NotReady(obstacle, f"{error.code} {error.message}") from None
    except (SMTPException, OSError) as error:
        raise NotReady(_network_obstacle(error), _words(error)) from None


async def _hello(client: SMTP) -> None:
    """EHLO, or HELO for a server that does not know it."""
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""A handshake that broke off is a network's trouble; one that was refused is a setting's."""


def _network_obstacle(error: BaseException) -> Obstacle:
    """aiosmtplib wraps a failed handshake in its connect error; the cause tells."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    refused = isinstance(cause, ssl.SSLError) and not isinstance(cause, _CUT_OFF)
    return Obstacle.tls if refused else Obstacle.unreachable


async def _secure(client: SMTP) -> None:
    try:
        await client.starttls()
        await client.ehlo()  # what a server offers before TLS counts for nothing (RFC 3207)
    except SMTPResponseException as error:
        raise NotReady(_refused(error.code, Obstacle.tls), f"{error.code} {error.message}") from None
    except OSError as error:
        raise NotReady(_network_obstacle(error), _words(error)) from None
    except SMTPException as error:
        raise NotReady(Obstacle.tls, _words(error)) from None


async def _sign_in(client: SMTP, target: Target) -> None:
    try:
        await client.login(target.username, target.password)
    except SMTPAuthenticationError as error:
        words = f"{error.code} {error.message}".replace(target.username, "***")
        raise NotReady(_refused(error.code, Obstacle.sign_in), words) from None
    except OSError as error:
        raise NotReady(Obstacle.unreachable, _words(error)) from None
    except SMTPException as error:
        raise NotReady(Obstacle.sign_in, _words(error)) from None


def _refused(code: int, for_good: Obstacle) -> Obstacle:
    """A 4xx is a server that is busy; a 5xx is what it says."""
    return Obstacle.busy if 400 <= code < 500 else for_good


def _words(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return str(cause) or type(error).__name__


async def _tidy(connection: Connection) -> bool:
    """Reset a connection on which a message was refused. False when it is no longer good for anything."""
    if not connection.dirty:
        return True
    try:
        await connection.client.rset()
    except (SMTPException, OSError):
        return False
    except BaseException:
        connection.client.close()
        raise
    connection.dirty = False
    return True


async def _quit(client: SMTP, patience: float) -> None:
    try:
        async with asyncio.timeout(patience):
            await client.quit()
    except (SMTPException, OSError):
        pass  # it was going anyway
    finally:
        client.close()
