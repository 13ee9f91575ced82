"""An answer is read the same however it arrives, and one whose end is in doubt is not read at all."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.providers.http_answer import Answer
from connect.providers.http_exchange import NoAnswer, Reply

ANSWERS: dict[str, tuple[bytes, bytes, bool]] = {
    "counted": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello", b"hello", True),
    "empty": (b"HTTP/1.1 202 \r\ncontent-length: 0\r\n\r\n", b"", True),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", b"x", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "closes": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: Close\r\n\r\nok", b"ok", False),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", False),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        b"hello",
        True,
    ),
    "trailers": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n", b"a", True),
    "early hints": (b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"x", True),
}


def read(pieces: Iterable[bytes], largest: int = 1000) -> tuple[Reply | None, Answer]:
    answer, reply = Answer("POST", largest), None
    for piece in pieces:
        assert reply is None, "more than one"
        reply = answer.feed(piece)
    return reply, answer


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(1, 120)))
def test_it_is_the_same_in_any_pieces(name: str, cuts: list[int]) -> None:
    data, body, keeps = ANSWERS[name]
    at = sorted({cut for cut in cuts if cut < len(data)})
    pieces = [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]
    reply, answer = read(pieces)
    assert reply is not None
    assert (reply.body, answer.keeps) == (body, keeps)


@given(st.sampled_from(sorted(ANSWERS)), st.integers(0, 200))
def test_less_than_all_of_it_is_no_answer(name: str, size: int) -> None:
    data = ANSWERS[name][0]
    reply, answer = read([data[: min(size, len(data) - 1)]])
    assert reply is None
    with pytest.raises(NoAnswer, match="connection_lost_after_write"):
        answer.end()


def test_what_comes_after_it_spoils_the_connection() -> None:
    for data, _, keeps in ANSWERS.values():
        reply, answer = read([data + b"HTTP/1.1 200 OK\r\n\r\n"])
        assert reply is not None
        assert not (keeps and answer.keeps)


def test_without_a_length_it_ends_with_the_connection() -> None:
    reply, answer = read([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"])
    assert reply is None
    assert answer.end().body == b"hello"
    assert not answer.keeps


def test_a_field_that_comes_twice_is_a_list() -> None:
    reply, _ = read([b"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b\r\ncontent-length: 0\r\n\r\n"])
    assert reply is not None
    assert reply.headers["vary"] == "a, b"


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nspace : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 5000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 40_000,
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000,
    ],
)
def test_what_leaves_a_doubt_about_its_end_is_unreadable(said: bytes) -> None:
    with pytest.raises(NoAnswer, match="unreadable_answer"):
        read([said])


@pytest.mark.parametrize(
    "said",
    [
        b"content-length: 1001\r\n\r\n",
        b"x: y\r\n\r\n" + b"x" * 1001,
        b"transfer-encoding: chunked\r\n\r\n3e9\r\n",
        b"transfer-encoding: chunked\r\n\r\n" + (b"1f4\r\n" + b"x" * 500 + b"\r\n") * 3,
    ],
)
def test_more_than_is_wanted(said: bytes) -> None:
    with pytest.raises(NoAnswer, match="answer_too_large"):
        read([b"HTTP/1.1 200 OK\r\n" + said])


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]),
)
def test_nothing_but_no_answer_is_ever_raised(noise: bytes, before: bytes) -> None:
    answer = Answer("POST", 1000)
    with suppress(NoAnswer):
        answer.feed(before + noise)
