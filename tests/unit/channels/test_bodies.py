"""Transfer encodings: what is quick gives what the standard library gives."""

from __future__ import annotations

import base64
import binascii
import quopri

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connect.channels.bodies import base64_lines, crlf, quoted_printable, transfer

steady = settings(max_examples=150, deadline=None)
texts = st.text(st.sampled_from("ab =.\t\né日\x00\x0c"), max_size=400) | st.text(
    st.characters(exclude_categories=("Cs",))
)


@steady
@given(texts)
@example("a" * 997 + "é=" * 40 + " \n.\n\t")
def test_quoted_printable_by_lines_is_that_of_the_whole(text: str) -> None:
    data = text.replace("\r", "").encode()

    assert quoted_printable(data) == crlf(binascii.b2a_qp(data, istext=True))


@steady
@given(st.binary(max_size=300), st.integers(0, 400))
@example(b"x" * 57, 1024)
@example(b"x" * 57, 1025)
@example(b"xyz", 30_000)
def test_base64_is_that_of_the_standard_library(data: bytes, times: int) -> None:
    assert base64_lines(data * times) == crlf(base64.encodebytes(data * times))


@steady
@given(texts, st.booleans())
@example("a" * 998 + "\n" + "b" * 998, False)
@example("a" * 998 + "\n" + "é" * 499 + "\n" + "b" * 999, True)
@example("é" * 499 + "\nx", True)
@example("é" * 500 + "\nx", True)
def test_the_lines_are_those_that_the_encoding_promises(text: str, eight_bit: bool) -> None:
    text = text.replace("\r", "")
    encoding, body = transfer(text, text.encode(), eight_bit)
    decoded = {"quoted-printable": quopri.decodestring, "base64": base64.b64decode}.get(encoding, bytes)(body)

    assert decoded.replace(b"\r\n", b"\n") == text.encode()
    assert max(map(len, body.split(b"\r\n"))) <= (998 if encoding in ("7bit", "8bit") else 76)
    assert encoding == "8bit" or body.isascii()
    assert eight_bit or encoding != "8bit"
    if encoding != "8bit" and not eight_bit:
        assert not body.translate(None, bytes([9, 10, 13, *range(32, 127)]))


@pytest.mark.parametrize("share", range(0, 101, 5))
@pytest.mark.parametrize("letter", ["é", "日", "👋", "="])
def test_the_smaller_encoding_is_chosen(letter: str, share: int) -> None:
    text = ("x" * (100 - share) + letter * share + "\n") * 40 + "é" + "\0"
    data = text.encode()
    sizes = {"quoted-printable": len(quoted_printable(data)), "base64": len(base64_lines(crlf(data)))}

    encoding, body = transfer(text, data)

    assert len(body) == sizes[encoding] <= min(sizes.values()) * 1.1
