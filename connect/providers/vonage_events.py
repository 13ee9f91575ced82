"""What Vonage reports of a message: delivered, or not, and why.

A status comes with a JWT that is signed with HMAC-SHA256 by the account's signature secret, and holds the SHA-256 of
the body: developer.vonage.com/en/getting-started/concepts/webhooks, under signed webhooks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import jwt

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
from connect.providers.signatures import check_age, equal
from connect.providers.vonage_replies import code_of
from connect.redact import Secret
from connect.vocabulary import Channel

if TYPE_CHECKING:
    from jwt.types import Options

    from connect.providers.vonage import Settings

TYPES: dict[str, EventType] = {
    "delivered": EventType.delivered,
    "rejected": EventType.bounced,
    "undeliverable": EventType.bounced,
}
"""By status (developer.vonage.com/en/messages/concepts/messages-status-callbacks). `submitted` is on its way; `read`
is of other channels."""

BOUNCES: dict[str, tuple[Bounce, str]] = {
    "1000": (Bounce.soft, "slow_down"),
    "1040": (Bounce.hard, "unroutable"),
    "1050": (Bounce.hard, "number_barred"),
    "1060": (Bounce.soft, "account_suspended"),
    "1070": (Bounce.soft, "balance_used_up"),
    "1120": (Bounce.soft, "sender_not_usable"),
    "1160": (Bounce.soft, "trial_account"),
    "1170": (Bounce.hard, "invalid_number"),
    "1180": (Bounce.soft, "unreachable"),
    "1190": (Bounce.hard, "unknown_number"),
    "1200": (Bounce.soft, "number_moved"),
    "1210": (Bounce.soft, "filtered"),
    "1220": (Bounce.soft, "unreachable"),
    "1230": (Bounce.soft, "network_failed"),
    "1240": (Bounce.hard, "unsubscribed"),
    "1241": (Bounce.soft, "slow_down"),
    "1250": (Bounce.soft, "unroutable"),
    "1260": (Bounce.soft, "unroutable"),
    "1270": (Bounce.soft, "age_restriction"),
    "1280": (Bounce.soft, "blocked"),
    "1290": (Bounce.soft, "recipient_without_credit"),
    "1300": (Bounce.hard, "unknown_number"),
    "1310": (Bounce.soft, "unsuitable_device"),
    "1330": (Bounce.soft, "unknown_error"),
    "1360": (Bounce.soft, "expired"),
    "1430": (Bounce.hard, "invalid_number"),
}
"""By code (developer.vonage.com/en/api-errors/messages): hard where it says to remove the number, or that there is
none. Others are soft."""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """The event of one message status; none where the message is still on its way. Raises EventsRefused."""
    secret = cast("Settings", settings).webhook_secret
    if not secret:
        raise EventsRefused("not_configured")
    check_size(webhook)
    _check(webhook, secret)
    status = json_body(webhook)
    if not isinstance(status, dict):
        raise EventsRefused("unreadable")
    name, kind = _text(status, "message_uuid"), TYPES.get(_text(status, "status"))
    if not name or kind is None or status.get("channel", "sms") != "sms":
        return []
    return [_event(webhook, status, name, kind)]


def _event(webhook: Webhook, status: Mapping[str, Any], name: str, kind: EventType) -> Event:
    run_id, key = correlated(status.get("client_ref"))
    bounce, reason = _bounce(status.get("error")) if kind is EventType.bounced else (None, "")
    return Event(
        kind,
        instant(_text(status, "timestamp").replace(" +", "+"), webhook.at),  # older accounts have a blank there
        f"{name}:{status['status']}",
        Channel.sms,
        run_id,
        key,
        address=_address(_text(status, "to")),
        bounce=bounce,
        reason=reason,
        provider_id=name,
    )


def _bounce(error: object) -> tuple[Bounce, str]:
    return BOUNCES.get(code_of(error) if isinstance(error, dict) else "", (Bounce.soft, "other"))


def _address(number: str) -> str:
    """Vonage writes numbers without the +."""
    return f"+{number}" if number.isascii() and number.isdigit() else number


def _text(status: Mapping[str, Any], field: str) -> str:
    value = status.get(field)
    return value if isinstance(value, str) else ""


_UNCHECKED: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
"""Times are checked here, by when the webhook came; there is no other audience."""


def _check(webhook: Webhook, secret: Secret) -> None:
    kind, _, token = webhook.headers.get("authorization", "").partition(" ")
    try:
        claims = jwt.decode(token.strip(), secret.reveal(), algorithms=["HS256"], options=_UNCHECKED)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise EventsRefused("bad_signature") from None
    digest = claims.get("payload_hash")
    if kind.lower() != "bearer" or not isinstance(digest, str):
        raise EventsRefused("bad_signature")
    if not equal(hashlib.sha256(webhook.body).hexdigest(), digest.lower()):
        raise EventsRefused("bad_signature")
    check_age(str(claims.get("iat")), webhook.at)
