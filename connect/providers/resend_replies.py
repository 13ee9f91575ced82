"""What Resend's answers mean for one message: every table that maps them to receipts.

Documented at resend.com/docs/api-reference/errors and …/rate-limit (seen 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connect.channels.message import Outgoing
from connect.providers.api import everyone, json_of, text_of
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning, meaning, retry_after
from connect.providers.interface import Receipt, Status, hide

_IN_DOUBT: Meaning = (Status.ambiguous, "unrecognised_answer")

ERRORS: dict[str, Meaning] = {
    "missing_api_key": (Status.config, "authentication_failed"),
    "invalid_api_key": (Status.config, "authentication_failed"),
    "suspended_api_key": (Status.config, "authentication_failed"),
    "restricted_api_key": (Status.config, "access_denied"),
    "invalid_permission": (Status.config, "access_denied"),
    "invalid_access": (Status.config, "access_denied"),
    "invalid_from_address": (Status.config, "sender_not_verified"),
    "invalid_to_address": (Status.config, "testing_only"),
    "not_found": (Status.config, "endpoint_not_found"),
    "method_not_allowed": (Status.config, "endpoint_not_found"),
    "invalid_idempotency_key": (Status.config, "idempotency_key_refused"),
    # The first with this key was another message: it may have been sent, and this one is not.
    "invalid_idempotent_request": (Status.undecidable, "same_key_other_body"),
    # Not `transient`: the first may be accepted yet, and only a repetition under its key finds out.
    "concurrent_idempotent_requests": (Status.ambiguous, "still_in_progress"),
    "missing_required_field": (Status.rejected_content, "bad_request"),
    "invalid_parameter": (Status.rejected_content, "bad_request"),
    "validation_error": (Status.rejected_content, "invalid_message"),  # told apart by its words, below
    "invalid_attachment": (Status.rejected_content, "invalid_attachment"),
    "security_error": (Status.rejected_content, "security_error"),
    "rate_limit_exceeded": (Status.throttled, "slow_down"),
    "daily_quota_exceeded": (Status.quota, "daily_quota"),
    "monthly_quota_exceeded": (Status.quota, "monthly_quota"),
    # Something may have been accepted before it went wrong: repeated under the same key, that is not sent again.
    "application_error": (Status.ambiguous, "provider_failed"),
    "internal_server_error": (Status.ambiguous, "provider_failed"),
    "service_unavailable": (Status.transient, "provider_unavailable"),
}
"""`name` of an error."""

HTTP_STATUSES: dict[int, Meaning] = {
    409: (Status.ambiguous, "still_in_progress"),
    451: (Status.rejected_content, "security_error"),
    500: (Status.ambiguous, "provider_failed"),
    503: (Status.transient, "provider_unavailable"),
}
"""For replies without a name that is known; else as of any provider."""

_BY_WORDS: list[tuple[re.Pattern[str], Meaning]] = [
    # One name for much: "Invalid `to` field. The email address needs to follow the `email@example.com` … format."
    (re.compile(r"api key is invalid", re.I), (Status.config, "authentication_failed")),
    (re.compile(r"only send testing emails", re.I), (Status.config, "testing_only")),
    (re.compile(r"domain is not verified|`from`", re.I), (Status.config, "sender_not_verified")),
    (re.compile(r"`(cc|bcc|reply_?to)`", re.I), (Status.rejected_content, "bad_copy_address")),
    (re.compile(r"`to`|invalid recipient", re.I), (Status.rejected_recipient, "bad_address_syntax")),
    (re.compile(r"(size|length).*(exceed|greater|larger|limit)", re.I), (Status.rejected_content, "message_too_large")),
]
"""What a `validation_error` is about, and an error of one message of a batch, which has no name."""

_REFUSALS = (Status.rejected_content, Status.rejected_recipient)
SETTLED = frozenset((Status.accepted, Status.undecidable, *_REFUSALS))
"""What a repetition would not change."""


def held_back(receipt: Receipt) -> Receipt:
    """Of a message that was not written, because an earlier call of the same `send` was not settled."""
    if receipt.status in (Status.throttled, Status.quota, Status.config):
        return Receipt(receipt.status, receipt.reason, retry_after=receipt.retry_after)
    return Receipt(Status.transient, "held_back")


def accepted(reply: Reply, members: Sequence[Outgoing]) -> list[Receipt]:
    """The receipts of a call that was carried out."""
    return _each(reply, members) if len(members) > 1 else [_single(reply)]


def _each(reply: Reply, members: Sequence[Outgoing]) -> list[Receipt]:
    """Of a batch, `errors` name their messages, and `data` has the others in order."""
    said = json_of(reply)
    refused = _errors(said, len(members))
    data = said.get("data") if isinstance(said, dict) else None
    if refused is None or not isinstance(data, list) or len(data) + len(refused) != len(members):
        return everyone(Receipt(*_IN_DOUBT), members)
    numbers = iter(data)
    return [
        _worded(refused[member], outgoing) if member in refused else _numbered(_id(next(numbers)))
        for member, outgoing in enumerate(members)
    ]


def _single(reply: Reply) -> Receipt:
    return _numbered(_id(json_of(reply)))


def _numbered(number: str) -> Receipt:
    """What was accepted has a number."""
    return Receipt(Status.accepted, "", None, number) if number else Receipt(*_IN_DOUBT)


def refused(reply: Reply, members: Sequence[Outgoing]) -> list[Receipt]:
    """The receipts of a call that was answered with an error; its words may be about any message in it."""
    (status, reason), words = _meaning(reply)
    wait = _wait(reply) if status in (Status.throttled, Status.transient) else None
    read = len(members) == 1 or status in (Status.config, Status.quota)  # else nobody reads them
    detail = hide(words, *members) if words and read else ""
    return everyone(Receipt(status, reason, retry_after=wait, detail=detail), members)


def refuses_one(reply: Reply) -> bool:
    """Whether the refusal of a batch may be about one message in it, whose others are innocent."""
    return _meaning(reply)[0][0] in _REFUSALS


def _meaning(reply: Reply) -> tuple[Meaning, str]:
    """What the reply means, and its words."""
    said = json_of(reply)
    said = said if isinstance(said, dict) else {}
    name, words = str(said.get("name") or ""), str(said.get("message") or "")
    found = ERRORS.get(name)
    if found is None or not 400 <= reply.status < 600:
        found = meaning(reply.status, HTTP_STATUSES)
        found = _IN_DOUBT if found[0] is Status.accepted else found
    elif name == "validation_error":
        # 403 is about the account (resend.com/docs/api-reference/errors): its domain, or that it may only test.
        found = _by_words(words, (Status.config, "access_denied") if reply.status == 403 else found)
    return found, f"{name}: {words}" if words else ""


def _worded(words: str, outgoing: Outgoing) -> Receipt:
    """The receipt of a message that the batch went without."""
    status, reason = _by_words(words, (Status.rejected_content, "other"))
    return Receipt(status, reason, detail=hide(words, outgoing) if words else "")


def _by_words(words: str, otherwise: Meaning) -> Meaning:
    return next((better for pattern, better in _BY_WORDS if pattern.search(words)), otherwise)


def _errors(said: object, members: int) -> dict[int, str] | None:
    """Number of a message in the batch → why it was refused; None where that can not be read."""
    errors = (said.get("errors") or []) if isinstance(said, dict) else None
    if not isinstance(errors, list):
        return None
    found: dict[int, str] = {}
    for error in errors:
        index = error.get("index") if isinstance(error, dict) else None
        if type(index) is not int or index in found or not 0 <= index < members:
            return None
        found[index] = str(error.get("message") or "")
    return found


def _id(said: Any) -> str:
    return text_of(said.get("id")) if isinstance(said, dict) else ""


_SECONDS = re.compile(r"[0-9]{1,4}")


def _wait(reply: Reply) -> timedelta | None:
    """`retry-after`; else what is left of the window in which Resend counts requests."""
    wait = retry_after(reply.headers, datetime.now(UTC))
    reset = reply.headers.get("ratelimit-reset", "").strip()
    return wait if wait is not None or not _SECONDS.fullmatch(reset) else timedelta(seconds=int(reset))
