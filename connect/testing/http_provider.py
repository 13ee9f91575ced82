"""A provider that posts JSON to `connect.testing.receivers`, for tests and for `make chaos`.

Nine adapters: calls of 1, 100 and 1,000 messages, each for a receiver that remembers the key of every message, for one
that remembers the key of a call, and for one that remembers nothing. They are registered as entry points by those who
use them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from connect.channels.message import Email, Outgoing
from connect.identity import call_key
from connect.providers.http import Client, Options, Reply, Unanswered
from connect.providers.http_replies import retry_after, unanswered
from connect.providers.interface import (
    Account,
    Capabilities,
    Idempotency,
    ProviderSettings,
    Receipt,
    Status,
)
from connect.vocabulary import Channel


class Settings(ProviderSettings):
    host: str = "127.0.0.1"
    port: int


_RESULTS = {
    "accepted": Receipt(Status.accepted),
    "later": Receipt(Status.transient, "later"),
    "other_body": Receipt(Status.undecidable, "same_key_other_body"),
}


class Http:
    """One message in a call, to a receiver that does not remember keys."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(channels=frozenset({Channel.email, Channel.sms}))

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._url = f"http://{account.settings.host}:{account.settings.port}"
        self._options = Options(account.timeout, account.concurrency)
        self._client: Client | None = None

    async def open(self) -> None:
        """Connections are made as they are needed."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        body = json.dumps({"messages": [_item(outgoing) for outgoing in batch]}).encode()
        try:
            reply = await self._opened().post(f"{self._url}/messages", body, self._headers(batch))
        except Unanswered as failure:
            return [unanswered(failure)] * len(batch)
        return _receipts(reply, len(batch))

    def _headers(self, batch: Sequence[Outgoing]) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self.capabilities.idempotency is Idempotency.request_key:
            headers["idempotency-key"] = call_key([outgoing.key for outgoing in batch]).hex()
        return headers

    def _opened(self) -> Client:
        if self._client is None:
            self._client = Client(self._options)
        return self._client

    async def check(self) -> str:
        await self._opened().request("GET", f"{self._url}/deliveries", b"", {})
        return f"{self._url} answers"

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _receipts(reply: Reply, count: int) -> list[Receipt]:
    if reply.status == 429:
        return [
            Receipt(Status.throttled, "slow_down", retry_after=retry_after(reply.headers, datetime.now(UTC)))
        ] * count
    if reply.status != 200:
        return [Receipt(Status.transient, f"http_{reply.status}")] * count
    return [_RESULTS[result] for result in json.loads(reply.body)["results"]]


def _item(outgoing: Outgoing) -> dict[str, str | None]:
    message = outgoing.message
    body = message.text if isinstance(message, Email) else message.said
    return {"key": outgoing.key.hex(), "to": message.address, "body": body}


_LIFETIME = timedelta(hours=24)
_REMEMBERED = replace(Http.capabilities, idempotency=Idempotency.message_key, idempotency_lifetime=_LIFETIME)
_REQUEST_KEY = replace(Http.capabilities, idempotency=Idempotency.request_key, idempotency_lifetime=_LIFETIME)


class Http100(Http):
    capabilities: ClassVar[Capabilities] = replace(Http.capabilities, max_batch=100)


class Http1000(Http):
    capabilities: ClassVar[Capabilities] = replace(Http.capabilities, max_batch=1000)


class HttpRemembered(Http):
    """To a receiver that remembers the key of each message."""

    capabilities: ClassVar[Capabilities] = _REMEMBERED


class HttpRemembered100(Http):
    capabilities: ClassVar[Capabilities] = replace(_REMEMBERED, max_batch=100)


class HttpRemembered1000(Http):
    capabilities: ClassVar[Capabilities] = replace(_REMEMBERED, max_batch=1000)


class HttpRequestKey(Http):
    """To a receiver that remembers one key for each call, and the whole of its body."""

    capabilities: ClassVar[Capabilities] = _REQUEST_KEY


class HttpRequestKey100(Http):
    capabilities: ClassVar[Capabilities] = replace(_REQUEST_KEY, max_batch=100)


class HttpRequestKey1000(Http):
    capabilities: ClassVar[Capabilities] = replace(_REQUEST_KEY, max_batch=1000)
