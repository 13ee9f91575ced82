"""A fake SendGrid for `ApiServer`: it takes requests apart by the documented shape of Mail Send.

    fake = FakeSendGrid()
    with ApiServer(fake) as server:
        fake.refuse(error(429, "too many requests"), address="person-1@mail.example")
        fake.refuse(DROP)

`misfits` are what no SendGrid would take: field and rule, never a value. What it takes is in `delivered`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from connect.testing.api import Answer, Call

KEY = "SG.only.for-tests"
"""The key that it lets in."""

_LARGEST = 30_000_000
_RESERVED = {
    *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
    *("to", "from", "subject", "reply-to", "cc", "bcc"),
}


def error(status: int, message: str, field: str | None = None, **headers: str) -> Answer:
    """An error as SendGrid answers it; underscores in the names of headers are dashes."""
    body = {"errors": [{"message": message, "field": field, "help": None}]}
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Delivered:
    """One message that was taken."""

    request: dict[str, Any]

    @property
    def personalization(self) -> dict[str, Any]:
        found: dict[str, Any] = self.request["personalizations"][0]
        return found

    @property
    def address(self) -> str:
        return str(self.personalization["to"][0]["email"])

    def content(self, kind: str) -> str | None:
        return next((each["value"] for each in self.request["content"] if each["type"] == kind), None)


class FakeSendGrid:
    """One account, with one key."""

    def __init__(self) -> None:
        self.delivered: list[Delivered] = []
        self.misfits: list[str] = []
        self.scopes: list[str] = ["mail.send", "sender_verification_eligible"]
        self._refusals: list[tuple[str | None, Answer]] = []

    def refuse(self, answer: Answer, address: str | None = None) -> None:
        """Answer every message like this, or those to this address."""
        self._refusals.append((address, answer))

    def relent(self) -> None:
        self._refusals.clear()

    def __call__(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"Bearer {KEY}":
            return error(401, "The provided authorization grant is invalid, expired, or revoked")
        if (call.method, call.path) == ("GET", "/v3/scopes"):
            return Answer(200, {"scopes": self.scopes})
        if (call.method, call.path) != ("POST", "/v3/mail/send"):
            return error(404, "not found")
        if call.headers.get("content-type") != "application/json":
            return error(415, "content type must be application/json")
        return self._send(call)

    def _send(self, call: Call) -> Answer:
        request = call.json
        wrong = [*shape_misfits(request)] or [*rule_misfits(request)]
        if len(call.body) > _LARGEST:
            wrong.append("the request: too large")
        if wrong:
            self.misfits += wrong
            return error(400, "Bad Request", wrong[0].partition(":")[0])
        message = Delivered(request)
        for address, answer in self._refusals:
            if address in (None, message.address):
                return answer
        if request.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
            return Answer(200)
        self.delivered.append(message)
        return Answer(202, headers={"X-Message-Id": f"message-{len(self.delivered)}"})


Check = Callable[[object], bool]


def _text(least: int = 0, most: int = 1 << 30) -> Check:
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _address(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", value) is not None


def _base64(value: object) -> bool:
    try:
        return isinstance(value, str) and binascii.a2b_base64(value, strict_mode=True) is not None
    except ValueError:
        return False


@dataclass(frozen=True)
class _Some:
    """A list of these."""

    of: object
    most: int
    least: int = 1


@dataclass(frozen=True)
class _Map:
    """Any names, with text."""


_PERSON = {"email!": _address, "name": _text()}
_SWITCH = {"enable!": _flag}
_REQUEST = {
    "personalizations!": _Some(
        {"to!": _Some(_PERSON, 1000), "cc": _Some(_PERSON, 1000), "bcc": _Some(_PERSON, 1000)}, 1
    ),
    "from!": _PERSON,
    "reply_to": _PERSON,
    "reply_to_list": _Some(_PERSON, 1000),
    "subject!": _text(1),
    "content!": _Some({"type!": _text(1), "value!": _text(1)}, 2),
    "attachments": _Some(
        {"content!": _base64, "type": _text(1), "filename!": _text(1), "disposition": _text(1)}, most=1000
    ),
    "headers": _Map(),
    "custom_args": _Map(),
    "categories": _Some(_text(1, 255), 10),
    "asm": {"group_id!": _number},
    "ip_pool_name": _text(2, 64),
    "mail_settings": {"sandbox_mode": _SWITCH},
    "tracking_settings": {
        "click_tracking": {"enable!": _flag, "enable_text": _flag},
        "open_tracking": _SWITCH,
    },
}
"""Names that end in `!` are required; no others are known."""


def shape_misfits(value: object, shape: object = _REQUEST, path: str = "") -> Iterator[str]:
    """What is not of the documented shape."""
    if isinstance(shape, dict):
        yield from _object_misfits(value, shape, path)
    elif isinstance(shape, _Some):
        if not isinstance(value, list) or not shape.least <= len(value) <= shape.most:
            yield f"{path}: not a list of {shape.least} to {shape.most}"
        else:
            for number, each in enumerate(value):
                yield from shape_misfits(each, shape.of, f"{path}.{number}")
    elif isinstance(shape, _Map):
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            yield f"{path}: not an object of texts"
    elif callable(shape) and not shape(value):
        yield f"{path}: not allowed"


def _object_misfits(value: object, shape: dict[str, object], path: str) -> Iterator[str]:
    known = {name.rstrip("!"): each for name, each in shape.items()}
    required = {name.rstrip("!") for name in shape if name.endswith("!")}
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    yield from (f"{path}.{name}: missing".lstrip(".") for name in required - set(value))
    for name, each in value.items():
        place = f"{path}.{name}".lstrip(".")
        if name in known:
            yield from shape_misfits(each, known[name], place)
        else:
            yield f"{place}: unknown"


def rule_misfits(request: dict[str, Any]) -> Iterator[str]:
    """What of the right shape is refused all the same."""
    kinds = [each["type"] for each in request["content"]]
    if kinds not in (["text/plain"], ["text/html"], ["text/plain", "text/html"]):
        yield "content: plain text first, then HTML"
    if "reply_to" in request and "reply_to_list" in request:
        yield "reply_to: not beside reply_to_list"
    people = [each for boxes in request["personalizations"][0].values() for each in boxes]
    if len({each["email"].lower() for each in people}) < len(people):
        yield "personalizations: an address more than once"
    for each in people:
        name = each.get("name", "")
        if ("," in name or ";" in name) and not re.fullmatch(r'"(?:[^"\\]|\\.)*"', name, re.DOTALL):
            yield "personalizations: a name with a comma or semicolon that is not quoted"
    for name, value in request.get("headers", {}).items():
        if name.lower() in _RESERVED:
            yield "headers: reserved"
        if not value.isascii():
            yield "headers: a value outside ASCII that is not encoded"
    if sum(len(name) + len(value) for name, value in request.get("custom_args", {}).items()) > 10_000:
        yield "custom_args: more than 10,000 bytes"
