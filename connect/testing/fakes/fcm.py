"""Google's end of the `fcm` adapter: messages:send, and the endpoint that hands out access tokens.

    fake = FcmFake()
    with ApiServer(fake.answer) as server:
        account = fake.service_account(server.url)
        …send to server.url…

Every message is checked against the discovery document in google-api-python-client, which the tests need therefore.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jsonschema import Draft202012Validator

from connect.testing.api import Answer, Call

PROJECT = "acme-shop"
_EMAIL = f"connect@{PROJECT}.iam.gserviceaccount.com"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_DEVICE = ("token", "fid")


@dataclass
class FcmFake:
    """Remembers what it took, and what did not fit."""

    delivered: list[dict[str, Any]] = field(default_factory=list)
    """Messages; those that were only validated are in `validated`."""
    validated: list[dict[str, Any]] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    """What did not fit the documentation: field and rule, never a value."""
    tokens: list[str] = field(default_factory=list)
    """Access tokens that were handed out; the last one is good."""
    lifetime: int = 3599
    """Of a token, in seconds, as Google says it."""
    token_answer: Answer | None = None
    """Of the endpoint that hands them out."""
    _answers: dict[str | None, Answer] = field(default_factory=dict)

    def reply(self, answer: Answer, *, address: str | None = None) -> None:
        """What comes of messages to this device (or any) from now on."""
        self._answers[address] = answer

    def forget_answers(self) -> None:
        self._answers.clear()
        self.token_answer = None

    def service_account(self, url: str, **fields: object) -> str:
        """The JSON of an account whose access tokens come from there."""
        known = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "a key of the tests",
            "private_key": keys()[0],
            "client_email": _EMAIL,
            "token_uri": f"{url}/token",
        }
        return json.dumps({**known, **fields})

    def answer(self, call: Call) -> Answer:
        if call.path == "/token":
            return self.token_answer or self._token(dict(call.form))
        if call.method != "POST" or call.path != f"/v1/projects/{PROJECT}/messages:send":
            return error(404, "NOT_FOUND", "Requested entity was not found.")
        if call.headers.get("authorization") != f"Bearer {(self.tokens or [''])[-1]}":
            return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if call.headers.get("content-type") != "application/json":
            self.misfits.append("content-type is not JSON")
        return self._sent(call.json)

    def _sent(self, request: dict[str, Any]) -> Answer:
        misfits = list(_misfits(request))
        self.misfits += misfits
        message = request["message"]
        address = next((message[name] for name in _DEVICE if name in message), "")
        if (arranged := self._answers.get(address) or self._answers.get(None)) is not None:
            return arranged
        if misfits:
            return refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        (self.validated if request.get("validateOnly") else self.delivered).append(message)
        return Answer(200, {"name": f"projects/{PROJECT}/messages/0:{len(self.delivered)}"})

    def _token(self, form: Mapping[str, str]) -> Answer:
        """As RFC 7523 has it; the assertion is for Google's own endpoint, whichever one is asked."""
        if form.get("grant_type") != _GRANT or set(form) != {"grant_type", "assertion"}:
            return Answer(400, {"error": "unsupported_grant_type"})
        options: Any = {"require": ["iss", "scope", "aud", "iat", "exp"]}
        audience = "https://oauth2.googleapis.com/token"
        try:
            claims = jwt.decode(form["assertion"], keys()[1], ["RS256"], options, audience=audience, issuer=_EMAIL)
        except jwt.InvalidTokenError:
            return Answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        if claims["scope"] != _SCOPE or claims["exp"] - claims["iat"] > 3600:
            return Answer(400, {"error": "invalid_scope"})
        self.tokens.append(f"ya29.access-{len(self.tokens)}")
        return Answer(200, {"access_token": self.tokens[-1], "expires_in": self.lifetime, "token_type": "Bearer"})


def error(status: int, code: str, words: str, *details: object, headers: Mapping[str, str] | None = None) -> Answer:
    """An error of any Google API."""
    said = {"code": status, "message": words, "status": code, "details": list(details)}
    return Answer(status, {"error": said}, headers or {})


def refusal(status: int, code: str, words: str, *, field: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """An error of FCM's own, about this field of the request."""
    details: list[object] = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]
    if field:
        violations = [{"field": field, "description": words}]
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations})
    return error(status, _CODES.get(code, code), words, *details, headers=headers)


_CODES = {
    "UNREGISTERED": "NOT_FOUND",
    "SENDER_ID_MISMATCH": "PERMISSION_DENIED",
    "QUOTA_EXCEEDED": "RESOURCE_EXHAUSTED",
    "THIRD_PARTY_AUTH_ERROR": "UNAUTHENTICATED",
}
"""The `status` that FCM's own codes come with."""


@cache
def keys() -> tuple[str, str]:
    """An RSA key: (private, public), as PEM. Making one takes a while."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _misfits(request: dict[str, Any]) -> Iterator[str]:
    """What does not fit the discovery document, and what it says only in words."""
    for found in _validator().iter_errors(request):
        yield f"{'.'.join(map(str, found.absolute_path))}: {found.validator}"
    message = request.get("message", {})
    if len([name for name in (*_DEVICE, "topic", "condition") if name in message]) != 1:
        yield "message has not exactly one target"
    for name in message.get("data", {}):
        if name in ("from", "message_type") or name.startswith(("google.", "gcm.notification.")):
            yield "message.data has a reserved word"
    ttl = message.get("android", {}).get("ttl", "0s")
    if not ttl.endswith("s") or float(ttl[:-1]) > 28 * 24 * 3600:
        yield "message.android.ttl is bad"


@cache
def _validator() -> Draft202012Validator:
    document = discovery()
    schema = {"$defs": {name: _strict(found) for name, found in document["schemas"].items()}}
    return Draft202012Validator({**schema, "$ref": "#/$defs/SendMessageRequest"})


def discovery() -> dict[str, Any]:
    """FCM's discovery document. Raises ModuleNotFoundError, with the remedy, where it is not here."""
    try:
        import googleapiclient
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "the fake FCM checks requests against a document in google-api-python-client: "
            "pip install google-api-python-client",
            name=missing.name,
        ) from None
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    found: dict[str, Any] = json.loads((folder / "fcm.v1.json").read_text("utf-8"))
    return found


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of a discovery document as JSON Schema, in which an object has no other fields."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    if schema["type"] == "any":
        return {}
    made: dict[str, Any] = {"type": schema["type"]}
    if "enum" in schema:
        made["enum"] = schema["enum"]
    if schema["type"] == "array":
        made["items"] = _strict(schema["items"])
    if schema["type"] == "object":
        made["properties"] = {name: _strict(found) for name, found in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties")
        made["additionalProperties"] = _strict(others) if others else False
    return made
