"""The bytes of an e-mail (RFC 5322, MIME): a pure function of the e-mail and its date.

    multipart/mixed ── multipart/alternative ── text/plain
                    │                        └─ text/html
                    └─ attachments …

Levels that hold only one part are left out.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import encodebytes
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime

from connect.channels.headers import CRLF, address_field, field, parameters_field
from connect.channels.message import Attachment, Email

# Fields that are written from the e-mail itself. A second one, smuggled in as a custom header, could add recipients.
STRUCTURE = frozenset(
    {"from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "sender", "return-path"}
)


def encode(email: Email, *, date: datetime | None = None) -> bytes:
    """The whole message with CRLF line ends, of lines within 998 octets; the recipients in `bcc` are not in it.

    Without `date` (aware) there is no Date header: a delivery that is rendered again must be byte for byte the same,
    so only the caller can know the date; submission servers add a missing one (RFC 6409 8.2).
    Raises ValueError for what `build_email` would have refused.
    """
    head = "".join(_head(email, date))
    return head.encode() + _body(email)


def _head(email: Email, date: datetime | None) -> list[str]:
    addressed = [("From", (email.sender,)), ("To", email.to), ("Cc", email.cc), ("Reply-To", email.reply_to)]
    lines = [address_field(name, boxes) for name, boxes in addressed if boxes]
    lines.append(field("Subject", email.subject))
    if date is not None:
        lines.append(field("Date", format_datetime(date)))
    lines.append(field("Message-ID", f"<{email.message_id}>"))
    lines += [_custom(name, value) for name, value in email.headers]
    return [*lines, f"MIME-Version: 1.0{CRLF}"]


def _custom(name: str, value: str) -> str:
    if name.lower() in STRUCTURE or name.lower().startswith("content-"):
        raise ValueError("a custom header takes the name of a field of the message")
    return field(name, value)


def _body(email: Email) -> bytes:
    """The outermost part, its own Content-* headers first."""
    readable = _texts(email)
    content = readable[0] if len(readable) == 1 else _multipart("alternative", readable, email.message_id)
    if not email.attachments:
        return content
    return _multipart("mixed", [content, *map(_attachment, email.attachments)], email.message_id)


def _texts(email: Email) -> list[bytes]:
    """The readable parts, the richest last (RFC 2046 5.1.4)."""
    parts = [("plain", email.text), ("html", email.html)]
    return [_text(subtype, text) for subtype, text in parts if text is not None] or [_text("plain", "")]


_SEVEN_BIT = re.compile(rb"[\t\n\x20-\x7e]*")
_LONG_LINE = re.compile(rb"[^\n]{999}")


def _text(subtype: str, text: str) -> bytes:
    data = text.replace("\r\n", "\n").replace("\r", "\n").encode(errors="replace")
    encoding, body = _transfer(data)
    head = f'Content-Type: text/{subtype}; charset="utf-8"{CRLF}Content-Transfer-Encoding: {encoding}{CRLF}{CRLF}'
    return head.encode() + body


def _transfer(data: bytes) -> tuple[str, bytes]:
    """The text as lines that any server passes on, and how: as it is if it may be, else what is smaller."""
    if _SEVEN_BIT.fullmatch(data) and not _LONG_LINE.search(data):
        return "7bit", _crlf(data)
    readable = _crlf(binascii.b2a_qp(data, istext=True))
    packed = _base64(_crlf(data))
    return ("quoted-printable", readable) if len(readable) <= len(packed) else ("base64", packed)


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def _base64(data: bytes) -> bytes:
    return _crlf(encodebytes(data))


def _attachment(attachment: Attachment) -> bytes:
    head = [
        _attachment_type(attachment),
        f"Content-Transfer-Encoding: base64{CRLF}",
        parameters_field("Content-Disposition", "attachment", [("filename", attachment.filename)]),
        CRLF,
    ]
    return "".join(head).encode() + _base64(attachment.content)


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


def _multipart(subtype: str, parts: Sequence[bytes], message_id: str) -> bytes:
    boundary = _boundary(f"{message_id}/{subtype}", parts)
    opening = f"--{boundary}{CRLF}".encode()
    head = parameters_field("Content-Type", f"multipart/{subtype}", [("boundary", boundary)]) + CRLF
    inside = b"".join(opening + part + b"\r\n" for part in parts)
    return head.encode() + inside + f"--{boundary}--{CRLF}".encode()


def _boundary(seed: str, parts: Sequence[bytes]) -> str:
    """A line that none of the parts has: the first of an endless row that follows from the seed."""
    attempt = 0
    while True:
        digest = hashlib.blake2b(f"{seed}/{attempt}".encode(), digest_size=15).hexdigest()
        boundary = f"=_{digest}"  # `=_` can not occur in quoted-printable or base64 (RFC 2045 6.7)
        if not any(boundary.encode() in part for part in parts):
            return boundary
        attempt += 1
