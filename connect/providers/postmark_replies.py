"""What Postmark's answers mean for one message: every table that maps them to receipts.

Documented at postmarkapp.com/developer/api/overview, "HTTP response codes" and "API error codes" (seen 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from connect.channels.message import Outgoing
from connect.providers.api import everyone, json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning, meaning
from connect.providers.interface import Receipt, Status, hide

CODES: dict[int, Meaning] = {
    10: (Status.config, "authentication_failed"),  # bad or missing API token
    100: (Status.transient, "under_maintenance"),
    300: (Status.rejected_content, "invalid_message"),  # told apart by its words, below
    400: (Status.config, "sender_not_verified"),  # sender signature not found
    401: (Status.config, "sender_not_verified"),  # sender signature not confirmed
    402: (Status.rejected_content, "bad_request"),  # invalid JSON
    403: (Status.rejected_content, "bad_request"),  # invalid request fields
    405: (Status.quota, "not_allowed_to_send"),  # no credits left
    406: (Status.rejected_recipient, "inactive_recipient"),  # bounced, complained or unsubscribed there before
    409: (Status.rejected_content, "bad_request"),  # JSON required
    410: (Status.rejected_content, "bad_request"),  # too many messages in a batch
    411: (Status.rejected_content, "forbidden_attachment"),
    412: (Status.config, "account_pending"),
    413: (Status.config, "account_may_not_send"),
    429: (Status.throttled, "slow_down"),
}
"""ErrorCode of a message of a batch, and of a whole call."""

HTTP_STATUSES: dict[int, Meaning] = {
    415: (Status.rejected_content, "bad_request"),
    422: (Status.rejected_content, "bad_request"),
    # "In most cases the message is lost", so not in all.
    500: (Status.ambiguous, "provider_failed"),
    503: (Status.transient, "under_maintenance"),
}
"""For replies whose ErrorCode says nothing; else as of any provider."""

NETWORK: Meaning = (Status.transient, "blocked_by_network")
"""A 403 that is a page and not JSON comes from the network before Postmark's API."""

_INACTIVE: Meaning = (Status.rejected_recipient, "inactive_recipient")
SOME_REFUSED = "some_recipients_refused"

_BY_WORDS: list[tuple[re.Pattern[str], Meaning]] = [
    # Names of fields are quoted: "Invalid 'To' address: '…'", "Error parsing 'Cc': …".
    (re.compile(r"message ?stream", re.I), (Status.config, "stream_not_found")),
    (re.compile(r"'From'|sender signature", re.I), (Status.config, "sender_not_verified")),
    (re.compile(r"'(Cc|Bcc|ReplyTo)'", re.I), (Status.rejected_content, "bad_copy_address")),
    (
        re.compile(r"'To'|(illegal|invalid|malformed) (e-?mail|address)|no recipients|zero recipients", re.I),
        (Status.rejected_recipient, "bad_address_syntax"),
    ),
    (re.compile(r"(size|length).*(exceed|greater|larger|limit)", re.I), (Status.rejected_content, "message_too_large")),
]
"""What an invalid message (300, or a code that is in no table) is about."""

_IN_DOUBT: Meaning = (Status.ambiguous, "unrecognised_answer")


def each(reply: Reply, members: Sequence[Outgoing]) -> list[Receipt]:
    """The receipts of a call that was carried out: its answer has an entry for each message, in order."""
    entries = json_of(reply)
    if not isinstance(entries, list) or len(entries) != len(members):
        return everyone(Receipt(*_IN_DOUBT), members)
    return [_answered(entry, outgoing) for entry, outgoing in zip(entries, members, strict=True)]


def whole(reply: Reply, members: Sequence[Outgoing]) -> list[Receipt]:
    """The receipts of a call that was refused; its words may be about any message in it."""
    code, words = _said(json_of(reply))
    receipt = refused(reply, _meaning(reply), "", members[0])
    if words and (len(members) == 1 or receipt.status in (Status.config, Status.quota)):  # else nobody reads them
        receipt.detail = hide(f"{code}: {words}", *members)
    return everyone(receipt, members)


def refuses_one(reply: Reply) -> bool:
    """Whether the refusal of a call may be about one message in it, whose others are innocent: nothing was accepted."""
    return _meaning(reply)[0] in (Status.rejected_content, Status.rejected_recipient)


def _answered(entry: object, outgoing: Outgoing) -> Receipt:
    code, words = _said(entry)
    number = str(entry.get("MessageID") or "") if isinstance(entry, dict) else ""
    if code == 0:
        return _accepted(words, number, outgoing)
    status, reason = _IN_DOUBT if code is None else _of_code(code, words)
    return Receipt(status, reason, provider_id=number, detail=hide(f"{code}: {words}", outgoing) if words else "")


def _accepted(words: str, number: str, outgoing: Outgoing) -> Receipt:
    """ "Message OK, but will not deliver to these inactive addresses: …" where some of several are inactive."""
    if words == "OK" or "inactive" not in words:
        return Receipt(Status.accepted, provider_id=number)
    if outgoing.message.address.lower() in map(str.lower, _ADDRESS.findall(words)):
        return Receipt(*_INACTIVE, provider_id=number, detail=hide(words, outgoing))
    return Receipt(Status.accepted, SOME_REFUSED, provider_id=number, detail=hide(words, outgoing))


_ADDRESS = re.compile(r"[^\s,;<>()'\"]+@[^\s,;<>()'\"]*[^\s,;<>()'\".]")


def _meaning(reply: Reply) -> Meaning:
    """What a call's answer says of everything in it."""
    said = json_of(reply)
    if reply.status == 403 and not isinstance(said, dict):
        return NETWORK
    code, words = _said(said)
    if code and 400 <= reply.status < 500:
        return _of_code(code, words)
    if reply.status == 503 or code == 100:
        return CODES[100]
    found = meaning(reply.status, HTTP_STATUSES)
    return found if found[0] is not Status.accepted else _IN_DOUBT


def _of_code(code: int, words: str) -> Meaning:
    known = CODES.get(code)
    if known and code != 300:
        return known
    words = _ADDRESS.sub("", words)  # what a person's address holds says nothing of the account
    for pattern, better in _BY_WORDS:
        if pattern.search(words):
            return better
    return known or (Status.rejected_content, "other")


def _said(answer: Any) -> tuple[int | None, str]:
    """ErrorCode and Message; None where there is no code."""
    if not isinstance(answer, dict):
        return None, ""
    code, words = answer.get("ErrorCode"), answer.get("Message")
    return (code if type(code) is int else None), (words if isinstance(words, str) else "")
