"""The one HTTP client of all providers: a request in, a reply out, and two ways in which there is none.

    client = Client(Options(timeout=timedelta(seconds=30), connections=8))
    reply = await client.post(url, body, {"content-type": "application/json"})
    await client.close()

    Unanswered
    ├── NotWritten      the provider never saw the request: nobody was written to
    └── NoAnswer        it may have been written, and may have been carried out

When it is not certain that nothing was written, it is NoAnswer. Any reply with a status is a `Reply`, redirects too:
none is followed. No proxy is taken from the environment, no cookie is kept, nothing is repeated.

A client belongs to the process that made it: its runtime, one thread for all clients, does not survive a fork.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyreqwest.exceptions as wire
from pyreqwest.client import ClientBuilder

if TYPE_CHECKING:
    from pyreqwest.client import Client as Wire
    from pyreqwest.request import StreamRequest
    from pyreqwest.response import ResponseBodyReader


@dataclass(frozen=True, slots=True)
class Options:
    """How a client behaves; the same for all of its requests."""

    timeout: timedelta = timedelta(seconds=30)
    """From asking for a connection to the last byte of the answer, the wait for a free connection included."""
    connections: int = 8
    """Requests at a time; the others wait their turn."""
    largest_answer: int = 1 << 20
    ca_file: Path | None = None
    """PEM certificates to trust besides the usual ones."""
    http2: bool = True
    """Offer HTTP/2; without TLS it is always HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered. Its repr holds no value that might be about a person."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)


class Unanswered(Exception):
    """There is no whole reply. The text is a reason in snake_case: nothing of the request or of an answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotWritten(Unanswered):
    """`unreachable`, `untrusted_certificate`, `no_free_connection`, `client_closed` or `not_a_request`."""


class NoAnswer(Unanswered):
    """`timed_out_after_write`, `connection_lost_after_write`, `unreadable_answer` or `answer_too_large`."""


_CONNECTING = timedelta(seconds=10)
_IDLE = timedelta(seconds=4)
"""Many servers close an idle connection after 5 s (Node, gunicorn, uvicorn, Apache). A request that meets the end of
its connection is in doubt, so ours is given up first."""

_AGENT = "connect-campaigns"
_CHUNK = 1 << 16


class Client:
    """A pool of connections. Make it, use it and close it in one process and one event loop."""

    def __init__(self, options: Options) -> None:
        """Raises OSError where the `ca_file` can not be read, ValueError where it holds no certificate."""
        self._options = options
        self._seconds = options.timeout.total_seconds()
        self._wire: Wire | None = _built(options)
        self._turns = asyncio.Semaphore(options.connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, deadline: float | None = None) -> Reply:
        """Ask once. Nothing is written after the deadline (of the loop's clock; the time-out from now if not given).

        That clock is `time.monotonic`, as is the client's own: both go on while the process is stopped (SIGSTOP), so
        that one which wakes up after its deadline writes nothing. Raises NotWritten or NoAnswer.
        """
        return await self.request("POST", url, body, headers, deadline=deadline)

    async def request(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], *, deadline: float | None = None
    ) -> Reply:
        """As `post`, with another method."""
        deadline = asyncio.get_running_loop().time() + self._seconds if deadline is None else deadline
        await self._turn(deadline)
        try:
            # uvloop's clock is read once for each turn of the loop, so it misses a stop in the middle of one.
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotWritten("no_free_connection")
            return await self._answer(self._prepared(method, url, body, headers, left))
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Cut every connection; requests that have no answer yet are in doubt. Safe to call twice."""
        wire_client, self._wire = self._wire, None
        if wire_client is not None:
            await wire_client.close()

    async def _turn(self, deadline: float) -> None:
        """Wait for a free connection."""
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
        except TimeoutError:
            raise NotWritten("no_free_connection") from None

    def _prepared(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> StreamRequest:
        if self._wire is None:
            raise NotWritten("client_closed")
        try:
            request = self._wire.request(method, url).headers(headers).timeout(timedelta(seconds=seconds))
            return request.body_bytes(body).build_streamed()
        except ValueError:
            pass
        raise NotWritten("not_a_request")

    async def _answer(self, request: StreamRequest) -> Reply:
        """Send it. Errors of the wire name the whole URL, so they are left behind, also as a context."""
        try:
            async with request as response:
                headers = dict(response.headers.items())
                return Reply(response.status, headers, await self._body(response.body_reader, headers))
        except wire.PyreqwestError as error:
            failure = _unanswered(error)
        raise failure

    async def _body(self, reader: ResponseBodyReader, headers: Mapping[str, str]) -> bytes:
        """The whole body. One of a known length is not asked for its end: that takes a turn of the event loop."""
        length = headers.get("content-length", "")
        whole = int(length) if length.isdecimal() else -1
        chunks, size = [], 0
        while size != whole and (chunk := await reader.read(_CHUNK)) is not None:
            chunks.append(chunk.to_bytes())
            size += len(chunk)
            if size > self._options.largest_answer:
                raise NoAnswer("answer_too_large")
        return b"".join(chunks)


def _built(options: Options) -> Wire:
    builder = (
        ClientBuilder()
        .user_agent(_AGENT)
        .follow_redirects(False)
        .referer(False)
        .no_proxy()
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .http2(options.http2)
        .timeout(options.timeout)
        .connect_timeout(min(_CONNECTING, options.timeout / 2))
        .pool_idle_timeout(_IDLE)
        .pool_max_idle_per_host(options.connections)
    )
    if options.ca_file is not None:
        builder = builder.add_root_certificate_pem(options.ca_file.read_bytes())
    return builder.build()


_BEFORE_WRITING = "client error (Connect)"
"""What hyper says of a connection that was never made. The classes do not tell: pyreqwest 0.15 raises ConnectError also
for a connection that broke after the request, and ConnectTimeoutError for an answer that did not come in time."""
_UNTRUSTED = "invalid peer certificate"


def _unanswered(error: wire.PyreqwestError) -> Unanswered:
    """What an error of the wire means. Any that is not known to be from before the write is in doubt."""
    causes = _causes(error)
    if _BEFORE_WRITING in causes:
        untrusted = any(cause.startswith(_UNTRUSTED) for cause in causes)
        return NotWritten("untrusted_certificate" if untrusted else "unreachable")
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
