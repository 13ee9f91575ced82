"""What Bird's answers mean: the status, and where it says more, which field or what is missing.

Statuses are documented at docs.bird.com/api/channels-api/api-reference/messaging, what a body says beside them at
docs.bird.com/api/api-access/common-api-usage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status

STATUSES: dict[int, Meaning] = {
    400: (Status.rejected_content, "other"),
    402: (Status.quota, "balance_used_up"),
    409: (Status.rejected_content, "conflict"),
    422: (Status.rejected_content, "other"),
}
"""429 is surely not processed (docs.bird.com/api/channels-api/rate-limit)."""

FIELDS: dict[str, Meaning] = {
    "receiver": (Status.rejected_recipient, "invalid_number"),
    "sender": (Status.config, "sender_not_usable"),
    "body": (Status.rejected_content, "invalid_parameters"),
}
"""By the part of our request that an invalid field (`.receiver.contacts[0].identifierValue`) is in."""

_BALANCE_USED_UP: Meaning = (Status.quota, "balance_used_up")
_NO_BALANCE = re.compile(r"(not enough|insufficient)[ _]*(balance|credit|funds)", re.IGNORECASE)
"""“Not enough balance” is among the client errors of common-api-usage, which names no status for it."""

_INVALID = (400, 422)


def receipt(reply: Reply, outgoing: Outgoing) -> Receipt:
    """What became of the one message of a call."""
    body = json_of(reply)
    answer = body if isinstance(body, dict) else {}
    if 200 <= reply.status < 300:
        name = answer.get("id")
        if isinstance(name, str) and name:
            return Receipt(Status.accepted, provider_id=name)
        return Receipt(Status.ambiguous, "unreadable_answer")
    return refused(reply, _meaning(reply.status, answer), _words(answer), outgoing)


def _meaning(status: int, answer: Mapping[str, Any]) -> Meaning:
    if 400 <= status < 500 and _NO_BALANCE.search(f"{_text(answer, 'code')} {_text(answer, 'message')}"):
        return _BALANCE_USED_UP
    parts = set(_parts(answer.get("details"))) if status in _INVALID else set()
    if len(parts) == 1:
        return FIELDS.get(parts.pop(), STATUSES[status])
    return http_replies.meaning(status, STATUSES)


def _parts(details: object) -> Iterator[str]:
    """The first name of each field that is at fault."""
    if isinstance(details, dict):
        for field in details:
            yield re.split(r"[.\[]", str(field).lstrip("."), maxsplit=1)[0]


def _words(answer: Mapping[str, Any]) -> str:
    return ": ".join(word for field in ("code", "message") if (word := _text(answer, field)))


def _text(answer: Mapping[str, Any], field: str) -> str:
    value = answer.get(field)
    return value if isinstance(value, str) else ""
