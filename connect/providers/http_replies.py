"""What an HTTP reply means, where a provider has no table of its own that says better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from connect.providers.http import NotWritten, Unanswered
from connect.providers.interface import Receipt, Status

Meaning = tuple[Status, str]

STATUSES: dict[int, Meaning] = {
    401: (Status.config, "authentication_failed"),
    403: (Status.config, "access_denied"),
    404: (Status.config, "endpoint_not_found"),
    405: (Status.config, "endpoint_not_found"),
    407: (Status.config, "proxy_in_the_way"),
    408: (Status.transient, "try_again_later"),
    413: (Status.rejected_content, "message_too_large"),
    425: (Status.transient, "try_again_later"),
    429: (Status.throttled, "slow_down"),
    500: (Status.transient, "provider_failed"),
    503: (Status.transient, "provider_failed"),
}
"""A 502 or 504 is a gateway that gave up waiting for somebody who may have gone on: in doubt, so not in here."""

_UNREACHED: dict[str, Meaning] = {
    "untrusted_certificate": (Status.config, "untrusted_certificate"),
    # A key, a header or a URL of the settings: what comes of a message was checked, or stands in the body.
    "not_a_request": (Status.config, "bad_settings"),
}
"""Reasons of NotWritten that trying again would not mend."""


def meaning(status: int, table: Mapping[int, Meaning] | None = None) -> Meaning:
    """What a status says of the call, by the adapter's own table first."""
    known = (table or {}).get(status) or STATUSES.get(status)
    if known:
        return known
    if 200 <= status < 300:
        return Status.accepted, ""
    if 300 <= status < 400:
        return Status.config, "redirected"
    return (Status.rejected_content, "refused") if 400 <= status < 500 else (Status.ambiguous, "unrecognised_answer")


def unanswered(failure: Unanswered) -> Receipt:
    """The receipt of a message whose call got no reply."""
    if not isinstance(failure, NotWritten):
        return Receipt(Status.ambiguous, failure.reason)
    status, reason = _UNREACHED.get(failure.reason, (Status.transient, failure.reason))
    return Receipt(status, reason)


_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
_LONGEST = timedelta(days=1)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long a reply asks to wait: seconds or a date (RFC 9110 10.2.3), at most a day; None if it does not say."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(timedelta(seconds=float(text)), _LONGEST)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta()), _LONGEST)
