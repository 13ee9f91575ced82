"""Postmark's API as its documentation has it, for `ApiServer`: strict about shapes, and as moody as one likes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from email.utils import getaddresses
from typing import Any

from connect.testing.api import Answer, Call

TOKEN = "a-token-for-tests"
TEST_TOKEN = "POSTMARK_API_TEST"


def _is_headers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and each.keys() == {"Name", "Value"}
        and all(isinstance(part, str) for part in each.values())
        for each in value
    )


def _is_metadata(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= 10
        and all(len(name) <= 20 and isinstance(each, str) and len(each) <= 80 for name, each in value.items())
    )


def _is_attachments(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and each.keys() == {"Name", "Content", "ContentType"}
        and base64.b64encode(base64.b64decode(each["Content"], validate=True)).decode() == each["Content"]
        for each in value
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


FIELDS: dict[str, Callable[[object], bool]] = {
    "From": _is_text,
    "To": _is_text,
    "Cc": _is_text,
    "Bcc": _is_text,
    "ReplyTo": _is_text,
    "Subject": _is_text,
    "Tag": lambda value: isinstance(value, str) and len(value) <= 1000,
    "HtmlBody": _is_text,
    "TextBody": _is_text,
    "Headers": _is_headers,
    "TrackOpens": lambda value: isinstance(value, bool),
    "TrackLinks": lambda value: value in ("None", "HtmlAndText", "HtmlOnly", "TextOnly"),
    "Attachments": _is_attachments,
    "Metadata": _is_metadata,
    "MessageStream": _is_text,
}
"""Every field of a message (postmarkapp.com/developer/api/email-api), and what it may hold."""


class FakePostmark:
    """One server (in Postmark's sense) with the streams `outbound` and `broadcast`."""

    def __init__(self) -> None:
        self.delivered: list[dict[str, Any]] = []
        """Messages that were accepted, as they came."""
        self.misfits: list[str] = []
        """What was wrong with the shape of requests."""
        self.server: dict[str, Any] = {"ID": 1, "Name": "Acme", "DeliveryType": "Live"}
        self.streams: dict[str, dict[str, Any]] = {
            "outbound": _stream("outbound", "Transactional", "None"),
            "broadcast": _stream("broadcast", "Broadcasts", "Postmark"),
        }
        self._items: dict[str, tuple[int, str]] = {}
        self._calls: list[Callable[[list[dict[str, Any]]], Answer | None]] = []

    def refuse(self, address: str, code: int, words: str) -> None:
        """From now on, messages to this address."""
        self._items[address] = code, words

    def answer_all(self, answer: Answer) -> None:
        """From now on, whole calls, whatever is in them."""
        self._calls.append(lambda _: answer)

    def answer_calls_with(self, address: str, answer: Answer) -> None:
        """From now on, whole calls that hold a message to this address."""
        self._calls.append(lambda items: answer if any(address in _to(item) for item in items) else None)

    def relent(self) -> None:
        self._items.clear()
        self._calls.clear()

    def __call__(self, call: Call) -> Answer:
        token = call.headers.get("x-postmark-server-token")
        if token not in (TOKEN, TEST_TOKEN):
            return failure(401, 10, "No Account or Server API tokens were supplied in the HTTP headers.")
        if call.headers.get("accept") != "application/json":
            self.misfits.append("no Accept header for JSON")
        if call.method == "GET":
            return self._look(call.path)
        if (call.method, call.path) != ("POST", "/email/batch"):
            self.misfits.append(f"{call.method} {call.path}")
            return failure(404, 0, "not found")
        return self._batch(call, sends=token == TOKEN)

    def _look(self, path: str) -> Answer:
        if path == "/server":
            return Answer(200, self.server)
        stream = self.streams.get(path.removeprefix("/message-streams/"))
        return Answer(200, stream) if stream else failure(404, 1226, "The message stream was not found.")

    def _batch(self, call: Call, sends: bool) -> Answer:
        items = call.json
        self._check(call, items)
        for mood in self._calls:
            if answer := mood(items):
                return answer
        return Answer(200, [self._one(item, sends) for item in items])

    def _check(self, call: Call, items: object) -> None:
        if call.headers.get("content-type") != "application/json" or not isinstance(items, list):
            self.misfits.append("no JSON array")
            return
        if not 0 < len(items) <= 500 or len(call.body) > 50 << 20:
            self.misfits.append("a batch is too large, or empty")
        for item in items:
            self.misfits += [f"unknown field {name}" for name in item.keys() - FIELDS.keys()]
            self.misfits += [
                f"bad {name}" for name, value in item.items() if name in FIELDS and not FIELDS[name](value)
            ]
            self.misfits += [f"no {name}" for name in ("From", "To", "Subject") if name not in item]

    def _one(self, item: Mapping[str, Any], sends: bool) -> dict[str, Any]:
        to = _to(item)
        code, words = next((self._items[address] for address in to if address in self._items), (0, "OK"))
        if not {"HtmlBody", "TextBody"} & item.keys():
            code, words = 300, "Provide either email TextBody or HtmlBody or both."
        if item.get("MessageStream", "outbound") not in self.streams:
            code, words = 1235, "The 'MessageStream' provided does not exist on this server."
        if code:
            return {"ErrorCode": code, "Message": words}
        if sends:
            self.delivered.append(dict(item))
        number = f"00000000-0000-0000-0000-{len(self.delivered):012d}"
        accepted = "OK" if sends else "Test job accepted"
        return {
            "ErrorCode": 0,
            "Message": accepted,
            "MessageID": number,
            "SubmittedAt": "2026-11-20T09:30:00.1234567Z",
            "To": item["To"],
        }


def failure(status: int, code: int, words: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error of a whole call."""
    return Answer(status, {"ErrorCode": code, "Message": words}, headers or {})


def _to(item: Mapping[str, Any]) -> list[str]:
    return [address for _, address in getaddresses([item.get("To", "")])]


def _stream(name: str, kind: str, handling: str) -> dict[str, Any]:
    return {
        "ID": name,
        "ServerID": 1,
        "MessageStreamType": kind,
        "ArchivedAt": None,
        "SubscriptionManagementConfiguration": {"UnsubscribeHandlingType": handling},
    }
