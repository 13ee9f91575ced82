"""What Mailgun's answers mean for one message: every table that maps them to receipts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connect.channels.message import Outgoing
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning, meaning, retry_after
from connect.providers.interface import Receipt, Status

STATUSES: dict[int, Meaning] = {
    400: (Status.rejected_content, "other"),
    402: (Status.transient, "request_failed"),  # "parameters were valid but the request failed"
    404: (Status.config, "domain_not_found"),
    420: (Status.throttled, "slow_down"),
}
"""HTTP statuses that mean something of their own here (documentation.mailgun.com, Status codes; 420 is what a limit on
recipients is answered with, seen in github.com/mailgun/mailgun-java #50)."""

WORDS: dict[str, Meaning] = {
    "sandbox subdomains": (Status.config, "sandbox_domain"),
    "authorized recipients": (Status.config, "sandbox_domain"),
    "activate your mailgun account": (Status.config, "account_not_activated"),
    "sending too fast": (Status.throttled, "slow_down"),
    "limit exceeded, try again": (Status.throttled, "limit_exceeded"),
    "limit exceeded": (Status.quota, "limit_exceeded"),
    "disabled": (Status.config, "account_disabled"),
    "account inactivity": (Status.config, "account_disabled"),
    "unverified": (Status.config, "domain_not_verified"),
    "not allowed to send": (Status.config, "sending_not_allowed"),
    "need at least one of": (Status.rejected_content, "empty_body"),
    "message size": (Status.rejected_content, "message_too_large"),
}
"""What a 4xx says in words only, in lower case; the first counts. `Domain … is not allowed to send: …` comes with 400,
401, 403, 420 and 429."""

PARAMETERS: dict[str, Meaning] = {
    "to": (Status.rejected_recipient, "bad_address_syntax"),
    "cc": (Status.rejected_content, "bad_copy_address"),
    "bcc": (Status.rejected_content, "bad_copy_address"),
    "from": (Status.config, "bad_sender"),
    "h:reply-to": (Status.rejected_content, "bad_reply_address"),
}
"""Of `'…' parameter is not a valid address` (documentation.mailgun.com, Send via HTTP)."""

_PARAMETER = re.compile(r"([a-z:-]+)'? parameter is not a valid address")
_WAIT = re.compile(r"try again (?:after|in) (?:([0-9]+) seconds|([A-Za-z]{3}, .{10,30}?(?:UTC|GMT)))", re.IGNORECASE)


def receipt(reply: Reply, outgoing: Outgoing) -> Receipt:
    """What became of the message of one call."""
    answer = json_of(reply)
    said = answer if isinstance(answer, dict) else {}
    if reply.status == 200 and said.get("id"):
        return Receipt(Status.accepted, provider_id=str(said["id"]).strip("<>"))
    words = str(said.get("message") or "")
    found = refused(reply, _meaning(reply.status, words.lower()), words, outgoing)
    if found.status in (Status.throttled, Status.quota) and found.retry_after is None:
        return replace(found, retry_after=_wait(words))
    return found


def _meaning(status: int, words: str) -> Meaning:
    if 200 <= status < 300:
        return Status.ambiguous, "unrecognised_answer"
    if not 400 <= status < 500:
        return meaning(status, STATUSES)
    parameter = _PARAMETER.search(words)
    if parameter and parameter[1] in PARAMETERS:
        return PARAMETERS[parameter[1]]
    return next((found for phrase, found in WORDS.items() if phrase in words), None) or meaning(status, STATUSES)


def _wait(words: str) -> timedelta | None:
    """How long Mailgun asks to wait in words: `try again after 120 seconds`, or after a date."""
    match = _WAIT.search(words)
    if match is None:
        return None
    return retry_after({"retry-after": match[1] or match[2]}, datetime.now(UTC))
