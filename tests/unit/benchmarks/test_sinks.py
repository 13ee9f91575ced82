"""The receivers of the benchmark count what arrives, however it is cut into packets."""

from __future__ import annotations

import json
import urllib.request
from smtplib import SMTP

import pytest

from benchmarks import sinking
from benchmarks.sink import Manners, Sink

SPOKEN = (
    b"EHLO client.example\r\n"
    b"MAIL FROM:<a@mail.example>\r\nRCPT TO:<b@mail.example>\r\nDATA\r\nSubject: one\r\n\r\n..\r\n.x\r\n.\r\n"
    b"MAIL FROM:<a@mail.example>\r\nRCPT TO:<b@mail.example>\r\nDATA\r\n.\r\n"
    b"QUIT\r\n"
)
REPLIES = [b"220", b"250", b"250", b"250", b"354", b"250", b"250", b"250", b"354", b"250", b"221"]


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def counted_from_nothing() -> None:
    sinking.Counting.messages = sinking.Counting.bytes = 0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_smtp_in_pieces(size: int) -> None:
    sinking.Smtp.replies = sinking.smtp_replies(Manners("smtp", pipelining=False, eight_bit=False))
    server, transport = sinking.Smtp(), Transport()
    server.connection_made(transport)  # type: ignore[arg-type]
    for at in range(0, len(SPOKEN), size):
        server.data_received(SPOKEN[at : at + size])
    assert [line[:3] for line in transport.written.splitlines() if line[3:4] == b" "] == REPLIES
    assert (sinking.Counting.messages, sinking.Counting.bytes) == (2, len(SPOKEN))


@pytest.mark.parametrize("size", [1, 2, 3, 50, 1000])
def test_http_in_pieces(size: int) -> None:
    body = json.dumps({"messages": [{"key": "1"}, {"key": "2"}]}).encode()
    spoken = b"POST /messages HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    server, transport = sinking.Http(), Transport()
    server.connection_made(transport)  # type: ignore[arg-type]
    for at in range(0, 2 * len(spoken), size):
        server.data_received((spoken * 2)[at : at + size])
    assert transport.written.count(b"HTTP/1.1 200 OK") == 2
    assert sinking.Counting.messages == 4


@pytest.mark.parametrize("eight_bit", [True, False])
def test_smtp_in_a_process_of_its_own(eight_bit: bool) -> None:
    with Sink("smtp", eight_bit=eight_bit) as sink:
        with SMTP("127.0.0.1", sink.port) as client:
            client.sendmail("a@mail.example", ["b@mail.example"], "Subject: one\n\nHello")
            assert client.has_extn("8bitmime") is eight_bit
            assert client.has_extn("pipelining")
        assert sink.received().messages == 1
        assert sink.received().messages == 0


def test_ses_in_a_process_of_its_own() -> None:
    with Sink("http") as sink:
        body = json.dumps({"BulkEmailEntries": [{}, {}, {}]}).encode()
        url = f"http://127.0.0.1:{sink.port}/v2/email/outbound-bulk-emails"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
            assert len(json.load(answer)["BulkEmailEntryResults"]) == 3
        assert sink.received().messages == 3
