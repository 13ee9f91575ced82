"""What SendGrid's answers mean for one message: every table that maps them to receipts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connect.channels.message import Outgoing
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning, meaning
from connect.providers.interface import Receipt, Status

STATUSES: dict[int, Meaning] = {
    400: (Status.rejected_content, "other"),
    405: (Status.config, "endpoint_not_found"),
    413: (Status.rejected_content, "message_too_large"),
}
"""HTTP statuses that mean something of their own here (docs.sendgrid.com, Mail Send errors)."""

WORDS: dict[str, Meaning] = {
    # Answered with 401, as a wrong key is (support.sendgrid.com, 4XX API errors).
    "maximum credits exceeded": (Status.quota, "credits_exceeded"),
    "exceeded your messaging limits": (Status.quota, "credits_exceeded"),
    "verified sender identity": (Status.config, "sender_not_verified"),
    "not authorized to send mail": (Status.config, "sending_not_allowed"),
    "not whitelisted": (Status.config, "address_not_allowed"),
    # One address may stand in `to`, `cc` and `bcc` only once.
    "more than once": (Status.rejected_content, "duplicate_recipient"),
    "should be unique": (Status.rejected_content, "duplicate_recipient"),
}
"""What a 4xx says in words only, in lower case."""

FIELDS: dict[str, Meaning] = {
    "personalizations.to": (Status.rejected_recipient, "bad_address_syntax"),
    "personalizations.cc": (Status.rejected_content, "bad_copy_address"),
    "personalizations.bcc": (Status.rejected_content, "bad_copy_address"),
    "from": (Status.config, "bad_sender"),
    "reply_to": (Status.rejected_content, "bad_reply_address"),
    "reply_to_list": (Status.rejected_content, "bad_reply_address"),
    "subject": (Status.rejected_content, "bad_subject"),
    "content": (Status.rejected_content, "bad_body"),
    "headers": (Status.rejected_content, "bad_header"),
    "attachments": (Status.rejected_content, "bad_attachment"),
    "categories": (Status.config, "bad_categories"),
    "ip_pool_name": (Status.config, "ip_pool_not_found"),
    "asm": (Status.config, "unsubscribe_group_not_found"),
}
"""What a 400 blames (`errors[].field`, without the numbers): the longest beginning counts."""

_IN_DOUBT: Meaning = (Status.ambiguous, "unrecognised_answer")


def receipt(reply: Reply, outgoing: Outgoing, sandbox: bool) -> Receipt:
    """What became of the message of one call.

    202 is accepted; 200 means that it is valid and not queued, which only a sandbox asks for.
    """
    if reply.status == (200 if sandbox else 202):
        return Receipt(Status.accepted, provider_id=reply.headers.get("x-message-id", ""))
    errors = _errors(reply)
    words = "; ".join(message for message, _ in errors)
    found = refused(reply, _meaning(reply.status, errors), words, outgoing)
    if found.status is Status.throttled and found.retry_after is None:
        return replace(found, retry_after=_reset(reply.headers, datetime.now(UTC)))
    return found


def _meaning(status: int, errors: list[tuple[str, str]]) -> Meaning:
    if 200 <= status < 300:
        return _IN_DOUBT
    if 400 <= status < 500 and status != 429:
        for message, field in errors:
            found = _by_words(message.lower()) or (_by_field(field) if status == 400 else None)
            if found:
                return found
    return meaning(status, STATUSES)


def _errors(reply: Reply) -> list[tuple[str, str]]:
    """(message, field) of each."""
    answer = json_of(reply)
    listed = answer.get("errors") if isinstance(answer, dict) else None
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [(str(each.get("message") or ""), str(each.get("field") or "")) for each in found]


def _by_words(message: str) -> Meaning | None:
    return next((found for phrase, found in WORDS.items() if phrase in message), None)


_NUMBERS = re.compile(r"\.\d+|\[\d+\]")


def _by_field(field: str) -> Meaning | None:
    parts = _NUMBERS.sub("", field).split(".")
    while parts:
        found = FIELDS.get(".".join(parts))
        if found:
            return found
        parts.pop()
    return None


_LONGEST = timedelta(days=1)


def _reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long until the limit renews: SendGrid says when, in Unix time (docs.sendgrid.com, Rate limits)."""
    text = headers.get("x-ratelimit-reset", "")
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        return None
    return min(max(datetime.fromtimestamp(int(text), UTC) - now, timedelta()), _LONGEST)
