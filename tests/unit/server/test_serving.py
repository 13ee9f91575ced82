"""What every request meets: the guard, problems as JSON, an end that is well."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from fastapi import APIRouter, Request

from connect.errors import UserError
from connect.server.connection import Connection
from connect.server.guard import MOST_BYTES, Guard
from connect.server.health import Health
from connect.server.problems import Refused
from connect.server.serving import listening
from connect.server.site import Part, Site
from connect.testing.serving import Served, served

MakeParts = Callable[[Site], Sequence[Part]]
PROJECT = "name: shop\nsecret: ${CONNECT_SECRET}\n"


class Parrot:
    """Says back how much it heard, and remembers that it was told to stop."""

    def __init__(self, site: Site) -> None:
        self.stopped = False
        self.asked = threading.Event()

    def routes(self) -> APIRouter:
        router = APIRouter()

        @router.post("/heard")
        async def heard(request: Request) -> int:
            return len(await request.body())

        @router.get("/refused")
        async def refused() -> None:
            raise Refused(409, "not-now", "it is not the time", "come back")

        @router.get("/who")
        async def who(request: Request) -> str:
            return request.client.host if request.client else ""

        @router.get("/last")
        async def last(request: Request) -> str:
            self.asked.set()
            host, port = request.scope["server"]
            with suppress(ConnectionError):  # refused, or cut off before it was accepted
                while True:  # as long as others are let in
                    _, writer = await asyncio.open_connection(host, port)
                    writer.close()
            return "bye"

        @router.get("/broken")
        async def broken() -> None:
            raise RuntimeError("of ada@example.com")

        return router

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.stopped = True


@pytest.fixture
def parrots() -> list[Parrot]:
    return []


@pytest.fixture
def parts(parrots: list[Parrot]) -> MakeParts:
    def made(site: Site) -> list[Part]:
        parrots.append(Parrot(site))
        return [Health(site), parrots[-1]]

    return made


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: MakeParts) -> Iterator[Served]:
    (tmp_path / "connect.yml").write_text(PROJECT)
    monkeypatch.setenv("CONNECT_SECRET", "a secret of this test")
    with served(tmp_path, make_parts=parts) as made:
        yield made


def ask(server: Served, method: str, path: str, body: bytes = b"", **more: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in more.items()})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_it_lives_and_is_ready(server: Served) -> None:
    assert ask(server, "GET", "/livez")[::2] == (200, b"ok")
    assert ask(server, "GET", "/readyz")[0] == 200


def test_it_is_not_ready_while_the_ledger_can_not_be_asked(server: Served, tmp_path: Path) -> None:
    server.site.ledger.close()  # what is kept open would still be the file that was there
    file = tmp_path / ".connect" / "state.db"
    there = file.read_bytes()
    file.write_bytes(b"what somebody has put here instead" * 99)
    status, _, body = ask(server, "GET", "/readyz")
    assert (status, json.loads(body)["ready"], len(json.loads(body)["because"])) == (503, False, 1)
    assert ask(server, "GET", "/livez")[0] == 200
    file.write_bytes(there)
    assert ask(server, "GET", "/readyz")[0] == 200


def test_it_listens_on_this_machine_alone_unless_it_is_told_otherwise(server: Served) -> None:
    assert server.site.project.serve.listen == "127.0.0.1:8080"


def test_a_proxy_is_believed_where_it_is_trusted(server: Served, tmp_path: Path, parts: MakeParts) -> None:
    forwarded = {"X_Forwarded_For": "203.0.113.9"}
    assert ask(server, "GET", "/who", **forwarded)[2] == b'"127.0.0.1"'
    for trusted, known in (("127.0.0.1", b'"203.0.113.9"'), ("10.0.0.1", b'"127.0.0.1"')):
        (tmp_path / "connect.yml").write_text(f"{PROJECT}serve: {{trusted_proxies: [{trusted}]}}\n")
        with served(tmp_path, make_parts=parts) as behind:
            assert ask(behind, "GET", "/who", **forwarded)[2] == known


def test_a_body_that_does_not_come_to_its_end_is_given_up(
    tmp_path: Path, parts: MakeParts, monkeypatch: pytest.MonkeyPatch, server: Served
) -> None:
    monkeypatch.setattr(Guard.__init__, "__defaults__", (MOST_BYTES, 0.05))
    with served(tmp_path, make_parts=parts) as hasty:
        host, port = hasty.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 30) as client:
            client.sendall(b"POST /heard HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
            assert client.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_who_is_being_answered_when_it_stops_is_answered(
    tmp_path: Path, parts: MakeParts, parrots: list[Parrot], server: Served
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with served(tmp_path, make_parts=parts) as stopping:
            last = pool.submit(ask, stopping, "GET", "/last")
            assert parrots[-1].asked.wait(30)
        assert last.result()[::2] == (200, b'"bye"')


def test_a_body_of_the_largest_size_is_heard(server: Served) -> None:
    assert ask(server, "POST", "/heard", b"x" * MOST_BYTES)[::2] == (200, str(MOST_BYTES).encode())


def test_a_larger_body_is_refused_unread(server: Served) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as client:
        client.sendall(f"POST /heard HTTP/1.1\r\nHost: x\r\nContent-Length: {MOST_BYTES + 1}\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_larger_body_that_does_not_say_so_is_refused(server: Served) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(MOST_BYTES // 65536 + 1):
            yield b"x" * 65536

    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    with suppress(BrokenPipeError, ConnectionResetError):  # it may have heard enough
        connection.request("POST", "/heard", parts(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    with closing(connection), closing(connection.sock):
        assert http.client.HTTPResponse(connection.sock, method="POST").fp.readline().startswith(b"HTTP/1.1 413 ")


def test_problems_are_json_and_quote_nothing(server: Served, capfd: pytest.CaptureFixture[str]) -> None:
    status, headers, body = ask(server, "GET", "/refused")
    assert (status, headers["content-type"]) == (409, "application/problem+json")
    assert b'"code":"not-now"' in body
    status, headers, body = ask(server, "GET", "/broken")
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert b"ada" not in body
    assert "ada" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("path", ["/livez", "/refused", "/nowhere", "/broken"])
def test_every_answer_has_its_security_headers(server: Served, path: str) -> None:
    headers = ask(server, "GET", path)[1]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_parts_are_told_when_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parrots: list[Parrot]) -> None:
    (tmp_path / "connect.yml").write_text(PROJECT)
    monkeypatch.setenv("CONNECT_SECRET", "a secret of this test")
    parrot: list[Parrot] = []

    def parts(site: Site) -> list[Parrot]:
        parrot.append(Parrot(site))
        return parrot

    with served(tmp_path, make_parts=parts):
        assert not parrot[0].stopped
    assert parrot[0].stopped


def test_an_address_that_is_taken_is_a_clear_mistake() -> None:
    with listening("127.0.0.1:0") as taken, pytest.raises(UserError) as mistake:
        listening(f"127.0.0.1:{taken.getsockname()[1]}")
    assert mistake.value.problems[0].code == "can-not-listen"


def test_headers_without_end_are_not_listened_to(server: Served) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        with suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(1000):
                client.sendall(b"X-Long: " + b"x" * 1000 + b"\r\n")
            assert client.recv(4096) == b""
    assert ask(server, "GET", "/livez")[0] == 200


def test_a_connection_that_says_nothing_makes_room_for_others(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "most_open", 3)
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(6)]
        assert ask(server, "GET", "/livez")[0] == 200
        assert silent[0].recv(1) == b""


def test_a_connection_that_does_not_come_to_the_point_is_closed(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "patience", 0.05)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost")
        assert client.recv(1) == b""
