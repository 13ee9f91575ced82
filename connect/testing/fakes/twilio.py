"""Twilio's Messages resource: takes what the API takes, says what is odd about it, and answers as arranged."""

from __future__ import annotations

import base64
import hashlib
import re

from connect.testing.api import Answer, Call

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "only for tests: a token"

_TAKES = {"To", "From", "MessagingServiceSid", "Body", "StatusCallback"}
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


class FakeTwilio:
    """One account. Hand `answer` to an `ApiServer`."""

    def __init__(self) -> None:
        self.delivered: list[dict[str, str]] = []
        self.misfits: list[str] = []
        """What the API would not have taken."""
        self.arranged: dict[str, Answer] = {}
        """By number: what to answer instead of taking the message."""
        self.status = "active"
        self.type = "Full"

    def answer(self, call: Call) -> Answer:
        if not self._knows(call):
            return refusal(401, 20003, "Authenticate")
        if call.method == "GET":
            return self._resource(call)
        if (call.method, call.path) != ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"):
            return refusal(404, 20404, f"The requested resource {call.path} was not found")
        fields = dict(call.form)
        self._look_at(call, fields)
        arranged = self.arranged.get(fields.get("To", ""))
        if arranged is not None:
            return arranged
        self.delivered.append(fields)
        return Answer(201, self._message(fields))

    def _knows(self, call: Call) -> bool:
        given = call.headers.get("authorization", "")
        return given in (_basic(ACCOUNT, TOKEN), _basic("SK1", TOKEN))

    def _resource(self, call: Call) -> Answer:
        if call.path.endswith("/Messages.json"):
            return Answer(200, {"messages": [], "page_size": 1})
        return Answer(200, {"sid": ACCOUNT, "status": self.status, "type": self.type, "friendly_name": "Acme"})

    def _message(self, fields: dict[str, str]) -> dict[str, object]:
        return {"sid": sid_of(fields["To"], len(self.delivered)), "status": "queued", "error_code": None}

    def _look_at(self, call: Call, fields: dict[str, str]) -> None:
        odd = [f"an unknown field {name}" for name in fields.keys() - _TAKES]
        if len(fields) != len(call.form):
            odd.append("a field twice")
        if call.headers.get("content-type") != "application/x-www-form-urlencoded":
            odd.append("not a form")
        if not _NUMBER.fullmatch(fields.get("To", "")):
            odd.append("`To` is not E.164")
        if ("From" in fields) == ("MessagingServiceSid" in fields):
            odd.append("not exactly one of `From` and `MessagingServiceSid`")
        if not 0 < len(fields.get("Body", "")) <= 1600:
            odd.append("`Body` has no, or too many, characters")
        if not fields.get("StatusCallback", "https://").startswith(("https://", "http://")):
            odd.append("`StatusCallback` is no URL")
        self.misfits += odd


def sid_of(number: str, count: int) -> str:
    return "SM" + hashlib.md5(f"{number} {count}".encode(), usedforsecurity=False).hexdigest()


def refusal(status: int, code: int, words: str, headers: dict[str, str] | None = None) -> Answer:
    """An error as Twilio writes it."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Answer(status, {"code": code, "message": words, "more_info": more, "status": status}, headers or {})


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
