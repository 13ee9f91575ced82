"""Large bodies are read a few at a time, and those of one client are in nobody else's way."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from connect.server import webhooks
from connect.server.webhooks import Webhooks
from connect.testing.serving import Served, served

CONNECT = """
name: shop
secret: ${CONNECT_SECRET}
sources: {shop: {url: "duckdb:///shop.duckdb"}}
providers: {post: {type: resend, api_key: "${CONNECT_SECRET}"}}
"""
KIB = 1 << 10
SMALL, ROOM_OF_ONE, ROOM = 4 * KIB, 64 * KIB, 96 * KIB
ONE, TWO, THREE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
READ = (403, "webhook-not-configured")
"""What becomes of a body that was read: this account can prove none."""


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Webhooks]]:
    folder = tmp_path_factory.mktemp("large")
    (folder / "connect.yml").write_text(CONNECT)
    made: list[Webhooks] = []
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("CONNECT_SECRET", "a secret of this test")
        for name, size in (("SMALL", SMALL), ("ROOM_OF_ONE", ROOM_OF_ONE), ("ROOM", ROOM)):
            patch.setattr(webhooks, name, size)
        server = stack.enter_context(served(folder, make_parts=lambda site: [made.append(it := Webhooks(site)) or it]))  # type: ignore[func-returns-value]
        yield server, made[0]


class Sender:
    """One request, from an address of its own, sent in parts."""

    def __init__(self, server: Served, address: str, size: int) -> None:
        self._connection = http.client.HTTPConnection(
            server.url.removeprefix("http://"), timeout=60, source_address=(address, 0)
        )
        self._left = size
        self._connection.putrequest("POST", "/webhooks/post")
        self._connection.putheader("Content-Length", str(size))
        self._connection.endheaders()

    def send(self, size: int) -> None:
        self._connection.send(b"x" * size)
        self._left -= size

    def answer(self) -> tuple[int, str, str | None]:
        if self._left:
            self.send(self._left)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())["code"], answer.getheader("retry-after")

    def close(self) -> None:
        self._connection.close()


def sent(server: Served, address: str, size: int) -> tuple[int, str]:
    with closing(Sender(server, address, size)) as sender:
        return sender.answer()[:2]


def reads(posted: Webhooks, address: str, size: int) -> None:
    """Wait until so much of what this client sends is in memory."""
    while posted._reading[address] < size:
        time.sleep(0.005)


def test_large_bodies_of_one_client_shut_out_nothing_but_its_own(listening: tuple[Served, Webhooks]) -> None:
    server, posted = listening
    with closing(Sender(server, ONE, 60 * KIB)) as slow:
        slow.send(56 * KIB)
        reads(posted, ONE, 56 * KIB)
        with closing(Sender(server, ONE, 20 * KIB)) as more:
            assert more.answer() == (503, "too-busy", "5")
        assert sent(server, ONE, 3 * KIB) == READ  # small ones are always read
        assert sent(server, TWO, 20 * KIB) == READ
        with closing(Sender(server, TWO, 40 * KIB)) as other:
            other.send(36 * KIB)
            reads(posted, TWO, 36 * KIB)
            with closing(Sender(server, THREE, 20 * KIB)) as more:  # all rooms together
                assert more.answer() == (503, "too-busy", "5")
            assert sent(server, THREE, 3 * KIB) == READ
            assert other.answer()[:2] == READ
        assert slow.answer()[:2] == READ
    assert sent(server, ONE, 60 * KIB) == sent(server, THREE, 60 * KIB) == READ
    assert not posted._reading  # who reads nothing is forgotten


def test_who_hangs_up_leaves_room(listening: tuple[Served, Webhooks]) -> None:
    server, posted = listening
    with closing(Sender(server, ONE, 60 * KIB)) as slow:
        slow.send(56 * KIB)
        reads(posted, ONE, 56 * KIB)
    while posted._reading:
        time.sleep(0.005)
    assert sent(server, ONE, 60 * KIB) == READ
