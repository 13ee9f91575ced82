"""What is written is read back equal by a parser of another code base (mailparse, in Rust), in every encoding."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fast_mail_parser import parse_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connect.channels.message import Attachment, Email, Mailbox
from connect.channels.mime import encode

steady = settings(max_examples=80, deadline=None)
EMAIL = Email(
    sender=Mailbox("hello@acme.example", "Acme"),
    to=(Mailbox("jo@acme.example"),),
    subject="Hello",
    message_id="c1.run.key@acme.example",
    text="Hello\n",
)

one_line = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200).map(
    lambda text: " ".join(text.split())
)
letters = st.text(st.sampled_from("abc é日👋\n=. \t")) | st.text(st.sampled_from("абв\nгде日本"), max_size=3000)
bodies = letters | st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
emails = st.builds(
    replace,
    st.just(EMAIL),
    subject=one_line,
    sender=one_line.map(lambda name: Mailbox("hello@acme.example", name)),
    headers=one_line.map(lambda value: (("X-Any", value),)),
    text=bodies,
    html=st.none() | bodies,
    attachments=st.lists(
        st.builds(Attachment, one_line.filter(bool), st.just("application/pdf"), st.binary()), max_size=2
    ).map(tuple),
)


def lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@steady
@given(emails, st.booleans())
@example(replace(EMAIL, text="é" * 1500 + "\n.\n..\n"), True)
@example(replace(EMAIL, text="日本語\n" * 300, html="<p>=3D &amp; é"), False)
def test_another_parser_reads_the_same(email: Email, eight_bit: bool) -> None:
    read = parse_email(encode(email, eight_bit=eight_bit))

    assert read.subject == email.subject
    assert read.headers.get("X-Any", []) == [value for _, value in email.headers]
    assert [lines(text) for text in read.text_plain] == [lines(email.text or "")]
    assert [lines(text) for text in read.text_html] == ([] if email.html is None else [lines(email.html)])
    assert [bytes(file.content) for file in read.attachments] == [file.content for file in email.attachments]


@pytest.mark.parametrize(
    ("text", "eight_bit", "encoding"),
    [
        ("plain\n", False, b"7bit"),
        ("plain\n", True, b"7bit"),
        ("Zoë\n", True, b"8bit"),
        ("Zoë writes mostly ASCII\n" * 40, False, b"quoted-printable"),
        ("日本語\n" * 40, False, b"base64"),
        ("日本語\n" * 40, True, b"8bit"),
        ("日" * 400, True, b"base64"),
        ("nul \0", True, b"quoted-printable"),
    ],
)
def test_each_encoding(text: str, eight_bit: bool, encoding: bytes) -> None:
    data = encode(replace(EMAIL, text=text), eight_bit=eight_bit)

    assert b"Content-Transfer-Encoding: " + encoding in data
    assert [lines(read) for read in parse_email(data).text_plain] == [text]
