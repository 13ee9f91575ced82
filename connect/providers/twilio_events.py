"""What Twilio reports of a message: delivered, or not, and why.

A status callback is a form that is signed as www.twilio.com/docs/usage/webhooks/webhooks-security has it: HMAC-SHA1
of the URL and the sorted parameters, with the auth token. A JSON body is not in the signature; its SHA-256 is in the
query, as `bodySHA256`. The signature bears no time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlencode

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
from connect.providers.interface import ProviderSettings, Status
from connect.providers.signatures import equal
from connect.providers.twilio_callback import PARAMETER, parameters, spellings
from connect.providers.twilio_replies import ERRORS
from connect.redact import Secret
from connect.vocabulary import Channel

if TYPE_CHECKING:
    from connect.providers.twilio import Settings

TYPES: dict[str, EventType] = {
    "delivered": EventType.delivered,
    "undelivered": EventType.bounced,
    "failed": EventType.bounced,
}
"""By MessageStatus (www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks). The others are
on the way: accepted, scheduled, queued, sending, sent."""

BOUNCES: dict[int, tuple[Bounce, str]] = {
    30001: (Bounce.soft, "queue_full"),
    30002: (Bounce.soft, "account_suspended"),
    30003: (Bounce.soft, "unreachable"),
    30004: (Bounce.soft, "blocked"),
    30005: (Bounce.hard, "unknown_number"),
    30006: (Bounce.hard, "landline"),
    30007: (Bounce.soft, "filtered"),
    30008: (Bounce.soft, "unknown_error"),
    30010: (Bounce.soft, "too_expensive"),
    30022: (Bounce.soft, "slow_down"),
    30023: (Bounce.soft, "daily_limit"),
    30032: (Bounce.soft, "sender_not_registered"),
    30034: (Bounce.soft, "sender_not_registered"),
    30036: (Bounce.soft, "expired"),
}
"""By ErrorCode (www.twilio.com/docs/api/errors). A messaging service also reports here what it would else have
answered: see `twilio_replies.ERRORS`."""


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    """The event of one status callback; none where the message is still on its way. Raises EventsRefused."""
    account = cast("Settings", settings)
    secret = account.webhook_secret or account.auth_token
    if not secret:
        raise EventsRefused("not_configured")
    check_size(webhook)
    fields = _proved(webhook, secret, account.status_callback)
    sid = fields.get("MessageSid") or fields.get("SmsSid") or ""
    status = fields.get("MessageStatus") or fields.get("SmsStatus") or ""
    if not sid or status not in TYPES:
        return []
    return [_event(webhook, fields, sid, status)]


def _event(webhook: Webhook, fields: Mapping[str, str], sid: str, status: str) -> Event:
    run_id, key = correlated(parameters(webhook.url).get(PARAMETER))
    bounce, reason = _bounce(fields.get("ErrorCode", "")) if TYPES[status] is EventType.bounced else (None, "")
    return Event(
        TYPES[status],
        webhook.at,  # Twilio does not say when it happened
        f"{sid}:{status}",
        Channel.sms,
        run_id,
        key,
        address=fields.get("To", ""),
        bounce=bounce,
        reason=reason,
        provider_id=sid,
    )


def _bounce(text: str) -> tuple[Bounce, str]:
    code = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if code in BOUNCES:
        return BOUNCES[code]
    status, reason = ERRORS.get(code, (Status.rejected_content, "other"))
    return Bounce.hard if status is Status.rejected_recipient else Bounce.soft, reason


def _proved(webhook: Webhook, secret: Secret, public: str | None) -> dict[str, str]:
    """What the body says, once it is proved to be Twilio's."""
    given = webhook.headers.get("x-twilio-signature", "")
    if webhook.headers.get("content-type", "").lower().startswith("application/json"):
        digest = parameters(webhook.url).get("bodySHA256", "")
        if not equal(hashlib.sha256(webhook.body).hexdigest(), digest.lower()):
            raise EventsRefused("bad_signature")
        _check(webhook, secret, public, "", given)
        return _texts(json_body(webhook))
    pairs = _form(webhook.body)
    _check(webhook, secret, public, "".join(name + value for name, value in pairs), given)
    if not webhook.replays.is_new(given, urlencode(pairs).encode()):
        raise EventsRefused("replayed")  # names and values are signed without what divides them
    return {name: value.replace("\0", "\ufffd") for name, value in pairs}  # which no ledger keeps


def _check(webhook: Webhook, secret: Secret, public: str | None, signed: str, given: str) -> None:
    token = secret.reveal().encode(errors="replace")
    ours = [signature(token, url, signed) for url in spellings(webhook.url, public)]
    if not any(equal(each, given) for each in ours):
        raise EventsRefused("bad_signature")


def signature(token: bytes, url: str, signed: str) -> str:
    """As Twilio writes it; `signed` are the parameters, each name with its value, sorted."""
    return base64.b64encode(hmac.digest(token, (url + signed).encode(errors="replace"), "sha1")).decode()


_MOST_FIELDS = 200


def _form(body: bytes) -> list[tuple[str, str]]:
    """Sorted, each pair once: as Twilio's libraries sign them."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # UnicodeError too
        raise EventsRefused("unreadable") from None
    return sorted(set(pairs))


def _texts(body: object) -> dict[str, str]:
    if not isinstance(body, dict):
        raise EventsRefused("unreadable")
    return {name: str(value) for name, value in body.items() if isinstance(value, str | int)}
