"""What FCM's answers mean for one message: every table that maps them to receipts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status

ERRORS: dict[str, Meaning] = {
    "UNREGISTERED": (Status.rejected_recipient, "unregistered"),
    "SENDER_ID_MISMATCH": (Status.rejected_recipient, "sender_id_mismatch"),
    "INVALID_ARGUMENT": (Status.rejected_content, "invalid_argument"),
    "QUOTA_EXCEEDED": (Status.throttled, "slow_down"),
    "UNAVAILABLE": (Status.transient, "provider_failed"),
    "INTERNAL": (Status.transient, "provider_failed"),
    "THIRD_PARTY_AUTH_ERROR": (Status.config, "third_party_auth"),
}
"""`errorCode` of the detail FcmError (documented at firebase.google.com, ErrorCode of the v1 REST reference)."""

CODES: dict[str, Meaning] = {
    "UNAUTHENTICATED": (Status.config, "authentication_failed"),
    "PERMISSION_DENIED": (Status.config, "access_denied"),
    "NOT_FOUND": (Status.config, "project_not_found"),
    "FAILED_PRECONDITION": (Status.config, "project_not_ready"),
    "INVALID_ARGUMENT": (Status.rejected_content, "invalid_argument"),
    "OUT_OF_RANGE": (Status.rejected_content, "invalid_argument"),
    "RESOURCE_EXHAUSTED": (Status.throttled, "slow_down"),
    "ABORTED": (Status.transient, "try_again_later"),
    "UNAVAILABLE": (Status.transient, "provider_failed"),
    "INTERNAL": (Status.transient, "provider_failed"),
    "CANCELLED": (Status.ambiguous, "unrecognised_answer"),
    "DEADLINE_EXCEEDED": (Status.ambiguous, "unrecognised_answer"),
    "UNKNOWN": (Status.ambiguous, "unrecognised_answer"),
}
"""`status`, where there is no FcmError (google.rpc.Code, documented at cloud.google.com, API design guide)."""

HTTP_STATUSES: dict[int, Meaning] = {400: (Status.rejected_content, "other")}
"""What a status says where the body says nothing that is known."""

DEVICE_RATE: Meaning = (Status.transient, "device_slow_down")
"""QUOTA_EXCEEDED is of the project, or of one device ("Device message rate exceeded"): then nobody else has to wait."""
BAD_DEVICE: Meaning = (Status.rejected_recipient, "bad_device_token")
_DEVICE_FIELDS = {"message.token", "message.fid"}

WAIT = timedelta(minutes=1)
"""After a throttle that names no time (documented at firebase.google.com, "Scale FCM", Retry-After)."""


@dataclass(frozen=True, slots=True)
class Said:
    """An error as FCM puts it."""

    status: str = ""
    words: str = ""
    error_code: str = ""
    fields: frozenset[str] = frozenset()
    """What it finds wrong with the request."""
    quota: str = ""
    """Which quota is used up, where it says (google.rpc.QuotaFailure), in lower case."""


def said(reply: Reply) -> Said:
    """The error in a reply; blank where there is none that can be read."""
    answer = json_of(reply)
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return Said()
    found = error.get("details")
    details = [detail for detail in found if isinstance(detail, dict)] if isinstance(found, list) else []
    codes = [_text(detail, "errorCode") for detail in details]
    return Said(
        _text(error, "status"),
        _text(error, "message"),
        next(filter(None, codes), ""),
        frozenset(field for detail in details for field in _fields(detail)),
        "; ".join(_quotas(details)).lower(),
    )


def _text(tree: dict[str, Any], name: str) -> str:
    value = tree.get(name)
    return value if isinstance(value, str) else ""


def _fields(detail: dict[str, Any]) -> list[str]:
    violations = detail.get("fieldViolations")
    return (
        [_text(each, "field") for each in violations if isinstance(each, dict)] if isinstance(violations, list) else []
    )


def _quotas(details: list[dict[str, Any]]) -> Iterator[str]:
    for detail in details:
        violations = detail.get("violations")
        for each in violations if isinstance(violations, list) else []:
            if isinstance(each, dict):
                yield f"{_text(each, 'subject')} {_text(each, 'description')}"


def meaning(reply: Reply, error: Said) -> Meaning:
    """An argument is the device's fault only where FCM names the field; it may as well be the content's."""
    known = ERRORS.get(error.error_code) or CODES.get(error.status)
    if known and known[1] == "invalid_argument" and error.fields & _DEVICE_FIELDS:
        return BAD_DEVICE
    if known and known[1] == "slow_down" and "device" in error.quota:
        return DEVICE_RATE
    return known or http_replies.meaning(reply.status, HTTP_STATUSES)


def receipt(reply: Reply, outgoing: Outgoing) -> Receipt:
    """What became of a message."""
    if 200 <= reply.status < 300:
        return _accepted(reply)
    error = said(reply)
    found = refused(reply, meaning(reply, error), error.words, outgoing)
    if found.status is Status.throttled and found.retry_after is None:
        found.retry_after = WAIT
    return found


def _accepted(reply: Reply) -> Receipt:
    """The name ends with the message's id. What has none is a proxy's word, or some page's, and not FCM's."""
    answer = json_of(reply)
    name = _text(answer, "name") if isinstance(answer, dict) else ""
    if not name:
        return Receipt(Status.ambiguous, "unrecognised_answer")
    return Receipt(Status.accepted, provider_id=name.rpartition("/")[2])


def expired(reply: Reply) -> bool:
    """Whether it is our access token that was not good; APNs's or a browser's credentials are no matter of ours."""
    return reply.status == 401 and said(reply).error_code != "THIRD_PARTY_AUTH_ERROR"
