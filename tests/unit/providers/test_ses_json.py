"""Requests that are written piece by piece are the JSON that the standard library would read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from connect.providers.ses_json import body, encoded, inside, string, strings

TEXTS = st.text() | st.text('ab"\\\n\r\t\x00\x1f\x7fé🎉\u2028{}</')


@given(TEXTS)
def test_a_text_and_what_is_inside_a_string_of_it(text: str) -> None:
    for either in (text, text + "long " * 50):
        assert json.loads(encoded(string(either))) == either
        for data in (None, either.encode()):
            assert json.loads(b'"%b"' % body(either, data)) == either
            assert json.loads(json.loads(b'"\\"%b\\""' % inside(either, data))) == either


@given(st.lists(TEXTS))
def test_strings(texts: list[str]) -> None:
    assert json.loads(encoded(strings(texts))) == texts


def test_half_a_surrogate_pair_does_not_stop_a_message() -> None:
    for text, wanted in (("a\ud800b", "a?b"), ("\x01\ud800", "\x01?")):
        assert json.loads(encoded(string(text))) == wanted
        assert json.loads(b'"%b"' % body(text, None)) == wanted
        assert json.loads(json.loads(b'"\\"%b\\""' % inside(text, None))) == wanted
