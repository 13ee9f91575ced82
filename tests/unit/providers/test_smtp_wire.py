"""Bytes become replies, however they arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.providers.smtp_session import Offers
from connect.providers.smtp_wire import NotSmtp, Replies

SAID = (
    b"220 mail.example ESMTP\r\n"
    b"250-mail.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n"
    b"250-AUTH PLAIN LOGIN\r\n250-AUTH=XOAUTH2\r\n250 8BITMIME\r\n"
    b"250 2.1.0 Ok\n354\r\n250 \r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n"
)
MEANT = [
    (220, b"mail.example ESMTP"),
    (250, b"mail.example\nPIPELINING\nSIZE 1000\nAUTH PLAIN LOGIN\nAUTH=XOAUTH2\n8BITMIME"),
    (250, b"2.1.0 Ok"),
    (354, b""),
    (250, b""),
    (550, b"5.1.1 no\n5.1.1 such user"),
]


def test_many_in_one_read() -> None:
    assert list(Replies().feed(SAID)) == MEANT


def test_every_byte_alone() -> None:
    replies = Replies()
    assert [reply for byte in SAID for reply in replies.feed(bytes([byte]))] == MEANT
    assert not replies.pending


@given(st.lists(st.integers(0, len(SAID)), max_size=20))
def test_split_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(SAID)]
    replies = Replies()
    parts = [SAID[start:end] for start, end in pairwise(places)]
    assert [reply for part in parts for reply in replies.feed(part)] == MEANT


@pytest.mark.parametrize(
    "said", [b"what was that\r\n", b"25\r\n", b"2500 ok\r\n", b"+50 ok\r\n", b"\r\n", b"999 no\r\n"]
)
def test_what_is_no_reply_is_noticed(said: bytes) -> None:
    replies = Replies().feed(b"250 fine\r\n" + said)
    assert next(replies) == (250, b"fine"), "what came before still counts"
    with pytest.raises(NotSmtp):
        next(replies)


@pytest.mark.parametrize("said", [b"2" * 1000, b"250-still more of it\r\n" * 50])
def test_what_never_ends_is_not_kept_for_ever(said: bytes) -> None:
    replies = Replies()
    with pytest.raises(NotSmtp):
        [list(replies.feed(said)) for _ in range(1000)]


def test_what_a_server_offers() -> None:
    text = MEANT[1][1].decode()
    offers = Offers(pipelining=True, eight_bit=True, size=1000, auth=frozenset({"PLAIN", "LOGIN", "XOAUTH2"}))
    assert Offers.read(text) == offers
    assert Offers.read("mail.example") == Offers()
    assert Offers.read("PIPELINING\nsize\nsmtputf8\nstarttls") == Offers(size=0, smtputf8=True, starttls=True)
    assert Offers.read("mail.example\n\nSIZE nonsense") == Offers(size=0)
