"""What Vonage's answers mean: problem details (RFC 7807), whose `type` ends in a code.

The codes are documented at developer.vonage.com/en/api-errors/messages, the names in its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status

ERRORS: dict[str, Meaning] = {
    "1000": (Status.throttled, "slow_down"),
    "1010": (Status.rejected_content, "invalid_parameters"),
    "1020": (Status.rejected_content, "invalid_parameters"),
    "1030": (Status.transient, "provider_failed"),
    "1040": (Status.rejected_recipient, "unroutable"),
    "1050": (Status.rejected_recipient, "number_barred"),
    "1060": (Status.config, "account_suspended"),
    "1070": (Status.quota, "balance_used_up"),
    "1080": (Status.config, "not_enabled"),
    "1090": (Status.rejected_content, "message_too_large"),
    "1100": (Status.transient, "provider_failed"),
    "1110": (Status.config, "authentication_failed"),
    # "Due to local regulations": by one person's country, and the others may well be elsewhere.
    "1120": (Status.rejected_recipient, "sender_not_usable"),
    "1140": (Status.config, "not_enabled"),
    "1150": (Status.rejected_content, "invalid_parameters"),
    "1160": (Status.config, "trial_account"),
    "1170": (Status.rejected_recipient, "invalid_number"),
    "1190": (Status.rejected_recipient, "unknown_number"),
    "1210": (Status.rejected_content, "filtered"),
    "1240": (Status.rejected_recipient, "unsubscribed"),
    "1250": (Status.rejected_recipient, "unroutable"),
    "1260": (Status.rejected_recipient, "unroutable"),
    "1280": (Status.rejected_recipient, "number_barred"),
    "1300": (Status.rejected_recipient, "unknown_number"),
    "1430": (Status.rejected_recipient, "invalid_number"),
    "low-balance": (Status.quota, "balance_used_up"),
    "unauthorized": (Status.config, "authentication_failed"),
    "forbidden": (Status.config, "access_denied"),
    "not-found": (Status.config, "endpoint_not_found"),
    "unprovisioned": (Status.config, "not_enabled"),
    "account-suspended": (Status.config, "account_suspended"),
    "jwt-expired": (Status.config, "clock_is_wrong"),
    "jwt-revoked": (Status.config, "authentication_failed"),
    "invalid-api-key": (Status.config, "authentication_failed"),
    "invalid-params": (Status.rejected_content, "invalid_parameters"),
    "throttled": (Status.throttled, "slow_down"),
    "rate-limit": (Status.throttled, "slow_down"),
}

STATUSES: dict[int, Meaning] = {
    400: (Status.rejected_content, "other"),
    402: (Status.quota, "balance_used_up"),
    422: (Status.rejected_content, "other"),
}

FIELDS: dict[str, Meaning] = {
    "to": (Status.rejected_recipient, "invalid_number"),
    "from": (Status.config, "sender_not_usable"),
}
"""Of the fields that `invalid_parameters` names: the others are the content's."""


def receipt(reply: Reply, outgoing: Outgoing) -> Receipt:
    """What became of the one message of a call."""
    body = json_of(reply)
    answer = body if isinstance(body, dict) else {}
    if 200 <= reply.status < 300:
        name = answer.get("message_uuid")
        if isinstance(name, str) and name:
            return Receipt(Status.accepted, provider_id=name)
        return Receipt(Status.ambiguous, "unreadable_answer")
    return refused(reply, _meaning(reply.status, answer), _words(answer), outgoing)


def code_of(problem: Mapping[str, object]) -> str:
    """`1120` of `https://developer.vonage.com/api-errors/messages#1120`; webhooks also have it as the title."""
    kind = problem.get("type")
    code = kind.rpartition("#")[2] if isinstance(kind, str) and "#" in kind else ""
    return code or str(problem.get("title", ""))


def _meaning(status: int, problem: Mapping[str, object]) -> Meaning:
    known = ERRORS.get(code_of(problem))
    if known is None:
        return http_replies.meaning(status, STATUSES)
    if known[1] != "invalid_parameters":
        return known
    named = _invalid(problem)
    return FIELDS.get(named.pop(), known) if len(named) == 1 else known


def _invalid(problem: Mapping[str, object]) -> set[str]:
    """The fields that are at fault, where it names them."""
    listed = problem.get("invalid_parameters")
    fields = [each.get("name") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return {field for field in fields if isinstance(field, str)}


def _words(problem: Mapping[str, Any]) -> str:
    return ": ".join(word for field in ("title", "detail") if isinstance(word := problem.get(field), str))
