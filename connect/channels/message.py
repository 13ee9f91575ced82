"""What goes on the wire: one rendered message, addressed and keyed, on its way to a provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from connect.vocabulary import Channel


@dataclass(slots=True, unsafe_hash=True)  # frozen in spirit: freezing costs twice as much as everything else
class Mailbox:
    """An e-mail address that was checked, with the name shown beside it."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    filename: str
    content_type: str
    content: bytes


class Folded(NamedTuple):
    """Header fields that are the same in every e-mail of one content, as they stand on the wire.

    "" is a field that the e-mails do not have, None one that differs.
    """

    sender: str | None = None
    cc: str | None = None
    reply_to: str | None = None
    subject: str | None = None
    custom: str | None = None
    """The content's own headers…"""
    customs: int = 0
    """…which are the first so many of the e-mail's `headers`."""
    attachments: tuple[bytes, ...] | None = None
    """Each as a whole part, its own headers included."""


class Prepared(NamedTuple):
    """What is known already of the bytes of one e-mail, since it was built."""

    folded: Folded
    text: bytes | None
    """The bodies in UTF-8."""
    html: bytes | None
    message_id: str | None = None
    """The field as it stands on the wire…"""
    ours: str | None = None
    """…and all headers that are not the content's own."""


@dataclass(slots=True, unsafe_hash=True)  # as above
class Email:
    """A rendered e-mail. Headers are (name, value) pairs beyond the ones that have a field here."""

    sender: Mailbox
    to: tuple[Mailbox, ...]
    subject: str
    message_id: str
    """Without angle brackets; a pure function of run, person and address."""
    text: str | None = None
    html: str | None = None
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    prepared: Prepared | None = field(default=None, init=False, compare=False, repr=False)
    """Makes `mime.encode` quick and changes nothing. A copy with other fields (`replace`) does not take it along."""


@dataclass(frozen=True, slots=True)
class Sms:
    """A rendered text message; `to` is E.164 without spaces."""

    to: str
    body: str
    sender: str = ""


Message = Email | Sms


@dataclass(slots=True, unsafe_hash=True)  # frozen in spirit, as above
class Outgoing:
    """One delivery as a provider sees it."""

    key: bytes
    """The message key: 16 bytes, the idempotency key where a provider has one."""
    correlation_id: str
    channel: Channel
    message: Message
