"""What AWS End User Messaging SMS reports later: the events of a configuration set, which come through an SNS topic.

"Event types for SMS, MMS, and voice" and "Example event data", docs.aws.amazon.com/sms-voice/latest/userguide.
"""

from __future__ import annotations

from datetime import UTC, datetime

from connect.providers import aws_events
from connect.providers.aws import ReportingSettings
from connect.providers.aws_events import Notification
from connect.providers.events import Bounce, Confirmation, Event, EventType, Webhook, correlated
from connect.providers.interface import ProviderSettings
from connect.vocabulary import Channel

CONTEXT_KEY = "connect_id"
"""Of the `Context` of a message, which comes back in each of its events."""

TYPES: dict[str, tuple[EventType, Bounce | None, str]] = {
    "TEXT_DELIVERED": (EventType.delivered, None, ""),
    "TEXT_SUCCESSFUL": (EventType.delivered, None, ""),
    "TEXT_INVALID": (EventType.bounced, Bounce.hard, "invalid_number"),
    "TEXT_INVALID_MESSAGE": (EventType.bounced, Bounce.soft, "invalid_message"),
    "TEXT_UNREACHABLE": (EventType.bounced, Bounce.soft, "unreachable"),
    "TEXT_CARRIER_UNREACHABLE": (EventType.bounced, Bounce.soft, "carrier_unreachable"),
    "TEXT_BLOCKED": (EventType.bounced, Bounce.hard, "blocked"),
    "TEXT_CARRIER_BLOCKED": (EventType.bounced, Bounce.soft, "carrier_blocked"),
    "TEXT_PROTECT_BLOCKED": (EventType.bounced, Bounce.soft, "protect_blocked"),
    "TEXT_SPAM": (EventType.bounced, Bounce.soft, "spam"),
    "TEXT_TTL_EXPIRED": (EventType.bounced, Bounce.soft, "expired"),
    "TEXT_UNKNOWN": (EventType.bounced, Bounce.soft, "unknown"),
}
"""eventType. The others (queued, pending, sent) say nothing that is final."""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """As `connect.providers.events.ParseEvents`."""
    assert isinstance(settings, ReportingSettings)
    said = aws_events.read(webhook, settings.webhook_topic_arn)
    if isinstance(said, Notification):
        event = _event(said)
        return [event] if event else []
    return [said] if said else []


def _event(notification: Notification) -> Event | None:
    content = notification.content
    kind = content.get("eventType")
    # "Depending on the destination country, TEXT_DELIVERED and TEXT_SUCCESSFUL may be used interchangeably": the
    # carrier has it, and where nothing more will come, that is all that anybody will know.
    if not isinstance(kind, str) or kind not in TYPES or (kind == "TEXT_SUCCESSFUL" and not content.get("isFinal")):
        return None
    type, bounce, reason = TYPES[kind]
    context = content.get("context")
    run_id, key = correlated(context.get(CONTEXT_KEY) if isinstance(context, dict) else None)
    return Event(
        type,
        _instant(content.get("eventTimestamp")) or notification.at,
        notification.id,
        Channel.sms,
        run_id,
        key,
        str(content.get("destinationPhoneNumber") or ""),
        bounce,
        reason,
        provider_id=str(content.get("messageId") or ""),
    )


def _instant(milliseconds: object) -> datetime | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
