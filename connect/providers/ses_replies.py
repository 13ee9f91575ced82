"""What Amazon SES's answers mean for one message: every table that maps them to receipts."""

from __future__ import annotations

import re

import botocore.exceptions as aws

from connect.channels.message import Outgoing
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

NOT_WRITTEN: tuple[type[aws.BotoCoreError], ...] = (
    aws.EndpointConnectionError,
    aws.ConnectTimeoutError,
    aws.ProxyConnectionError,
)
"""There was no connection, so nothing was written."""

NO_CREDENTIALS: tuple[type[aws.BotoCoreError], ...] = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.ProfileNotFound,
    aws.NoRegionError,
)
"""The request could not be signed, so nothing was written."""


def answered(entry: dict[str, str], outgoing: Outgoing) -> Receipt:
    """The receipt of one entry of a bulk call."""
    words = entry.get("Error") or ""
    status, reason = _told_apart(STATUSES.get(entry.get("Status", ""), _IN_DOUBT), words)
    return Receipt(status, reason, provider_id=entry.get("MessageId", ""), detail=hide(words, outgoing))


def refused(error: aws.ClientError, outgoing: Outgoing) -> Receipt:
    """The receipt of a message whose call was answered with an error."""
    code, words, http_status = _parts(error)
    meaning = ERRORS.get(code) or HTTP_STATUSES.get(http_status) or _unknown(http_status)
    status, reason = _told_apart(meaning, words)
    return Receipt(status, reason, detail=hide(f"{code}: {words}", outgoing))


def broken(error: aws.BotoCoreError, outgoing: Outgoing) -> Receipt:
    """The receipt of a message whose call got no answer. Botocore's own words may quote the request: they stay out."""
    name = type(error).__name__
    if isinstance(error, NOT_WRITTEN) or _untrusted(error):
        return Receipt(Status.transient, "unreachable", detail=name)
    if isinstance(error, NO_CREDENTIALS):
        return Receipt(Status.config, "authentication_failed", detail=name)
    if isinstance(error, aws.ParamValidationError):
        return Receipt(Status.rejected_content, "bad_request", detail=name)
    if isinstance(error, aws.ReadTimeoutError):
        return Receipt(Status.ambiguous, "timed_out_after_write", detail=name)
    return Receipt(Status.ambiguous, "connection_lost_after_write", detail=name)


def refuses_one(error: aws.ClientError) -> bool:
    """Whether the error may be about one entry of a bulk call, whose others are innocent: nothing was accepted."""
    code, words, _ = _parts(error)
    status, _reason = _told_apart(ERRORS.get(code, _IN_DOUBT), words)
    return status in (Status.rejected_content, Status.rejected_recipient)


def _parts(error: aws.ClientError) -> tuple[str, str, int]:
    answer = error.response
    http_status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return answer.get("Error", {}).get("Code", ""), answer.get("Error", {}).get("Message", ""), http_status


def _unknown(http_status: int) -> Meaning:
    """A refusal (4xx) that no table knows is about this call; anything else is in doubt."""
    return (Status.rejected_content, "refused") if 400 <= http_status < 500 else _IN_DOUBT


def _told_apart(meaning: Meaning, words: str) -> Meaning:
    for pattern, statuses, better in _BY_WORDS:
        if meaning[0] in statuses and pattern.search(words):
            return better
    return meaning


def _untrusted(error: aws.BotoCoreError) -> bool:
    """A certificate that was not accepted: the request was not written."""
    return isinstance(error, aws.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
