"""What every request meets first: how large it may be, how long it may take to come, and what every answer says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from connect.server.problems import Refused, response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 5 << 20
"""Of a body: what the largest batch of webhooks needs."""
LONGEST = 20.0
"""Seconds for a body to come."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""On every answer, unless its route says otherwise."""


def _too_large(most: int) -> Refused:
    return Refused(413, "too-large", f"a request may bring {most:,} bytes", headers={"Connection": "close"})


def _too_slow() -> Refused:
    said = "the request did not come to its end in time"
    return Refused(408, "too-slow", said, headers={"Connection": "close"})


class Guard:
    """Around the whole application."""

    def __init__(self, app: App, most_bytes: int = MOST_BYTES, longest: float = LONGEST) -> None:
        self._app, self._most, self._longest = app, most_bytes, longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_ours(message.get("headers", ()))
            await send(message)

        if self._told_too_large(scope):
            await response(_too_large(self._most))(scope, receive, sending)
        else:
            await self._app(scope, _Body(receive, self._most, self._longest), sending)

    def _told_too_large(self, scope: Scope) -> bool:
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        return not told.isdigit() or int(told) > self._most


class _Body:
    """What a client sends, counted and timed."""

    def __init__(self, receive: Receive, most: int, longest: float) -> None:
        self._receive, self._most, self._longest = receive, most, longest
        self._size, self._done = 0, False
        self._began: float | None = None

    async def __call__(self) -> Message:
        if self._done:  # it waits for the client to leave, which takes as long as it takes
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        try:
            async with asyncio.timeout_at(self._began + self._longest):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow() from None
        self._size += len(message.get("body", b""))
        self._done = not message.get("more_body", False)
        if self._size > self._most:
            raise _too_large(self._most)
        return message


def _with_ours(headers: Any) -> list[tuple[bytes, bytes]]:
    given = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    names = {name for name, _ in given}
    return given + [pair for pair in _HEADERS if pair[0] not in names]
