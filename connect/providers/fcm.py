"""Firebase Cloud Messaging, HTTP v1: a call for each device, Android's, Apple's and browsers'.

FCM has no idempotency key, so nothing is repeated, and a call that was written and not answered is `ambiguous`. One
that is made again replaces what it has shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from connect.channels.message import Outgoing
from connect.providers import fcm_message, fcm_replies
from connect.providers.api import JSON, Api, json_bytes, trouble
from connect.providers.fcm_token import AccessTokens, ServiceAccount
from connect.providers.http import Reply
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.redact import Secret
from connect.vocabulary import Channel

_HOST = "https://fcm.googleapis.com"


class Settings(ProviderSettings):
    service_account: Secret
    """The text of the JSON file that Firebase makes for a service account."""
    project_id: str | None = Field(None, pattern=r"^[a-z0-9:.-]+$")
    """The JSON's own if not given."""
    analytics_label: str = Field("", pattern=r"^[a-zA-Z0-9\-_.~%]{0,50}$")
    """By which Firebase's reports group the messages of this account."""
    endpoint_url: str | None = None
    """Instead of Google's host, for tests and proxies."""


class Fcm:
    """One call for each message."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.push}),
        attachments=False,
        custom_headers=False,
        default_concurrency=100,
        sandbox=True,
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account = account
        self._settings = account.settings
        self._api = Api(account)
        self._url = ""
        self._tokens: AccessTokens | None = None

    async def open(self) -> None:
        """Without the network: the first message tells what a call here would."""
        try:
            known = await asyncio.to_thread(ServiceAccount.read, self._settings.service_account)
        except ValueError:
            known = None
        if known is None:
            raise trouble("fcm-service-account", "FCM: `service_account` is not a service account's JSON", _KEY_HINT)
        host = (self._settings.endpoint_url or _HOST).rstrip("/")
        self._url = f"{host}/v1/projects/{self._settings.project_id or known.project_id}/messages:send"
        self._tokens = AccessTokens(known, self._api)

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._sent(outgoing) for outgoing in batch]

    async def check(self) -> str:
        """A message to a topic that nobody follows, which FCM only validates."""
        if self._tokens is None:
            await self.open()
        reply = await self._asked(_NOBODY, self._deadline())
        if isinstance(reply, Receipt):
            status, reason, words = reply.status, reply.reason, ""
        elif reply.status == 200:
            return f"signed in; project {self._url.split('/')[-2]}"
        else:
            error = fcm_replies.said(reply)
            (status, reason), words = fcm_replies.meaning(reply, error), f" ({error.status or reply.status})"
        if status is Status.config:
            raise trouble("fcm-refused", f"FCM: {reason}{words}", _HINTS.get(reason, _KEY_HINT))
        raise trouble("fcm-unreachable", f"FCM: {reason}{words}", _UNREACHABLE_HINT)

    async def close(self) -> None:
        await self._api.close()

    async def _sent(self, outgoing: Outgoing) -> Receipt:
        label = self._settings.analytics_label
        body = fcm_message.body(outgoing, label, validate_only=self._account.sandbox)
        if isinstance(body, Receipt):
            return body
        reply = await self._asked(body, self._deadline())
        return reply if isinstance(reply, Receipt) else fcm_replies.receipt(reply, outgoing)

    async def _asked(self, body: bytes, deadline: float) -> Reply | Receipt:
        """The reply; once more with a new access token, where this one is not good any more."""
        reply, bearer = await self._once(body, deadline)
        if isinstance(reply, Receipt) or not fcm_replies.expired(reply):
            return reply
        assert self._tokens is not None
        self._tokens.forget(bearer)
        return (await self._once(body, deadline))[0]

    async def _once(self, body: bytes, deadline: float) -> tuple[Reply | Receipt, str]:
        """(the reply, the access token that it was asked with)"""
        assert self._tokens is not None, "send before open"
        bearer = await self._tokens.bearer(deadline)
        if isinstance(bearer, Receipt):
            return bearer, ""
        headers = {"authorization": bearer, "content-type": JSON}
        return await self._api.ask(self._url, body, headers, deadline=deadline), bearer

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._account.timeout.total_seconds()


_NOBODY = json_bytes(
    {"message": {"topic": "connect-doctor", "notification": {"title": "connect doctor"}}, "validateOnly": True}
)

_KEY_HINT = (
    "`service_account` is the whole JSON, as ${file:firebase.json} or ${NAME}: Firebase console → Project settings → "
    "Service accounts → Generate new private key"
)
_UNREACHABLE_HINT = (
    "check whether a firewall lets this machine out to fcm.googleapis.com and oauth2.googleapis.com, port 443"
)
_HINTS = {
    "access_denied": "let the service account send (role Firebase Cloud Messaging API Admin), and switch on the "
    "Firebase Cloud Messaging API (V1) of the project",
    "clock_is_wrong": "set this machine's clock",
    "project_not_found": "check `project_id`, or leave it out to use the JSON's own",
}
"""By the reason of a receipt."""
