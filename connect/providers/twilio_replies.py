"""What Twilio's answers mean. Its codes are documented at www.twilio.com/docs/api/errors, one page each."""

from __future__ import annotations

from typing import Any

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status

ERRORS: dict[int, Meaning] = {
    10001: (Status.config, "account_suspended"),
    14107: (Status.throttled, "slow_down"),
    20003: (Status.config, "authentication_failed"),
    20005: (Status.config, "account_suspended"),
    20008: (Status.config, "test_credentials"),
    20404: (Status.config, "endpoint_not_found"),
    20429: (Status.throttled, "slow_down"),
    21210: (Status.config, "sender_not_usable"),
    21211: (Status.rejected_recipient, "invalid_number"),
    21212: (Status.config, "sender_not_usable"),
    21265: (Status.rejected_recipient, "short_code"),
    21266: (Status.rejected_recipient, "own_number"),
    21267: (Status.config, "trial_account"),
    21408: (Status.rejected_recipient, "country_not_enabled"),
    21601: (Status.config, "sender_not_usable"),
    21602: (Status.rejected_content, "empty_message"),
    21603: (Status.config, "sender_missing"),
    21604: (Status.rejected_recipient, "invalid_number"),
    21605: (Status.rejected_content, "message_too_large"),
    21606: (Status.config, "sender_not_usable"),
    21608: (Status.config, "trial_account"),
    21609: (Status.config, "invalid_status_callback"),
    21610: (Status.rejected_recipient, "unsubscribed"),
    21611: (Status.throttled, "queue_full"),
    21612: (Status.rejected_recipient, "unroutable"),
    21614: (Status.rejected_recipient, "not_a_mobile"),
    21617: (Status.rejected_content, "message_too_large"),
    21619: (Status.rejected_content, "empty_message"),
    21635: (Status.rejected_recipient, "landline"),
    21659: (Status.config, "sender_not_usable"),
    21660: (Status.config, "sender_not_usable"),
    21661: (Status.config, "sender_not_usable"),
    21701: (Status.config, "messaging_service_not_usable"),
    21703: (Status.config, "messaging_service_not_usable"),
    21704: (Status.config, "messaging_service_not_usable"),
    21705: (Status.config, "messaging_service_not_usable"),
    30001: (Status.throttled, "queue_full"),
    30002: (Status.config, "account_suspended"),
    30007: (Status.rejected_content, "filtered"),
    30023: (Status.quota, "daily_limit"),
    30032: (Status.config, "sender_not_registered"),
    30034: (Status.config, "sender_not_registered"),
    63038: (Status.quota, "daily_limit"),
}
"""A country that is not enabled (21408) is one person's, not the run's: the others may well be elsewhere."""

_UNKNOWN: Meaning = (Status.rejected_content, "other")
_ENDED = {"failed", "undelivered", "canceled"}
"""States of a message that is created and at its end already."""


def receipt(reply: Reply, outgoing: Outgoing) -> Receipt:
    """What became of the one message of a call."""
    body = json_of(reply)
    answer = body if isinstance(body, dict) else {}
    if 200 <= reply.status < 300:
        return _created(reply, answer, outgoing)
    return refused(reply, _meaning(reply.status, answer.get("code")), _words(answer, "message"), outgoing)


def _created(reply: Reply, answer: dict[str, Any], outgoing: Outgoing) -> Receipt:
    sid = answer.get("sid")
    if not isinstance(sid, str) or not sid:
        return Receipt(Status.ambiguous, "unreadable_answer")
    if _words(answer, "status") in _ENDED:
        meaning = _known(answer.get("error_code")) or _UNKNOWN
        return refused(reply, meaning, _words(answer, "error_message"), outgoing)
    return Receipt(Status.accepted, provider_id=sid)


def _meaning(status: int, code: object) -> Meaning:
    """By Twilio's code; by the status where it has none, or none that we know."""
    known = _known(code)
    if known:
        return known
    return _UNKNOWN if status == 400 else http_replies.meaning(status)


def _known(code: object) -> Meaning | None:
    return ERRORS.get(code) if isinstance(code, int) else None


def _words(answer: dict[str, Any], field: str) -> str:
    words = answer.get(field)
    return words if isinstance(words, str) else ""
