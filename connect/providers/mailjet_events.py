"""What Mailjet reports: one event, or an array of them (dev.mailjet.com, "Event API", groups of version 2).

Nothing is signed. Who sends proves it by basic authentication, which stands in the URL that Mailjet is given, or by a
secret in its query.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qs

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
from connect.providers.signatures import check_password, equal
from connect.redact import Secret
from connect.vocabulary import Channel


class WebhookSettings(ProviderSettings):
    """How Mailjet proves that it is Mailjet: any one of these, and none that is wrong."""

    webhook_username: str | None = None
    """Of the URL that Mailjet reports to: `https://username:password@…`."""
    webhook_password: Secret | None = None
    webhook_token: Secret | None = None
    """The value of `token` in the query of that URL."""

    @model_validator(mode="after")
    def _whole_sign_in(self) -> Self:
        if (self.webhook_username is None) != (self.webhook_password is None):
            raise ValueError("`webhook_username` and `webhook_password` come together")
        return self


TYPES: dict[str, EventType] = {
    "sent": EventType.delivered,  # the recipient's server has taken it
    "open": EventType.opened,
    "click": EventType.clicked,
    "bounce": EventType.bounced,
    "blocked": EventType.bounced,  # Mailjet did not even try
    "spam": EventType.complained,
    "unsub": EventType.unsubscribed,
}
"""`event` → type. Others (`parse`…) are not ours."""

ERRORS: dict[str, tuple[Bounce, str]] = {
    "user unknown": (Bounce.hard, "mailbox_unavailable"),
    "mailbox inactive": (Bounce.hard, "mailbox_disabled"),
    "quota exceeded": (Bounce.soft, "mailbox_full"),
    "spam reporter": (Bounce.hard, "complained_before"),
    "blacklisted": (Bounce.soft, "blocked"),
    "invalid domain": (Bounce.hard, "bad_domain"),
    "no mail host": (Bounce.hard, "bad_domain"),
    "typofix": (Bounce.hard, "bad_domain"),
    "relay/access denied": (Bounce.soft, "relay_denied"),
    "greylisted": (Bounce.soft, "greylisted"),
    "sender blocked": (Bounce.soft, "sender_blocked"),
    "content blocked": (Bounce.soft, "content_refused"),
    "policy issue": (Bounce.soft, "refused_by_policy"),
    "system issue": (Bounce.soft, "provider_failed"),
    "protocol issue": (Bounce.soft, "provider_failed"),
    "connection issue": (Bounce.soft, "host_unreachable"),
    "preblocked": (Bounce.soft, "bounced_before"),
    "duplicate in campaign": (Bounce.soft, "duplicate_in_campaign"),
}
"""`error` → whether the address is dead, and why. Documented at dev.mailjet.com, "Possible values for errors"; where an
event says `hard_bounce` itself, that counts."""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """The events of a webhook, in its order. Raises EventsRefused."""
    assert isinstance(settings, WebhookSettings)
    _check(webhook, settings)
    body = json_body(webhook)
    said = body if isinstance(body, list) else [body]
    if not all(isinstance(each, dict) for each in said):
        raise EventsRefused("unreadable")
    return [event for each in said if (event := _event(each, webhook.at)) is not None]


def _check(webhook: Webhook, settings: WebhookSettings) -> None:
    """One proof that is configured is enough; one that is there and wrong is too much."""
    password, token = settings.webhook_password, settings.webhook_token
    if not password and not token:
        raise EventsRefused("not_configured")
    proven = False
    if password and "authorization" in webhook.headers:
        check_password(webhook, settings.webhook_username or "", password)
        proven = True
    given = parse_qs(webhook.url.partition("#")[0].partition("?")[2]).get("token", [])
    if token and given:
        if len(given) > 1 or not equal(token.reveal(), given[0]):
            raise EventsRefused("bad_signature")
        proven = True
    if not proven:
        raise EventsRefused("bad_signature")


def _event(said: dict[str, Any], now: datetime) -> Event | None:
    """None for what we have no name for, and for a delay: what was greylisted is tried again by Mailjet."""
    kind = TYPES.get(str(said.get("event")))
    hard = said.get("hard_bounce") is True
    if kind is None or (said.get("error") == "greylisted" and said.get("event") == "bounce" and not hard):
        return None
    run_id, key = correlated(said.get("CustomID"))
    bounce, reason = _bounce(said) if kind is EventType.bounced else (None, "")
    return Event(
        kind,
        _at(said.get("time"), now),
        _made_id(said),
        Channel.email,
        run_id=run_id,
        key=key,
        address=_text(said.get("email")),
        bounce=bounce,
        reason=reason,
        link=_text(said.get("url")) if kind is EventType.clicked else "",
        provider_id=_message_id(said),
    )


def _bounce(said: dict[str, Any]) -> tuple[Bounce, str]:
    bounce, reason = ERRORS.get(str(said.get("error")), (Bounce.soft, "other"))
    flag = said.get("hard_bounce")
    if isinstance(flag, bool):
        bounce = Bounce.hard if flag else Bounce.soft
    return bounce, reason


def _made_id(said: dict[str, Any]) -> str:
    """Mailjet's events have no id: what makes one unique, as a digest that says nothing of it."""
    parts = (
        _message_id(said),
        *(said.get(name) for name in ("event", "time", "CustomID", "email", "url", "ip", "agent")),
    )
    return hashlib.blake2b(repr(parts).encode(errors="replace"), digest_size=16).hexdigest()


def _message_id(said: dict[str, Any]) -> str:
    """A number, or as text in the older field."""
    return str(said.get("MessageID") or said.get("mj_message_id") or "")


def _at(seconds: object, now: datetime) -> datetime:
    """When it happened; where that can not be read, when it was told."""
    try:
        return datetime.fromtimestamp(float(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        return now


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
