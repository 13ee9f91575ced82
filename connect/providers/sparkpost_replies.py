"""What SparkPost's answers mean for the message of a call."""

from __future__ import annotations

from typing import Any

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status, hide

ERRORS: dict[str, Meaning] = {
    "1100": (Status.config, "access_denied"),
    "1101": (Status.config, "endpoint_not_found"),
    "1102": (Status.config, "endpoint_not_found"),
    "1103": (Status.config, "endpoint_not_found"),
    "1200": (Status.rejected_content, "bad_request"),
    "1300": (Status.rejected_content, "bad_request"),
    "1301": (Status.rejected_content, "bad_request"),
    "1303": (Status.config, "authentication_failed"),
    "1304": (Status.config, "authentication_failed"),
    "1305": (Status.rejected_content, "bad_request"),
    "1400": (Status.rejected_content, "required_value_missing"),
    "1401": (Status.rejected_content, "required_value_missing"),
    "1500": (Status.transient, "provider_failed"),
    "1501": (Status.transient, "provider_failed"),
    "1502": (Status.transient, "try_again_later"),
    "1600": (Status.config, "resource_not_found"),
    "1601": (Status.config, "not_in_plan"),
    "1602": (Status.transient, "try_again_later"),
    "1603": (Status.config, "resource_not_found"),
    "1900": (Status.transient, "provider_failed"),
    "1901": (Status.rejected_content, "generation_failed"),
    "1902": (Status.rejected_content, "generation_rejected"),
    "1910": (Status.config, "generation_not_configured"),
    "2002": (Status.rejected_content, "message_too_large"),
    "2007": (Status.rejected_content, "message_too_large"),
    "2008": (Status.rejected_content, "bad_sender_address"),
    "2009": (Status.config, "tracking_domain_refused"),
    "2010": (Status.config, "tracking_domain_refused"),
    "2011": (Status.config, "tracking_domain_refused"),
    "2012": (Status.config, "tracking_domain_refused"),
    "2101": (Status.quota, "hourly_limit"),
    "2102": (Status.quota, "daily_limit"),
    "2103": (Status.quota, "sandbox_limit"),
    "3000": (Status.rejected_content, "template_error"),
    "3001": (Status.rejected_content, "template_error"),
    "3002": (Status.rejected_content, "header_not_allowed"),
    "3010": (Status.rejected_content, "content_unsupported"),
    "3020": (Status.rejected_content, "content_unsupported"),
    "3040": (Status.rejected_content, "content_unsupported"),
    "3050": (Status.rejected_content, "content_unsupported"),
    "5002": (Status.rejected_recipient, "bad_address_syntax"),
    "7000": (Status.config, "sender_blocked"),
    "7001": (Status.config, "sender_not_verified"),
}
"""Documented at support.sparkpost.com, "Extended error codes"."""

STATUSES: dict[int, Meaning] = {
    405: (Status.config, "endpoint_not_found"),
    420: (Status.quota, "sending_limit"),
}
"""For codes that are in no table. Documented at developers.sparkpost.com, "Error table"."""

SUPPRESSED: Meaning = (Status.rejected_recipient, "suppressed")
"""A 1902 whose words say so: "recipient address was suppressed due to customer policy". SparkPost says it at once for a
message to one recipient; one with copies is taken, and told of in an event."""

PARTLY: Meaning = (Status.undecidable, "partly_accepted")
"""Somebody of a message with copies was refused, and SparkPost does not say who: to send it again would repeat it."""

_OTHER: Meaning = (Status.rejected_content, "other")
_IN_DOUBT: Meaning = (Status.ambiguous, "unrecognised_answer")


def answered(reply: Reply, outgoing: Outgoing) -> Receipt:
    """The receipt of the message of a call."""
    answer = json_of(reply)
    said = answer if isinstance(answer, dict) else {}
    results = said.get("results")
    if 200 <= reply.status < 300:
        return _created(results if isinstance(results, dict) else {}, outgoing)
    errors = _errors(said.get("errors"))
    return refused(reply, _meaning(reply.status, errors), _words(errors), outgoing)


def _created(results: dict[str, Any], outgoing: Outgoing) -> Receipt:
    accepted, rejected = results.get("total_accepted_recipients"), results.get("total_rejected_recipients")
    provider_id = str(results.get("id") or "")
    if not isinstance(accepted, int) or not isinstance(rejected, int):
        return Receipt(*_IN_DOUBT, provider_id=provider_id)
    if not accepted and not rejected:
        return Receipt(*_IN_DOUBT, provider_id=provider_id)
    if accepted and not rejected:
        return Receipt(Status.accepted, provider_id=provider_id)
    errors = _errors(results.get("rcpt_to_errors"))
    meaning = PARTLY if accepted else (Status.rejected_recipient, "recipient_refused")
    return Receipt(*meaning, provider_id=provider_id, detail=hide(_words(errors), outgoing))


def _meaning(status: int, errors: list[dict[str, Any]]) -> Meaning:
    """By the first code that is known, else by the status; what failed inside SparkPost goes by its status."""
    by_status = STATUSES.get(status) or http_replies.meaning(status)
    if status >= 500:
        return by_status
    for error in errors:
        known = ERRORS.get(str(error.get("code")))
        if known and str(error.get("code")) == "1902" and "suppressed" in str(error.get("description")).lower():
            return SUPPRESSED
        if known:
            return known
    return _OTHER if by_status == (Status.rejected_content, "refused") else by_status


def _errors(listed: object) -> list[dict[str, Any]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _words(errors: list[dict[str, Any]]) -> str:
    return "; ".join(
        ": ".join(str(each[part]) for part in ("code", "message", "description") if each.get(part)) for each in errors
    )
