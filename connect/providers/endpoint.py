"""A request to an endpoint of the user's for each person, signed as https://www.standardwebhooks.com has it.

Its id is a pure function of the delivery and stands in `webhook-id` and `Idempotency-Key`, so that a receiver can tell
that a request was repeated. Redirects are not followed, and by default nothing goes to a private network.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from pydantic import Field, field_validator

from connect.channels.http import http_url, request_header_problem
from connect.channels.message import Outgoing, Request
from connect.providers import http_replies
from connect.providers.api import trouble
from connect.providers.http import Client, NotWritten, Options, Reply, Unanswered
from connect.providers.http_replies import Meaning
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status, hide
from connect.providers.signatures import standard_key, standard_signature
from connect.redact import Secret
from connect.vocabulary import Channel


class Settings(ProviderSettings):
    url: str | None = None
    """The endpoint of contents that give no `url` of their own."""
    headers: dict[str, Secret] = Field({})
    """Of every request."""
    signing_secret: Secret | None = None
    """`whsec_` and base64; signs each request."""
    allow_private: bool = False
    """Whether endpoints may be on this machine or in a private network."""
    ca_file: str | None = None
    """Certificates to trust besides the usual ones: a PEM file, relative to the project's root."""

    @field_validator("headers")
    @classmethod
    def _ours_to_give(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        for name in headers:
            if problem := request_header_problem(name):
                raise ValueError(f"`{name}`: {problem}")
        return headers


STATUSES: dict[int, Meaning] = {
    401: (Status.config, "authentication_failed"),
    402: (Status.quota, "payment_required"),
    403: (Status.config, "access_denied"),
    404: (Status.config, "endpoint_not_found"),
    405: (Status.config, "method_not_allowed"),
    410: (Status.config, "endpoint_gone"),  # Standard Webhooks: the endpoint is to be disabled
}
"""Beside those that mean the same everywhere (`http_replies.STATUSES`)."""

PERSONAL: dict[str, Meaning] = {
    reason: (Status.rejected_recipient, reason)
    for reason in (
        *("authentication_failed", "access_denied", "endpoint_not_found", "endpoint_gone", "redirected"),
        *("method_not_allowed", "proxy_in_the_way", "payment_required"),
        *("private_address", "untrusted_certificate", "bad_settings"),
    )
}
"""What is wrong with one person's endpoint is not the account's trouble."""

_LONGEST_WAIT = timedelta(minutes=1)
"""That one person's endpoint may ask of everybody."""


class HttpEndpoint:
    """One request for each message."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(channels=frozenset({Channel.http}), default_concurrency=16)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account, self._settings = account, account.settings
        self._headers = {name.lower(): value.reveal() for name, value in account.settings.headers.items()}
        self._clients: dict[bool, Client] = {}
        """By whether they may reach private networks."""
        self._closed = False

    async def open(self) -> None:
        self._closed = False
        settings = self._settings
        if settings.url is not None and http_url(settings.url) is None:
            raise trouble("http-url", "`url` is not a URL", "it begins with https:// (or http://), without a password")
        if settings.signing_secret is not None:
            try:
                standard_key(settings.signing_secret)
            except ValueError as error:
                hint = "such as the output of: echo whsec_$(openssl rand -base64 24)"
                raise trouble("http-signing-secret", f"`signing_secret`: {error}", hint) from None
        for name, value in self._headers.items():
            if not value.isprintable():
                raise trouble("http-headers", f"`headers`: {name} holds a line break or the like", "give one line")
        if settings.ca_file is not None:
            await asyncio.to_thread(self._trust)

    def _trust(self) -> None:
        """Make both clients, which read the `ca_file`: what they trust is known before the first request."""
        try:
            for private in (False, True):
                self._clients.setdefault(private, self._made(private))
        except OSError as error:
            words = error.strerror or type(error).__name__
        except ValueError:
            words = "there is no certificate in it"
        else:
            return
        raise trouble("http-ca-file", f"`ca_file` can not be read: {words}", "give a file of PEM certificates")

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._send(outgoing) for outgoing in batch]

    async def _send(self, outgoing: Outgoing) -> Receipt:
        request = outgoing.message
        assert isinstance(request, Request)
        url = request.to or self._settings.url
        if not url:
            return Receipt(Status.config, "no_endpoint")
        try:
            headers = self._signed(outgoing, request)
        except ValueError:
            return Receipt(Status.config, "bad_signing_secret")
        private = self._settings.allow_private if request.allow_private is None else request.allow_private
        try:
            reply = await self._client(private).request(request.method, url, request.body, headers)
        except Unanswered as failure:
            return _unanswered(failure, request)
        return _answered(reply, outgoing, request)

    def _client(self, private: bool) -> Client:
        """Raises NotWritten where it is closed."""
        if self._closed:
            raise NotWritten("client_closed")
        if private not in self._clients:
            self._clients[private] = self._made(private)
        return self._clients[private]

    def _made(self, private: bool) -> Client:
        """Raises OSError where the `ca_file` can not be read, ValueError where it holds no certificate."""
        account = self._account
        ca_file = account.root / self._settings.ca_file if self._settings.ca_file else None
        options = Options(account.timeout, account.concurrency, ca_file=ca_file, public_only=not private)
        return Client(options)

    def _signed(self, outgoing: Outgoing, request: Request) -> dict[str, str]:
        """The header fields. Raises ValueError where the secret can not sign."""
        name = f"msg_{outgoing.key.hex()}"
        headers = {
            **({} if request.redirected else self._headers),
            **{name.lower(): value for name, value in request.headers},
            "content-type": request.content_type,
            "idempotency-key": name,
            "webhook-id": name,
            "x-connect-id": outgoing.correlation_id,
        }
        secret = request.signing_secret or self._settings.signing_secret
        if secret is not None:
            seconds = int(time.time())
            headers["webhook-timestamp"] = str(seconds)
            headers["webhook-signature"] = standard_signature(secret, name, seconds, request.body)
        return headers

    async def check(self) -> str:
        await self.open()
        if not self._settings.url:
            return "nothing to ask: each content names its endpoint"
        private = self._settings.allow_private
        try:
            reply = await self._client(private).request("HEAD", self._settings.url, b"", self._headers)
        except Unanswered as failure:
            hint = "check `url`; `allow_private: true` is for an endpoint in your own network"
            raise trouble("http-unreachable", f"the endpoint does not answer: {failure.reason}", hint) from None
        if reply.status in (401, 403):
            hint = "check `headers`; an endpoint that refuses HEAD and takes POST is fine, and `connect run` tells"
            raise trouble("http-credentials", f"the endpoint answers {reply.status} to HEAD", hint)
        return f"the endpoint answers ({reply.status} to HEAD); nothing was sent"

    async def close(self) -> None:
        self._closed = True
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()


def _unanswered(failure: Unanswered, request: Request) -> Receipt:
    if isinstance(failure, NotWritten) and failure.reason == "private_address":
        return Receipt(*_of(request, (Status.config, failure.reason)))
    receipt = http_replies.unanswered(failure)
    return Receipt(*_of(request, (receipt.status, receipt.reason)))


def _answered(reply: Reply, outgoing: Outgoing, request: Request) -> Receipt:
    status, reason = _of(request, http_replies.meaning(reply.status, STATUSES))
    if status is Status.accepted:
        return Receipt(status)
    wait = http_replies.retry_after(reply.headers, datetime.now(UTC))
    if request.personal:
        wait = min(wait, _LONGEST_WAIT) if wait else None
    elif status is Status.transient and wait:  # 503 with Retry-After is a throttle by another name
        status, reason = Status.throttled, "slow_down"
    words = reply.body[:2000].decode(errors="replace")
    return Receipt(status, reason, retry_after=wait, detail=hide(words, outgoing) if words.strip() else "")


def _of(request: Request, meaning: Meaning) -> Meaning:
    return PERSONAL.get(meaning[1], meaning) if request.personal else meaning
