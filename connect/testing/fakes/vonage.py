"""Vonage's Messages API for text messages: takes what it takes, says what is odd, and answers as arranged."""

from __future__ import annotations

import base64
import re
import uuid
from typing import Any

import jwt

from connect.testing.api import Answer, Call

KEY, SECRET = "abcd1234", "only for tests"
APPLICATION = "78d335fa-323d-0114-9c3d-d6f0d48968cf"

_NEEDS = {"message_type", "channel", "to", "from", "text"}
_TAKES = _NEEDS | {"client_ref", "webhook_url", "webhook_version"}
_NUMBER = re.compile(r"[1-9][0-9]{6,14}")
_SENDER = re.compile(r"[1-9][0-9]{2,14}|[A-Za-z0-9 .&_-]{1,11}")


class FakeVonage:
    """One account. Hand `answer` to an `ApiServer`."""

    def __init__(self, public_key: str = "") -> None:
        self.delivered: list[dict[str, str]] = []
        self.misfits: list[str] = []
        """What the API would not have taken."""
        self.arranged: dict[str, Answer] = {}
        """By number, without the +: what to answer instead of taking the message."""
        self._public_key = public_key

    def answer(self, call: Call) -> Answer:
        if not self._knows(call.headers.get("authorization", "")):
            return problem(401, "https://developer.vonage.com/api-errors#unauthorized", "Unauthorized")
        if (call.method, call.path) != ("POST", "/v1/messages"):
            return problem(404, "https://developer.vonage.com/api-errors#not-found", "Not found")
        message = call.json
        if not message:
            return problem(422, code(1010), "Missing params")
        self._look_at(call, message)
        arranged = self.arranged.get(message.get("to", ""))
        if arranged is not None:
            return arranged
        self.delivered.append(message)
        return Answer(202, {"message_uuid": uuid_of(message["to"], len(self.delivered))})

    def _knows(self, given: str) -> bool:
        if given.startswith("Basic "):
            return given == "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        try:
            claims = jwt.decode(given.removeprefix("Bearer "), self._public_key, algorithms=["RS256"])
        except jwt.PyJWTError:
            return False
        return claims["application_id"] == APPLICATION and bool(claims["jti"])

    def _look_at(self, call: Call, message: dict[str, Any]) -> None:
        odd = [f"an unknown field {name}" for name in message.keys() - _TAKES]
        odd += [f"no {name}" for name in _NEEDS - message.keys()]
        odd += [f"{name} is no text" for name, value in message.items() if not isinstance(value, str)]
        if call.headers.get("content-type") != "application/json":
            odd.append("not JSON")
        if (message.get("message_type"), message.get("channel")) != ("text", "sms"):
            odd.append("not a text message")
        if not _NUMBER.fullmatch(message.get("to", "")):
            odd.append("`to` is not E.164 without its +")
        if not _SENDER.fullmatch(message.get("from", "")):
            odd.append("`from` is neither a number nor a name")
        if not 0 < len(message.get("text", "")) <= 1000:
            odd.append("`text` has no, or too many, characters")
        if len(message.get("client_ref", "")) > 100:
            odd.append("`client_ref` is too long")
        self.misfits += odd


def code(number: int) -> str:
    """The type of a problem that has a code."""
    return f"https://developer.vonage.com/api-errors/messages#{number}"


def uuid_of(number: str, count: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{number} {count}"))


def problem(status: int, kind: str, words: str, headers: dict[str, str] | None = None, **more: object) -> Answer:
    """An error as RFC 7807 has it."""
    body = {"type": kind, "title": words, "detail": words, "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf", **more}
    return Answer(status, body, {"content-type": "application/problem+json", **(headers or {})})
