"""A message as `POST /v3/mail/send` takes it (documented at docs.sendgrid.com, Mail Send API reference)."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from connect.channels.headers import encoded_words
from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.providers.interface import Receipt, Status

CORRELATION_ARGUMENT = "connect_id"
"""The custom argument that comes back in every event."""

_RESERVED = frozenset(
    {
        *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
        *("to", "from", "subject", "reply-to", "cc", "bcc"),
    }
)
"""Headers that SendGrid refuses (docs.sendgrid.com, Mail Send errors, headers)."""


def always(
    *,
    categories: Sequence[str],
    ip_pool: str | None,
    unsubscribe_group: int | None,
    track_opens: bool | None,
    track_clicks: bool | None,
    sandbox: bool,
) -> dict[str, Any]:
    """What is the same in every message of an account."""
    tracking: dict[str, Any] = {}
    if track_opens is not None:
        tracking["open_tracking"] = {"enable": track_opens}
    if track_clicks is not None:
        tracking["click_tracking"] = {"enable": track_clicks, "enable_text": track_clicks}
    fields = {
        "categories": list(categories),
        "ip_pool_name": ip_pool,
        "asm": {"group_id": unsubscribe_group} if unsubscribe_group is not None else None,
        "tracking_settings": tracking,
        "mail_settings": {"sandbox_mode": {"enable": True}} if sandbox else None,
    }
    return {name: value for name, value in fields.items() if value}


def body(outgoing: Outgoing, common: Mapping[str, Any]) -> dict[str, Any] | Receipt:
    """The request; or the receipt of a message that SendGrid can not carry."""
    email = outgoing.message
    assert isinstance(email, Email)
    content = _content(email)
    if not content:
        return Receipt(Status.rejected_content, "empty_body")  # SendGrid takes no blank value
    refused = _refused_headers(tuple([name for name, _ in email.headers]))
    if refused:
        return Receipt(Status.rejected_content, refused)
    headers = {name: value if value.isascii() else _encoded(value) for name, value in email.headers}
    headers["Message-ID"] = f"<{email.message_id}>"
    return {
        "personalizations": [_recipients(email)],
        "from": _person(email.sender),
        "subject": email.subject,
        "content": content,
        "headers": headers,
        "custom_args": {CORRELATION_ARGUMENT: outgoing.correlation_id},
        **_extras(email),
        **common,
    }


def _content(email: Email) -> list[dict[str, str]]:
    """Plain text first, as SendGrid wants it."""
    bodies = (("text/plain", email.text), ("text/html", email.html))
    return [{"type": kind, "value": value} for kind, value in bodies if value]


def _recipients(email: Email) -> dict[str, Any]:
    found = {"to": [_recipient(mailbox) for mailbox in email.to]}
    if email.cc:
        found["cc"] = [_recipient(mailbox) for mailbox in email.cc]
    if email.bcc:
        found["bcc"] = [_recipient(mailbox) for mailbox in email.bcc]
    return found


def _extras(email: Email) -> dict[str, Any]:
    """What few messages have."""
    found: dict[str, Any] = {}
    if len(email.reply_to) == 1:
        found["reply_to"] = _person(email.reply_to[0])
    elif email.reply_to:
        found["reply_to_list"] = [_person(mailbox) for mailbox in email.reply_to]
    if email.attachments:
        found["attachments"] = [_attached(attachment) for attachment in email.attachments]
    return found


def _person(mailbox: Mailbox) -> dict[str, str]:
    return {"email": mailbox.address, "name": mailbox.name} if mailbox.name else {"email": mailbox.address}


def _recipient(mailbox: Mailbox) -> dict[str, str]:
    """SendGrid takes what follows a comma or semicolon in a recipient's name for another address, unless the name is
    quoted (docs.sendgrid.com, Mail Send, limitations; github.com/sendgrid/sendgrid-python #291).
    """
    name = mailbox.name
    if "," in name or ";" in name:
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {"email": mailbox.address, "name": name} if name else {"email": mailbox.address}


def _attached(attachment: Attachment) -> dict[str, str]:
    return {
        "content": binascii.b2a_base64(attachment.content, newline=False).decode(),
        "type": attachment.content_type,
        "filename": attachment.filename,
        "disposition": "attachment",
    }


@lru_cache(maxsize=256)
def _refused_headers(names: Iterable[str]) -> str:
    """Why SendGrid can not carry headers of these names; blank where it can. It takes each name once."""
    known = [name.lower() for name in names]
    if not _RESERVED.isdisjoint(known):
        return "reserved_header"
    return "repeated_header" if len({*known, "message-id"}) <= len(known) else ""


def _encoded(value: str) -> str:
    """SendGrid wants header values outside ASCII encoded (docs.sendgrid.com, Mail Send, headers)."""
    return " ".join(encoded_words(value))
