"""Mailgun's webhooks, one event each (documented at documentation.mailgun.com, Webhooks, and Events: structure)."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import Any

from connect.providers.events import (
    Bounce,
    Confirmation,
    Event,
    EventsRefused,
    EventType,
    Webhook,
    check_size,
    correlated,
    json_body,
)
from connect.providers.mailgun_form import CORRELATION_VARIABLE
from connect.providers.signatures import check_age, equal
from connect.redact import Secret
from connect.vocabulary import Channel

TYPES: dict[str, EventType] = {
    "delivered": EventType.delivered,
    "opened": EventType.opened,
    "clicked": EventType.clicked,
    "failed": EventType.bounced,
    "rejected": EventType.bounced,
    "complained": EventType.complained,
    "unsubscribed": EventType.unsubscribed,
}
"""Left out is `accepted`, which the answer to the call has said already."""

FAILURES: dict[str, tuple[Bounce, str]] = {
    "bounce": (Bounce.hard, "bounced"),
    "suppress-bounce": (Bounce.hard, "bounced_before"),
    "suppress-complaint": (Bounce.soft, "complained_before"),
    "suppress-unsubscribe": (Bounce.soft, "unsubscribed_before"),
    "old": (Bounce.soft, "gave_up"),
    "espblock": (Bounce.soft, "bad_reputation"),
    "generic": (Bounce.soft, "refused"),
}
"""`reason` of what failed for good. Hard is only what Mailgun itself puts on its list of bounces."""

_BAD_ADDRESS = "5.1."
"""Enhanced codes that blame the address (RFC 3463 3.2)."""
_TEST_MODE = 650
"""The code with which a message in test mode is reported as delivered, which reached nobody."""


def parse(webhook: Webhook, secret: Secret | None) -> list[Event | Confirmation]:
    """The event of a genuine webhook, unless it has no name here."""
    check_size(webhook)
    if not secret:
        raise EventsRefused("not_configured")
    is_json = webhook.headers.get("content-type", "").lower().startswith("application/json")
    body = json_body(webhook) if is_json else None  # of old, they were forms
    if not isinstance(body, dict):
        raise EventsRefused("unreadable")
    _check_signature(webhook, _part(body, "signature"), secret)
    event = _event(_part(body, "event-data"))
    return [] if event is None else [event]


def _check_signature(webhook: Webhook, signature: dict[str, Any], secret: Secret) -> None:
    """HMAC-SHA256 of timestamp and token. The body is not in it: one signature is good for one body.

    Digits only, so that nobody moves the first of the token (`1700000000e0…`) to the time, and has another token.
    """
    seconds, token, theirs = (str(signature.get(name, "")) for name in ("timestamp", "token", "signature"))
    if not seconds.isascii() or not seconds.isdigit():
        raise EventsRefused("bad_signature")
    key, signed = (text.encode(errors="replace") for text in (secret.reveal(), seconds + token))
    ours = hmac.digest(key, signed, "sha256").hex()
    if not equal(ours, theirs.encode(errors="replace")):
        raise EventsRefused("bad_signature")
    check_age(seconds, webhook.at)
    if not webhook.replays.is_new(ours, webhook.body):
        raise EventsRefused("replayed")


def _event(data: dict[str, Any]) -> Event | None:
    type = TYPES.get(_text(data, "event"))
    status = _part(data, "delivery-status")
    if type is None or _goes_on(data) or (type is EventType.delivered and status.get("code") == _TEST_MODE):
        return None
    at, id = _at(data.get("timestamp")), _text(data, "id")
    if not id:
        raise EventsRefused("unreadable")
    run_id, key = correlated(_part(data, "user-variables").get(CORRELATION_VARIABLE))
    bounce, reason = _bounce(data, status) if type is EventType.bounced else (None, "")
    return Event(
        type,
        at,
        f"{at:%Y%m%d}.{id}",  # Mailgun's ids are unique within a day
        Channel.email,
        run_id,
        key,
        address=_text(data, "recipient"),
        bounce=bounce,
        reason=reason,
        link=_text(data, "url") if type is EventType.clicked else "",
        machine=bool(_part(data, "client-info").get("bot")),
        provider_id=_text(_part(_part(data, "message"), "headers"), "message-id"),
    )


def _goes_on(data: dict[str, Any]) -> bool:
    """A temporary failure: Mailgun tries again, and reports how that ends."""
    return data.get("event") == "failed" and data.get("severity") == "temporary"


def _bounce(data: dict[str, Any], status: dict[str, Any]) -> tuple[Bounce, str]:
    if data.get("event") == "rejected":  # Mailgun did not try
        return Bounce.soft, "rejected"
    if str(status.get("enhanced-code") or status.get("bounce-code") or "").startswith(_BAD_ADDRESS):
        return Bounce.hard, "invalid_address"
    return FAILURES.get(_text(data, "reason"), (Bounce.soft, "other"))


def _at(seconds: object) -> datetime:
    try:
        return datetime.fromtimestamp(float(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        raise EventsRefused("unreadable") from None


def _part(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""
