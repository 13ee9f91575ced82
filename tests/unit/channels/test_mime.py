"""The bytes of an e-mail, read back with the standard library's parser."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import format_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connect.channels.message import Attachment, Email, Mailbox
from connect.channels.mime import encode

steady = settings(max_examples=40, deadline=None)
PLAIN = Email(
    sender=Mailbox("hello@acme.example", "Acme"),
    to=(Mailbox("jo@acme.example"),),
    subject="Hello",
    message_id="c1.run.key@acme.example",
    text="Hello\n",
)


def parsed(email: Email) -> EmailMessage:
    message = message_from_bytes(encode(email), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not [part.defects for part in message.walk() if part.defects]
    return message


def content(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    assert isinstance(part, EmailMessage)
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


any_text = st.text(st.characters(exclude_categories=("Cs",)))
one_line_characters = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
one_line = st.text(one_line_characters, max_size=300).map(str.strip)
# The parser takes a run of spaces in a name for one.
names = one_line.map(lambda text: " ".join(text.split()))
long_ascii = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=2500)
emails = st.builds(
    replace,
    st.just(PLAIN),
    sender=names.map(lambda name: Mailbox("hello@acme.example", name)),
    to=names.map(lambda name: (Mailbox("jo@acme.example", name),)),
    cc=st.lists(names.map(lambda name: Mailbox("cc@acme.example", name)), max_size=3).map(tuple),
    subject=one_line | long_ascii.map(str.strip),
    headers=(one_line | long_ascii).map(lambda value: (("X-Any", value),)),
    text=any_text | long_ascii,
    html=st.none() | any_text,
    attachments=st.lists(
        st.builds(Attachment, one_line.filter(bool), st.sampled_from(["application/pdf", "text/csv"]), st.binary()),
        max_size=2,
    ).map(tuple),
)


@steady
@given(emails)
@example(replace(PLAIN, subject="a" * 3000))
@example(replace(PLAIN, subject="  two  spaces  "))
@example(replace(PLAIN, subject="=?utf-8?q?looks_encoded?="))
@example(replace(PLAIN, subject="Grüße 👩‍👩‍👧‍👦 " * 40))
@example(replace(PLAIN, text="From here\n.\n..\n-- \nend"))
@example(replace(PLAIN, text="é" * 2000 + " \t\n \n=\n"))
@example(replace(PLAIN, text="a" * 998 + "\n" + "b" * 999))
def test_lines_are_crlf_and_within_998(email: Email) -> None:
    data = encode(email)

    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data)
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert data.isascii()


@steady
@given(emails)
@example(replace(PLAIN, text="é" * 600 + "\n.\n..\n"))
@example(replace(PLAIN, text="\x01\x0b\x0c\x1c\x85\u2028 \r x \x7f\r\n", html="日本語"))
def test_what_goes_as_8bit_is_read_back_equal(email: Email) -> None:
    data = encode(email, eight_bit=True)
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)

    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", data)
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert content(message, "plain") == (email.text or "").replace("\r\n", "\n").replace("\r", "\n")
    if email.html is not None:
        assert content(message, "html") == email.html.replace("\r\n", "\n").replace("\r", "\n")


@steady
@given(emails)
@example(replace(PLAIN, subject="  two  spaces  "))
@example(replace(PLAIN, subject="a" * 3000))
@example(replace(PLAIN, subject="=?utf-8?q?looks_encoded?="))
@example(replace(PLAIN, subject="Grüße 👩‍👩‍👧‍👦 " * 40))
@example(replace(PLAIN, text="é" * 2000 + " \t\n \n=\n"))
@example(replace(PLAIN, text="\x00\x0b\x0c\x1c\x85\u2028 \r x \r\n"))
def test_what_is_written_is_read_back_equal(email: Email) -> None:
    message = parsed(email)

    assert message["Subject"] == email.subject
    assert message["X-Any"] == dict(email.headers).get("X-Any")
    assert content(message, "plain") == (email.text or "").replace("\r\n", "\n").replace("\r", "\n")
    if email.html is not None:
        assert content(message, "html") == email.html.replace("\r\n", "\n").replace("\r", "\n")
    found = [(part.get_filename(), part.get_payload(decode=True)) for part in message.iter_attachments()]
    assert found == [(attachment.filename, attachment.content) for attachment in email.attachments]


@steady
@given(st.lists(names.map(lambda name: name[:10].strip()), min_size=1, max_size=9))
@example(["", "Acme, Inc.", 'Jo "J" \\ <x@y.example>', "Dr. O'Neil (Sydney)", "=?utf-8?q?x?=", "Zoë", "a b"])
def test_names_and_addresses_are_read_back_equal(shown: list[str]) -> None:
    boxes = tuple(Mailbox(f"p{n}@acme.example", name) for n, name in enumerate(shown))
    message = parsed(replace(PLAIN, to=boxes))

    read = [Mailbox(address.addr_spec, address.display_name) for address in message["To"].addresses]

    assert read == list(boxes)


@steady
@given(st.text(one_line_characters, min_size=1, max_size=200).map(lambda text: "é" + text + "é"))
def test_a_long_name_is_read_back_equal(name: str) -> None:
    # With the older decoder: the newer one keeps the space between two encoded words of a name (RFC 2047 6.2 drops it).
    message = message_from_bytes(encode(replace(PLAIN, to=(Mailbox("jo@acme.example", name),))))

    assert str(make_header(decode_header(message["To"]))) == f"{name} <jo@acme.example>"


@steady
@given(emails)
def test_the_same_e_mail_gives_the_same_bytes(email: Email) -> None:
    assert encode(email) == encode(replace(email))


def test_text_and_html_are_alternatives_the_richest_last() -> None:
    message = parsed(replace(PLAIN, html="<p>Hello"))

    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_attachments_stand_beside_the_alternatives() -> None:
    pdf = Attachment("Résumé, final.pdf", "application/pdf", bytes(range(256)) * 20)
    eml = Attachment("old.eml", "message/rfc822", b"Subject: x\r\n\r\n")
    message = parsed(replace(PLAIN, html="<p>Hello", attachments=(pdf, eml)))

    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["multipart/alternative", "application/pdf", "application/octet-stream"]
    assert [part.get_content_disposition() for part in message.iter_attachments()] == ["attachment", "attachment"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain words\n", "7bit"),
        ("a" * 999, "quoted-printable"),
        ("Zoë writes mostly ASCII", "quoted-printable"),
        ("日本語の本文です" * 20, "base64"),
        ("\x0c", "quoted-printable"),
    ],
)
def test_the_smallest_encoding_that_any_server_passes_on(text: str, encoding: str) -> None:
    assert parsed(replace(PLAIN, text=text))["Content-Transfer-Encoding"] == encoding


def test_blind_copies_are_nowhere_in_the_message() -> None:
    data = encode(replace(PLAIN, bcc=(Mailbox("secret@acme.example", "Secret"),), cc=(Mailbox("cc@acme.example"),)))

    assert b"secret" not in data.lower()
    assert b"bcc" not in data.lower()
    assert b"Cc: cc@acme.example\r\n" in data


def test_fields_are_written_once_each() -> None:
    message = parsed(replace(PLAIN, reply_to=(Mailbox("help@acme.example"),)))

    assert message.keys() == [
        *("From", "To", "Reply-To", "Subject", "Message-ID", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding"),
    ]
    assert message["Message-ID"] == "<c1.run.key@acme.example>"


def test_a_date_only_where_the_caller_gives_one() -> None:
    # A delivery that is rendered again must be the same bytes: a date of our own would differ.
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=11)))

    assert b"Date:" not in encode(PLAIN)
    assert b"\r\nDate: Sun, 01 Mar 2026 12:00:00 +1100\r\n" in encode(PLAIN, date=noon)
    assert b"\r\nDate: Sun, 01 Mar 2026 01:00:00 +0000\r\n" in encode(PLAIN, date=noon.astimezone(UTC))


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-3, minutes=-30)), None])
def test_a_date_is_to_the_second(zone: timezone | None) -> None:
    for second in (0, 59):
        moment = datetime(2028, 2, 29, 23, 7, second, 999_999, tzinfo=zone)

        assert f"\r\nDate: {format_datetime(moment)}\r\n".encode() in encode(PLAIN, date=moment)


def test_a_boundary_is_never_in_the_content() -> None:
    first = parsed(replace(PLAIN, html="<p>Hello")).get_boundary()
    assert first is not None

    message = parsed(replace(PLAIN, text=f"--{first}\n--{first}--\n", html="<p>Hello"))

    assert message.get_boundary() != first
    assert content(message, "plain") == f"--{first}\n--{first}--\n"


def test_an_address_outside_ascii_stands_as_it_is() -> None:
    data = encode(replace(PLAIN, to=(Mailbox("josé@acme.example", "José"),)))

    assert "<josé@acme.example>\r\n".encode() in data


def test_a_lone_surrogate_does_not_stop_a_message() -> None:
    assert content(parsed(replace(PLAIN, text="a\ud800b")), "plain") == "a?b"


INJECTIONS = ["x\r\nBcc: evil@acme.example", "x\nBcc: evil@acme.example", "x\rBcc: y", "x\x0by", "x\x85y", "x\u2028y"]


@pytest.mark.parametrize("bad", INJECTIONS)
@pytest.mark.parametrize(
    "with_bad",
    [
        lambda bad: replace(PLAIN, subject=bad),
        lambda bad: replace(PLAIN, sender=Mailbox("hello@acme.example", bad)),
        lambda bad: replace(PLAIN, to=(Mailbox(bad),)),
        lambda bad: replace(PLAIN, message_id=bad),
        lambda bad: replace(PLAIN, headers=(("X-A", bad),)),
        lambda bad: replace(PLAIN, headers=((bad, "x"),)),
        lambda bad: replace(PLAIN, attachments=(Attachment(bad, "text/csv", b""),)),
        lambda bad: replace(PLAIN, attachments=(Attachment("a", bad, b""),)),
    ],
)
def test_the_last_guard_lets_no_header_be_injected(with_bad, bad: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError) as caught:
        encode(with_bad(bad))

    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Bcc", "bcc", "To", "CC", "From", "Sender", "Content-Type", "MIME-Version", "", "A B"]
)
def test_the_last_guard_lets_no_header_take_the_place_of_a_field(name: str) -> None:
    with pytest.raises(ValueError):
        encode(replace(PLAIN, headers=((name, "x@acme.example"),)))
