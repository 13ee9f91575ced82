"""The one HTTP client, against a real server that misbehaves: what is in doubt, what is not, and what is never told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from connect.providers.http import Client, NoAnswer, NotWritten, Options, Reply, Unanswered
from connect.providers.http_replies import STATUSES, meaning, retry_after, unanswered
from connect.providers.interface import Status

SECRET = "canary"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads a request, and then behaves as it was told to."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self._behaviour, self._tls = behaviour, tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{scheme}://localhost:{self.port}/messages?token={SECRET}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers = {}
                while (field := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = field.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((line.decode(), headers, body))
                self.asked.set()
                await self._behaviour(reader, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


def says(data: bytes, *, then_closes: bool = False) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if then_closes:
            writer.close()

    return behave


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await silence(reader, writer)


SILENT = (silence, half)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: " + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


OK = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: 7\r\n\r\nok")
BROKEN = "connection_lost_after_write"


@pytest.fixture(params=[False, True], ids=["ours", "library"], autouse=True)
def offers_http2(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promise holds for both wires."""
    monkeypatch.setitem(OFFERS, "http2", request.param)


OFFERS: dict[str, object] = {}


@asynccontextmanager
async def client(seconds: float = 20, **options: object) -> AsyncIterator[Client]:
    made = Client(Options(timeout=timedelta(seconds=seconds), **{**OFFERS, **options}))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def ask(made: Client, url: str, body: bytes = SECRET.encode()) -> Reply:
    return await made.post(url, body, {"content-type": "text/plain", "authorization": f"Bearer {SECRET}"})


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """Nothing is written, for this reason."""
    with pytest.raises(NotWritten) as caught:
        yield
    assert caught.value.reason == reason


async def failure(behaviour: Behaviour, **options: object) -> Unanswered:
    """Where nobody answers, after a short time-out; on a busy machine it may end before the request was written."""
    waits = (0.2, 2, 20) if behaviour in SILENT else (20,)
    for seconds in waits:
        async with Server(behaviour) as server, client(seconds, **options) as made:
            with pytest.raises(Unanswered) as caught:
                await ask(made, server.url)
            if server.requests and isinstance(caught.value, NoAnswer):
                break
    assert len(server.requests) == 1, "asked once"
    return caught.value


async def test_a_reply_is_a_value() -> None:
    async with Server(OK) as server, client() as made:
        reply = await ask(made, server.url)
        await ask(made, server.url)
    assert (reply.status, reply.body, reply.headers["x-request-id"]) == (200, b"ok", "7")
    line, headers, body = server.requests[0]
    assert line == f"POST /messages?token={SECRET} HTTP/1.1\r\n"
    assert body == SECRET.encode()
    assert headers["host"] == f"localhost:{server.port}"
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert "accept-encoding" not in headers
    assert server.connections == 1, "connections are kept"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (reset, BROKEN),
        (says(b"", then_closes=True), BROKEN),
        (says(b"HTTP/1.1 200 OK\r\ncontent-le", then_closes=True), BROKEN),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", then_closes=True), BROKEN),
        (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", then_closes=True), BROKEN),
        (says(b"220 mail.example ESMTP\r\n\r\n"), "unreadable_answer"),
        (endless, "answer_too_large"),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000), "answer_too_large"),
        (endless_headers, "unreadable_answer"),
    ],
)
async def test_what_broke_after_the_write_is_in_doubt(behaviour: Behaviour, reason: str) -> None:
    found = await failure(behaviour)
    assert isinstance(found, NoAnswer)
    assert found.reason == reason
    assert unanswered(found).status is Status.ambiguous


@pytest.mark.parametrize("behaviour", [silence, half])
async def test_silence_is_in_doubt(behaviour: Behaviour) -> None:
    found = await failure(behaviour)
    assert (type(found), found.reason) == (NoAnswer, "timed_out_after_write")


async def test_a_reset_while_the_body_is_written_is_in_doubt() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reset(reader, writer)

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with client() as made:
        with pytest.raises(NoAnswer):
            await ask(made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", b"x" * 20_000_000)
    server.close()


async def test_a_kept_connection_that_breaks_is_in_doubt_and_not_asked_again() -> None:
    """Whether the request was read can not be known, so it must not be written to another connection."""
    replies = iter([OK, reset])

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(replies)(reader, writer)

    async with Server(once) as server, client() as made:
        await ask(made, server.url)
        with pytest.raises(NoAnswer):
            await ask(made, server.url)
    assert len(server.requests) == 2


async def test_nobody_there_is_not_in_doubt() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        async with client() as made:
            for url in (f"http://127.0.0.1:{nobody.getsockname()[1]}/", "http://nobody.invalid/"):
                with refused("unreachable"):
                    await ask(made, url)


async def test_a_connection_that_is_not_made_in_time_is_not_in_doubt() -> None:
    """The server's queue is full, so that it takes no more connections."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        async with client(seconds=0.4) as made:
            with refused("unreachable"):
                await ask(made, f"http://127.0.0.1:{full.getsockname()[1]}/")
        for each in waiting:
            each.close()


@pytest.mark.parametrize("url", ["messages", "ftp://localhost/", "http://"])
async def test_what_can_not_be_asked_is_not_in_doubt(url: str) -> None:
    async with client() as made:
        with refused("not_a_request"):
            await ask(made, url)
        with refused("not_a_request"):
            await made.post("http://localhost/", b"", {"x": "two\nlines"})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_replies(status: int) -> None:
    answer = f"HTTP/1.1 {status} Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with Server(says(answer.encode())) as server, client() as made:
        assert (await ask(made, server.url)).status == status
    assert len(server.requests) == 1
    assert meaning(status) == (Status.config, "redirected")


async def test_no_proxy_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    async with Server(OK) as server, client() as made:
        assert (await ask(made, server.url)).status == 200


async def test_no_cookie_is_kept() -> None:
    answer = says(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")
    async with Server(answer) as server, client() as made:
        await ask(made, server.url)
        await ask(made, server.url)
    assert all("cookie" not in headers for _, headers, _ in server.requests)


async def test_requests_wait_their_turn_and_are_not_written_too_late() -> None:
    async with Server(silence) as server, client(connections=1) as made:
        first = asyncio.create_task(ask(made, server.url))
        await server.asked.wait()
        now = asyncio.get_running_loop().time()
        with refused("no_free_connection"):
            await made.post(server.url, b"", {}, deadline=now + 0.05)
        first.cancel()
        with refused("no_free_connection"):
            await made.post(server.url, b"", {}, deadline=now - 1)
        await asyncio.gather(first, return_exceptions=True)
    assert len(server.requests) == 1


async def test_a_deadline_that_passed_while_the_loops_clock_stood_still_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a process that was stopped in the middle of a turn of the loop."""
    async with Server(silence) as server, client() as made:
        with monkeypatch.context() as stopped:
            stopped.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() - 3600)
            with refused("no_free_connection"):
                await made.post(server.url, b"", {}, deadline=time.monotonic() - 0.001)
    assert server.requests == []


async def test_nothing_is_written_where_the_deadline_passed_with_the_connection_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a process that was stopped then: the connection is there before any timer is looked at."""
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def late(*arguments: Any, **options: Any) -> Any:
        made = await connect(*arguments, **options)
        time.sleep(max(0.0, deadline - time.monotonic()))  # noqa: ASYNC251 - the process stands still
        return made

    async with Server(silence) as server, client(http2=False) as made:
        with monkeypatch.context() as stopped:
            stopped.setattr(loop, "create_connection", late)
            deadline = time.monotonic() + 0.5
            with refused("unreachable"):
                await made.post(server.url, b"", {}, deadline=deadline)
        assert server.requests == []


async def test_a_place_is_free_again_after_trouble() -> None:
    async with Server(reset) as server, client(connections=1) as made:
        for _ in range(3):
            with pytest.raises(NoAnswer):
                await ask(made, server.url)


async def test_closing_leaves_in_doubt_what_is_in_the_air() -> None:
    async with Server(silence) as server, client() as made:
        waiting = asyncio.create_task(ask(made, server.url))
        await server.asked.wait()
        await made.close()
        with pytest.raises(NoAnswer):
            await waiting
        with refused("client_closed"):
            await ask(made, server.url)


def _tls(ca: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    return context


async def test_certificates_are_checked(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with Server(OK, _tls(ca, "http/1.1")) as server:
        async with client(http2=False) as made:
            with refused("untrusted_certificate"):
                await ask(made, server.url)
        async with client(http2=False, ca_file=tmp_path / "ca.pem") as made:
            assert (await ask(made, server.url)).status == 200
            with refused("untrusted_certificate"):
                await ask(made, server.url.replace("localhost", "127.0.0.1"))
    assert len(server.requests) == 1


async def test_http2_certificates_are_checked(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with http2_server(ca, fine) as (url, counts):
        async with client(http2=True) as made:
            with refused("untrusted_certificate"):
                await ask(made, url)
        async with client(http2=True, ca_file=tmp_path / "ca.pem") as made:
            assert (await ask(made, url)).status == 200
            with refused("untrusted_certificate"):
                await ask(made, url.replace("localhost", "127.0.0.1"))
    assert sum(counts) == 1


async def test_a_server_that_speaks_no_tls_never_saw_the_request() -> None:
    async with Server(OK) as server, client(seconds=0.4) as made:
        with pytest.raises(NotWritten):
            await ask(made, server.url.replace("http:", "https:"))


# HTTP/2 (RFC 9113), as much as one POST needs: frames are length, type, flags, stream.

_DATA, _HEADERS, _RESET, _SETTINGS, _END_STREAM, _END_HEADERS = 0, 1, 3, 4, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


async def http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Callable[[int], bytes]) -> int:
    """Answer each request of a connection; returns how many there were."""
    await reader.readexactly(24)
    writer.write(frame(_SETTINGS, 0, 0))
    count = 0
    try:
        while True:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == _SETTINGS and not head[4]:
                writer.write(frame(_SETTINGS, 1, 0))
            if head[3] in (_DATA, _HEADERS) and head[4] & _END_STREAM:
                count += 1
                writer.write(answer(int.from_bytes(head[5:])))
                await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        return count
    finally:
        writer.transport.abort()


def fine(stream: int) -> bytes:
    status_200 = b"\x88"  # RFC 7541, appendix A
    return frame(_HEADERS, _END_HEADERS, stream, status_200) + frame(_DATA, _END_STREAM, stream, b"ok")


@asynccontextmanager
async def http2_server(ca: trustme.CA, answer: Callable[[int], bytes]) -> AsyncIterator[tuple[str, list[int]]]:
    counts: list[int] = []
    tasks: set[asyncio.Task[int]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(http2(reader, writer, answer))
        task.add_done_callback(lambda done: counts.append(done.result()))
        tasks.add(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=_tls(ca, "h2"))
    try:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/?token={SECRET}", counts
    finally:
        server.close()
        await asyncio.gather(*tasks)


async def test_http2_where_it_is_offered(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with http2_server(ca, fine) as (url, counts):
        async with client(ca_file=tmp_path / "ca.pem", http2=True) as made:
            replies = await asyncio.gather(*(ask(made, url) for _ in range(20)))
        assert [(reply.status, reply.body) for reply in replies] == [(200, b"ok")] * 20
    assert sum(counts) == 20


@pytest.mark.parametrize("error", [0, 2, 8])  # none, internal error, cancel
async def test_http2_a_stream_that_is_reset_is_in_doubt_and_not_asked_again(tmp_path: Path, error: int) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with (
        http2_server(ca, lambda stream: frame(_RESET, 0, stream, error.to_bytes(4))) as (url, counts),
        client(ca_file=tmp_path / "ca.pem", http2=True) as made,
    ):
        with pytest.raises(NoAnswer):
            await ask(made, url)
        await made.close()
    assert sum(counts) == 1


@pytest.mark.parametrize("behaviour", [reset, endless, silence, half])
async def test_no_trouble_tells_what_was_asked(behaviour: Behaviour, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    found = await failure(behaviour)
    told = "".join(traceback.format_exception(found)) + repr(found) + repr(found.__context__) + caplog.text
    assert SECRET not in told
    assert SECRET not in repr(Reply(400, {"x": SECRET}, SECRET.encode()))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("0", 0),
        ("Sun, 22 Nov 2026 10:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 10:00:30 -0000", 30),
        ("Sun, 22 Nov 2026 09:00:00 GMT", 0),
        ("999999999", 86400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("٣", None),
        ("9" * 400, None),
        ("Sun, 99 Nov 2026 10:00:30 GMT", None),
        ("Sun, 22 Nov 99999999999999999999 10:00:30 GMT", None),
    ],
)
def test_how_long_to_wait(text: str, seconds: float | None) -> None:
    now = datetime(2026, 11, 22, 10, tzinfo=UTC)
    wanted = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after({"retry-after": text}, now) == wanted


def test_what_a_status_means() -> None:
    assert meaning(202) == (Status.accepted, "")
    assert meaning(401) == (Status.config, "authentication_failed")
    assert meaning(429)[0] is Status.throttled
    assert meaning(422) == (Status.rejected_content, "refused")
    assert meaning(422, {422: (Status.rejected_recipient, "bad_address")}) == (Status.rejected_recipient, "bad_address")
    assert meaning(502)[0] is meaning(504)[0] is meaning(599)[0] is Status.ambiguous
    assert 502 not in STATUSES
    assert unanswered(NotWritten("unreachable")).status is Status.transient
    assert unanswered(NotWritten("untrusted_certificate")).status is Status.config
