"""Resend's webhooks: one event each, signed by Svix (resend.com/docs/webhooks/event-types, seen 2026-11)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from connect.providers.events import (
    Bounce,
    Confirmation,
    Event,
    EventsRefused,
    EventType,
    Webhook,
    bare,
    check_size,
    correlated,
    instant,
    json_body,
)
from connect.providers.interface import ProviderSettings
from connect.providers.resend_messages import correlation_of
from connect.providers.resend_settings import CORRELATION, Settings
from connect.providers.signatures import check_standard
from connect.vocabulary import Channel

TYPES: dict[str, EventType] = {
    "email.delivered": EventType.delivered,
    "email.opened": EventType.opened,
    "email.clicked": EventType.clicked,
    "email.bounced": EventType.bounced,
    "email.suppressed": EventType.bounced,  # Resend does not try addresses that bounced or complained before
    "email.failed": EventType.bounced,  # it could not be handed on: quota, domain, recipient
    "email.complained": EventType.complained,
}
"""`email.sent`, `email.delivery_delayed` and what is not about a message are left out."""

BOUNCES: dict[str, Bounce] = {
    "Permanent": Bounce.hard,
    "Transient": Bounce.soft,
    "Undetermined": Bounce.soft,
}
"""`bounce.type` (resend.com/docs/dashboard/emails/email-bounces)."""

REASONS: dict[str, str] = {
    "General": "general",
    "NoEmail": "no_such_address",
    "Suppressed": "suppressed",
    "OnAccountSuppressionList": "suppressed",
    "MailboxFull": "mailbox_full",
    "MessageTooLarge": "message_too_large",
    "ContentRejected": "content_rejected",
    "AttachmentRejected": "attachment_rejected",
}
"""`bounce.subType`, and `suppressed.type`."""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """As `connect.providers.events.ParseEvents`."""
    assert isinstance(settings, Settings)
    check_size(webhook)
    name = check_standard(webhook, settings.webhook_secret, "svix")
    report = json_body(webhook)
    data = report.get("data") if isinstance(report, dict) else None
    if not isinstance(data, dict):
        raise EventsRefused("unreadable")
    type = TYPES.get(_text(report, "type"))
    return [] if type is None else [_event(name, type, report, data, webhook.at)]


def _event(name: str, type: EventType, report: dict[str, Any], data: dict[str, Any], came: datetime) -> Event:
    run_id, key = correlated(correlation_of(_tag(data.get("tags"))))
    click = _object(data, "click")
    bounce, reason = _bounce(_text(report, "type"), data)
    return Event(
        type,
        instant(_text(click, "timestamp") or _text(report, "created_at"), came),
        name,
        Channel.email,
        run_id,
        key,
        _address(data.get("to")),
        bounce,
        "spam" if type is EventType.complained else reason,
        link=_text(click, "link"),
        provider_id=_text(data, "email_id"),
    )


_SNAKE = re.compile(r"[a-z][a-z0-9_]{0,39}")


def _bounce(kind: str, data: dict[str, Any]) -> tuple[Bounce | None, str]:
    """Whether it is worth writing again, and why it did not arrive."""
    if kind == "email.bounced":
        said = _object(data, "bounce")
        hardness = BOUNCES.get(_text(said, "type"), Bounce.soft if said else Bounce.hard)
        return hardness, REASONS.get(_text(said, "subType"), "other")
    if kind == "email.suppressed":
        return Bounce.hard, "suppressed"
    if kind == "email.failed":
        reason = _text(_object(data, "failed"), "reason")
        return Bounce.soft, reason if _SNAKE.fullmatch(reason) else "other"
    return None, ""


def _tag(tags: object) -> object:
    """Ours: webhooks have tags as an object, requests as a list."""
    if isinstance(tags, dict):
        return tags.get(CORRELATION)
    pairs = tags if isinstance(tags, list) else []
    return next(
        (pair.get("value") for pair in pairs if isinstance(pair, dict) and pair.get("name") == CORRELATION), None
    )


def _address(to: object) -> str:
    """The first that it was sent to, without the name that we sent with it."""
    first = to[0] if isinstance(to, list) and to else to
    return bare(first) if isinstance(first, str) else ""


def _object(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""
