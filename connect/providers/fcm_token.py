"""Access tokens of a service account: asked of Google beside the run, and again before they run out.

Signed by google-auth; asked through the one HTTP client, once each time, where google-auth would repeat and sleep.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from google.auth import crypt, jwt

from connect.providers.api import FORM, Api, json_of
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status
from connect.redact import Secret

_jwt: Any = jwt
_signer: Any = crypt.RSASigner
"""Untyped, both."""

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_AUDIENCE = "https://oauth2.googleapis.com/token"
"""Whatever the JSON's `token_uri` is (documented at developers.google.com, "Using OAuth 2.0 for server to server")."""
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR = 3600
_MOST = 24 * _HOUR
_EARLY = 5 * 60
"""Seconds before its end in which a token is asked again; it is used meanwhile."""

STATUSES: dict[int, Meaning] = {
    400: (Status.config, "authentication_failed"),
    401: (Status.config, "authentication_failed"),
    403: (Status.config, "authentication_failed"),
    404: (Status.config, "endpoint_not_found"),
}
"""Of the token endpoint (RFC 6749, 5.2); anything else passes. The message was not written in any case."""


@dataclass(frozen=True)
class ServiceAccount:
    """What is used of the JSON that Firebase hands out."""

    email: str
    project_id: str
    token_uri: str
    signer: Any = field(repr=False)

    @classmethod
    def read(cls, text: Secret) -> ServiceAccount:
        """Raises ValueError, without a word of the text, where it is not such a JSON."""
        try:
            found = json.loads(text.reveal())
            email, uri, project = (str(found[name]) for name in ("client_email", "token_uri", "project_id"))
            known = cls(email, project, uri, _signer.from_service_account_info(found))
            known.assertion(0)  # with a key of another kind, it is only signing that fails
            if found["type"] == "service_account":
                return known
        except Exception:  # noqa: BLE001 - of json, cryptography and google-auth; none may show the key
            pass
        raise ValueError("not the JSON of a service account")

    def assertion(self, now: int) -> str:
        claims = {"iss": self.email, "scope": _SCOPE, "aud": _AUDIENCE, "iat": now, "exp": now + _HOUR}
        return str(_jwt.encode(self.signer, claims).decode())


class AccessTokens:
    """The token of now, for everyone who sends at a time."""

    def __init__(self, account: ServiceAccount, api: Api) -> None:
        self._account = account
        self._api = api
        self._bearer = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def bearer(self, deadline: float) -> str | Receipt:
        """What goes into the Authorization field; or the receipt of a message that must do without."""
        left = self._until - time.time()
        if left > _EARLY or (left > 0 and self._asking.locked()):
            return self._bearer
        try:
            async with asyncio.timeout_at(deadline):
                await self._asking.acquire()
        except TimeoutError:
            return Receipt(Status.transient, "no_access_token")
        try:
            return await self._renewed(deadline)
        finally:
            self._asking.release()

    def forget(self, bearer: str) -> None:
        """It is not good any more, if it still is the one that is used."""
        if bearer == self._bearer:
            self._until = 0.0

    async def _renewed(self, deadline: float) -> str | Receipt:
        """Asked by one at a time; who waited meanwhile finds it here. No trouble while the old one is still good."""
        if self._until - time.time() > _EARLY:
            return self._bearer
        trouble = await self._asked(deadline)
        return self._bearer if trouble is None or self._until > time.time() else trouble

    async def _asked(self, deadline: float) -> Receipt | None:
        now = int(time.time())
        assertion = await asyncio.to_thread(self._account.assertion, now)
        form = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
        reply = await self._api.ask(self._account.token_uri, form, {"content-type": FORM}, deadline=deadline)
        if isinstance(reply, Receipt):
            return _undone(reply)
        answer = json_of(reply)
        found = answer if isinstance(answer, dict) else {}
        if reply.status == 200 and isinstance(found.get("access_token"), str):
            self._bearer = f"Bearer {found['access_token']}"
            self._until = now + _lifetime(found.get("expires_in"))
            return None
        return _refused(reply, found)


def _lifetime(seconds: object) -> int:
    return int(seconds) if isinstance(seconds, (int, float)) and 1 < seconds < _MOST else _HOUR


def _undone(receipt: Receipt) -> Receipt:
    """Whatever became of asking for a token: the message was not written."""
    return Receipt(Status.transient, "no_access_token") if receipt.status is Status.ambiguous else receipt


def _refused(reply: Reply, answer: dict[str, Any]) -> Receipt:
    status, reason = STATUSES.get(reply.status, (Status.transient, "no_access_token"))
    words = answer.get("error_description")
    if status is Status.config and isinstance(words, str) and "iat" in words:
        return Receipt(status, "clock_is_wrong")  # "Token must be a short-lived token … Check your iat and exp values"
    return Receipt(status, reason)
