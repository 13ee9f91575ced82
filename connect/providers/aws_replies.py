"""What AWS's services say when they refuse a call: the codes that mean the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import read_json, text_of
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status, hide

ERRORS: dict[str, Meaning] = {
    "Throttling": (Status.throttled, "slow_down"),
    "ThrottlingException": (Status.throttled, "slow_down"),
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
"""Error codes of a whole call ("Common Error Types" of each service's API reference, docs.aws.amazon.com)."""

HTTP_STATUSES: dict[int, Meaning] = http_replies.STATUSES
"""For codes that are in no table; anything else is in doubt."""

IN_DOUBT: Meaning = (Status.ambiguous, "unrecognised_answer")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that a whole call was answered with."""

    code: str
    words: str = field(repr=False)
    http_status: int
    why: str = ""
    """The machine-readable `Reason` that some services give besides."""
    fields: tuple[str, ...] = ()
    """The names of what was wrong in the request, where the service lists them."""


def read(reply: Reply) -> dict[str, Any] | Refusal:
    """The output of an operation of a service that speaks JSON, or why there is none."""
    answer = _object(reply.body)
    if 200 <= reply.status < 300 and answer is not None:
        return answer
    answer = answer or {}
    # In the header with a link behind it, in the body with a namespace before it (AWS's JSON protocols).
    code = reply.headers.get("x-amzn-errortype") or text_of(answer.get("code") or answer.get("__type"))
    words = text_of(answer.get("message") or answer.get("Message"))
    code = code.partition(":")[0].rpartition("#")[2]
    return Refusal(code, words, reply.status, text_of(answer.get("Reason")), _names(answer.get("Fields")))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = read_json(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _names(fields: object) -> tuple[str, ...]:
    listed = fields if isinstance(fields, list) else []
    return tuple(text_of(each.get("Name")) for each in listed if isinstance(each, dict))


def accepted(answer: dict[str, Any]) -> Receipt:
    """The receipt of the message of a call that was carried out. What has no id is not AWS's word."""
    number = text_of(answer.get("MessageId"))
    return Receipt(Status.accepted, provider_id=number) if number else Receipt(*IN_DOUBT)


def receipt(meaning: Meaning, refusal: Refusal, *members: Outgoing) -> Receipt:
    """The receipt of the messages of a call that was answered with an error. Of several, words that nobody reads go."""
    status, reason = meaning
    said = f"{refusal.code} ({refusal.why})" if refusal.why else refusal.code
    words = ": ".join(filter(None, (said, refusal.words)))
    told = len(members) == 1 or status in (Status.config, Status.quota)
    return Receipt(status, reason, detail=hide(words, *members) if words and told else "")


def unsigned(error: str) -> Receipt:
    """The receipt of a message whose call could not be signed, so that nothing was written."""
    return Receipt(Status.config, "authentication_failed", detail=error)
