"""Proofs that a webhook is genuine, and the signature of our own: each raises EventsRefused, and compares in constant
time."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime

from connect.providers.events import AGE, EventsRefused, Webhook
from connect.redact import Secret


def equal(ours: str | bytes, theirs: str | bytes) -> bool:
    """In constant time, whatever characters are in them."""
    return hmac.compare_digest(_bytes(ours), _bytes(theirs))


def _bytes(text: str | bytes) -> bytes:
    return text.encode(errors="surrogatepass") if isinstance(text, str) else text


def check_age(seconds: str, now: datetime) -> None:
    """A signed Unix time that is near ours."""
    try:
        at = datetime.fromtimestamp(float(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        raise EventsRefused("bad_signature") from None
    if abs(now - at) > AGE:
        raise EventsRefused("too_old")


_MOST_DIGITS = 11
"""Of a Unix time."""


def standard_key(secret: Secret) -> bytes:
    """The key of a Standard Webhooks (or Svix) secret: `whsec_` and base64. Raises ValueError."""
    try:
        return base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is `whsec_` and base64") from None


def standard_signature(secret: Secret, message_id: str, seconds: int, body: bytes) -> str:
    """`v1,…` as https://www.standardwebhooks.com has it."""
    signed = _bytes(f"{message_id}.{seconds}.") + body
    return "v1," + base64.b64encode(hmac.digest(standard_key(secret), signed, "sha256")).decode()


def check_standard(webhook: Webhook, secret: Secret | None, prefix: str = "webhook") -> str:
    """A webhook that is signed by Standard Webhooks, or by Svix with the prefix `svix`; returns its id."""
    if not secret:  # nor where it is blank: everybody knows that
        raise EventsRefused("not_configured")
    name = webhook.headers.get(f"{prefix}-id", "")
    seconds = webhook.headers.get(f"{prefix}-timestamp", "")
    if not name or not seconds.isascii() or not seconds.isdigit() or len(seconds) > _MOST_DIGITS:
        raise EventsRefused("bad_signature")
    ours = standard_signature(secret, name, int(seconds), webhook.body)
    given = webhook.headers.get(f"{prefix}-signature", "").split()
    if not any(equal(ours, each) for each in given):
        raise EventsRefused("bad_signature")
    check_age(seconds, webhook.at)
    return name


def check_password(webhook: Webhook, username: str, password: Secret | None) -> None:
    """Basic authentication, for providers that sign nothing."""
    if not password:
        raise EventsRefused("not_configured")
    wanted = base64.b64encode(_bytes(f"{username}:{password.reveal()}")).decode()
    kind, _, given = webhook.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic" or not equal(wanted, given.strip()):
        raise EventsRefused("bad_signature")
