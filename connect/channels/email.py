"""Rendered strings become an e-mail that is safe to send, or the reason why they can not.

Whatever comes from data is text here and stays text: it can not add a header, nor a recipient beyond the ones that
its field allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from connect.channels.addresses import email_address, mailboxes
from connect.channels.headers import is_name, unsafe
from connect.channels.message import Attachment, Email, Mailbox
from connect.channels.mime import CONTENT_TYPE, STRUCTURE
from connect.channels.plain import text_from_html
from connect.channels.preheader import with_preheader
from connect.vocabulary import Reason


@dataclass(frozen=True, slots=True)
class EmailParts:
    """The fields of an e-mail's content, each rendered for one person."""

    sender: str
    to: str
    subject: str
    html: str | None = None
    text: str | None = None
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    preheader: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class UnsubscribeHeaders:
    """Where List-Unsubscribe points to: a page (one-click by RFC 8058 when it is https) and an address."""

    url: str | None
    mailto: str | None


@dataclass(frozen=True, slots=True)
class Bad:
    """Why a message can not be built, and the field of the content to blame. Never the value."""

    reason: Reason
    field: str


class _Refused(Exception):
    """Carries a `Bad` to `build_email`; no further."""

    def __init__(self, reason: Reason, field: str) -> None:
        super().__init__(reason.value)
        self.bad = Bad(reason, field)


MAX_BYTES = 10_000_000
"""Larger messages are refused: content_too_large."""
MAX_RECIPIENTS = 50
"""To, cc and bcc together. SES takes no more in one message, and a cell with a thousand addresses is a mistake."""
CORRELATION_HEADER = "X-Connect-ID"


def build_email(
    parts: EmailParts, *, message_key: bytes, correlation_id: str, unsubscribe: UnsubscribeHeaders | None
) -> Email | Bad:
    """The e-mail for these parts, or why there is none. Pure: the same parts give the same bytes.

    `to` and `from` are one mailbox each; cc, bcc and reply_to may be several. Text is made from HTML where it is
    absent. The Message-ID is the correlation id at the sender's domain, so that servers can see a repetition.
    """
    try:
        return _build(parts, correlation_id, unsubscribe)
    except _Refused as refused:
        return refused.bad


def _build(parts: EmailParts, correlation_id: str, unsubscribe: UnsubscribeHeaders | None) -> Email:
    sender = _one("from", parts.sender, Reason.invalid_email)
    _check_size(parts)
    email = Email(
        sender=sender,
        to=(_one("to", parts.to, Reason.no_address),),
        subject=_line("subject", parts.subject),
        message_id=f"{correlation_id}@{sender.address.rpartition('@')[2]}",
        text=_readable(parts),
        html=None if parts.html is None else with_preheader(_mended(parts.html), _line("preheader", parts.preheader)),
        cc=_several("cc", parts.cc),
        bcc=_several("bcc", parts.bcc),
        reply_to=_several("reply_to", parts.reply_to),
        headers=(*_custom(parts.headers), *_unsubscribe(unsubscribe), (CORRELATION_HEADER, correlation_id)),
        attachments=tuple(map(_attachment, parts.attachments)),
    )
    if 1 + len(email.cc) + len(email.bcc) > MAX_RECIPIENTS:
        raise _Refused(Reason.too_many_recipients, "cc" if email.cc else "bcc")
    _check_size(email)
    return email


def _one(field: str, rendered: str, when_blank: Reason) -> Mailbox:
    found = _several(field, rendered)
    if not found:
        raise _Refused(when_blank, field)
    if len(found) > 1:
        raise _Refused(Reason.too_many_recipients, field)
    return found[0]


def _several(field: str, rendered: str) -> tuple[Mailbox, ...]:
    found = mailboxes(_line(field, rendered))
    if found is None:
        raise _Refused(Reason.invalid_email, field)
    if len(found) > MAX_RECIPIENTS:
        raise _Refused(Reason.too_many_recipients, field)
    return found


def _line(field: str, rendered: str) -> str:
    """The text without the space around it, which templates leave; one line without control characters."""
    trimmed = rendered.strip()
    if unsafe(trimmed):
        raise _Refused(Reason.invalid_header, field)
    return trimmed


# Base64 in lines of 76: 78 octets for every 57.
_GROWTH = 78 / 57


def _check_size(message: EmailParts | Email) -> None:
    """Once before text is made from HTML, which takes seconds for megabytes, and once with that text."""
    octets = sum(_octets(body) for body in (message.html, message.text) if body)
    octets += sum(len(attachment.content) * _GROWTH for attachment in message.attachments)
    if octets > MAX_BYTES:
        field = "attachments" if message.attachments else "html" if message.html else "text"
        raise _Refused(Reason.content_too_large, field)


def _octets(body: str) -> float:
    """About so many on the wire."""
    return len(body) if body.isascii() else len(body.encode(errors="replace")) * _GROWTH


_SURROGATES = re.compile("[\ud800-\udfff]")


def _mended(body: str) -> str:
    """Line ends as `\\n`, and no lone surrogates, which no charset can write: JSON cells can hold them."""
    lines = body.replace("\r\n", "\n").replace("\r", "\n")
    return lines if lines.isascii() else _SURROGATES.sub("\ufffd", lines)


def _readable(parts: EmailParts) -> str | None:
    if parts.text is not None:
        return _mended(parts.text)
    return None if parts.html is None else text_from_html(_mended(parts.html))


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


def _custom(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """The content's own headers. The field is never named further: a name may come from data."""
    if any(header_problem(name) for name, _ in headers):
        raise _Refused(Reason.invalid_header, "headers")
    return [(name, _line("headers", value)) for name, value in headers]


def _unsubscribe(targets: UnsubscribeHeaders | None) -> list[tuple[str, str]]:
    """List-Unsubscribe (RFC 2369) and, where there is an https page, its one-click twin (RFC 8058)."""
    if targets is None:
        return []
    urls = [_url(targets.url)] if targets.url else []
    mailtos = [_mailto(targets.mailto)] if targets.mailto else []
    links = ", ".join(f"<{link}>" for link in urls + mailtos)
    headers = [("List-Unsubscribe", links)] if links else []
    if any(url.lower().startswith("https://") for url in urls):
        headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    return headers


_LONGEST_URL = 900  # it can not be folded, and a line holds 998 octets
_URL_CHARACTERS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '<>"\\^`{|}')


def _url(rendered: str) -> str:
    """A page's address in ASCII. A `=?` in it would read as an encoded word, so its `?` is escaped."""
    url = quote(_line("unsubscribe", rendered), safe=_URL_CHARACTERS).replace("=?", "=%3F")
    host = urlsplit(url).netloc
    if not url.lower().startswith(("https://", "http://")) or not host or "%" in host or len(url) > _LONGEST_URL:
        raise _Refused(Reason.invalid_header, "unsubscribe")
    return url


def _mailto(rendered: str) -> str:
    """`mailto:` with an address that was checked, and the subject it may have."""
    target = _line("unsubscribe", rendered).removeprefix("mailto:")
    address, question, rest = target.partition("?")
    checked = email_address(address)
    if checked is None or not checked.isascii() or len(rest) > _LONGEST_URL:
        raise _Refused(Reason.invalid_header, "unsubscribe")
    return f"mailto:{checked}{question}{quote(rest, safe=_URL_CHARACTERS)}"


def _attachment(attachment: Attachment) -> Attachment:
    name = _line("attachments", attachment.filename)
    if not name or not CONTENT_TYPE.fullmatch(attachment.content_type):
        raise _Refused(Reason.invalid_header, "attachments")
    return Attachment(name, attachment.content_type, attachment.content)
