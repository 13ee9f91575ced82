"""What Mailjet's answers mean for one message.

An answer has an entry for each message, in their order, also where its status is 400 because of one of them: "errors
on some messages do not stop the others". Without entries, the call was refused whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status, hide

ERRORS: dict[str, Meaning] = {
    "mj-0001": (Status.config, "account_suspended"),
    "mj-0002": (Status.rejected_content, "bad_request"),
    "mj-0003": (Status.rejected_content, "required_value_missing"),
    "mj-0004": (Status.rejected_content, "bad_request"),
    "mj-0005": (Status.rejected_content, "value_not_allowed"),
    "mj-0006": (Status.rejected_content, "value_too_long"),
    "mj-0007": (Status.rejected_content, "required_value_missing"),
    "mj-0008": (Status.rejected_content, "too_many_values"),
    "mj-0011": (Status.rejected_content, "message_too_large"),
    "mj-0012": (Status.rejected_content, "required_value_missing"),
    "mj-0013": (Status.rejected_recipient, "bad_address_syntax"),
    "mj-0015": (Status.config, "authentication_failed"),
    "send-0003": (Status.rejected_content, "empty_message"),
    "send-0004": (Status.rejected_content, "bad_request"),
    "send-0006": (Status.config, "sender_not_allowed"),
    "send-0007": (Status.config, "sender_not_verified"),
    "send-0008": (Status.config, "sender_not_verified"),
    "send-0010": (Status.config, "template_not_allowed"),
    "send-0011": (Status.rejected_content, "header_not_allowed"),
    "send-0012": (Status.rejected_content, "bad_request"),
    "send-0013": (Status.config, "monitoring_category_not_found"),
    "send-0015": (Status.rejected_content, "too_many_recipients"),
    "send-0016": (Status.rejected_content, "bad_request"),
}
"""ErrorCode, of a message or of a call. Documented at dev.mailjet.com, "Send API errors"."""

_OTHER: Meaning = (Status.rejected_content, "other")
_IN_DOUBT: Meaning = (Status.ambiguous, "unrecognised_answer")
_NOT_THE_RECIPIENT = ("From", "Sender", "ReplyTo", "Cc", "Bcc")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a call that was refused whole: nothing of it was accepted."""

    meaning: Meaning
    words: str = field(repr=False)
    reply: Reply

    @property
    def may_be_one(self) -> bool:
        """Whether it may be about one message of the call, whose others are innocent."""
        return self.meaning[0] in (Status.rejected_content, Status.rejected_recipient)

    def receipt(self, members: Sequence[Outgoing]) -> Receipt:
        """Of all messages of the call; its words may be about any of them. Of several, words that nobody reads go."""
        told = len(members) == 1 or self.meaning[0] in (Status.config, Status.quota)
        receipt = refused(self.reply, self.meaning, "", members[0])
        return replace(receipt, detail=hide(self.words, *members) if self.words and told else "")


def read(reply: Reply) -> list[Any] | Refusal:
    """The entries of an answer, or why there are none."""
    answer = json_of(reply)
    said = answer if isinstance(answer, dict) else {}
    entries = said.get("Messages")
    if isinstance(entries, list):
        return entries
    return Refusal(_of_a_call(reply.status, said), _words(said), reply)


def _of_a_call(status: int, said: dict[str, Any]) -> Meaning:
    if status < 300:
        return _IN_DOUBT
    meaning = http_replies.meaning(status)
    unknown = _OTHER if meaning == (Status.rejected_content, "refused") else meaning
    return ERRORS.get(str(said.get("ErrorCode")), unknown) if status < 500 else unknown


def answered(entry: object, outgoing: Outgoing) -> Receipt:
    """The receipt of one message, from its entry."""
    said = entry if isinstance(entry, dict) else {}
    if said.get("Status") == "success":
        return Receipt(Status.accepted, provider_id=_message_id(said))
    errors = said.get("Errors")
    found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    if said.get("Status") != "error" or not found:
        return Receipt(*_IN_DOUBT)
    status, reason = _gravest([_of_an_error(error) for error in found])
    return Receipt(status, reason, detail=hide("; ".join(map(_words, found)), outgoing))


def _of_an_error(error: dict[str, Any]) -> Meaning:
    code = str(error.get("ErrorCode"))
    if code == "mj-0013" and _about_somebody_else(error.get("ErrorRelatedTo")):
        return Status.rejected_content, "bad_address_syntax"
    known = ERRORS.get(code)
    if known:
        return known
    status = error.get("StatusCode")
    meaning = http_replies.STATUSES.get(status) if isinstance(status, int) else None
    return meaning or _OTHER


def _about_somebody_else(related: object) -> bool:
    """Whether the address is one that the message has besides its recipient's: `From.Email`, `Cc[0].Email`."""
    return isinstance(related, list) and any(str(each).startswith(_NOT_THE_RECIPIENT) for each in related)


def _gravest(meanings: Sequence[Meaning]) -> Meaning:
    """Of all that is wrong with a message: what is wrong with the account, else what is said first."""
    return next((meaning for meaning in meanings if meaning[0] is Status.config), meanings[0])


def _message_id(said: dict[str, Any]) -> str:
    """The id that events have too; none in the sandbox."""
    to = said.get("To")
    first = to[0] if isinstance(to, list) and to else None
    number = first.get("MessageID") if isinstance(first, dict) else None
    return str(number) if number else ""


def _words(said: dict[str, Any]) -> str:
    code, words = said.get("ErrorCode"), said.get("ErrorMessage")
    return f"{code}: {words}" if code and words else str(code or words or "")
