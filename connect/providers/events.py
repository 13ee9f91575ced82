"""What providers report later: delivered, opened, clicked, bounced, complained, unsubscribed.

    Webhook ──parse_events──▶ list[Event]        or EventsRefused: not genuine, too old, not readable

A webhook is read by the adapter of the account that it is for, as a pure function: what the network has to give (AWS's
certificates) is asked for by `CertificateWanted` and comes with the next try.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from connect.identity import read_correlation_id
from connect.providers.api import read_json
from connect.providers.interface import ProviderSettings
from connect.vocabulary import Channel

LARGEST = 5 << 20
"""Bytes of a body: larger ones are refused unread."""
AGE = timedelta(minutes=5)
"""How far a signed time may be from ours, both ways."""


class EventType(StrEnum):
    delivered = "delivered"
    opened = "opened"
    clicked = "clicked"
    bounced = "bounced"
    complained = "complained"
    unsubscribed = "unsubscribed"
    resubscribed = "resubscribed"


class Bounce(StrEnum):
    """Whether it is worth writing to the address again."""

    hard = "hard"
    soft = "soft"


@dataclass(slots=True)  # frozen in spirit: freezing costs two microseconds
class Event:
    """One thing that happened to one message. Its repr says nothing about a person."""

    type: EventType
    at: datetime
    """Aware."""
    id: str
    """The provider's own, or made from what makes it unique: the same when it is reported again."""
    channel: Channel
    run_id: str | None = None
    key: bytes | None = field(default=None, repr=False)
    """The message key, with the run out of our correlation id; None for what is not ours."""
    address: str = field(default="", repr=False)
    """Of the person, as the provider gives it; blank where it does not."""
    bounce: Bounce | None = None
    reason: str = ""
    """A normalised reason in snake_case, of a bounce or complaint."""
    link: str = field(default="", repr=False)
    """What was clicked."""
    machine: bool = False
    """A prefetching proxy or a scanner did it, not a person."""
    provider_id: str = field(default="", repr=False)
    user_agent: str = field(default="", repr=False)
    """Of who opened or clicked, where we have seen it ourselves."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The provider asks whether these webhooks are wanted (SNS): opening the URL says yes."""

    topic: str
    url: str = field(repr=False)


class Replays(Protocol):
    """Remembers what signatures have been used for, longer than they are accepted."""

    def is_new(self, token: str, body: bytes) -> bool:
        """False where this token has come with another body: the signature does not cover it, and was copied."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request from a provider, as it came. Its repr holds nothing of it."""

    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    """As the provider knows it: scheme, host, path and query."""
    at: datetime
    """When it came: aware."""
    replays: Replays = field(repr=False)
    certificates: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """URL → PEM, of those that were wanted."""


class EventsRefused(Exception):
    """Not to be believed, or not readable. The text is a reason in snake_case, never anything of the request.

    `not_configured`, `bad_signature`, `too_old`, `replayed`, `too_large`, `unreadable`, `wrong_topic`,
    `wrong_certificate`
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CertificateWanted(Exception):
    """The certificate at this URL is needed to tell, whose host was checked: fetch it, and read the webhook again."""

    def __init__(self, url: str) -> None:
        super().__init__("certificate_wanted")
        self.url = url


ParseEvents = Callable[[Webhook, ProviderSettings], list[Event | Confirmation]]
"""The events of a webhook that is proved to be the provider's, in its order; those we have no name for are left out.
Raises EventsRefused or CertificateWanted."""


def parse_events_of(adapter: object) -> ParseEvents | None:
    """What reads the webhooks of an adapter's provider: its static method `parse_events`, if it has one."""
    found: ParseEvents | None = getattr(adapter, "parse_events", None)
    return found


def json_body(webhook: Webhook) -> Any:
    """The body as JSON. Raises EventsRefused."""
    check_size(webhook)
    try:
        return read_json(webhook.body)
    except ValueError:
        raise EventsRefused("unreadable") from None


def check_size(webhook: Webhook) -> None:
    """Before anything else is done with a body."""
    if len(webhook.body) > LARGEST:
        raise EventsRefused("too_large")


def instant(text: object, otherwise: datetime) -> datetime:
    """A time in ISO 8601, in UTC; the other one where it is none, or none of any calendar."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else otherwise
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return otherwise


def bare(text: str) -> str:
    """The address of `Name <address>`, or of an address alone."""
    _, opening, rest = text.rpartition("<")
    return (rest.partition(">")[0] if opening else text).strip()


def correlated(text: object) -> tuple[str | None, bytes | None]:
    """(run id, message key) out of what came back as our correlation id."""
    found = read_correlation_id(text) if isinstance(text, str) and _CORRELATION.fullmatch(text) else None
    return found or (None, None)


_CORRELATION = re.compile(r"[a-z0-9]{2}\.[0-9a-v]{16}\.[A-Za-z0-9_-]{22}")
