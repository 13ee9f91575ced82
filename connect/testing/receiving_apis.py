"""As much of real providers' APIs as their adapters speak to the receiving process.

    POST /email/batch                       Postmark: an answer for each message, and nothing is remembered
    POST /emails, /emails/batch             Resend: a call is known again by its Idempotency-Key
    POST /token                             Google: access tokens, each good for some hundred calls only
    POST /v1/projects/…/messages:send       FCM: one message for one device, with an access token

Shapes are not checked here: the fakes in `connect.testing.fakes` do that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qs

from connect.identity import read_correlation_id
from connect.testing.receiving_counting import Arriving, Counting, InProgress, Throttled, Unavailable

_CALLS_OF_A_TOKEN = 400


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Response:
    status: int
    said: object
    """As JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Apis:
    """All of them: their paths differ."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._tokens: dict[str, int] = {}
        """Access token → calls that it is still good for."""

    async def answer(self, request: Request) -> Response | None:
        """None where the path is nobody's."""
        if request.path == "/email/batch":
            return await self._postmark(request)
        if request.path in ("/emails", "/emails/batch"):
            return await self._resend(request)
        if request.path == "/token":
            return self._token(request)
        return await self._fcm(request) if request.path.endswith("/messages:send") else None

    # Postmark: postmarkapp.com/developer/api/email-api, "Send batch emails"

    async def _postmark(self, request: Request) -> Response:
        if not request.headers.get("x-postmark-server-token"):
            return Response(401, {"ErrorCode": 10, "Message": "No Server API token."})
        items = json.loads(request.body)
        messages = [_of_postmark(item) for item in items]
        try:
            results = await self._counting.take(messages)
        except Throttled:
            return Response(429, {"ErrorCode": 429, "Message": "Rate limit exceeded."}, _A_SECOND)
        except Unavailable:
            return Response(503, _MAINTENANCE)
        return Response(200, [_POSTMARK_SAYS[result] for result in results])

    # Resend: resend.com/docs/api-reference/emails, …/dashboard/emails/idempotency-keys

    async def _resend(self, request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return _resend_error(401, "missing_api_key")
        batch, said = request.path.endswith("/batch"), json.loads(request.body)
        messages = [_of_resend(item) for item in (said if batch else [said])]
        try:
            results = await self._counting.take(messages, request.headers.get("idempotency-key", ""))
        except Throttled:
            return _resend_error(429, "rate_limit_exceeded", _A_SECOND)
        except Unavailable:
            return _resend_error(503, "service_unavailable")
        except InProgress:
            return _resend_error(409, "concurrent_idempotent_requests")
        if "other_body" in results:
            return _resend_error(409, "invalid_idempotent_request")
        assert set(results) == {"accepted"}, "Resend has no word for anything else"
        data = [{"id": f"re-{message.key}"} for message in messages]
        return Response(200, {"data": data} if batch else data[0])

    # FCM: firebase.google.com, REST reference of v1; developers.google.com, "Using OAuth 2.0 for server to server"

    def _token(self, request: Request) -> Response:
        form = parse_qs(request.body.decode())
        if form.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"] or "assertion" not in form:
            return Response(400, {"error": "invalid_grant"})
        token = f"ya29.{len(self._tokens)}"
        self._tokens[token] = _CALLS_OF_A_TOKEN
        return Response(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    async def _fcm(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._tokens.get(token, 0) <= 0:
            return _fcm_error(401, "UNAUTHENTICATED")
        self._tokens[token] -= 1
        message = _of_fcm(json.loads(request.body)["message"])
        try:
            (result,) = await self._counting.take([message])
        except Throttled:
            return _fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", _A_SECOND)
        except Unavailable:
            result = "later"
        if result == "dead":
            return _fcm_error(404, "NOT_FOUND", "UNREGISTERED")
        if result == "later":
            return _fcm_error(503, "UNAVAILABLE", "UNAVAILABLE")
        return Response(200, {"name": f"projects/chaos/messages/{message.key}"})


_A_SECOND = {"retry-after": "1"}
_MAINTENANCE = {"ErrorCode": 100, "Message": "Maintenance."}
_POSTMARK_SAYS: dict[str, dict[str, object]] = {
    "accepted": {"ErrorCode": 0, "Message": "OK", "MessageID": "b7bc2f4a-e38e-4336-af7d-e6c392c2f817"},
    "later": dict(_MAINTENANCE),
    "dead": {"ErrorCode": 406, "Message": "You tried to send to a recipient that has been marked as inactive."},
}


def _of_postmark(item: Mapping[str, Any]) -> Arriving:
    return Arriving(_key(item["Metadata"]["connect_id"]), parseaddr(item["To"])[1], item.get("TextBody", ""))


def _of_resend(item: Mapping[str, Any]) -> Arriving:
    """A tag takes no dots: the first two dashes were some. Whatever is in the call belongs to its body."""
    tags = {tag["name"]: tag["value"] for tag in item["tags"]}
    return Arriving(_key(tags["connect_id"].replace("-", ".", 2)), parseaddr(item["to"][0])[1], json.dumps(item))


def _of_fcm(message: Mapping[str, Any]) -> Arriving:
    """A message that is sent again replaces itself on the device, by its key."""
    blocks = {name: message[name] for name in ("android", "webpush") if name in message}
    tags = [block["notification"]["tag"] for block in blocks.values()]
    key = tags[0] if tags else message["apns"]["headers"]["apns-collapse-id"]
    return Arriving(key, message["token"], json.dumps(message["notification"]))


def _key(correlation_id: str) -> str:
    found = read_correlation_id(correlation_id)
    assert found, "a message without a correlation id"
    return found[1].hex()


def _resend_error(status: int, name: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, {"statusCode": status, "name": name, "message": "No."}, headers or {})


def _fcm_error(status: int, code: str, fcm: str = "", headers: Mapping[str, str] | None = None) -> Response:
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details = [{"@type": kind, "errorCode": fcm}] if fcm else []
    return Response(status, {"error": {"code": status, "status": code, "details": details}}, headers or {})
