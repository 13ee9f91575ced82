"""E-mails as Resend takes them (resend.com/docs/api-reference/emails), and the calls that carry a batch."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.identity import call_key
from connect.providers.api import json_bytes
from connect.providers.resend_settings import CORRELATION

MOST_MESSAGES = 100
MOST_BYTES = 20_000_000
"""Of one call. Resend documents no limit; this keeps memory flat, and uploads within the time-out."""
LARGEST_MESSAGE = 40_000_000
"""Attachments, which are base64 here, included (resend.com/docs/dashboard/emails/attachments)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Its key and its bytes are a function of its messages alone."""

    members: tuple[Outgoing, ...] = field(repr=False)
    items: tuple[bytes, ...] = field(repr=False)
    """Each as JSON."""

    @property
    def path(self) -> str:
        return "/emails" if len(self.members) == 1 else "/emails/batch"

    @property
    def key(self) -> str:
        """The Idempotency-Key; of one message, its own."""
        return call_key([outgoing.key for outgoing in self.members]).hex()

    @property
    def body(self) -> bytes:
        return self.items[0] if len(self.items) == 1 else b"".join((b"[", b",".join(self.items), b"]"))

    def apart(self) -> Iterator[Call]:
        """Each message in a call of its own."""
        for outgoing, item in zip(self.members, self.items, strict=True):
            yield Call((outgoing,), (item,))


@dataclass(slots=True)
class Plan:
    """How a batch is carried. Members are counted from 0."""

    together: list[int] = field(default_factory=list)
    """In one call."""
    alone: list[int] = field(default_factory=list)
    """Each in a call of its own, whatever else is in the batch: Resend leaves attachments out of batches in silence."""
    items: dict[int, bytes] = field(default_factory=dict, repr=False)
    refused: dict[int, str] = field(default_factory=dict)
    """What Resend can not carry, and why."""


def planned(batch: Sequence[Outgoing], tags: Mapping[str, str]) -> Plan:
    """A function of the messages alone, so that a batch that is repeated makes the same calls."""
    plan = Plan()
    for member, outgoing in enumerate(batch):
        email = _email(outgoing)
        item = written(outgoing, tags)
        if len({name.lower() for name, _ in email.headers}) < len(email.headers):
            plan.refused[member] = "header_twice"  # they are an object, in which a name is there once
        elif len(item) > LARGEST_MESSAGE:
            plan.refused[member] = "message_too_large"
        else:
            plan.items[member] = item
            (plan.alone if email.attachments else plan.together).append(member)
    return plan


def call_of(batch: Sequence[Outgoing], plan: Plan, members: Sequence[int]) -> Call:
    return Call(tuple([batch[member] for member in members]), tuple([plan.items[member] for member in members]))


def written(outgoing: Outgoing, tags: Mapping[str, str]) -> bytes:
    """One message as JSON."""
    email = _email(outgoing)
    item: dict[str, object] = {
        "from": _sender(email.sender),
        "to": [_mailbox(box) for box in email.to],
        "subject": email.subject,
        "text": email.text or "",  # if it is left out, Resend makes one of the HTML
        "tags": [*_tags(tags.items()), {"name": CORRELATION, "value": tag_of(outgoing.correlation_id)}],
    }
    for name, boxes in (("cc", email.cc), ("bcc", email.bcc), ("reply_to", email.reply_to)):
        if boxes:
            item[name] = [_mailbox(box) for box in boxes]
    if email.html is not None:
        item["html"] = email.html
    if email.headers:
        item["headers"] = dict(email.headers)
    if email.attachments:
        item["attachments"] = [_attachment(each) for each in email.attachments]
    return json_bytes(item)


def tag_of(correlation_id: str) -> str:
    """A tag takes no dots. Of the parts between them only the last has dashes of its own, so nothing is lost."""
    return correlation_id.replace(".", "-")


def correlation_of(tag: object) -> str:
    """What `tag_of` was given."""
    return ".".join(tag.split("-", 2)) if isinstance(tag, str) else ""


def _tags(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _attachment(attachment: Attachment) -> dict[str, str]:
    content = b64encode(attachment.content).decode()
    return {"filename": attachment.filename, "content": content, "content_type": attachment.content_type}


_BARE = re.compile(r"[\w !#$%&'*+/^`{|}~-]+")
"""Names that need no quotes: letters of any script, and what RFC 5322 allows in an atom, without `=?`."""


def _mailbox(box: Mailbox) -> str:
    """`Name <address>`; letters outside ASCII are Resend's to encode."""
    if not box.name:
        return box.address
    if _BARE.fullmatch(box.name):
        return f"{box.name} <{box.address}>"
    escaped = box.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{box.address}>'


_sender = lru_cache(maxsize=16)(_mailbox)


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
