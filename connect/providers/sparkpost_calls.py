"""How a message becomes a SparkPost transmission: one message, to one recipient or with its copies.

SparkPost runs its template language over subject, bodies, sender, reply address and headers, also of what was rendered
here, so two or more braces in a row are written as its macros for them (developers.sparkpost.com, "Braces macros").
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.providers.api import json_bytes
from connect.providers.interface import Receipt, Status

METADATA = "connect_id"
"""The name under which the correlation id comes back in events."""

FORBIDDEN_HEADERS = frozenset(
    {"subject", "from", "to", "cc", "bcc", "reply-to", "content-type", "content-transfer-encoding"}
)
"""Those that SparkPost writes itself ("Header notes"), and those that our own fields become."""


def unfit(outgoing: Outgoing) -> Receipt | None:
    """The receipt of a message that the API can not carry; None for the others."""
    email = _email(outgoing)
    if not email.headers:
        return None
    reason = _unfit_headers(tuple([name for name, _ in email.headers]))
    return Receipt(Status.rejected_content, reason) if reason else None


@lru_cache(maxsize=256)
def _unfit_headers(names: tuple[str, ...]) -> str:
    known = {name.lower() for name in names}
    if len(known) < len(names):
        return "repeated_header"  # headers are the members of an object
    return "header_not_allowed" if known & FORBIDDEN_HEADERS else ""


def transmission(outgoing: Outgoing, always: Mapping[str, object]) -> bytes:
    """The body of a call. `always` is what the settings add to each: options, return path.

    The campaign is the run, whose id is the middle of the correlation id.
    """
    return json_bytes(
        {
            **always,
            "campaign_id": outgoing.correlation_id.split(".")[1],
            "recipients": _recipients(outgoing),
            "content": _content(_email(outgoing)),
        }
    )


def _recipients(outgoing: Outgoing) -> list[dict[str, object]]:
    """Everyone who gets it, with the To that everyone is shown.

    Only those whom it is for carry the correlation id: what becomes of a copy is not what becomes of the delivery.
    """
    email = _email(outgoing)
    metadata = {METADATA: outgoing.correlation_id}
    if len(email.to) == 1 and not email.cc and not email.bcc:
        return [{"address": _mailbox(email.to[0]), "metadata": metadata}]
    shown = _list(email.to)
    found: list[dict[str, object]] = [{"address": _shown(each, shown), "metadata": metadata} for each in email.to]
    return found + [{"address": _shown(each, shown)} for each in (*email.cc, *email.bcc)]


def _shown(mailbox: Mailbox, to: str) -> dict[str, str]:
    return {"email": mailbox.address, "header_to": to}


def _content(email: Email) -> dict[str, object]:
    found: dict[str, object] = {"from": _sender(email.sender), "subject": literal(email.subject)}
    if email.text is not None:
        found["text"] = literal(email.text)
    if email.html is not None:
        found["html"] = literal(email.html)
    if email.reply_to:
        found["reply_to"] = literal(_list(email.reply_to))
    if email.headers or email.cc:
        found["headers"] = _headers(email)
    if email.attachments:
        found["attachments"] = [_attachment(each) for each in email.attachments]
    return found


def _headers(email: Email) -> dict[str, str]:
    found = {name: literal(value) for name, value in email.headers}
    if email.cc:
        found["CC"] = literal(_list(email.cc))
    return found


@lru_cache(maxsize=16)
def _sender(mailbox: Mailbox) -> dict[str, str]:
    return {name: literal(value) for name, value in _mailbox(mailbox).items()}


def _mailbox(mailbox: Mailbox) -> dict[str, str]:
    return {"email": mailbox.address, "name": mailbox.name} if mailbox.name else {"email": mailbox.address}


def _list(mailboxes: Iterable[Mailbox]) -> str:
    """As a header shows them; SparkPost encodes what is outside ASCII."""
    return ", ".join([_quoted(each) for each in mailboxes])


def _quoted(mailbox: Mailbox) -> str:
    name = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{mailbox.address}>' if name else mailbox.address


def _attachment(attachment: Attachment) -> dict[str, str]:
    return {
        "name": attachment.filename,
        "type": attachment.content_type,
        "data": base64.b64encode(attachment.content).decode(),
    }


def literal(text: str) -> str:
    """The text as a template that gives this text."""
    if "{{" not in text and "}}" not in text:
        return text
    return _BRACES.sub(_as_macros, text)


_BRACES = re.compile(r"[{}]{2,}")
_ALIKE = re.compile(r"\{+|\}+")
_MACROS = {"{": "opening", "}": "closing"}


def _as_macros(match: re.Match[str]) -> str:
    found = _ALIKE.findall(match.group())
    return match.group() if max(map(len, found)) == 1 else "".join(map(_macros, found))


def _macros(braces: str) -> str:
    """A brace that stands alone beside macros would be read with theirs: it is the default of what is not there."""
    if len(braces) == 1:
        return f"{{{{connect_nothing or '{braces}'}}}}"
    kind, odd = _MACROS[braces[0]], len(braces) % 2
    return f"{{{{{kind}_triple_curly()}}}}" * odd + f"{{{{{kind}_double_curly()}}}}" * ((len(braces) - 3 * odd) // 2)


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
