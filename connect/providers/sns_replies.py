"""What Amazon SNS's answers mean for one message.

Codes: the errors of Publish, docs.aws.amazon.com/sns/latest/api/API_Publish.html (seen 2026-11).
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from connect.channels.message import Outgoing, Push
from connect.providers import aws_replies
from connect.providers.aws_replies import IN_DOUBT, Refusal
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status

ERRORS: dict[str, Meaning] = {
    **aws_replies.ERRORS,
    "EndpointDisabled": (Status.rejected_recipient, "unregistered"),
    "NotFound": (Status.rejected_recipient, "unregistered"),
    "OptedOut": (Status.rejected_recipient, "opted_out"),
    "InvalidParameter": (Status.rejected_content, "invalid_parameter"),
    "ParameterValueInvalid": (Status.rejected_content, "invalid_parameter"),
    "ValidationException": (Status.rejected_content, "invalid_parameter"),
    "PlatformApplicationDisabled": (Status.config, "platform_application_disabled"),
    "AuthorizationError": (Status.config, "access_denied"),
    "InvalidSecurity": (Status.config, "authentication_failed"),
    "KMSAccessDenied": (Status.config, "encryption_key"),
    "KMSDisabled": (Status.config, "encryption_key"),
    "KMSInvalidState": (Status.config, "encryption_key"),
    "KMSNotFound": (Status.config, "encryption_key"),
    "KMSOptInRequired": (Status.config, "encryption_key"),
    "KMSThrottling": (Status.throttled, "slow_down"),
    "Throttled": (Status.throttled, "slow_down"),
    "RequestLimitExceeded": (Status.throttled, "slow_down"),
    "InternalError": (Status.transient, "provider_failed"),
    "InternalFailure": (Status.transient, "provider_failed"),
    "ServiceUnavailable": (Status.transient, "provider_failed"),
}
"""Error codes of a call."""

BY_WORDS: list[tuple[re.Pattern[str], Meaning]] = [
    # "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified": it was deleted.
    (re.compile(r"no endpoint found", re.I), (Status.rejected_recipient, "unregistered")),
    (re.compile(r"message too long|too (large|long)|exceed", re.I), (Status.rejected_content, "message_too_large")),
    (re.compile(r"\bsenderid\b|sender id|originationnumber", re.I), (Status.config, "sender_not_found")),
    (re.compile(r"parameter: phonenumber|phone number", re.I), (Status.rejected_recipient, "invalid_number")),
    (re.compile(r"parameter: targetarn", re.I), (Status.rejected_recipient, "bad_endpoint")),
]
"""Of a parameter that is wrong, only the words say which."""


def read(reply: Reply) -> str | Refusal:
    """The id of what was published, or why nothing was."""
    answer = _parsed(reply.body)
    if 200 <= reply.status < 300:
        message_id = _text(answer, "MessageId")
        return message_id or Refusal("", "", reply.status)
    return Refusal(_text(answer, "Code"), _text(answer, "Message"), reply.status)


def _parsed(body: bytes) -> ElementTree.Element | None:
    try:
        text = body.decode()  # AWS writes UTF-8, whatever encoding a document may claim to be in
        if "<!" in text:  # a document type, of which AWS has none: whoever sends one may mean to declare entities
            return None
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return None


def _text(answer: ElementTree.Element | None, name: str) -> str:
    """Of the first element of this name, in whatever namespace."""
    found = answer.find(f".//{{*}}{name}") if answer is not None else None
    return (found.text or "").strip() if found is not None else ""


def refused(refusal: Refusal, outgoing: Outgoing) -> Receipt:
    """The receipt of a message whose call was answered with an error."""
    return aws_replies.receipt(_meaning(refusal, isinstance(outgoing.message, Push)), refusal, outgoing)


def _meaning(refusal: Refusal, is_push: bool) -> Meaning:
    known = ERRORS.get(refusal.code) or aws_replies.HTTP_STATUSES.get(refusal.http_status)
    if known is None:
        return (Status.rejected_content, "other") if 400 <= refusal.http_status < 500 else IN_DOUBT
    if known[1] == "invalid_parameter":
        return next((better for pattern, better in BY_WORDS if pattern.search(refusal.words)), known)
    if refusal.code == "NotFound" and not is_push:  # nothing that a number could be
        return Status.config, "endpoint_not_found"
    return known
