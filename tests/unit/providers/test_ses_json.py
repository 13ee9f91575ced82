"""Requests that are written piece by piece are the JSON that the standard library would read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from connect.providers.ses_json import array, inside, string, strings

TEXTS = st.text() | st.text('ab"\\\n\r\t\x00\x1f\x7fé🎉\u2028{}</')


@given(TEXTS)
def test_a_string(text: str) -> None:
    for either in (text, text + "long " * 50):
        assert json.loads(string(either)) == either


@given(TEXTS, TEXTS)
def test_an_object_inside_a_string(subject: str, html: str) -> None:
    parts = {"subject": subject, "html": html}
    assert json.loads(json.loads(b"".join(inside((*part, None) for part in parts.items())))) == parts


@given(TEXTS)
def test_a_text_that_is_at_hand_in_utf_8_is_written_the_same(text: str) -> None:
    for either in (text, text + "long " * 50):
        assert string(either, either.encode()) == string(either)
        assert inside([("html", either, either.encode())]) == inside([("html", either, None)])


@given(st.lists(st.lists(TEXTS)))
def test_arrays(lists: list[list[str]]) -> None:
    assert json.loads(array(map(strings, lists))) == lists


def test_half_a_surrogate_pair_does_not_stop_a_message() -> None:
    for text, wanted in (("a\ud800b", "a?b"), ("\x01\ud800", "\x01?")):
        assert json.loads(string(text)) == wanted
        assert json.loads(json.loads(b"".join(inside([("text", text, None)])))) == {"text": wanted}
