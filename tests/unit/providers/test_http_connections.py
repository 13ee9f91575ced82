"""Connections of our own: when one is used again, and when it is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from connect.providers.http import Client, NoAnswer, NotWritten, Options, Reply
from connect.providers.http_1 import Connections

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


class Server:
    """Answers the head of a request with these bytes, and reads its body afterwards."""

    def __init__(self, answer: bytes, *, reads: bool = True) -> None:
        self.answer, self.reads = answer, reads
        self.writers: list[asyncio.StreamWriter] = []
        self.heads: list[bytes] = []
        self.asked = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                self.asked.set()
                writer.write(self.answer)
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(length if self.reads else 1)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


@asynccontextmanager
async def serving(answer: bytes, *, reads: bool = True) -> AsyncIterator[tuple[Server, Client, str]]:
    server = Server(answer, reads=reads)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        async with Client(Options(connections=2)) as client:
            yield server, client, f"http://127.0.0.1:{port}/"
    finally:
        for writer in server.writers:
            writer.transport.abort()
        listening.close()


async def ask(client: Client, url: str, body: bytes = b"body") -> Reply:
    return await client.post(url, body, {})


async def test_one_is_used_again_and_another_made_only_where_two_are_asked_at_once() -> None:
    async with serving(OK) as (server, client, url):
        await ask(client, url)
        await asyncio.gather(*(ask(client, url) for _ in range(10)))
    assert len(server.writers) == 2
    assert len(server.heads) == 11


@pytest.mark.parametrize("answer", [CLOSING, OK + b"HTTP/1.1 200 OK\r\n", OK.replace(b"1.1", b"1.0")])
async def test_one_that_is_not_as_it_was_before_is_left(answer: bytes) -> None:
    async with serving(answer) as (server, client, url):
        assert [(await ask(client, url)).body for _ in range(3)] == [b"ok"] * 3
    assert len(server.writers) == 3


@pytest.mark.parametrize("ending", [b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", b""])
async def test_what_a_server_says_or_does_unasked_is_no_answer_to_the_next(ending: bytes) -> None:
    async with serving(OK) as (server, client, url):
        await ask(client, url)
        (connection,) = client._wire._open  # type: ignore[attr-defined]
        server.writers[0].write(ending)
        server.writers[0].close()
        await connection.gone
        assert (await ask(client, url)).status == 200
    assert len(server.writers) == 2


async def test_an_answer_that_comes_before_the_end_of_the_request_counts() -> None:
    async with serving(OK, reads=False) as (server, client, url):
        assert (await ask(client, url, b"x" * 20_000_000)).body == b"ok"
        assert (await ask(client, url)).body == b"ok"
    assert len(server.writers) == 2, "the rest of the first request is not taken for the second"


async def test_no_more_are_open_than_there_are_requests_at_a_time() -> None:
    async with serving(OK) as (first, client, url), serving(OK) as (second, _, other), serving(OK) as (_, _, third):
        for each in (url, other, third):
            await ask(client, each)
        assert len(client._wire._open) == 2  # type: ignore[attr-defined]
        await ask(client, other)
    assert (len(first.writers), len(second.writers)) == (1, 1)


async def test_one_that_is_cancelled_is_not_read_by_the_next() -> None:
    async with serving(b"") as (server, client, url):
        first = asyncio.create_task(ask(client, url))
        await server.asked.wait()
        first.cancel()
        server.answer = OK
        assert (await ask(client, url)).body == b"ok"
        with pytest.raises(asyncio.CancelledError):
            await first
    assert len(server.writers) == 2


async def test_a_process_that_was_stopped_while_it_connected_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's clock stands still then, so that it has not seen the deadline pass."""
    async with serving(OK) as (server, _, url):
        connections = Connections(Options())
        with monkeypatch.context() as stopped:
            stopped.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() - 3600)
            with pytest.raises(NotWritten):
                await connections.ask("POST", url, b"body", {}, time.monotonic() - 0.001)
        await connections.close()
    assert server.heads == []


async def test_closing_leaves_nothing_open() -> None:
    async with serving(b"") as (server, client, url):
        waiting = asyncio.create_task(ask(client, url))
        await server.asked.wait()
        await client.close()
        await client.close()
        with pytest.raises(NoAnswer):
            await waiting
        assert not client._wire._open  # type: ignore[attr-defined]
