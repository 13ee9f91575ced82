"""HTTP/2 over TLS, where a provider wants it: pyreqwest (hyper and rustls). In the clear it speaks HTTP/1.1.

All requests share one connection; those beyond the streams that the server allows wait in line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pyreqwest.exceptions as wire
from pyreqwest.client import ClientBuilder

from connect.providers.http_exchange import AGENT, CONNECTING, IDLE, NoAnswer, NotWritten, Options, Reply, Unanswered

if TYPE_CHECKING:
    from pyreqwest.client import Client
    from pyreqwest.request import StreamRequest
    from pyreqwest.response import ResponseBodyReader

_CHUNK = 1 << 16
_KEPT = timedelta(minutes=5)
"""A connection that nobody uses. APNs takes one that comes and goes for an attack; a server that gives one up says from
which stream on it has read nothing, so that keeping it puts no request in doubt."""
_PING = timedelta(seconds=30)
"""A connection is asked this often whether it is still there, also while nobody uses it…"""
_PONG = timedelta(seconds=10)
"""…and is given up when it does not answer within this."""


class Library:
    """Its runtime, one thread for all of them, does not survive a fork."""

    def __init__(self, options: Options) -> None:
        """Raises OSError where the `ca_file` can not be read, ValueError where it holds no certificate."""
        self._largest = options.largest_answer
        self._connecting = _connecting(options).total_seconds()
        self._clients: dict[str, Client] = {"https": _secure(options), "http": _clear(options)}
        self._door = asyncio.Lock()
        self._through = False
        """A connection works, as far as is known."""

    async def ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        if self._through:
            return await self._asked(method, url, body, headers, deadline)
        return await self._first(method, url, body, headers, deadline)

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def _first(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        """One request goes alone while it is not known that there is a connection, and the others wait for it.

        The library would let them wait without telling, later, that they were never written. APNs, too, takes one
        request alone on a connection before it takes many (documented in "Sending notification requests to APNs").
        """
        if not url.startswith("https:"):
            return await self._asked(method, url, body, headers, deadline)
        try:
            async with asyncio.timeout_at(deadline - self._connecting):  # later it could not connect in time
                await self._door.acquire()
        except TimeoutError:
            raise NotWritten("unreachable") from None
        try:
            if not self._through:
                return await self._asked(method, url, body, headers, deadline)
        finally:
            self._door.release()
        return await self._asked(method, url, body, headers, deadline)

    async def _asked(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        seconds = deadline - time.monotonic()  # the library's own timers go on while the process is stopped, too
        if seconds <= 0:
            raise NotWritten("unreachable")
        request = self._prepared(method, url, body, headers, seconds)
        try:
            reply = await self._answer(request)
        except Unanswered as failure:
            self._through = self._through and failure.reason in _SAYS_NOTHING_OF_CONNECTIONS
            raise
        self._through = True
        return reply

    def _prepared(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> StreamRequest:
        client = self._clients.get(url.partition(":")[0].lower())
        if client is None:
            raise NotWritten("not_a_request" if self._clients else "client_closed")
        try:
            request = client.request(method, url).headers(headers).timeout(timedelta(seconds=seconds))
            return request.body_bytes(body).build_streamed()
        except ValueError:
            pass
        raise NotWritten("not_a_request")

    async def _answer(self, request: StreamRequest) -> Reply:
        """Send it. Errors of the wire name the whole URL, so they are left behind, also as a context."""
        try:
            async with request as response:
                headers = _fields(response.headers)
                return Reply(response.status, headers, await self._body(response.body_reader, headers))
        except wire.PyreqwestError as error:
            failure = _unanswered(error)
        raise failure

    async def _body(self, reader: ResponseBodyReader, headers: Mapping[str, str]) -> bytes:
        """The whole body. One of a known length is not asked for its end: that takes a turn of the event loop."""
        length = headers.get("content-length", "")
        whole = int(length) if length.isdecimal() and len(length) < 19 else -1
        chunks, size = [], 0
        while size != whole and (chunk := await reader.read(_CHUNK)) is not None:
            chunks.append(chunk.to_bytes())
            size += len(chunk)
            if size > self._largest:
                raise NoAnswer("answer_too_large")
        return b"".join(chunks)


def _fields(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The fields of an answer, but those that the library can not read: what is not ASCII raises ValueError."""
    try:
        return dict(headers.items())
    except ValueError:
        pass
    readable = {}
    for name in headers:
        with suppress(ValueError):
            readable[name] = headers[name]
    return readable


def _secure(options: Options) -> Client:
    """HTTP/2 alone: where a server might also choose HTTP/1.1, the library makes a connection for each request that
    comes before it knows, and most of them for nothing."""
    builder = (
        _builder(options)
        .http2_prior_knowledge()
        .pool_idle_timeout(_KEPT)
        .http2_keep_alive_interval(_PING)
        .http2_keep_alive_timeout(_PONG)
        .http2_keep_alive_while_idle(True)
    )
    if options.ca_file is not None:
        builder = builder.add_root_certificate_pem(options.ca_file.read_bytes())
    return builder.build()


def _clear(options: Options) -> Client:
    return _builder(options).pool_idle_timeout(IDLE).pool_max_idle_per_host(options.connections).build()


def _builder(options: Options) -> ClientBuilder:
    return (
        ClientBuilder()
        .user_agent(AGENT)
        .follow_redirects(False)
        .referer(False)
        .no_proxy()
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .timeout(options.timeout)
        .connect_timeout(_connecting(options))
    )


def _connecting(options: Options) -> timedelta:
    return min(CONNECTING, options.timeout / 2)


_SAYS_NOTHING_OF_CONNECTIONS = {"timed_out_after_write", "not_a_request", "answer_too_large"}
"""Reasons after which a connection may well be as good as before."""

_BEFORE_WRITING = "client error (Connect)"
"""What hyper says of a connection that was never made. The classes do not tell: pyreqwest 0.15 raises ConnectError also
for a connection that broke after the request, and ConnectTimeoutError for an answer that did not come in time."""
_UNTRUSTED = "invalid peer certificate"
_TURNED_AWAY = (
    "connection error received: ",  # GOAWAY, of streams after the last one that the server has looked at
    "stream error received: refused stream before processing",  # RST_STREAM with REFUSED_STREAM
)
"""What h2 says of a request that the server promises not to have processed (RFC 9113, 6.8 and 8.7). By then the library
has asked twice more, where the server said that it only wants another connection. Streams that a GOAWAY leaves open end
with other words."""


def _unanswered(error: wire.PyreqwestError) -> Unanswered:
    """What an error of the wire means. Any that is not known to be from before the write is in doubt."""
    causes = _causes(error)
    if _BEFORE_WRITING in causes:
        untrusted = any(cause.startswith(_UNTRUSTED) for cause in causes)
        return NotWritten("untrusted_certificate" if untrusted else "unreachable")
    if any(cause.startswith(_TURNED_AWAY) for cause in causes):
        return NotWritten("turned_away")
    if isinstance(error, wire.BuilderError):
        return NotWritten("not_a_request")
    if isinstance(error, wire.RequestTimeoutError):
        return NoAnswer("timed_out_after_write")
    if isinstance(error, wire.DecodeError) and not isinstance(error, wire.BodyDecodeError):
        return NoAnswer("unreadable_answer")
    return NoAnswer("connection_lost_after_write")


def _causes(error: wire.PyreqwestError) -> list[str]:
    if not isinstance(error, wire.DetailedPyreqwestError):
        return []
    return [cause["message"] for cause in error.details["causes"] or []]
