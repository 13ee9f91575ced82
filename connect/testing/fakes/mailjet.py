"""Mailjet's Send API v3.1, as its documentation has it: for `ApiServer`.

Strict about what nobody would notice at the real one: a property that it does not know, a wrong type or a missing one
is a misfit. What the real one refuses (too many recipients, forbidden headers, long subjects, broken addresses) is
refused here, with its codes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from connect.testing.api import Answer, Call

API_KEY, SECRET_KEY = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
_SIGNED_IN = "Basic " + base64.b64encode(f"{API_KEY}:{SECRET_KEY}".encode()).decode()

_MOST_RECIPIENTS = 50
_LONGEST_SUBJECT = 255
_FORBIDDEN = {"from", "sender", "subject", "to", "cc", "bcc", "reply-to", "date", "message-id", "list-id", "x-mailer"}
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CHOICES = ("account_default", "disabled", "enabled")


class FakeMailjet:
    """Records what is delivered; each address may be given another answer."""

    def __init__(self) -> None:
        self.delivered: list[dict[str, Any]] = []
        """Messages, as they were sent."""
        self.blocked: list[dict[str, Any]] = []
        """Accepted, and not sent, because the address has had one of this campaign."""
        self.misfits: list[str] = []
        self.answers: dict[str, Answer] = {}
        """By address: what a call is answered with that has a message to it."""
        self.errors: dict[str, list[dict[str, Any]]] = {}
        """By address: what is wrong with a message to it."""
        self.senders: list[dict[str, Any]] = [{"Email": "*@acme.example", "Status": "Active"}]
        self._campaigns: set[tuple[str, str]] = set()
        self._numbers = count(576460752303423488)

    def relent(self) -> None:
        self.answers.clear()
        self.errors.clear()

    def __call__(self, call: Call) -> Answer:
        if call.headers.get("authorization") != _SIGNED_IN:
            return _refused(401, "mj-0015", "API key authentication/authorization failure.")
        if (call.method, call.path) == ("GET", "/v3/REST/sender"):
            return Answer(200, {"Count": len(self.senders), "Data": self.senders, "Total": len(self.senders)})
        if (call.method, call.path) != ("POST", "/v3.1/send"):
            return _refused(404, "mj-0009", "Resource not found.")
        return self._send(call)

    def _send(self, call: Call) -> Answer:
        if call.headers.get("content-type") != "application/json":
            self.misfits.append("content-type")
        said = call.json
        self.misfits += _call_misfits(said)
        messages = said["Messages"]
        for address, answer in self.answers.items():
            if any(address in _recipients(message) for message in messages):
                return answer
        if sum(len(_recipients(message)) for message in messages) > _MOST_RECIPIENTS:
            return _refused(400, "send-0015", "Total number of recipients exceeded. Max allowed - 50.", ["To"])
        entries = [self._take(message, sandbox=said.get("SandboxMode", False)) for message in messages]
        return Answer(200 if all(each["Status"] == "success" for each in entries) else 400, {"Messages": entries})

    def _take(self, message: dict[str, Any], *, sandbox: bool) -> dict[str, Any]:
        errors = _errors(message)
        for address in _recipients(message):
            errors += self.errors.get(address, [])
        if errors:
            return {"Status": "error", "Errors": errors}
        if not sandbox:
            (self.blocked if self._duplicate(message) else self.delivered).append(message)
        listed = {
            name: [self._accepted(each, sandbox) for each in message.get(name, [])] for name in ("To", "Cc", "Bcc")
        }
        return {"Status": "success", "CustomID": "" if sandbox else message.get("CustomID", ""), **listed}

    def _accepted(self, mailbox: Mapping[str, str], sandbox: bool) -> dict[str, Any]:
        number = 0 if sandbox else next(self._numbers)
        return {
            "Email": mailbox["Email"],
            "MessageUUID": "" if sandbox else f"cb927469-36fd-4c02-bce4-{number % 10**12:012}",
            "MessageID": number,
            "MessageHref": f"https://api.mailjet.com/v3/REST/message/{number}",
        }

    def _duplicate(self, message: dict[str, Any]) -> bool:
        if not message.get("DeduplicateCampaign"):
            return False
        place = (message["CustomCampaign"], message["To"][0]["Email"])
        known = place in self._campaigns
        self._campaigns.add(place)
        return known


def error(code: str, words: str, status: int = 400, related: list[str] | None = None) -> dict[str, Any]:
    """One thing that is wrong with a message."""
    return {
        "ErrorIdentifier": "f987008f-251a-4dff-8ffc-40f1583ad7bc",
        "ErrorCode": code,
        "StatusCode": status,
        "ErrorMessage": words,
        "ErrorRelatedTo": related or [],
    }


def _refused(status: int, code: str, words: str, related: list[str] | None = None) -> Answer:
    return Answer(status, error(code, words, status, related))


def _recipients(message: Mapping[str, Any]) -> list[str]:
    return [each["Email"] for name in ("To", "Cc", "Bcc") for each in message.get(name, [])]


def _errors(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the real one says no to."""
    found = []
    for name in ("To", "Cc", "Bcc"):
        for at, mailbox in enumerate(message.get(name, [])):
            if not _ADDRESS.fullmatch(mailbox["Email"]):
                words = f'"{mailbox["Email"]}" is an invalid email address.'
                found.append(error("mj-0013", words, related=[f"{name}[{at}].Email"]))
    if len(message.get("Subject", "")) > _LONGEST_SUBJECT:
        found.append(error("mj-0006", "Property value exceeds maximum length.", related=["Subject"]))
    for name in message.get("Headers", {}):
        if name.lower() in _FORBIDDEN:
            found.append(error("send-0011", f'Header "{name}" cannot be customized.', related=[f'Headers["{name}"]']))
    if not message.get("TextPart") and not message.get("HTMLPart"):
        words = 'At least "HTMLPart", "TextPart" or "TemplateID" must be provided.'
        found.append(error("send-0003", words, related=["TextPart", "HTMLPart"]))
    return found


def _call_misfits(said: Any) -> list[str]:
    if (
        not isinstance(said, dict)
        or set(said) - {"Messages", "SandboxMode"}
        or not isinstance(said.get("Messages"), list)
    ):
        return ["the call's properties"]
    found = [] if said.get("SandboxMode") in (None, True) else ["SandboxMode"]
    if not 1 <= len(said["Messages"]) <= _MOST_RECIPIENTS:
        found.append(f"{len(said['Messages'])} messages")
    return found + [misfit for message in said["Messages"] for misfit in _message_misfits(message)]


_REQUIRED = {"From", "To", "Subject", "CustomID", "CustomCampaign"}


def _message_misfits(message: dict[str, Any]) -> list[str]:
    found = [f"no {name}" for name in _REQUIRED - set(message)]
    for name, value in message.items():
        fits = _FITS.get(name)
        if fits is None:
            found.append(f"unknown property {name}")
        elif not fits(value):
            found.append(f"the value of {name}")
    if ("TrackOpens" in message or "TrackClicks" in message) and "HTMLPart" not in message:
        found.append("tracking without HTML")
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mailbox(value: Any) -> bool:
    fields = set(value) if isinstance(value, dict) else set()
    return fields in ({"Email"}, {"Email", "Name"}) and all(isinstance(each, str) and each for each in value.values())


def _are_mailboxes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_mailbox, value))


def _is_attachment(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"ContentType", "Filename", "Base64Content"}:
        return False
    base64.b64decode(value["Base64Content"], validate=True)
    return "/" in value["ContentType"] and bool(value["Filename"])


_FITS: dict[str, Callable[[Any], bool]] = {
    "From": _is_mailbox,
    "ReplyTo": _is_mailbox,
    "To": _are_mailboxes,
    "Cc": _are_mailboxes,
    "Bcc": _are_mailboxes,
    "Subject": _is_text,
    "TextPart": _is_text,
    "HTMLPart": _is_text,
    "CustomID": lambda value: isinstance(value, str) and 0 < len(value) <= 64,
    "CustomCampaign": lambda value: isinstance(value, str) and 0 < len(value) <= 255,
    "DeduplicateCampaign": lambda value: value is True,
    "TrackOpens": lambda value: value in _CHOICES,
    "TrackClicks": lambda value: value in _CHOICES,
    "Headers": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    "Attachments": lambda value: isinstance(value, list) and bool(value) and all(map(_is_attachment, value)),
}
