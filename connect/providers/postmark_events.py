"""Postmark's webhooks: one event each, with basic authentication (postmarkapp.com/developer/webhooks, seen 2026-11)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from connect.providers.events import (
    Bounce,
    Confirmation,
    Event,
    EventsRefused,
    EventType,
    Webhook,
    correlated,
    instant,
    json_body,
)
from connect.providers.interface import ProviderSettings
from connect.providers.postmark_settings import CORRELATION, Settings
from connect.providers.signatures import check_password
from connect.vocabulary import Channel

RECORDS: dict[str, tuple[EventType, str, str]] = {
    "Delivery": (EventType.delivered, "DeliveredAt", "Recipient"),
    "Bounce": (EventType.bounced, "BouncedAt", "Email"),
    "SpamComplaint": (EventType.complained, "BouncedAt", "Email"),
    "Open": (EventType.opened, "ReceivedAt", "Recipient"),
    "Click": (EventType.clicked, "ReceivedAt", "Recipient"),
    "SubscriptionChange": (EventType.unsubscribed, "ChangedAt", "Recipient"),
}
"""RecordType → what it is, and the fields that hold its time and the person's address."""

BOUNCES: dict[str, tuple[EventType, Bounce | None, str] | None] = {
    "HardBounce": (EventType.bounced, Bounce.hard, "mailbox_unavailable"),
    "BadEmailAddress": (EventType.bounced, Bounce.hard, "bad_address_syntax"),
    "ManuallyDeactivated": (EventType.bounced, Bounce.hard, "deactivated_by_hand"),
    "SoftBounce": (EventType.bounced, Bounce.soft, "mailbox_in_trouble"),
    "Transient": (EventType.bounced, Bounce.soft, "delayed"),
    "DnsError": (EventType.bounced, Bounce.soft, "dns_error"),
    "AddressChange": (EventType.bounced, Bounce.soft, "address_changed"),
    "SpamNotification": (EventType.bounced, Bounce.soft, "blocked_as_spam"),
    "VirusNotification": (EventType.bounced, Bounce.soft, "blocked_as_virus"),
    "ChallengeVerification": (EventType.bounced, Bounce.soft, "challenged"),
    "Blocked": (EventType.bounced, Bounce.soft, "blocked"),
    "DMARCPolicy": (EventType.bounced, Bounce.soft, "dmarc_policy"),
    "Unconfirmed": (EventType.bounced, Bounce.soft, "unconfirmed"),
    "SMTPApiError": (EventType.bounced, Bounce.soft, "not_accepted"),
    "TemplateRenderingFailed": (EventType.bounced, Bounce.soft, "not_accepted"),
    "Unknown": (EventType.bounced, Bounce.soft, "other"),
    "SpamComplaint": (EventType.complained, None, "spam"),
    "Unsubscribe": (EventType.unsubscribed, None, ""),
    # Not about what became of the message, or of another message.
    "Subscribe": None,
    "AutoResponder": None,
    "OpenRelayTest": None,
    "InboundError": None,
}
"""Type of a bounce (postmarkapp.com/developer/api/bounce-api, "Bounce types") → what it is, or None for no event."""

_OTHER_BOUNCE = (EventType.bounced, Bounce.soft, "other")


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """As `connect.providers.events.ParseEvents`."""
    assert isinstance(settings, Settings)
    check_password(webhook, settings.webhook_username, settings.webhook_password)
    record = json_body(webhook)
    if not isinstance(record, dict):
        raise EventsRefused("unreadable")
    event = _event(record, webhook.at)
    return [event] if event else []


def _event(record: dict[str, Any], came: datetime) -> Event | None:
    kind = _text(record, "RecordType")
    if kind not in RECORDS:
        return None
    type, when, whom = RECORDS[kind]
    bounce, reason = None, ""
    if kind == "Bounce":
        found = BOUNCES.get(_text(record, "Type"), _OTHER_BOUNCE)
        if found is None:
            return None
        type, bounce, reason = found
    elif kind == "SpamComplaint":
        reason = "spam"
    elif kind == "SubscriptionChange":
        type, reason = _change(record)
    metadata = record.get("Metadata")
    run_id, key = correlated(metadata.get(CORRELATION) if isinstance(metadata, dict) else None)
    return Event(
        type,
        instant(record.get(when), came),
        _id(kind, record, when, whom),
        Channel.email,
        run_id,
        key,
        _text(record, whom),
        bounce,
        reason,
        link=_text(record, "OriginalLink") if kind == "Click" else "",
        provider_id=_text(record, "MessageID"),
    )


SUPPRESSED = {
    "HardBounce": "hard_bounce",
    "SpamComplaint": "spam",
    "ManualSuppression": "by_request",
}
"""SuppressionReason: why Postmark sends nothing more to the address."""


def _change(record: dict[str, Any]) -> tuple[EventType, str]:
    """Postmark's list of those it sends nothing to: somebody came on it, or was taken off."""
    if record.get("SuppressSending") is False:
        return EventType.resubscribed, ""
    return EventType.unsubscribed, SUPPRESSED.get(_text(record, "SuppressionReason"), "")


def _id(kind: str, record: dict[str, Any], when: str, whom: str) -> str:
    """Postmark numbers bounces only: what happened to which copy of which message, and when, is there once."""
    number = record.get("ID", "")
    parts = (kind, _text(record, "MessageID"), str(number), _text(record, when), _text(record, whom))
    return hashlib.blake2b("\x1f".join(parts).encode(errors="replace"), digest_size=16).hexdigest()


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""
