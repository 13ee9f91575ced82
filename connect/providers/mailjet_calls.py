"""How messages become calls of Mailjet's Send API v3.1: up to 50 whole messages in one.

The limit of 50 counts the recipients of all messages of a call together, cc and bcc too (`send-0015`), so that
messages with copies go in calls of fewer. Properties: dev.mailjet.com, Send API v3.1, "JSON properties".
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.providers.api import json_bytes
from connect.providers.interface import Receipt, Status

MOST_RECIPIENTS = 50
MOST_BYTES = 15_000_000
"""Of one call: attachments may have 15 MB, and a payload that is too large is `mj-0011`."""

FORBIDDEN_HEADERS = frozenset(
    {
        "from",
        "sender",
        "subject",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "return-path",
        "delivered-to",
        "dkim-signature",
        "domainkey-status",
        "received-spf",
        "authentication-results",
        "received",
        "date",
        "message-id",
        "user-agent",
        "x-mailer",
        "list-id",
        "x-feedback-id",
        "x-csa-complaints",
        "x-mailjet-prio",
        "x-mailjet-debug",
        "x-mailjet-campaign",
        "x-mailjet-deduplicatecampaign",
        "x-mailjet-segmentation",
        "x-mailjet-trackopen",
        "x-mailjet-trackclick",
        "x-mj-customid",
        "x-mj-eventpayload",
        "x-mj-vars",
        "x-mj-templateid",
        "x-mj-templatelanguage",
        "x-mj-templateerrordeliver",
        "x-mj-templateerrorreporting",
        "x-mj-workflowid",
        "x-mj-mid",
        "x-mj-errormessage",
        "x-mj-statisticscontactslistid",
    }
)
"""Documented at dev.mailjet.com, "Add email headers", and those that have a property: a message with one is refused
(`send-0011`)."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What the settings say of every message of an account."""

    always: Mapping[str, object]
    """Properties of each message…"""
    of_html: Mapping[str, object]
    """…and of those that have an HTML part."""
    ending: bytes
    """Of a call, behind its messages."""


def manner(*, deduplicate: bool, track_opens: bool | None, track_clicks: bool | None, sandbox: bool) -> Manner:
    """Tracking can not be spoken of without an HTML part; the sandbox is a property of the call."""
    tracked = {"TrackOpens": track_opens, "TrackClicks": track_clicks}
    return Manner(
        {"DeduplicateCampaign": True} if deduplicate else {},
        {name: "enabled" if wanted else "disabled" for name, wanted in tracked.items() if wanted is not None},
        b'],"SandboxMode":true}' if sandbox else b"]}",
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and the messages of the batch that it carries, in order."""

    body: bytes = field(repr=False)
    members: tuple[int, ...]


def unfit(outgoing: Outgoing) -> Receipt | None:
    """The receipt of a message that the API can not carry; None for the others."""
    email = _email(outgoing)
    reason = ""
    if len(email.reply_to) > 1:
        reason = "too_many_reply_addresses"
    elif _recipients(email) > MOST_RECIPIENTS:
        reason = "too_many_recipients"
    elif email.headers:
        reason = _unfit_headers(tuple([name for name, _ in email.headers]))
    return Receipt(Status.rejected_content, reason) if reason else None


@lru_cache(maxsize=256)
def _unfit_headers(names: tuple[str, ...]) -> str:
    known = {name.lower() for name in names}
    if len(known) < len(names):
        return "repeated_header"  # headers are the members of an object
    return "header_not_allowed" if known & FORBIDDEN_HEADERS else ""


def calls(batch: Sequence[Outgoing], members: Sequence[int], manner: Manner) -> Iterator[Call]:
    """The calls that carry these members of the batch: one, unless there are copies or much to carry."""
    packed: list[bytes] = []
    first = recipients = size = 0
    for at, member in enumerate(members):
        written = _written(batch[member], manner)
        count = _recipients(_email(batch[member]))
        if packed and (recipients + count > MOST_RECIPIENTS or size + len(written) > MOST_BYTES):
            yield _call(packed, members[first:at], manner)
            packed, first, recipients, size = [], at, 0, 0
        packed.append(written)
        recipients += count
        size += len(written)
    if packed:
        yield _call(packed, members[first:], manner)


def _call(packed: Sequence[bytes], members: Sequence[int], manner: Manner) -> Call:
    return Call(b"".join((b'{"Messages":[', b",".join(packed), manner.ending)), tuple(members))


def _written(outgoing: Outgoing, manner: Manner) -> bytes:
    """One message. Its campaign is the run, whose id is the middle of the correlation id."""
    email = _email(outgoing)
    found: dict[str, object] = {
        "From": _mailbox(email.sender),
        "To": [_mailbox(each) for each in email.to],
        "Subject": email.subject,
        "CustomID": outgoing.correlation_id,
        "CustomCampaign": outgoing.correlation_id.split(".")[1],
        **manner.always,
    }
    if email.text:  # an empty string is refused (`mj-0012`)
        found["TextPart"] = email.text
    if email.html:
        found["HTMLPart"] = email.html
        found.update(manner.of_html)
    if email.headers:
        found["Headers"] = dict(email.headers)
    if email.cc:
        found["Cc"] = [_mailbox(each) for each in email.cc]
    if email.bcc:
        found["Bcc"] = [_mailbox(each) for each in email.bcc]
    if email.reply_to:
        found["ReplyTo"] = _mailbox(email.reply_to[0])
    if email.attachments:
        found["Attachments"] = [_attachment(each) for each in email.attachments]
    return json_bytes(found)


def _mailbox(mailbox: Mailbox) -> dict[str, str]:
    if mailbox.name:
        return {"Email": mailbox.address, "Name": mailbox.name}
    return {"Email": mailbox.address}  # an empty string is refused (`mj-0012`)


def _attachment(attachment: Attachment) -> dict[str, str]:
    return {
        "ContentType": attachment.content_type,
        "Filename": attachment.filename,
        "Base64Content": base64.b64encode(attachment.content).decode(),
    }


def _recipients(email: Email) -> int:
    return len(email.to) + len(email.cc) + len(email.bcc)


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
