"""The bytes of an e-mail (RFC 5322, MIME): a pure function of the e-mail, its date and what the server takes.

    multipart/mixed ── multipart/alternative ── text/plain
                    │                        └─ text/html
                    └─ attachments …

Levels that hold only one part are left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from connect.channels.bodies import base64_lines, transfer, transfer_octets
from connect.channels.headers import CRLF, address_field, field, parameters_field
from connect.channels.message import Attachment, Email, Folded, Mailbox, Prepared

if TYPE_CHECKING:
    from connect.liquid.wire import WireText

# Fields that are written from the e-mail itself. A second one, smuggled in as a custom header, could add recipients.
STRUCTURE = frozenset(
    {"from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "sender", "return-path"}
)
_NOTHING_KNOWN = Prepared(Folded(), None, None)


def encode(email: Email, *, date: datetime | None = None, eight_bit: bool = False) -> bytes:
    """The whole message; the recipients in `bcc` are not in it.

    All lines end in CRLF and have at most 998 octets; bodies are 8bit where `eight_bit` (the server offers 8BITMIME)
    allows it. A line begins with a dot only where the bytes hold `CRLF.`, never the first one.
    Without `date` (aware) there is no Date header: a delivery that is rendered again must be byte for byte the same,
    so only the caller can know the date; submission servers add a missing one (RFC 6409 8.2).
    Raises ValueError for what `build_email` would have refused.
    """
    prepared = email.prepared or _NOTHING_KNOWN
    return b"".join([_head(email, prepared, date).encode(), *_body(email, prepared, eight_bit)])


_PLAIN_ID = re.compile(r"[A-Za-z0-9._\-]{1,200}@[A-Za-z0-9.\-]{1,255}")


def is_plain_id(message_id: str) -> bool:
    """Whether it, and what stands before its `@`, can stand in a field as it is."""
    return _PLAIN_ID.fullmatch(message_id) is not None


def fold(email: Email, constant: Collection[str], customs: int) -> Folded:
    """What all e-mails of a content share whose `constant` fields (those of `EmailParts`) are as in this one.

    `customs` is how many of its headers are the content's own.
    """
    return Folded(
        sender=_addresses("From", [email.sender]) if "sender" in constant else None,
        cc=_addresses("Cc", email.cc) if "cc" in constant else None,
        reply_to=_addresses("Reply-To", email.reply_to) if "reply_to" in constant else None,
        subject=field("Subject", email.subject) if "subject" in constant else None,
        custom=_customs(email.headers[:customs]) if "headers" in constant else None,
        customs=customs if "headers" in constant else 0,
        attachments=tuple(map(_attachment, email.attachments)) if "attachments" in constant else None,
    )


def _head(email: Email, prepared: Prepared, date: datetime | None) -> str:
    sender, cc, reply_to, subject, custom, customs, _ = prepared.folded
    if custom is None:
        custom = _customs(email.headers)
    else:
        custom += _customs(email.headers[customs:]) if prepared.ours is None else prepared.ours
    fields = (
        _addresses("From", [email.sender]) if sender is None else sender,
        _addresses("To", email.to),
        _addresses("Cc", email.cc) if cc is None else cc,
        _addresses("Reply-To", email.reply_to) if reply_to is None else reply_to,
        field("Subject", email.subject) if subject is None else subject,
        "" if date is None else _date_field(date),
        prepared.message_id or field("Message-ID", f"<{email.message_id}>"),
        custom,
        f"MIME-Version: 1.0{CRLF}",
    )
    return "".join(fields)


def _addresses(name: str, boxes: Sequence[Mailbox]) -> str:
    return address_field(name, boxes) if boxes else ""


def _date_field(date: datetime) -> str:
    # By its parts: to compare datetimes takes five times as long, and equal instants differ in text by their offset.
    return _date_of(date.toordinal(), date.hour, date.minute, date.second, date.utcoffset())


@lru_cache(maxsize=8)  # messages of the same second share it
def _date_of(day: int, hour: int, minute: int, second: int, offset: timedelta | None) -> str:
    zone = None if offset is None else timezone(offset)
    date = datetime.fromordinal(day).replace(hour=hour, minute=minute, second=second, tzinfo=zone)
    return field("Date", format_datetime(date))


def _customs(headers: Iterable[tuple[str, str]]) -> str:
    return "".join([field(_custom(name), value) for name, value in headers])


@lru_cache(maxsize=256)
def _custom(name: str) -> str:
    if name.lower() in STRUCTURE or name.lower().startswith("content-"):
        raise ValueError("a custom header takes the name of a field of the message")
    return name


Part = list[bytes]
"""A part in pieces: its own Content-* headers, a blank line, its content."""


def _body(email: Email, prepared: Prepared, eight_bit: bool) -> Part:
    """The outermost part."""
    texts: list[Part] = []
    bare: list[bytes] = []
    # The richest comes last (RFC 2046 5.1.4).
    for subtype, known, text_of in (("plain", prepared.text_body, _TEXT), ("html", prepared.html_body, _HTML)):
        if known is not None and not isinstance(known, bytes):
            texts.append(_octets(subtype, known, eight_bit, bare))
        elif (text := text_of(email)) is not None:
            texts.append(_text(subtype, text, known, eight_bit, bare))
    if len(texts) == 2:
        readable = _multipart("alternative", texts, bare, email.message_id)
    else:
        readable = texts[0] if texts else _text("plain", "", b"", eight_bit, bare)
    if not email.attachments:
        return readable
    files = prepared.folded.attachments
    if files is None:
        files = tuple(map(_attachment, email.attachments))
    return _multipart("mixed", [readable, *([file] for file in files)], bare, email.message_id)


_TEXT: Callable[[Email], str | None] = attrgetter("text")
_HTML: Callable[[Email], str | None] = attrgetter("html")


def _octets(subtype: str, text: WireText, eight_bit: bool, bare: list[bytes]) -> Part:
    """As `_text`."""
    encoding, body = transfer_octets(text, eight_bit)
    if encoding in _BARE and text.may_hold(_MARK):
        bare.append(body)
    return [_text_head(subtype, encoding), body]


def _text(subtype: str, text: str, data: bytes | None, eight_bit: bool, bare: list[bytes]) -> Part:
    """The part; its body is added to `bare` where it stands as it is."""
    if data is None:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        data = text.encode(errors="replace")
    encoding, body = transfer(text, data, eight_bit)
    if encoding in _BARE:
        bare.append(body)
    return [_text_head(subtype, encoding), body]


_BARE = frozenset({"7bit", "8bit"})


@cache
def _text_head(subtype: str, encoding: str) -> bytes:
    head = f'Content-Type: text/{subtype}; charset="utf-8"{CRLF}Content-Transfer-Encoding: {encoding}{CRLF}{CRLF}'
    return head.encode()


def _attachment(attachment: Attachment) -> bytes:
    head = [
        _attachment_type(attachment),
        f"Content-Transfer-Encoding: base64{CRLF}",
        parameters_field("Content-Disposition", "attachment", [("filename", attachment.filename)]),
        CRLF,
    ]
    return "".join(head).encode() + base64_lines(attachment.content)


CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+\-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+\-]{0,63}", re.IGNORECASE)
# Messages and multiparts may not be base64 (RFC 2046 5.1, 5.2.1), and an attachment always is.
_COMPOSITE = ("message/", "multipart/")


def _attachment_type(attachment: Attachment) -> str:
    kind = attachment.content_type.lower()
    if not CONTENT_TYPE.fullmatch(kind):
        raise ValueError("an attachment's content type is not valid")
    if kind.startswith(_COMPOSITE):
        kind = "application/octet-stream"
    charset = [("charset", "utf-8")] if kind.startswith("text/") and _is_utf8(attachment.content) else []
    return parameters_field("Content-Type", kind, charset)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _multipart(subtype: str, parts: Sequence[Part], bare: Sequence[bytes], message_id: str) -> Part:
    head, opening, closing = _frame(subtype, bare, message_id)
    pieces = [head]
    for part in parts:
        pieces.append(opening)
        pieces += part
        pieces.append(b"\r\n")
    pieces.append(closing)
    return pieces


def _frame(subtype: str, bare: Sequence[bytes], message_id: str) -> tuple[bytes, bytes, bytes]:
    """The lines around parts, with a boundary that no text has.

    Nearly always the same one in all messages; else one that follows from the message, which nobody can foresee.
    """
    boundary, frame = _usual_frame(subtype)
    attempt = 0
    while _is_in(boundary, bare):
        attempt += 1
        boundary, frame = _boundary_and_frame(subtype, f"{message_id}/{subtype}/{attempt}")
    return frame


def _is_in(boundary: bytes, bare: Sequence[bytes]) -> bool:
    for body in bare:  # noqa: SIM110 (`any` takes as long as the search)
        if boundary in body:
            return True
    return False


@cache
def _usual_frame(subtype: str) -> tuple[bytes, tuple[bytes, bytes, bytes]]:
    return _boundary_and_frame(subtype, subtype)


_MARK = "=_"  # can not occur in quoted-printable or base64 (RFC 2045 6.7)
# Capitals, which texts have few of, are found to be absent in half the time of hex digits.
_CAPITALS = str.maketrans("0123456789abcdef", "ABCDEFGHIJKLMNOP")


def _boundary_and_frame(subtype: str, seed: str) -> tuple[bytes, tuple[bytes, bytes, bytes]]:
    boundary = _MARK + hashlib.blake2b(seed.encode(), digest_size=15).hexdigest().translate(_CAPITALS)
    head = parameters_field("Content-Type", f"multipart/{subtype}", [("boundary", boundary)]) + CRLF
    frame = (head.encode(), f"--{boundary}{CRLF}".encode(), f"--{boundary}--{CRLF}".encode())
    return boundary.encode(), frame
