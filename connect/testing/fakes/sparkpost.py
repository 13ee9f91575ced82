"""SparkPost's transmissions, as their documentation has them: for `ApiServer`.

Strict: a field that it does not know, a wrong type or a missing one is a misfit (the real one ignores them). It renders
the template language as far as plain content may have it: macros for braces, and defaults of what is not there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from connect.testing.api import Answer, Call

API_KEY = "14ac5499cfdd2bb2859e4476d2e5b1d2bad079bf"

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_EXPRESSION = re.compile(r"\{\{\s*(\w+)(\(\)| or '(.)')\s*\}\}")
_BRACES = {
    "opening_double_curly": "{{",
    "closing_double_curly": "}}",
    "opening_triple_curly": "{{{",
    "closing_triple_curly": "}}}",
}


class FakeSparkPost:
    """Records what is delivered, to each recipient; each address may be given another answer."""

    def __init__(self) -> None:
        self.delivered: list[dict[str, Any]] = []
        """One for each recipient: `to`, `header_to`, `metadata`, and the content as it was rendered."""
        self.misfits: list[str] = []
        self.answers: dict[str, Answer] = {}
        """By address: what a call is answered with that has it among its recipients."""
        self.account: Answer = Answer(
            200, {"results": {"status": "active", "usage": {"day": {"used": 22003, "limit": 50000}}}}
        )
        self._numbers = count(11668787484950529)

    def relent(self) -> None:
        self.answers.clear()

    def __call__(self, call: Call) -> Answer:
        if call.headers.get("authorization") != API_KEY:
            return Answer(401, {"errors": [{"message": "Unauthorized."}]})
        if (call.method, call.path) == ("GET", "/api/v1/account"):
            return self.account
        if (call.method, call.path) != ("POST", "/api/v1/transmissions"):
            return error(404, "1101", "invalid URI")
        return self._send(call)

    def _send(self, call: Call) -> Answer:
        if call.headers.get("content-type") != "application/json":
            self.misfits.append("content-type")
        said = call.json
        self.misfits += _misfits(said)
        addresses = [recipient["address"]["email"] for recipient in said["recipients"]]
        for address in addresses:
            if address in self.answers:
                return self.answers[address]
        content = {name: self._rendered(value) for name, value in said["content"].items()}
        good = [recipient for recipient in said["recipients"] if _ADDRESS.fullmatch(recipient["address"]["email"])]
        if not good:
            return error(400, "5002", "At least one valid recipient is required")
        self.delivered += [_delivered(recipient, content) for recipient in good]
        return accepted(next(self._numbers), len(good), len(addresses) - len(good))

    def _rendered(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._rendered(each) for name, each in value.items()}
        return self._text(value) if isinstance(value, str) else value

    def _text(self, template: str) -> str:
        """Expressions replaced; whatever else looks like one is a misfit."""
        if "{{" in _EXPRESSION.sub("", template) or "}}" in _EXPRESSION.sub("", template):
            self.misfits.append("braces that SparkPost would take for an expression")
        return _EXPRESSION.sub(self._value, template)

    def _value(self, match: re.Match[str]) -> str:
        name, _, default = match.groups()
        if default is not None:
            return default
        if name not in _BRACES:
            self.misfits.append(f"unknown macro {name}")
        return _BRACES.get(name, "")


def accepted(number: int, good: int = 1, bad: int = 0, errors: list[dict[str, str]] | None = None) -> Answer:
    """The answer to a transmission that was created."""
    results: dict[str, object] = {
        "total_rejected_recipients": bad,
        "total_accepted_recipients": good,
        "id": str(number),
    }
    if not bad:
        return Answer(200, {"results": results})
    listed = errors or [{"message": "required field is missing", "description": "address.email", "code": "1400"}]
    said = [{"message": "transmission created, but with validation errors", "code": "2000"}]
    body: dict[str, object] = {"errors": said, "results": {**results, "rcpt_to_errors": listed}}
    return Answer(200, body)


def error(
    status: int, code: str, message: str, description: str = "", headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer to a call that was refused."""
    said = {"message": message, "code": code} | ({"description": description} if description else {})
    return Answer(status, {"errors": [said]}, headers or {})


def _delivered(recipient: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    address = recipient["address"]
    shown = address.get("header_to") or address.get("name", "")
    return {"to": address["email"], "shown": shown, "metadata": recipient.get("metadata", {}), **content}


def _misfits(said: Any) -> list[str]:
    found = _object(said, "the transmission", _TRANSMISSION, {"recipients", "content", "campaign_id"})
    if found:
        return found
    found += _object(said.get("options", {}), "options", _OPTIONS, set())
    found += _object(said["content"], "content", _CONTENT, {"from", "subject"})
    if not {"text", "html"} & set(said["content"]):
        found.append("content without text and html")
    for recipient in said["recipients"]:
        found += _object(recipient, "a recipient", _RECIPIENT, {"address"})
        found += _object(recipient["address"], "an address", _ADDRESSES, {"email"})
    if len(said["recipients"]) > 1 and not all("header_to" in each["address"] for each in said["recipients"]):
        found.append("several recipients, and each would see another To")
    return found


Fits = Callable[[Any], bool]


def _object(value: Any, what: str, fields: Mapping[str, Fits], required: set[str]) -> list[str]:
    if not isinstance(value, dict):
        return [f"{what} is no object"]
    found = [f"{what} without {name}" for name in required - set(value)]
    found += [f"{what} with {name}" for name in set(value) - set(fields)]
    return found + [f"{name} of {what}" for name in set(value) & set(fields) if not fields[name](value[name])]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_any_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _is_mailbox(value: Any) -> bool:
    return _object(value, "a mailbox", {"email": _is_text, "name": _is_text}, {"email"}) == []


def _are_headers(value: Any) -> bool:
    generated = {"subject", "from", "to", "reply-to", "content-type", "content-transfer-encoding"}
    return (
        _is_object(value)
        and all(map(_is_any_text, value.values()))
        and not generated & {each.lower() for each in value}
    )


def _are_attachments(value: Any) -> bool:
    return _is_list(value) and all(
        _object(each, "an attachment", _ATTACHMENT, set(_ATTACHMENT)) == [] for each in value
    )


def _is_base64(value: Any) -> bool:
    return isinstance(value, str) and bool(base64.b64decode(value, validate=True))


_TRANSMISSION: dict[str, Fits] = {
    "options": _is_object,
    "campaign_id": lambda value: _is_text(value) and len(value.encode()) <= 64,
    "return_path": _is_text,
    "recipients": _is_list,
    "content": _is_object,
}
_OPTIONS: dict[str, Fits] = {
    "transactional": _is_flag,
    "open_tracking": _is_flag,
    "click_tracking": _is_flag,
    "ip_pool": _is_text,
}
_RECIPIENT: dict[str, Fits] = {
    "address": _is_object,
    "metadata": lambda value: _is_object(value) and len(str(value)) <= 1000,
}
_ADDRESSES: dict[str, Fits] = {"email": _is_text, "name": _is_text, "header_to": _is_text}
_CONTENT: dict[str, Fits] = {
    "from": _is_mailbox,
    "subject": _is_any_text,
    "text": _is_any_text,
    "html": _is_any_text,
    "reply_to": _is_text,
    "headers": _are_headers,
    "attachments": _are_attachments,
}
_ATTACHMENT: dict[str, Fits] = {"name": _is_text, "type": _is_text, "data": _is_base64}
