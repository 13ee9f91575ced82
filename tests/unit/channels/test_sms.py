"""A text message from rendered strings."""

from __future__ import annotations

import pytest

from connect.channels.email import Bad
from connect.channels.message import Sms
from connect.channels.sms import MAX_CHARACTERS, build_sms
from connect.vocabulary import Reason


def test_a_text_message() -> None:
    assert build_sms("+61412345678", " Hello\r\nthere \n", " Acme ") == Sms("+61412345678", "Hello\nthere", "Acme")


@pytest.mark.parametrize(
    ("body", "sender", "bad"),
    [
        ("Hi", "Ac\nme", Bad(Reason.invalid_header, "from")),
        ("é" * (MAX_CHARACTERS + 1), "", Bad(Reason.content_too_large, "body")),
    ],
)
def test_why_there_is_no_text_message(body: str, sender: str, bad: Bad) -> None:
    assert build_sms("+61412345678", body, sender) == bad


@pytest.mark.parametrize(("body", "parts"), [("Hi", 1), ("a" * 161, 2), ("it’s " + "a" * 66, 2)])
def test_its_parts_are_counted(body: str, parts: int) -> None:
    made = build_sms("+61412345678", body, "", parts)
    assert isinstance(made, Sms)
    assert made.segments == parts
    assert build_sms("+61412345678", body, "", parts - 1) == Bad(Reason.too_many_segments, "body")


def test_half_a_character_is_replaced() -> None:
    assert build_sms("+61412345678", "é \ud83c!", "") == Sms("+61412345678", "é \ufffd!")


def test_the_longest_body() -> None:
    assert isinstance(build_sms("+61412345678", "é" * MAX_CHARACTERS, ""), Sms)
