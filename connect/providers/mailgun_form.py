"""A message as `POST /v3/{domain}/messages` takes it: multipart/form-data (documented at documentation.mailgun.com,
Messages), whose boundary follows from the message's key, so that the same message is the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from connect.channels.headers import address_field, encoded_words
from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.providers.interface import Receipt, Status

CORRELATION_VARIABLE = "connect_id"
"""The custom variable that comes back in every event."""

Field = tuple[bytes, bytes]
"""What stands before a value, and the value."""
Form = tuple[bytes, bytes]
"""Boundary and body."""

EMPTY: Form = (b"connect-empty", b"--connect-empty--\r\n")
"""A form without fields."""


def content_type(boundary: bytes) -> str:
    return f"multipart/form-data; boundary={boundary.decode()}"


def always(
    *,
    tags: Sequence[str],
    ip_pool: str | None,
    require_tls: bool | None,
    track_opens: bool | None,
    track_clicks: bool | None,
    sandbox: bool,
) -> list[Field]:
    """What is the same in every message of an account."""
    found = [_field("o:tag", tag) for tag in tags]
    if ip_pool is not None:
        found.append(_field("o:sending-ip-pool", ip_pool))
    switches = {
        "o:require-tls": require_tls,
        "o:tracking-opens": track_opens,
        "o:tracking-clicks": track_clicks,
        "o:testmode": sandbox or None,
    }
    return found + [_field(name, "yes" if on else "no") for name, on in switches.items() if on is not None]


def form(outgoing: Outgoing, common: Sequence[Field]) -> Form | Receipt:
    """The request; or the receipt of a message that Mailgun can not carry."""
    email = outgoing.message
    assert isinstance(email, Email)
    bodies = _bodies(email)
    if not bodies:
        return Receipt(Status.rejected_content, "empty_body")  # Mailgun wants at least one that is not blank
    refused = _refused_headers(tuple([name for name, _ in email.headers]))
    if refused:
        return Receipt(Status.rejected_content, refused)
    fields = [*_envelope(email), *bodies, *_headers(email)]
    fields.append(_field(f"v:{CORRELATION_VARIABLE}", outgoing.correlation_id))
    fields += common
    fields += [_attached(attachment) for attachment in email.attachments]
    return _written(fields, outgoing.key)


def _written(fields: Sequence[Field], key: bytes) -> Form:
    boundary = _boundary(fields, key)
    line = b"--%b\r\n" % boundary
    pieces: list[bytes] = []
    for opening, value in fields:
        pieces += (line, opening, value, b"\r\n")
    pieces.append(b"--%b--\r\n" % boundary)
    return boundary, b"".join(pieces)


def _boundary(fields: Sequence[Field], key: bytes) -> bytes:
    """A line that no value has; of the key alone, unless somebody put that into a value."""
    boundary = b"connect-" + key.hex().encode()
    attempt = 0
    while _is_in(boundary, fields):
        attempt += 1
        boundary = b"connect-" + hashlib.blake2b(key + b"%d" % attempt, digest_size=16).hexdigest().encode()
    return boundary


def _is_in(boundary: bytes, fields: Sequence[Field]) -> bool:
    for _, value in fields:  # noqa: SIM110 (`any` takes as long as the search)
        if boundary in value:
            return True
    return False


def _envelope(email: Email) -> list[Field]:
    found = [(_opening("from"), _sender(email.sender)), _field("to", _addresses(email.to))]
    if email.cc:
        found.append(_field("cc", _addresses(email.cc)))
    if email.bcc:
        found.append(_field("bcc", _addresses(email.bcc)))
    found.append(_field("subject", email.subject))
    return found


def _bodies(email: Email) -> list[Field]:
    """Those that are not blank, in the UTF-8 that may be at hand."""
    text, html = (email.prepared.text, email.prepared.html) if email.prepared else (None, None)
    found = []
    for name, given, data in (("text", email.text, text), ("html", email.html, html)):
        value = _encoded(given or "") if data is None else data
        if value:
            found.append((_opening(name), value))
    return found


def _headers(email: Email) -> list[Field]:
    found = [_field("h:Message-Id", f"<{email.message_id}>")]
    if email.reply_to:
        found.append(_field("h:Reply-To", _addresses(email.reply_to)))
    for name, value in email.headers:
        found.append(_field(f"h:{name}", value if value.isascii() else " ".join(encoded_words(value))))
    return found


@lru_cache(maxsize=256)
def _refused_headers(names: tuple[str, ...]) -> str:
    """Why Mailgun can not carry headers of these names; blank where it can. It documents no repeated ones."""
    known = [name.lower() for name in names]
    return "repeated_header" if len(set(known)) < len(known) else ""


def _addresses(boxes: Sequence[Mailbox]) -> str:
    """As a header has them, on one line: names are quoted, or encoded words."""
    return address_field("To", boxes)[len("To: ") :].replace("\r\n", "")


@lru_cache(maxsize=16)
def _sender(mailbox: Mailbox) -> bytes:
    return _encoded(_addresses([mailbox]))


def _field(name: str, value: str) -> Field:
    return _opening(name), _encoded(value)


@lru_cache(maxsize=256)
def _opening(name: str) -> bytes:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'.encode()


def _attached(attachment: Attachment) -> Field:
    """The name in UTF-8, as browsers write it (RFC 7578 4.2)."""
    named = f'Content-Disposition: form-data; name="attachment"; filename="{_quoted(attachment.filename)}"'
    return f"{named}\r\nContent-Type: {attachment.content_type}\r\n\r\n".encode(), attachment.content


def _quoted(text: str) -> str:
    """As browsers escape what would end it (html.spec.whatwg.org, multipart/form-data encoding algorithm)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _encoded(text: str) -> bytes:
    """In UTF-8; half a surrogate pair, which no encoding can carry, becomes `?`."""
    return text.encode(errors="replace")
