"""Providers on this machine that do to a message what the role in its text says, and repeat what they were told.

What they say is as indiscreet as can be: every refusal holds the whole of the call, with addresses, tokens, subjects,
bodies, header fields and the URL.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote, unquote_plus

from connect.redact import Secret
from connect.testing.api import DROP, HANG, Answer, ApiServer, Call
from connect.testing.fakes import fcm, postmark, resend, twilio
from connect.testing.fakes.fcm import FcmFake
from connect.testing.fakes.http import Endpoint
from connect.testing.fakes.postmark import FakePostmark
from connect.testing.fakes.resend import FakeResend
from connect.testing.fakes.twilio import FakeTwilio

_ROLE = re.compile(r"role_([a-z]+)_")
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_SOON = {"retry-after": "0.05"}

Answering = Callable[[Call], Answer]


def echo(call: Call) -> str:
    """All that a call said, as a careless provider might repeat it."""
    body = unquote_plus(call.body.decode())
    told = " ".join(f"{name}={value}" for name, value in call.headers.items() if name != "authorization")
    return f"Refused: {body} at {call.path}?{call.query} with {told}; see https://acme.example/?e={quote(body[:200])}"


class Moody:
    """One provider. `mood` is what it does to everybody, whoever they are."""

    def __init__(self, fake: Answering) -> None:
        self.fake = fake
        self.mood = ""
        self.hanging = threading.Event()
        self._seen: Counter[bytes] = Counter()

    def __call__(self, call: Call) -> Answer:
        if not self.sends(call):
            return self.fake(call)
        if self.mood == "drop":
            return DROP
        if self.mood == "hang":
            self.hanging.set()
            return HANG
        if self.mood == "garbled":
            return Answer(200, echo(call).encode())
        return self.in_a_mood(call) if self.mood else self.by_role(call)

    def sends(self, call: Call) -> bool:
        return call.method == "POST"

    def in_a_mood(self, call: Call) -> Answer:
        status, body = self.moods(call)[self.mood]
        return Answer(status, body)

    def moods(self, call: Call) -> Mapping[str, tuple[int, object]]:
        """What it answers when the `credentials` are wrong, or the `quota` is used up."""
        raise NotImplementedError

    def refusal(self, role: str, words: str) -> Answer | None:
        """Of one message."""
        raise NotImplementedError

    def by_role(self, call: Call) -> Answer:
        found = _ROLE.search(unquote_plus(call.body.decode()))
        role, words = found[1] if found else "", echo(call)
        first = self.is_first(call.path.encode() + call.body)
        if role in ("unknown", "taken"):
            return DROP if role == "unknown" else (self.fake(call), DROP)[1]
        if role == "garbled":
            return Answer(200, words.encode())
        if role == "retried" and first:
            return Answer(503, {"message": words})
        if role == "throttled" and first:
            return Answer(429, {"message": words}, _SOON)
        return self.refusal(role, words) or self.fake(call)

    def is_first(self, what: bytes) -> bool:
        self._seen[what] += 1
        return self._seen[what] == 1


class Twilio(Moody):
    def moods(self, call: Call) -> Mapping[str, tuple[int, object]]:
        return {
            "credentials": (401, {"code": 20003, "message": echo(call)}),
            "quota": (429, {"code": 63038, "message": echo(call)}),
        }

    def refusal(self, role: str, words: str) -> Answer | None:
        codes = {"failed": 21211, "unwanted": 30007, "odd": 99999}
        return twilio.refusal(400, codes[role], words) if role in codes else None


class Fcm(Moody):
    def sends(self, call: Call) -> bool:
        return call.path.endswith("messages:send")

    def moods(self, call: Call) -> Mapping[str, tuple[int, object]]:
        """FCM's quotas are of a minute; what it has besides is APNs' credentials."""
        denied = fcm.refusal(401, "THIRD_PARTY_AUTH_ERROR", echo(call))
        return {"credentials": (401, fcm.error(401, "UNAUTHENTICATED", echo(call)).body), "quota": (401, denied.body)}

    def refusal(self, role: str, words: str) -> Answer | None:
        answers = {
            "failed": fcm.refusal(404, "UNREGISTERED", words),
            "unwanted": fcm.refusal(400, "INVALID_ARGUMENT", words, field="message.android.ttl"),
            "odd": fcm.refusal(400, "INVALID_ARGUMENT", words, field="message.token"),
        }
        return answers.get(role)


class Hook(Moody):
    def moods(self, call: Call) -> Mapping[str, tuple[int, object]]:
        return {"credentials": (401, echo(call)), "quota": (402, echo(call))}

    def refusal(self, role: str, words: str) -> Answer | None:
        statuses = {"failed": 410, "unwanted": 422, "odd": 418}
        return Answer(statuses[role], words.encode()) if role in statuses else None


class Postmark(Moody):
    """A call has many messages, each with an answer of its own."""

    def moods(self, call: Call) -> Mapping[str, tuple[int, object]]:
        return {
            "credentials": (401, {"ErrorCode": 10, "Message": echo(call)}),
            "quota": (200, [{"ErrorCode": 405, "Message": _said(item)} for item in call.json]),
        }

    def by_role(self, call: Call) -> Answer:
        answer = self.fake(call)
        assert isinstance(answer.body, list)
        pairs = zip(call.json, answer.body, strict=True)
        return Answer(200, [self._entry(item, entry) for item, entry in pairs])

    def _entry(self, item: dict[str, Any], entry: dict[str, Any]) -> object:
        found = _ROLE.search(json.dumps(item))
        words = _said(item)
        entries: dict[str, object] = {
            "failed": {"ErrorCode": 406, "Message": words},
            "unwanted": {"ErrorCode": 300, "Message": words},
            "odd": {"ErrorCode": 99999, "Message": words},
            "unknown": {"Message": words},
            "garbled": words,
            "taken": {**entry, "MessageID": words},
        }
        role = found[1] if found else ""
        later = {"retried": 100, "throttled": 429}.get(role)
        if later and self.is_first(item["To"].encode()):
            return {"ErrorCode": later, "Message": words}
        return entries.get(role, entry)


def _said(item: Mapping[str, object]) -> str:
    """The values of a message, without the names of fields: the adapter reads those."""
    return f"Refused: {' '.join(str(value) for name, value in item.items() if name != 'MessageStream')}"


class Resend(Moody):
    """A call is refused, throttled, taken without an answer and, by its key, answered in the end."""

    def moods(self, call: Call) -> Mapping[str, tuple[int, object]]:
        return {
            "credentials": (403, resend.failure(403, "invalid_api_key", f"API key is invalid. {echo(call)}").body),
            "quota": (429, resend.failure(429, "daily_quota_exceeded", echo(call)).body),
        }

    def by_role(self, call: Call) -> Answer:
        key = call.headers["idempotency-key"].encode()
        times = self._seen[key] = self._seen[key] + 1
        if times == 1:
            return resend.failure(503, "service_unavailable", echo(call))
        if times == 2:
            return resend.failure(429, "rate_limit_exceeded", echo(call), _SOON)
        if times == 3:
            self.fake(call)
            return DROP
        return self._answered(call)

    def _answered(self, call: Call) -> Answer:
        answer = self.fake(call)
        if not isinstance(call.json, list) or not isinstance(answer.body, dict):
            return answer
        words = {"failed": "Invalid `to` field.", "unwanted": "Attachment without content.", "odd": "Hm."}
        roles = [found[1] if (found := _ROLE.search(json.dumps(item))) else "" for item in call.json]
        errors = [
            {"index": index, "message": f"{words[role]} {call.json[index]}"}
            for index, role in enumerate(roles)
            if role in words
        ]
        data = [each for each, role in zip(answer.body["data"], roles, strict=True) if role not in words]
        return Answer(200, {"data": data, "errors": errors})


class Providers:
    """All of them, and what connect.yml and .env say of them."""

    def __init__(self, moody: Mapping[str, Moody], servers: Mapping[str, ApiServer], phone: FcmFake) -> None:
        self.moody, self.urls = moody, {name: server.url for name, server in servers.items()}
        self.secrets = {
            "POSTMARK_TOKEN": postmark.TOKEN,
            "RESEND_KEY": resend.KEY,
            "TWILIO_TOKEN": f"'{twilio.TOKEN}'",
            "FCM_ACCOUNT": f"'{phone.service_account(self.urls['fcm'])}'",
            "HOOK_SECRET": SIGNING,
            "HOOK_TOKEN": "'Bearer let me in'",
        }

    def yaml(self) -> str:
        urls = self.urls
        same = "concurrency: 2, timeout: 20s"
        return f"""\
providers:
  postmark: {{type: postmark, server_token: "${{POSTMARK_TOKEN}}", endpoint_url: "{urls["postmark"]}", {same}}}
  resend: {{type: resend, api_key: "${{RESEND_KEY}}", endpoint_url: "{urls["resend"]}", {same}}}
  twilio:
    {{type: twilio, account_sid: {twilio.ACCOUNT}, auth_token: "${{TWILIO_TOKEN}}", from: "+15005550006",
     status_callback: "https://acme.example/hooks", endpoint_url: "{urls["twilio"]}", {same}}}
  fcm: {{type: fcm, service_account: "${{FCM_ACCOUNT}}", endpoint_url: "{urls["fcm"]}", {same}}}
  http:
    {{type: http, url: "{urls["http"]}/all", allow_private: true, signing_secret: "${{HOOK_SECRET}}",
     headers: {{authorization: "${{HOOK_TOKEN}}"}}, {same}}}
channels: {{email: postmark, sms: twilio, push: fcm, http: http}}
"""

    def feel(self, mood: str) -> None:
        for moody in self.moody.values():
            moody.mood = mood


@contextmanager
def providers() -> Iterator[Providers]:
    mail, post, text, phone, hook = FakePostmark(), FakeResend(), FakeTwilio(), FcmFake(), Endpoint(Secret(SIGNING))
    moody = {
        "postmark": Postmark(mail),
        "resend": Resend(post),
        "twilio": Twilio(text.answer),
        "fcm": Fcm(phone.answer),
        "http": Hook(hook),
    }
    with ExitStack() as stack:
        yield Providers(moody, {name: stack.enter_context(ApiServer(each)) for name, each in moody.items()}, phone)
    assert [fake.misfits for fake in (mail, post, text, phone, hook)] == [[]] * 5
