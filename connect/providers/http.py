"""The one HTTP client of all providers: a request in, a reply out, and two ways in which there is none.

    client = Client(Options(timeout=timedelta(seconds=30), connections=8))
    reply = await client.post(url, body, {"content-type": "application/json"})
    await client.close()

    Unanswered
    ├── NotWritten      the provider never saw the request: nobody was written to
    └── NoAnswer        it may have been written, and may have been carried out

When it is not certain that nothing was written, it is NoAnswer. Any reply with a status is a `Reply`, redirects too:
none is followed. No proxy is taken from the environment, no cookie is kept, nothing is repeated.

A client belongs to the process and the event loop that made it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Self

from connect.providers.http_exchange import NoAnswer, NotWritten, Options, Reply, Unanswered, Wire
from connect.providers.http_turns import Turns

__all__ = ["Client", "NoAnswer", "NotWritten", "Options", "Reply", "Unanswered"]


class Client:
    """A pool of connections. Make it, use it and close it in one process and one event loop."""

    def __init__(self, options: Options) -> None:
        """Raises OSError where the `ca_file` can not be read, ValueError where it holds no certificate."""
        self._seconds = options.timeout.total_seconds()
        self._wire = _wire(options)
        self._turns = Turns(options.connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, deadline: float | None = None) -> Reply:
        """Ask once. Nothing is written after the deadline (of the loop's clock; the time-out from now if not given).

        That clock is `time.monotonic`, as is the client's own: both go on while the process is stopped (SIGSTOP), so
        that one which wakes up after its deadline writes nothing. Raises NotWritten or NoAnswer.
        """
        return await self.request("POST", url, body, headers, deadline=deadline)

    async def request(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], *, deadline: float | None = None
    ) -> Reply:
        """As `post`, with another method."""
        deadline = asyncio.get_running_loop().time() + self._seconds if deadline is None else deadline
        if not (self._turns.take_now() or await self._turns.take(deadline)):
            raise NotWritten("no_free_connection")
        try:
            # uvloop's clock is read once for each turn of the loop, so it misses a stop in the middle of one.
            if time.monotonic() >= deadline:
                raise NotWritten("no_free_connection")
            return await self._wire.ask(method, url, body, headers, deadline)
        finally:
            self._turns.give()

    async def close(self) -> None:
        """Cut every connection; requests that have no answer yet are in doubt. Safe to call twice."""
        await self._wire.close()


def _wire(options: Options) -> Wire:
    if options.http2:
        from connect.providers.http_2 import Library

        return Library(options)
    from connect.providers.http_1 import Connections

    return Connections(options)
