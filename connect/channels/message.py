"""What goes on the wire: one rendered message, addressed and keyed, on its way to a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from connect.redact import Secret
from connect.vocabulary import Channel, Platform

if TYPE_CHECKING:
    from connect.liquid.wire import WireText


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
    text_body: bytes | WireText | None
    """The bodies: in UTF-8, or as octets that were rendered."""
    html_body: bytes | WireText | None
    message_id: str | None = None
    """The field as it stands on the wire…"""
    ours: str | None = None
    """…and all headers that are not the content's own."""

    @property
    def text(self) -> bytes | None:
        """The body in UTF-8, with lines that end in `\\n`."""
        return _lines(self.text_body)

    @property
    def html(self) -> bytes | None:
        """As `text`."""
        return _lines(self.html_body)


def _lines(body: bytes | WireText | None) -> bytes | None:
    return body if body is None or isinstance(body, bytes) else body.lines


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

    @property
    def address(self) -> str:
        """The first of those that it is sent to."""
        return self.to[0].address

    @property
    def said(self) -> str:
        """All that its reader sees."""
        return f"{self.subject}\n{self.text}\n{self.html}"

    if not TYPE_CHECKING:  # which would take any name for an attribute

        def __getattr__(self, name: str) -> str:
            """A body that is only there as octets becomes text when somebody asks for it."""
            body = getattr(self.prepared, f"{name}_body") if name in ("text", "html") else None
            if body is None:
                raise AttributeError(name)
            text = str(body)
            setattr(self, name, text)
            return text


@dataclass(frozen=True, slots=True)
class Sms:
    """A rendered text message; `to` is E.164 without spaces."""

    to: str
    body: str
    sender: str = ""
    segments: int = 1
    """Of how many parts it is sent, and paid for (`connect.channels.segments`)."""

    @property
    def address(self) -> str:
        return self.to

    @property
    def said(self) -> str:
        return self.body


@dataclass(frozen=True, slots=True)
class Device:
    """Where a push message goes: one app on one device."""

    address: str
    """A token, an installation id or an endpoint's ARN."""
    platform: Platform | None = None
    kind: str = ""
    """`fcm_token`, `fcm_fid`, `apns` or `sns_arn`, where the audience says so."""


@dataclass(frozen=True, slots=True)
class Push:
    """A rendered push message. What is blank or None is left to the provider, or to the app."""

    device: Device
    title: str
    body: str
    data: tuple[tuple[str, str], ...] = ()
    """For the app, not shown."""
    image: str = ""
    badge: int | None = None
    sound: str = ""
    url: str = ""
    ttl: timedelta | None = None
    """How long it is kept for a device that can not be reached."""
    collapse_key: str = ""
    """Of several messages with one key, a device shows the last."""
    ios: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Merged into the APNs payload, as it is."""
    android: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Merged into FCM's `android` block, as it is."""

    @property
    def address(self) -> str:
        return self.device.address

    @property
    def said(self) -> str:
        return "\n".join((self.title, self.body, self.url, self.image, *(value for _, value in self.data)))


@dataclass(frozen=True, slots=True)
class Request:
    """A rendered HTTP request to an endpoint of the user's."""

    to: str
    """The URL; blank for the account's own endpoint."""
    body: bytes
    method: str = "POST"
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Secrets among them are put in already."""
    signing_secret: Secret | None = None
    """Of this content; the account's where it is None."""
    allow_private: bool | None = None
    """Whether the endpoint may be in a private network; as the account says where it is None."""
    personal: bool = False
    """The URL is this person's: what is wrong with it is nobody else's trouble."""
    redirected: bool = False
    """It goes to the test recipient, for whom the account's headers are not meant."""

    @property
    def address(self) -> str:
        return self.to

    @property
    def said(self) -> str:
        return self.body.decode(errors="replace")


Message = Email | Sms | Push | Request


@dataclass(slots=True, unsafe_hash=True)  # frozen in spirit, as above
class Outgoing:
    """One delivery as a provider sees it."""

    key: bytes
    """The message key: 16 bytes, the idempotency key where a provider has one."""
    correlation_id: str
    channel: Channel
    message: Message
