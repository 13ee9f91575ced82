"""What Amazon SES's answers mean for one message: every table that maps them to receipts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from connect.channels.message import Outgoing
from connect.providers import aws_replies
from connect.providers.aws_replies import HTTP_STATUSES, IN_DOUBT, Refusal
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status, hide

__all__ = ["ERRORS", "HTTP_STATUSES", "STATUSES", "answered", "refused", "refuses_one"]

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
    **aws_replies.ERRORS,
    "TooManyRequestsException": (Status.throttled, "slow_down"),
    "LimitExceededException": (Status.quota, "limit_exceeded"),
    "MessageRejected": (Status.rejected_content, "message_rejected"),
    "BadRequestException": (Status.rejected_content, "bad_request"),
    "ValidationException": (Status.rejected_content, "bad_request"),
    "AccountSuspendedException": (Status.config, "account_suspended"),
    "SendingPausedException": (Status.config, "sending_paused"),
    "MailFromDomainNotVerifiedException": (Status.config, "sender_not_verified"),
    "NotFoundException": (Status.config, "configuration_set_not_found"),
}
"""Error codes of a whole call."""

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


def answered(entry: object, outgoing: Outgoing) -> Receipt:
    """The receipt of one entry of a bulk call."""
    said = entry if isinstance(entry, dict) else {}
    if said.get("Status") == "SUCCESS":
        return Receipt(Status.accepted, provider_id=str(said.get("MessageId") or ""))
    words = str(said.get("Error") or "")
    status, reason = _told_apart(STATUSES.get(str(said.get("Status", "")), IN_DOUBT), words)
    return Receipt(
        status, reason, provider_id=str(said.get("MessageId") or ""), detail=hide(words, outgoing) if words else ""
    )


def refused(refusal: Refusal, members: Sequence[Outgoing]) -> Receipt:
    """The receipt of all messages of a call that was answered with an error; its words may be about any of them."""
    known = ERRORS.get(refusal.code) or HTTP_STATUSES.get(refusal.http_status)
    meaning = _told_apart(known or _unknown(refusal.http_status), refusal.words)
    return aws_replies.receipt(meaning, refusal, *members)


def refuses_one(refusal: Refusal) -> bool:
    """Whether the error may be about one entry of a bulk call, whose others are innocent: nothing was accepted."""
    status, _reason = _told_apart(ERRORS.get(refusal.code, IN_DOUBT), refusal.words)
    return status in (Status.rejected_content, Status.rejected_recipient)


def _unknown(http_status: int) -> Meaning:
    """A refusal (4xx) that no table knows is about this call; anything else is in doubt."""
    return (Status.rejected_content, "refused") if 400 <= http_status < 500 else IN_DOUBT


def _told_apart(meaning: Meaning, words: str) -> Meaning:
    for pattern, statuses, better in _BY_WORDS:
        if meaning[0] in statuses and pattern.search(words):
            return better
    return meaning
