"""E-mails as Postmark takes them (postmarkapp.com/developer/api/email-api), packed into calls."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.providers.api import json_bytes
from connect.providers.postmark_settings import CORRELATION, Settings

MOST_MESSAGES = 500
MOST_BYTES = 20_000_000
"""Of one call. Postmark takes 50 MB; less keeps memory flat, and uploads within the time-out."""
LARGEST_MESSAGE = 10_000_000
"""Attachments, which are base64 here, included."""

_LINKS = {"none": "None", "html_and_text": "HtmlAndText", "html_only": "HtmlOnly", "text_only": "TextOnly"}


def constant(settings: Settings) -> dict[str, object]:
    """The fields that all messages of an account share."""
    fields: dict[str, object] = {"MessageStream": settings.message_stream}
    if settings.tag is not None:
        fields["Tag"] = settings.tag
    if settings.track_opens is not None:
        fields["TrackOpens"] = settings.track_opens
    if settings.track_links is not None:
        fields["TrackLinks"] = _LINKS[settings.track_links]
    return fields


Packed = tuple[list[int], list[bytes]]
"""Messages of one call: which members of the batch, and each as JSON."""


def packed(batch: Sequence[Outgoing], fields: Mapping[str, object], metadata: Mapping[str, str]) -> Iterator[Packed]:
    """Calls within Postmark's limits, in order. A message that is larger than Postmark takes is in none."""
    members: list[int] = []
    items: list[bytes] = []
    size = 0
    for member, outgoing in enumerate(batch):
        item = written(outgoing, fields, metadata)
        if len(item) > LARGEST_MESSAGE:
            continue
        if members and (size + len(item) > MOST_BYTES or len(members) == MOST_MESSAGES):
            yield members, items
            members, items, size = [], [], 0
        members.append(member)
        items.append(item)
        size += len(item) + 1
    if members:
        yield members, items


def written(outgoing: Outgoing, fields: Mapping[str, object], metadata: Mapping[str, str]) -> bytes:
    """One message as JSON."""
    email = outgoing.message
    assert isinstance(email, Email)
    item: dict[str, object] = {
        **fields,
        "From": _sender(email.sender),
        "To": _list(email.to),
        "Subject": email.subject,
        "Headers": _headers(email),
        "Metadata": {**metadata, CORRELATION: outgoing.correlation_id},
    }
    for name, boxes in (("Cc", email.cc), ("Bcc", email.bcc), ("ReplyTo", email.reply_to)):
        if boxes:
            item[name] = _list(boxes)
    if email.text is not None:
        item["TextBody"] = email.text
    if email.html is not None:
        item["HtmlBody"] = email.html
    if email.attachments:
        item["Attachments"] = [_attachment(each) for each in email.attachments]
    return json_bytes(item)


def _headers(email: Email) -> list[dict[str, str]]:
    """Postmark writes a Message-ID of its own unless it is told to keep ours; it does not pass `X-PM-KeepID` on."""
    headers = [{"Name": name, "Value": value} for name, value in email.headers]
    headers += ({"Name": "Message-ID", "Value": f"<{email.message_id}>"}, _KEEP)
    return headers


_KEEP = {"Name": "X-PM-KeepID", "Value": "true"}


def _attachment(attachment: Attachment) -> dict[str, str]:
    content = b64encode(attachment.content).decode()
    return {"Name": attachment.filename, "Content": content, "ContentType": attachment.content_type}


def _list(boxes: Sequence[Mailbox]) -> str:
    return ", ".join([_mailbox(box) for box in boxes])


_BARE = re.compile(r"[\w !#$%&'*+/^`{|}~-]+")
"""Names that need no quotes: letters of any script, and what RFC 5322 allows in an atom, without `=?`."""


def _mailbox(box: Mailbox) -> str:
    """`Name <address>`; letters outside ASCII are Postmark's to encode."""
    if not box.name:
        return box.address
    if _BARE.fullmatch(box.name):
        return f"{box.name} <{box.address}>"
    escaped = box.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{box.address}>'


_sender = lru_cache(maxsize=16)(_mailbox)
