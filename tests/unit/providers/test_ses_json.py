"""Requests that are written piece by piece are the JSON that the standard library would read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from connect.providers.ses_json import inside, string, strings, structure

TEXTS = st.text() | st.text('ab"\\\n\r\t\x00\x1f\x7fé🎉\u2028{}</')


@given(TEXTS)
def test_a_string(text: str) -> None:
    for either in (text, text + "long " * 50):
        assert json.loads(string(either)) == either


@given(TEXTS, TEXTS)
def test_an_object_inside_a_string(subject: str, html: str) -> None:
    parts = {"subject": subject, "html": html}
    assert json.loads(json.loads(inside(parts.items()))) == parts


@given(st.dictionaries(st.sampled_from(["Name", "Value", "To"]), st.lists(TEXTS)))
def test_structures(members: dict[str, list[str]]) -> None:
    assert json.loads(structure({name: strings(texts) for name, texts in members.items()})) == members


def test_half_a_surrogate_pair_does_not_stop_a_message() -> None:
    for text, wanted in (("a\ud800b", "a?b"), ("\x01\ud800", "\x01?")):
        assert json.loads(string(text)) == wanted
        assert json.loads(json.loads(inside([("text", text)]))) == {"text": wanted}
