"""The checks of an e-mail's fields: each takes what was rendered, and gives what may be sent or raises `Refused`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from connect.channels.addresses import mailboxes
from connect.channels.headers import is_name, unsafe
from connect.channels.message import Attachment, Mailbox
from connect.channels.mime import CONTENT_TYPE, STRUCTURE
from connect.channels.parts import Refused
from connect.vocabulary import Reason

if TYPE_CHECKING:
    from connect.liquid.wire import WireText

MAX_BYTES = 10_000_000
"""Larger messages are refused: content_too_large."""
MAX_RECIPIENTS = 50
"""To, cc and bcc together. SES takes no more in one message, and a cell with a thousand addresses is a mistake."""
CORRELATION_HEADER = "X-Connect-ID"


def one(field: str, rendered: str | Mailbox, when_blank: Reason) -> Mailbox:
    """The only mailbox in a field that takes one."""
    if isinstance(rendered, Mailbox):
        return rendered
    found = mailboxes(rendered) or several(field, rendered)
    if not found:
        raise Refused(when_blank, field)
    if len(found) > 1:
        raise Refused(Reason.too_many_recipients, field)
    return found[0]


def several(field: str, rendered: str) -> tuple[Mailbox, ...]:
    """The mailboxes of a field that takes several."""
    if not rendered:
        return ()
    found = mailboxes(rendered)
    if found is None:
        line(field, rendered)  # is it the line that is bad, or an address in it?
        raise Refused(Reason.invalid_email, field)
    if len(found) > MAX_RECIPIENTS:
        raise Refused(Reason.too_many_recipients, field)
    return found


def line(field: str, rendered: str) -> str:
    """The text without the space around it, which templates leave; one line without control characters."""
    trimmed = rendered.strip()
    if unsafe(trimmed):
        raise Refused(Reason.invalid_header, field)
    return trimmed


# Base64 in lines of 76: 78 octets for every 57.
_GROWTH = 78 / 57
_MOST_OCTETS = 6  # of one character: four in UTF-8, grown


def check_size(html: str | WireText | None, text: str | WireText | None, attachments: tuple[Attachment, ...]) -> None:
    """Raise `Refused` for more than `MAX_BYTES` on the wire."""
    characters = len(html or "") + len(text or "")
    if not attachments and characters * _MOST_OCTETS <= MAX_BYTES:
        return
    octets = sum(_octets(body) for body in (html, text) if body)
    octets += sum(len(attachment.content) * _GROWTH for attachment in attachments)
    if octets > MAX_BYTES:
        raise Refused(Reason.content_too_large, "attachments" if attachments else "html" if html else "text")


def _octets(body: str | WireText) -> float:
    """About so many on the wire."""
    if not isinstance(body, str):
        return len(body.lines) * (1 if body.data.isascii() else _GROWTH)
    return len(body) if body.isascii() else len(body.encode(errors="replace")) * _GROWTH


_SURROGATES = re.compile("[\ud800-\udfff]")


def mended(body: str) -> tuple[str, bytes]:
    """The text and its UTF-8: line ends as `\\n`, and no lone surrogates, which no charset can write.

    JSON cells can hold them.
    """
    lines = body.replace("\r\n", "\n").replace("\r", "\n") if "\r" in body else body
    try:
        return lines, lines.encode()
    except UnicodeEncodeError:  # four times as fast as looking for them in every body
        readable = _SURROGATES.sub("\ufffd", lines)
        return readable, readable.encode()


def header_problem(name: str) -> str | None:
    """Why a custom header can not have this name; None when it can."""
    lowered = name.lower()
    if not is_name(name):
        return "a header's name is ASCII letters, digits and hyphens, at most 70, without spaces or colons"
    if lowered in _FIELDS:
        return f"this header has a field of its own: `{_FIELDS[lowered]}`"
    if lowered in _OURS or lowered in STRUCTURE or lowered.startswith(_OUR_PREFIXES):
        return "this header is written by Connect or by a mail server, never by a content"
    return None


_FIELDS = {name.replace("_", "-"): name for name in ("from", "to", "cc", "bcc", "subject", "reply_to")}
_OURS = frozenset(
    {"list-unsubscribe", "list-unsubscribe-post", "dkim-signature", "received", "authentication-results"}
    | {"apparently-to", "received-spf", CORRELATION_HEADER.lower()}
)
_OUR_PREFIXES = ("content-", "resent-", "arc-")


def custom(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The content's own headers. The field is never named further: a name may come from data."""
    if any(header_problem(name) for name, _ in headers):
        raise Refused(Reason.invalid_header, "headers")
    return tuple((name, line("headers", value)) for name, value in headers)


def attached(attachment: Attachment) -> Attachment:
    """The attachment with a name that can stand in a header."""
    name = line("attachments", attachment.filename)
    if not name or not CONTENT_TYPE.fullmatch(attachment.content_type):
        raise Refused(Reason.invalid_header, "attachments")
    return Attachment(name, attachment.content_type, attachment.content)
