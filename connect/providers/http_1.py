"""HTTP/1.1 over connections of our own: a request costs a quarter of what the fastest library asks for it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence

from connect.providers import http_guard, http_request
from connect.providers.http_connection import Connection
from connect.providers.http_exchange import CONNECTING, NotWritten, Options, Reply
from connect.providers.http_request import Origin


class PrivateAddress(Exception):
    """The host has an address that is not the internet's."""


class Connections:
    """At most as many as there are requests at a time. Kept while they are used; nothing is ever written twice."""

    def __init__(self, options: Options) -> None:
        """Raises OSError where the `ca_file` can not be read, ValueError where it holds no certificate."""
        self._options = options
        self._connecting = min(CONNECTING, options.timeout / 2).total_seconds()
        self._trust = _trust(options) if options.ca_file is not None else None
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        """The one that was used last comes last."""
        self._closed = False

    async def ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        origin, path = http_request.target(url)
        head = http_request.head(method, path, origin.name, headers, len(body))
        connection = self._kept(origin) or await self._connected(origin, deadline)
        if time.monotonic() >= deadline:  # the process was stopped while it connected
            connection.cut()
            raise NotWritten("unreachable")
        try:
            reply = await connection.ask(method, head, body, deadline)
        except BaseException:  # cancelled too: whatever comes now would be taken for the next answer
            connection.cut()
            raise
        if connection.usable and not self._closed:
            self._idle.append(connection)
        return reply

    async def close(self) -> None:
        self._closed = True
        connections, self._open, self._idle = self._open, set(), []
        for connection in connections:
            connection.cut()
        if connections:
            await asyncio.wait([connection.gone for connection in connections])

    def _kept(self, origin: Origin) -> Connection | None:
        """One that is idle; those that went stale meanwhile are left behind."""
        for at in range(len(self._idle) - 1, -1, -1):
            connection = self._idle[at]
            if connection.origin is origin or connection.origin == origin:  # nearly always the same one
                del self._idle[at]
                if connection.usable:
                    return connection
                connection.cut()
        return None

    async def _connected(self, origin: Origin, deadline: float) -> Connection:
        """A new one, with TLS if it is to be. Raises NotWritten."""
        if self._closed:
            raise NotWritten("client_closed")
        if self._idle and len(self._open) >= self._options.connections:
            self._idle.pop(0).cut()
        try:
            connection = await self._made(origin, deadline)
        except PrivateAddress:
            reason = "private_address"
        except ssl.SSLCertVerificationError:
            reason = "untrusted_certificate"
        except (OSError, UnicodeError):  # TimeoutError and every other error of TLS are OSErrors
            reason = "unreachable"
        else:
            return self._welcome(connection)
        raise NotWritten(reason)

    async def _made(self, origin: Origin, deadline: float) -> Connection:
        loop = asyncio.get_running_loop()
        secure = self._trusted() if origin.secure else None
        async with asyncio.timeout_at(min(deadline, loop.time() + self._connecting)):
            hosts = await self._hosts(origin)
            for last, host in enumerate(hosts, 1 - len(hosts)):
                try:
                    _transport, connection = await loop.create_connection(
                        lambda: Connection(origin, self._options.largest_answer),
                        host,
                        origin.port,
                        ssl=secure,
                        server_hostname=origin.host if secure else None,
                    )
                    return connection
                except OSError:
                    if last == 0:
                        raise
        raise OSError("there is no address")

    async def _hosts(self, origin: Origin) -> Sequence[str]:
        """What to connect to: the name, or its addresses where they must be public."""
        if not self._options.public_only:
            return (origin.host,)
        if addresses := await http_guard.public_addresses(origin.host, origin.port):
            return addresses
        raise PrivateAddress

    def _welcome(self, connection: Connection) -> Connection:
        if self._closed:
            connection.cut()
            raise NotWritten("client_closed")
        self._open.add(connection)
        connection.gone.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = _trust(self._options)
        return self._trust


def _trust(options: Options) -> ssl.SSLContext:
    """What makes a certificate good: the system's authorities, and the file's."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if options.ca_file is not None:
        text = options.ca_file.read_text("ascii", "replace")
        try:
            context.load_verify_locations(cadata=text)
        except ssl.SSLError:
            text = ""
        if not text:
            raise ValueError("there is no certificate in the ca_file")
    return context
