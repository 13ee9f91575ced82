"""What Bird reports of a message: delivered, or not, and why.

A webhook is signed as docs.bird.com/api/notifications-api/api-reference/webhook-subscriptions has it, under verifying a
webhook subscription: HMAC-SHA256 of time, URL and the SHA-256 of the body, in base64, with the signing key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from connect.providers.events import (
    Bounce,
    Confirmation,
    Event,
    EventsRefused,
    EventType,
    Webhook,
    check_size,
    correlated,
    instant,
    json_body,
)
from connect.providers.interface import ProviderSettings
from connect.providers.signatures import equal
from connect.redact import Secret
from connect.vocabulary import Channel

if TYPE_CHECKING:
    from connect.providers.messagebird import Settings

AGE = timedelta(days=1)
"""How far the signed time may be from ours. It is the event's, not the attempt's: Bird tries again for eight hours, and
users saw retries that bore the first time. All of the request is signed, so a copy of it says nothing new."""

TYPES: dict[str, EventType] = {
    "delivered": EventType.delivered,
    "sending_failed": EventType.bounced,
    "delivery_failed": EventType.bounced,
}
"""By status (docs.bird.com/api/channels-api/message-status-and-interactions). `accepted`, `processing` and `sent` are
on their way."""

BOUNCES: dict[str, tuple[Bounce, str]] = {
    "unknown_subscriber": (Bounce.hard, "unknown_number"),
    "incorrect_number": (Bounce.hard, "invalid_number"),
    "opted_out": (Bounce.hard, "unsubscribed"),
    "unavailable_subscriber": (Bounce.soft, "unreachable"),
    "expired": (Bounce.soft, "expired"),
    "dlr_not_received": (Bounce.soft, "unknown_error"),
    "received_network_error": (Bounce.soft, "network_failed"),
    "carrier_rejected": (Bounce.soft, "filtered"),
    "insufficient_balance": (Bounce.soft, "balance_used_up"),
    "capacity_limit_reached": (Bounce.soft, "slow_down"),
    "generic_delivery_failure": (Bounce.soft, "unknown_error"),
}
"""By the reason of the SMS platform, which is in `details` and `reason` (…/message-failure-sources/
sms-platform-extended-error-codes)."""

CODES: dict[int, tuple[Bounce, str]] = {
    15001: (Bounce.soft, "network_failed"),
    15005: (Bounce.hard, "unknown_number"),
}
"""By `failure.code`, where that page and …/message-failure-codes show what it means for text messages."""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """The event of one outbound message; none where it is still on its way. Raises EventsRefused."""
    account = cast("Settings", settings)
    if not account.webhook_secret:
        raise EventsRefused("not_configured")
    check_size(webhook)
    _check(webhook, account.webhook_secret, account.webhook_url)
    notice = json_body(webhook)
    if not isinstance(notice, dict):
        raise EventsRefused("unreadable")
    message = notice.get("payload")
    if notice.get("event") != "sms.outbound" or not isinstance(message, dict):
        return []
    name, kind = _text(message, "id"), TYPES.get(_text(message, "status"))
    return [_event(webhook, message, name, kind)] if name and kind else []


def _event(webhook: Webhook, message: Mapping[str, Any], name: str, kind: EventType) -> Event:
    run_id, key = correlated(message.get("reference"))
    bounce, reason = _bounce(message) if kind is EventType.bounced else (None, "")
    return Event(
        kind,
        instant(_text(message, "lastStatusAt") or _text(message, "updatedAt"), webhook.at),
        f"{name}:{message['status']}",
        Channel.sms,
        run_id,
        key,
        address=_address(message.get("receiver")),
        bounce=bounce,
        reason=reason,
        provider_id=name,
    )


_NAMED = re.compile(r"reason: *([a-z ]+)")
"""In `details: unknown subscriber; reason: unknown_subscriber; code: 1`, with blanks for the underscores."""


def _bounce(message: Mapping[str, Any]) -> tuple[Bounce, str]:
    named = _NAMED.search(_plain(_text(message, "reason")))
    for words in (_plain(_text(message, "details")), named[1] if named else ""):
        known = BOUNCES.get(words.strip().replace(" ", "_"))
        if known:
            return known
    failure = message.get("failure")
    code = failure.get("code") if isinstance(failure, dict) else None
    return CODES.get(code, _OTHER) if isinstance(code, int) else _OTHER


_OTHER = (Bounce.soft, "other")


def _plain(words: str) -> str:
    return words.lower().replace("_", " ")


def _address(receiver: object) -> str:
    """The number of the first contact."""
    contacts = receiver.get("contacts") if isinstance(receiver, dict) else None
    first = contacts[0] if isinstance(contacts, list) and contacts else None
    return _text(first, "identifierValue") if isinstance(first, dict) else ""


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _check(webhook: Webhook, secret: Secret, public: str | None) -> None:
    given = webhook.headers.get("messagebird-signature", "")
    seconds = webhook.headers.get("messagebird-request-timestamp", "")
    key = secret.reveal().encode(errors="replace")
    ours = [signature(key, seconds, url, webhook.body) for url in (webhook.url, public) if url]
    if not any(equal(each, given) for each in ours):
        raise EventsRefused("bad_signature")
    if not seconds.isascii() or not seconds.isdigit() or len(seconds) > 11:
        raise EventsRefused("bad_signature")
    if abs(webhook.at - datetime.fromtimestamp(int(seconds), UTC)) > AGE:
        raise EventsRefused("too_old")


def signature(key: bytes, seconds: str, url: str, body: bytes) -> str:
    """As Bird writes it."""
    signed = f"{seconds}\n{url}\n".encode(errors="replace") + hashlib.sha256(body).digest()
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
