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


def test_the_longest_body() -> None:
    assert isinstance(build_sms("+61412345678", "é" * MAX_CHARACTERS, ""), Sms)
