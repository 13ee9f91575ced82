"""What happens to deliveries, as the user's endpoints are told of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connect.providers.api import json_bytes
from connect.vocabulary import Channel, HappeningType

VERSION = 1
"""Of the body. New keys may come in the same version; what a key means does not change."""


@dataclass(slots=True)  # frozen in spirit: freezing costs a microsecond
class Happening:
    """One thing that happened to one message. Its repr says nothing about a person."""

    type: HappeningType
    at: datetime
    """Aware."""
    campaign: str = ""
    """Blank where the run is not known here."""
    run_id: str | None = None
    channel: Channel | None = None
    key: str = field(default="", repr=False)
    """The message key, in hexadecimal digits; blank for what is about no message."""
    id: str = field(default="", repr=False)
    """Of the person, as far as it is known, like what follows."""
    address: str = field(default="", repr=False)
    bounce: str = ""
    reason: str = ""
    link: str = field(default="", repr=False)
    """As it was clicked."""
    user_agent: str = field(default="", repr=False)
    machine: bool = False
    """A program did it, and nobody has read anything."""
    source: str = field(default="", repr=False)
    """What tells it from others of its type about the same message: a provider's id of the event."""


Tell = Callable[[Iterable[Happening]], None]
"""Takes what happened. Never waits, and never raises."""


def body(happening: Happening, target: str, *, test: bool = False) -> bytes:
    """The JSON that an endpoint is told. Every key is always there; what is not known is null."""
    at = happening.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = {
        "target": target,
        "campaign": happening.campaign or None,
        "run": happening.run_id,
        "message": happening.key or None,
        "channel": happening.channel,
        "user": {"id": happening.id or None, "address": happening.address or None},
        "bounce": happening.bounce or None,
        "reason": happening.reason or None,
        "link": happening.link or None,
        "user_agent": happening.user_agent or None,
        "machine": happening.machine,
    }
    told = {"type": happening.type, "timestamp": at, "version": VERSION, **({"test": True} if test else {})}
    return json_bytes({**told, "data": data})


_ONCE = (HappeningType.sent, HappeningType.failed)
"""A message has at most one of each, whenever it is told."""


def webhook_id(happening: Happening, key: bytes) -> str:
    """The same for the same happening, whoever tells it and when: receivers know by it what they have heard.

    It is keyed, with the endpoint's own secret: it may be made from an address, and names nobody.
    """
    parts = [happening.type, happening.run_id or "", happening.key]
    if happening.type not in _ONCE:
        known = (happening.id, happening.address, happening.at.isoformat(), happening.link)
        parts += [happening.source] if happening.source else known
    text = "\x1f".join(parts).encode(errors="replace")
    return f"evt_{hashlib.blake2b(text, key=key[:64], digest_size=16).hexdigest()}"
