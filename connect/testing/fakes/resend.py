"""Resend's API as its documentation has it, for `ApiServer`: strict about shapes, and as moody as one likes.

It remembers what it answered to an Idempotency-Key, as Resend does for a day.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from email.utils import getaddresses
from typing import Any

from connect.testing.api import Answer, Call

KEY = "re_only_for_tests"
RESTRICTED_KEY = "re_that_may_only_send"

_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 50 and all(isinstance(each, str) for each in value)


def _is_tags(value: object) -> bool:
    return isinstance(value, list) and all(
        each.keys() == {"name", "value"} and all(_TAG.fullmatch(part) for part in each.values()) for each in value
    )


def _is_headers(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_attachments(value: object) -> bool:
    return isinstance(value, list) and all(
        each.keys() == {"filename", "content", "content_type"}
        and base64.b64encode(base64.b64decode(each["content"], validate=True)).decode() == each["content"]
        for each in value
    )


FIELDS: dict[str, Callable[[object], bool]] = {
    "from": _is_text,
    "to": _is_texts,
    "cc": _is_texts,
    "bcc": _is_texts,
    "reply_to": _is_texts,
    "subject": _is_text,
    "html": _is_text,
    "text": _is_text,
    "headers": _is_headers,
    "tags": _is_tags,
    "attachments": _is_attachments,
}
"""Every field of a message that is used (resend.com/docs/api-reference/emails/send-email), and what it may hold."""


class FakeResend:
    """One team with one verified domain."""

    def __init__(self) -> None:
        self.delivered: list[dict[str, Any]] = []
        """Messages that were accepted, as they came."""
        self.misfits: list[str] = []
        """What was wrong with the shape of requests."""
        self.domains: list[dict[str, str]] = [
            {"id": "d1", "name": "acme.example", "status": "verified", "region": "eu-west-1"}
        ]
        self.strict = False
        """One message that is refused holds up its whole batch, as if nobody had asked for `permissive`."""
        self._messages: dict[str, str] = {}
        self._moods: list[Callable[[Call, list[dict[str, Any]]], Answer | None]] = []
        self._remembered: dict[str, tuple[bytes, Answer]] = {}

    def refuse(self, address: str, words: str) -> None:
        """From now on, messages to this address."""
        self._messages[address] = words

    def answer_all(self, answer: Answer) -> None:
        """From now on, calls that send, whatever is in them."""
        self._moods.append(lambda call, items: answer)

    def answer_path(self, path: str, answer: Answer) -> None:
        """From now on, calls that send this way."""
        self._moods.append(lambda call, items: answer if call.path == path else None)

    def take_and(self, answer: Answer) -> None:
        """From now on, carry calls out, and say this instead of what became of them."""
        self._moods.append(lambda call, items: (self._carried_out(call, items), answer)[1])

    def relent(self) -> None:
        self._messages.clear()
        self._moods.clear()
        self.strict = False

    def __call__(self, call: Call) -> Answer:
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in (KEY, RESTRICTED_KEY):
            return failure(403, "invalid_api_key", "API key is invalid")
        if call.method == "GET" and call.path == "/domains":
            if key == RESTRICTED_KEY:
                return failure(401, "restricted_api_key", "This API key is restricted to only send emails")
            return Answer(200, {"data": self.domains})
        if call.method != "POST" or call.path not in ("/emails", "/emails/batch"):
            self.misfits.append(f"{call.method} {call.path}")
            return failure(404, "not_found", "The requested endpoint does not exist")
        items = self._checked(call)
        for mood in self._moods:
            if answer := mood(call, items):
                return answer
        return self._carried_out(call, items)

    def _checked(self, call: Call) -> list[dict[str, Any]]:
        """The messages of a call, after a look at everything that is in it."""
        batch = call.path == "/emails/batch"
        items: list[dict[str, Any]] = call.json if batch else [call.json]
        if call.headers.get("content-type") != "application/json" or not 0 < len(items) <= 100:
            self.misfits.append("no JSON, or too many messages, or none")
        if batch and call.headers.get("x-batch-validation") != "permissive":
            self.misfits.append("a batch that one message holds up")
        if not 0 < len(call.headers.get("idempotency-key", "")) <= 256:
            self.misfits.append("no idempotency key")
        for item in items:
            self.misfits += [f"unknown field {name}" for name in item.keys() - FIELDS.keys()]
            self.misfits += [f"bad {name}" for name in item.keys() & FIELDS.keys() if not FIELDS[name](item[name])]
            self.misfits += [f"no {name}" for name in ("from", "to", "subject") if name not in item]
            if batch and "attachments" in item:
                self.misfits.append("attachments in a batch, which Resend would leave out")
        return items

    def _carried_out(self, call: Call, items: list[dict[str, Any]]) -> Answer:
        key = call.headers["idempotency-key"]
        digest = hashlib.sha256(call.path.encode() + call.body).digest()
        if key in self._remembered:
            known, answer = self._remembered[key]
            return answer if known == digest else failure(409, "invalid_idempotent_request", "Another payload.")
        answer = self._batch(items) if call.path == "/emails/batch" else self._single(items[0])
        if answer.status == 200:
            self._remembered[key] = digest, answer
        return answer

    def _single(self, item: dict[str, Any]) -> Answer:
        words = self._refusal(item)
        return failure(422, "validation_error", words) if words else Answer(200, self._deliver(item))

    def _batch(self, items: list[dict[str, Any]]) -> Answer:
        refused = {index: words for index, item in enumerate(items) if (words := self._refusal(item))}
        if refused and self.strict:
            return failure(422, "validation_error", next(iter(refused.values())))
        data = [self._deliver(item) for index, item in enumerate(items) if index not in refused]
        errors = [{"index": index, "message": words} for index, words in refused.items()]
        return Answer(200, {"data": data, "errors": errors} if errors else {"data": data})

    def _refusal(self, item: Mapping[str, Any]) -> str:
        addresses = [address for _, address in getaddresses(item["to"])]
        return next((self._messages[address] for address in addresses if address in self._messages), "")

    def _deliver(self, item: dict[str, Any]) -> dict[str, str]:
        self.delivered.append(item)
        return {"id": f"00000000-0000-0000-0000-{len(self.delivered):012d}"}


def failure(status: int, name: str, words: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error of a whole call."""
    return Answer(status, {"statusCode": status, "name": name, "message": words}, headers or {})
