"""What SparkPost reports: batches of `{"msys": {kind: event}}` (developers.sparkpost.com, "Webhooks").

Nothing is signed; who sends proves it by basic authentication.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import model_validator

from connect.providers.events import (
    Bounce,
    Confirmation,
    Event,
    EventsRefused,
    EventType,
    Webhook,
    correlated,
    json_body,
)
from connect.providers.interface import ProviderSettings
from connect.providers.signatures import check_password
from connect.providers.sparkpost_calls import METADATA
from connect.redact import Secret
from connect.vocabulary import Channel


class WebhookSettings(ProviderSettings):
    webhook_username: str | None = None
    """Of the basic authentication that the webhook has in SparkPost."""
    webhook_password: Secret | None = None

    @model_validator(mode="after")
    def _whole_sign_in(self) -> Self:
        if (self.webhook_username is None) != (self.webhook_password is None):
            raise ValueError("`webhook_username` and `webhook_password` come together")
        return self


TYPES: dict[str, EventType] = {
    "delivery": EventType.delivered,
    "bounce": EventType.bounced,
    "out_of_band": EventType.bounced,  # a bounce that came as a mail, later
    "policy_rejection": EventType.bounced,  # SparkPost itself refused it after all
    "generation_failure": EventType.bounced,
    "generation_rejection": EventType.bounced,
    "spam_complaint": EventType.complained,
    "open": EventType.opened,
    "amp_open": EventType.opened,
    "click": EventType.clicked,
    "amp_click": EventType.clicked,
    "list_unsubscribe": EventType.unsubscribed,
    "link_unsubscribe": EventType.unsubscribed,
}
"""`type` → ours. An `initial_open` is the same opening as `open`, seen by a pixel further up; `injection`, `delay` and
others are not ours."""

BOUNCES: dict[str, tuple[Bounce, str]] = {
    "1": (Bounce.soft, "other"),
    "10": (Bounce.hard, "mailbox_unavailable"),
    "20": (Bounce.soft, "other"),
    "21": (Bounce.soft, "bad_domain"),
    "22": (Bounce.soft, "mailbox_full"),
    "23": (Bounce.soft, "message_too_large"),
    "24": (Bounce.soft, "host_unreachable"),
    "25": (Bounce.soft, "refused_by_policy"),
    "26": (Bounce.soft, "refused_by_policy"),
    "30": (Bounce.hard, "no_recipient"),
    "40": (Bounce.soft, "other"),
    "50": (Bounce.soft, "blocked"),
    "51": (Bounce.soft, "blocked_as_spam"),
    "52": (Bounce.soft, "blocked_as_spam"),
    "53": (Bounce.soft, "attachment_refused"),
    "54": (Bounce.soft, "relay_denied"),
    "70": (Bounce.soft, "try_again_later"),
}
"""`bounce_class` → whether the address is dead, and why. Documented at support.sparkpost.com, "Bounce classification
codes". 25 is SparkPost's own policy: an address on its suppression list, but also our sender or our content."""

UNSUBSCRIBED = "90"
"""A `bounce_class` of a mail that asks to be unsubscribed, which is no bounce."""
NO_BOUNCES = frozenset({"60", "80", "100"})
"""Automatic replies, requests to subscribe and challenges: the message has arrived."""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """The events of a webhook, in its order. Raises EventsRefused."""
    assert isinstance(settings, WebhookSettings)
    check_password(webhook, settings.webhook_username or "", settings.webhook_password or None)
    body = json_body(webhook)
    if not isinstance(body, list):
        raise EventsRefused("unreadable")
    return [event for each in body for said in _inside(each) if (event := _event(said, webhook.at)) is not None]


def _inside(wrapped: object) -> list[dict[str, Any]]:
    """The event in its wrapping; none in what SparkPost sends to see whether somebody is there."""
    msys = wrapped.get("msys") if isinstance(wrapped, dict) else None
    if not isinstance(msys, dict) or not all(isinstance(said, dict) for said in msys.values()):
        raise EventsRefused("unreadable")
    return list(msys.values())


def _event(said: dict[str, Any], now: datetime) -> Event | None:
    kind = TYPES.get(str(said.get("type")))
    bounce, reason = None, ""
    if kind is EventType.bounced:
        bounce_class = str(said.get("bounce_class"))
        if bounce_class in NO_BOUNCES:
            return None
        if bounce_class == UNSUBSCRIBED:
            kind = EventType.unsubscribed
        else:
            bounce, reason = BOUNCES.get(bounce_class, (Bounce.soft, "other"))
    if kind is None:
        return None
    metadata = said.get("rcpt_meta")
    run_id, key = correlated(metadata.get(METADATA) if isinstance(metadata, dict) else None)
    return Event(
        kind,
        _at(said.get("timestamp"), now),
        _id(said),
        Channel.email,
        run_id=run_id,
        key=key,
        address=_text(said.get("raw_rcpt_to") or said.get("rcpt_to")),
        bounce=bounce,
        reason=reason,
        link=_text(said.get("target_link_url")) if kind is EventType.clicked else "",
        machine=_by_a_machine(said),
        provider_id=_text(said.get("transmission_id")),
    )


def _by_a_machine(said: dict[str, Any]) -> bool:
    """Opened ahead of the person by their mail client's privacy proxy, as SparkPost tells from the user agent."""
    agent = said.get("user_agent_parsed")
    return isinstance(agent, dict) and agent.get("is_prefetched") is True


def _id(said: dict[str, Any]) -> str:
    """SparkPost's own; where an event has none, a digest of it that says nothing."""
    given = said.get("event_id")
    return str(given) if given else hashlib.blake2b(repr(sorted(said.items())).encode(), digest_size=16).hexdigest()


def _at(seconds: object, now: datetime) -> datetime:
    """When it happened; where that can not be read, when it was told."""
    try:
        return datetime.fromtimestamp(float(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        return now


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
