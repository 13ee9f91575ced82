"""HTTP/2, where a provider wants it: pyreqwest (hyper and rustls), which speaks HTTP/1.1 to servers that do not."""

from __future__ import annotations

import time
from collections.abc import Mapping
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


class Library:
    """Its runtime, one thread for all of them, does not survive a fork."""

    def __init__(self, options: Options) -> None:
        """Raises OSError where the `ca_file` can not be read, ValueError where it holds no certificate."""
        self._largest = options.largest_answer
        self._client: Client | None = _built(options)

    async def ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        seconds = deadline - time.monotonic()  # the library's own timers go on while the process is stopped, too
        return await self._answer(self._prepared(method, url, body, headers, seconds))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _prepared(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> StreamRequest:
        if self._client is None:
            raise NotWritten("client_closed")
        try:
            request = self._client.request(method, url).headers(headers).timeout(timedelta(seconds=seconds))
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
            if size > self._largest:
                raise NoAnswer("answer_too_large")
        return b"".join(chunks)


def _built(options: Options) -> Client:
    builder = (
        ClientBuilder()
        .user_agent(AGENT)
        .follow_redirects(False)
        .referer(False)
        .no_proxy()
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .http2(True)
        .timeout(options.timeout)
        .connect_timeout(min(CONNECTING, options.timeout / 2))
        .pool_idle_timeout(IDLE)
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
