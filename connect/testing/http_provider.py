"""A provider that posts JSON to `connect.testing.receivers`, for tests and for `make chaos`.

Six adapters: calls of 1, 100 and 1,000 messages, each for a receiver that remembers keys and for one that does not.
They are registered as entry points by those who use them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from connect.channels.message import Email, Outgoing
from connect.providers.interface import (
    Account,
    Capabilities,
    Idempotency,
    ProviderSettings,
    Receipt,
    Status,
)
from connect.vocabulary import Channel

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


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
        self._settings = account.settings
        self._seconds = account.timeout.total_seconds()
        self._idle: list[_Connection] = []

    async def open(self) -> None:
        """Connections are made as they are needed."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        try:
            connection = await self._connection()
        except OSError:
            return [Receipt(Status.transient, "unreachable")] * len(batch)
        try:
            async with asyncio.timeout(self._seconds):
                receipts = await _post(connection, batch)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            connection[1].transport.abort()
            return [Receipt(Status.ambiguous, "no_answer")] * len(batch)
        except BaseException:
            connection[1].transport.abort()
            raise
        self._idle.append(connection)
        return receipts

    async def _connection(self) -> _Connection:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
        return await asyncio.open_connection(self._settings.host, self._settings.port, limit=64 << 20)

    async def check(self) -> str:
        self._idle.append(await self._connection())
        return f"{self._settings.host}:{self._settings.port} answers"

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # lets the transports hear that they are closed


async def _post(connection: _Connection, batch: Sequence[Outgoing]) -> list[Receipt]:
    """One call. OSError, TimeoutError and IncompleteReadError mean that nobody knows what became of it."""
    reader, writer = connection
    body = json.dumps({"messages": [_item(outgoing) for outgoing in batch]}).encode()
    writer.write(f"POST /messages HTTP/1.1\r\nhost: receiver\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head.split(None, 2)[1]), int(head.lower().rpartition(b"content-length:")[2])
    answer = json.loads(await reader.readexactly(length))
    if status != 200:
        return [Receipt(Status.transient, f"http_{status}")] * len(batch)
    return [_RESULTS[result] for result in answer["results"]]


def _item(outgoing: Outgoing) -> dict[str, str | None]:
    message = outgoing.message
    if isinstance(message, Email):
        return {"key": outgoing.key.hex(), "to": message.to[0].address, "body": message.text}
    return {"key": outgoing.key.hex(), "to": message.to, "body": message.body}


_REMEMBERED = replace(Http.capabilities, idempotency=Idempotency.message_key, idempotency_lifetime=timedelta(hours=24))


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
