"""What Amazon SES's answers mean for one message: every table that maps them to receipts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from connect.channels.message import Outgoing
from connect.providers.http import Reply
from connect.providers.interface import Receipt, Status, hide

Meaning = tuple[Status, str]

STATUSES: dict[str, Meaning] = {
    "SUCCESS": (Status.accepted, ""),
    "MESSAGE_REJECTED": (Status.rejected_content, "message_rejected"),
    "INVALID_PARAMETER": (Status.rejected_content, "invalid_parameter"),
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": (Status.config, "sender_not_verified"),
    "CONFIGURATION_SET_NOT_FOUND": (Status.config, "configuration_set_not_found"),
    "TEMPLATE_NOT_FOUND": (Status.config, "template_not_found"),
    "INVALID_SENDING_POOL_NAME": (Status.config, "sending_pool_not_found"),
    "ACCOUNT_SUSPENDED": (Status.config, "account_suspended"),
    "ACCOUNT_SENDING_PAUSED": (Status.config, "sending_paused"),
    "CONFIGURATION_SET_SENDING_PAUSED": (Status.config, "sending_paused"),
    "ACCOUNT_THROTTLED": (Status.throttled, "slow_down"),
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": (Status.quota, "daily_quota"),
    "TRANSIENT_FAILURE": (Status.transient, "try_again_later"),
    "FAILED": (Status.transient, "provider_failed"),
}
"""BulkEmailStatus of SendBulkEmail, one for each entry."""

ERRORS: dict[str, Meaning] = {
    "TooManyRequestsException": (Status.throttled, "slow_down"),
    "Throttling": (Status.throttled, "slow_down"),
    "ThrottlingException": (Status.throttled, "slow_down"),
    "LimitExceededException": (Status.quota, "limit_exceeded"),
    "MessageRejected": (Status.rejected_content, "message_rejected"),
    "BadRequestException": (Status.rejected_content, "bad_request"),
    "ValidationException": (Status.rejected_content, "bad_request"),
    "AccountSuspendedException": (Status.config, "account_suspended"),
    "SendingPausedException": (Status.config, "sending_paused"),
    "MailFromDomainNotVerifiedException": (Status.config, "sender_not_verified"),
    "NotFoundException": (Status.config, "configuration_set_not_found"),
    "AccessDeniedException": (Status.config, "access_denied"),
    "AccessDenied": (Status.config, "access_denied"),
    "NotAuthorized": (Status.config, "access_denied"),
    "OptInRequired": (Status.config, "access_denied"),
    "UnrecognizedClientException": (Status.config, "authentication_failed"),
    "InvalidClientTokenId": (Status.config, "authentication_failed"),
    "InvalidSignatureException": (Status.config, "authentication_failed"),
    "SignatureDoesNotMatch": (Status.config, "authentication_failed"),
    "IncompleteSignature": (Status.config, "authentication_failed"),
    "MissingAuthenticationToken": (Status.config, "authentication_failed"),
    "MissingAuthenticationTokenException": (Status.config, "authentication_failed"),
    "ExpiredToken": (Status.config, "credentials_expired"),
    "ExpiredTokenException": (Status.config, "credentials_expired"),
    "RequestExpired": (Status.config, "clock_is_wrong"),
}
"""Error codes of a whole call."""

HTTP_STATUSES: dict[int, Meaning] = {
    401: (Status.config, "authentication_failed"),
    403: (Status.config, "access_denied"),
    413: (Status.rejected_content, "message_too_large"),
    429: (Status.throttled, "slow_down"),
    500: (Status.transient, "provider_failed"),
    503: (Status.transient, "provider_failed"),
}
"""For codes that are in no table. A 502 or 504 is a gateway that gave up waiting: in doubt, like anything else."""

_BY_WORDS: list[tuple[re.Pattern[str], set[Status], Meaning]] = [
    # One code for both, told apart by the words only (docs.aws.amazon.com/ses, "Errors related to sending quotas").
    (re.compile(r"daily message quota", re.I), {Status.throttled, Status.quota}, (Status.quota, "daily_quota")),
    (re.compile(r"maximum sending rate", re.I), {Status.throttled, Status.quota}, (Status.throttled, "slow_down")),
    # An address that nobody verified: the sender, or in the sandbox the recipient. Either way the account's matter.
    (re.compile(r"not verified", re.I), {Status.rejected_content}, (Status.config, "sender_not_verified")),
    (re.compile(r"configuration set", re.I), {Status.rejected_content}, (Status.config, "configuration_set_not_found")),
    (
        re.compile(
            r"(illegal|invalid|malformed|missing).*(address|domain|local)|(address|domain).*(illegal|invalid)", re.I
        ),
        {Status.rejected_content},
        (Status.rejected_recipient, "bad_address_syntax"),
    ),
    (
        re.compile(r"(size|length).*(exceed|greater|larger)", re.I),
        {Status.rejected_content},
        (Status.rejected_content, "message_too_large"),
    ),
]

_IN_DOUBT: Meaning = (Status.ambiguous, "unrecognised_answer")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that SES answered a whole call with."""

    code: str
    words: str = field(repr=False)
    http_status: int


def read(reply: Reply) -> dict[str, Any] | Refusal:
    """The output of an operation, or why there is none."""
    answer = _object(reply.body)
    if 200 <= reply.status < 300 and answer is not None:
        return answer
    answer = answer or {}
    # In the header with a link behind it, in the body with a namespace before it (AWS's REST-JSON protocol).
    code = str(reply.headers.get("x-amzn-errortype") or answer.get("code") or answer.get("__type") or "")
    words = str(answer.get("message") or answer.get("Message") or "")
    return Refusal(code.partition(":")[0].rpartition("#")[2], words, reply.status)


_decode = json.JSONDecoder().decode
"""`json.loads` of bytes first guesses which Unicode they are."""


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = _decode(body.decode())
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def answered(entry: object, outgoing: Outgoing) -> Receipt:
    """The receipt of one entry of a bulk call."""
    said = entry if isinstance(entry, dict) else {}
    if said.get("Status") == "SUCCESS":
        return Receipt(Status.accepted, provider_id=str(said.get("MessageId") or ""))
    words = str(said.get("Error") or "")
    status, reason = _told_apart(STATUSES.get(str(said.get("Status", "")), _IN_DOUBT), words)
    return Receipt(
        status, reason, provider_id=str(said.get("MessageId") or ""), detail=hide(words, outgoing) if words else ""
    )


def refused(refusal: Refusal, outgoing: Outgoing) -> Receipt:
    """The receipt of a message whose call was answered with an error."""
    known = ERRORS.get(refusal.code) or HTTP_STATUSES.get(refusal.http_status)
    status, reason = _told_apart(known or _unknown(refusal.http_status), refusal.words)
    return Receipt(status, reason, detail=hide(f"{refusal.code}: {refusal.words}", outgoing))


def unsigned(error: str) -> Receipt:
    """The receipt of a message whose call could not be signed, so that nothing was written."""
    return Receipt(Status.config, "authentication_failed", detail=error)


def refuses_one(refusal: Refusal) -> bool:
    """Whether the error may be about one entry of a bulk call, whose others are innocent: nothing was accepted."""
    status, _reason = _told_apart(ERRORS.get(refusal.code, _IN_DOUBT), refusal.words)
    return status in (Status.rejected_content, Status.rejected_recipient)


def _unknown(http_status: int) -> Meaning:
    """A refusal (4xx) that no table knows is about this call; anything else is in doubt."""
    return (Status.rejected_content, "refused") if 400 <= http_status < 500 else _IN_DOUBT


def _told_apart(meaning: Meaning, words: str) -> Meaning:
    for pattern, statuses, better in _BY_WORDS:
        if meaning[0] in statuses and pattern.search(words):
            return better
    return meaning
