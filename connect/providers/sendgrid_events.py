"""The signed Event Webhook of SendGrid (documented at docs.sendgrid.com, Event Webhook reference and security)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

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
from connect.providers.sendgrid_message import CORRELATION_ARGUMENT
from connect.providers.signatures import check_age
from connect.vocabulary import Channel

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

TYPES: dict[str, EventType] = {
    "delivered": EventType.delivered,
    "open": EventType.opened,
    "click": EventType.clicked,
    "bounce": EventType.bounced,
    "dropped": EventType.bounced,
    "spamreport": EventType.complained,
    "unsubscribe": EventType.unsubscribed,
    "group_unsubscribe": EventType.unsubscribed,
    "group_resubscribe": EventType.resubscribed,
}
"""Left out are `processed` and `deferred`: SendGrid is still at it."""

BOUNCES: dict[str, Bounce] = {"bounce": Bounce.hard, "blocked": Bounce.soft}
"""`type` of a bounce: SendGrid puts the address of a `bounce` on its suppression list, not that of a `blocked`."""

CLASSES: dict[str, str] = {
    "Invalid Address": "invalid_address",
    "Mailbox Unavailable": "mailbox_unavailable",
    "Technical": "technical_trouble",
    "Content": "content_refused",
    "Reputation": "bad_reputation",
    "Frequency or Volume Too High": "too_much_mail",
    "Unclassified": "other",
}
"""`bounce_classification`."""

DROPS: dict[str, tuple[Bounce, str]] = {
    "Bounced Address": (Bounce.hard, "bounced_before"),
    "Invalid": (Bounce.hard, "invalid_address"),
    "Spam Reporting Address": (Bounce.soft, "complained_before"),
    "Unsubscribed Address": (Bounce.soft, "unsubscribed_before"),
    "Spam Content (if Spam Checker app is enabled)": (Bounce.soft, "content_refused"),
    "Spam Content": (Bounce.soft, "content_refused"),
    "Recipient List over Package Quota": (Bounce.soft, "credits_exceeded"),
    "Invalid SMTPAPI header": (Bounce.soft, "bad_request"),
}
"""`reason` of a message that SendGrid did not try to deliver. Hard is only what the address is to blame for."""


def parse(webhook: Webhook, key: str | None) -> list[Event | Confirmation]:
    """The events of a genuine webhook."""
    check_size(webhook)
    _check_signature(webhook, key)
    entries = json_body(webhook)
    if not isinstance(entries, list):
        raise EventsRefused("unreadable")
    events = [_event(entry) for entry in entries]
    return [event for event in events if event is not None]


def public_key(text: str) -> EllipticCurvePublicKey:
    """The key as SendGrid shows it: base64 of its DER. Raises ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("not a verification key of SendGrid's: base64 that begins with MFkw")
    return key


_known_key = lru_cache(maxsize=16)(public_key)


def _check_signature(webhook: Webhook, key: str | None) -> None:
    """ECDSA on P-256 with SHA-256, of the timestamp and the body as it came."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    if not key:
        raise EventsRefused("not_configured")
    seconds = webhook.headers.get(TIMESTAMP, "")
    try:
        signature = base64.b64decode(webhook.headers.get(SIGNATURE, ""), validate=True)
        _known_key(key).verify(signature, seconds.encode() + webhook.body, ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise EventsRefused("bad_signature") from None
    check_age(seconds, webhook.at)


def _event(entry: Any) -> Event | None:
    """One entry; None for what has no name here."""
    if not isinstance(entry, dict):
        raise EventsRefused("unreadable")
    type = TYPES.get(str(entry.get("event")))
    if type is None:
        return None
    run_id, key = correlated(entry.get(CORRELATION_ARGUMENT))
    bounce, reason = _bounce(entry) if type is EventType.bounced else (None, "")
    return Event(
        type,
        _at(entry.get("timestamp")),
        _id(entry),
        Channel.email,
        run_id,
        key,
        address=_text(entry, "email"),
        bounce=bounce,
        reason=reason,
        link=_text(entry, "url") if type is EventType.clicked else "",
        machine=entry.get("sg_machine_open") is True,
        # What follows the first dot is the machine that took it; what is before it was in the answer to the call.
        provider_id=_text(entry, "sg_message_id").partition(".")[0],
    )


def _bounce(entry: dict[str, Any]) -> tuple[Bounce, str]:
    if entry.get("event") == "dropped":
        return DROPS.get(_text(entry, "reason"), (Bounce.soft, "other"))
    kind = BOUNCES.get(_text(entry, "type"), Bounce.soft)
    return kind, CLASSES.get(_text(entry, "bounce_classification"), "other")


def _at(seconds: object) -> datetime:
    try:
        return datetime.fromtimestamp(float(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        raise EventsRefused("unreadable") from None


def _id(entry: dict[str, Any]) -> str:
    """SendGrid's own id, which is the same when it reports again."""
    made = ".".join(str(entry.get(name)) for name in _IDENTIFYING)
    return _text(entry, "sg_event_id") or made


_IDENTIFYING = ("sg_message_id", CORRELATION_ARGUMENT, "event", "timestamp")


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""
