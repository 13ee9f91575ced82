"""Bird's Channels API for text messages: takes what it takes, says what is odd, and answers as arranged."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from connect.testing.api import Answer, Call

WORKSPACE = "a1405560-c8d3-4b1a-877d-3f449ad95352"
CHANNEL = "b2516671-d9e4-5c2b-988e-40550be06463"
KEY = "only-for-tests"

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


class FakeBird:
    """One workspace with one SMS channel. Hand `answer` to an `ApiServer`."""

    def __init__(self) -> None:
        self.delivered: list[dict[str, Any]] = []
        self.misfits: list[str] = []
        """What the API would not have taken."""
        self.arranged: dict[str, Answer] = {}
        """By number: what to answer instead of taking the message."""
        self.channel: dict[str, object] = {"id": CHANNEL, "platformId": "sms-messagebird", "status": "active"}
        self.may_read = True

    def answer(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"AccessKey {KEY}":
            return refusal(401, "Unauthorized", "The access key is not known")
        channel = f"/workspaces/{WORKSPACE}/channels/{CHANNEL}"
        if (call.method, call.path) == ("GET", channel):
            return Answer(200, self.channel) if self.may_read else refusal(403, "Forbidden", "Not allowed")
        if (call.method, call.path) != ("POST", f"{channel}/messages"):
            return refusal(404, "NotFound", "Not found")
        message = call.json
        number = _number(message)
        self._look_at(call, message, number)
        arranged = self.arranged.get(number)
        if arranged is not None:
            return arranged
        self.delivered.append(message)
        name = id_of(number, len(self.delivered))
        return Answer(202, {"id": name, "channelId": CHANNEL, "status": "accepted", **message})

    def _look_at(self, call: Call, message: dict[str, Any], number: str) -> None:
        contact = {"identifierKey": "phonenumber", "identifierValue": number}
        odd = [f"an unknown field {name}" for name in message.keys() - {"receiver", "body", "reference", "sender"}]
        if message.get("receiver") != {"contacts": [contact]} or not _NUMBER.fullmatch(number):
            odd.append("`receiver` is not one number")
        if message.get("body") != {"type": "text", "text": {"text": text_of(message)}} or not text_of(message):
            odd.append("`body` is no text")
        if not isinstance(message.get("reference", ""), str):
            odd.append("`reference` is no text")
        sender = message.get("sender", {"connector": {"identifierValue": "Acme"}})
        if list(sender) != ["connector"] or list(sender["connector"]) != ["identifierValue"]:
            odd.append("`sender` is not a connector")
        if call.headers.get("content-type") != "application/json":
            odd.append("not JSON")
        self.misfits += odd


def text_of(message: dict[str, Any]) -> str:
    text: str = message["body"]["text"]["text"]
    return text


def _number(message: dict[str, Any]) -> str:
    number: str = message["receiver"]["contacts"][0]["identifierValue"]
    return number


def id_of(number: str, count: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{number} {count}"))


def refusal(
    status: int, code: str, words: str, headers: Mapping[str, str] | None = None, details: object = None
) -> Answer:
    """An error as Bird writes it; its details are by field."""
    return Answer(status, {"code": code, "message": words, "details": details or {}}, headers or {})
