"""What Amazon SES reports later: the events of a configuration set, which come through an SNS topic.

"Contents of event data that Amazon SES publishes to Amazon SNS", docs.aws.amazon.com/ses/latest/dg.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connect.providers import aws_events
from connect.providers.aws import ReportingSettings
from connect.providers.aws_events import Notification
from connect.providers.events import Bounce, Confirmation, Event, EventType, Webhook, bare, correlated
from connect.providers.interface import ProviderSettings
from connect.providers.ses_calls import CORRELATION_TAG
from connect.vocabulary import Channel

BOUNCES: dict[str, Bounce] = {"Permanent": Bounce.hard, "Transient": Bounce.soft, "Undetermined": Bounce.soft}
"""bounceType. An undetermined one is a bounce that SES could not read."""

BOUNCE_REASONS: dict[str, str] = {
    "General": "general",
    "Undetermined": "undetermined",
    "NoEmail": "mailbox_unavailable",
    "Suppressed": "suppressed",
    "OnAccountSuppressionList": "suppressed",
    "UnsubscribedRecipient": "unsubscribed",
    "MailboxFull": "mailbox_full",
    "MessageTooLarge": "message_too_large",
    "ContentRejected": "content_rejected",
    "AttachmentRejected": "attachment_rejected",
    "CustomTimeoutExceeded": "timed_out",
}
"""bounceSubType ("Bounce types"). What is not in here is `other`."""

COMPLAINT_REASONS: dict[str, str] = {
    "abuse": "abuse",
    "auth-failure": "auth_failure",
    "fraud": "fraud",
    "other": "other",
    "virus": "virus",
}
"""complaintFeedbackType, as IANA registers them. `not-spam` takes a complaint back, and is none."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What becomes of one event of SES's, whoever it is about."""

    type: EventType
    addresses: Sequence[str] = ()
    bounce: Bounce | None = None
    reason: str = ""
    link: str = ""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """As `connect.providers.events.ParseEvents`."""
    assert isinstance(settings, ReportingSettings)
    said = aws_events.read(webhook, settings.webhook_topic_arn)
    if isinstance(said, Notification):
        return list(_events(said))
    return [said] if said else []


def _events(notification: Notification) -> list[Event]:
    """One for each address that it is about."""
    content, mail = notification.content, _object(notification.content.get("mail"))
    kind = content.get("eventType") or content.get("notificationType")  # of an identity's feedback notifications
    detail = _object(content.get(_DETAILS.get(str(kind), "")))
    said = _said(str(kind), detail, mail)
    if said is None:
        return []
    at = aws_events.instant(detail.get("timestamp")) or notification.at
    run_id, key = correlated(_correlation_id(mail))
    return [
        Event(
            said.type,
            at,
            f"{notification.id}/{number}" if number else notification.id,
            Channel.email,
            run_id,
            key,
            address,
            said.bounce,
            said.reason,
            said.link,
            provider_id=_text(mail.get("messageId")),
        )
        for number, address in enumerate(said.addresses or [""])
    ]


_DETAILS = {
    "Delivery": "delivery",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Open": "open",
    "Click": "click",
    "Reject": "reject",
    "Rendering Failure": "failure",
    "Subscription": "subscription",
}
"""eventType → where its details are. `Send` and `DeliveryDelay` say nothing that is final."""


def _said(kind: str, detail: dict[str, Any], mail: dict[str, Any]) -> _Said | None:
    """None for what we have no name for."""
    match kind:
        case "Delivery":
            return _Said(EventType.delivered, _addresses(detail.get("recipients")))
        case "Bounce":
            return _bounced(detail)
        case "Complaint":
            return _complained(detail)
        case "Open":
            return _Said(EventType.opened, _alone(mail))
        case "Click":
            return _Said(EventType.clicked, _alone(mail), link=_text(detail.get("link")))
        case "Reject":  # SES took it, found a virus, and sent it to nobody
            return _Said(EventType.bounced, _alone(mail), Bounce.soft, "rejected")
        case "Rendering Failure":
            return _Said(EventType.bounced, _alone(mail), Bounce.soft, "rendering_failure")
        case "Subscription":
            return _subscription(detail, mail)
    return None


def _bounced(detail: dict[str, Any]) -> _Said:
    bounce = BOUNCES.get(_text(detail.get("bounceType")), Bounce.soft)
    reason = BOUNCE_REASONS.get(_text(detail.get("bounceSubType")), "other")
    return _Said(EventType.bounced, _people(detail.get("bouncedRecipients")), bounce, reason)


def _complained(detail: dict[str, Any]) -> _Said | None:
    kind = _text(detail.get("complaintFeedbackType"))
    if kind == "not-spam":
        return None
    reason = COMPLAINT_REASONS.get(kind, "other")
    if detail.get("complaintSubType") == "OnAccountSuppressionList":  # they complained before, and got nothing now
        reason = "suppressed"
    return _Said(EventType.complained, _people(detail.get("complainedRecipients")), reason=reason)


def _subscription(detail: dict[str, Any], mail: dict[str, Any]) -> _Said | None:
    """The reader used SES's own subscription management: what they left counts; all is well when nothing is left."""
    left, before = (_left(_object(detail.get(f"{which}TopicPreferences"))) for which in ("new", "old"))
    if left - before:
        return _Said(EventType.unsubscribed, _alone(mail))
    return _Said(EventType.resubscribed, _alone(mail)) if before and not left else None


def _left(preferences: dict[str, Any]) -> set[str]:
    """The topics that somebody does not want; "" is everything."""
    topics = preferences.get("topicSubscriptionStatus")
    listed = [_object(topic) for topic in topics] if isinstance(topics, list) else []
    names = {_text(each.get("topicName")) for each in listed if _is_out(each.get("subscriptionStatus"))}
    return names | {""} if preferences.get("unsubscribeAll") is True else names


def _is_out(status: object) -> bool:
    """`OptOut` in events, `OPT_OUT` in the API."""
    return _text(status).replace("_", "").lower() == "optout"


def _correlation_id(mail: dict[str, Any]) -> str | None:
    """Out of our tag, in which a tag's alphabet has dashes for its dots."""
    values = _object(mail.get("tags")).get(CORRELATION_TAG)
    value = _text(values[0]) if isinstance(values, list) and values else ""
    found = _TAG.fullmatch(value)
    return ".".join(found.groups()) if found else None


_TAG = re.compile(r"(c[0-9])-([0-9a-v]{16})-([A-Za-z0-9_-]{22})")


def _alone(mail: dict[str, Any]) -> list[str]:
    """The only one who was written to; of several, SES does not say who it was."""
    addresses = _addresses(mail.get("destination"))
    return addresses if len(addresses) == 1 else []


def _people(recipients: object) -> list[str]:
    listed = recipients if isinstance(recipients, list) else []
    return _addresses([_object(each).get("emailAddress") for each in listed])


def _addresses(given: object) -> list[str]:
    """Without names."""
    listed = given if isinstance(given, list) else []
    return [address for each in listed if (address := bare(_text(each)))]


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
