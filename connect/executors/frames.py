"""What the processes of one run say to each other: Python values over a socket that nobody else has.

Nothing of it is ever written to disk. Values are pickled: both ends are the same program, and one started the other.

Neither end waits for the other to read: a worker has one write under way for each of its lanes, and at most two pieces
of rows to speak of; so that is all that a process which stands still can leave in a buffer.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections import deque
from typing import Any, cast

_LENGTH = 4


class Gone(Exception):
    """The other process is not there any more."""


class Frames(asyncio.Protocol):
    """One end of the line. Everything said on it arrives whole and in order."""

    def __init__(self) -> None:
        self._heard: deque[Any] = deque()
        self._rest = bytearray()
        self._waiting: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.get_running_loop().create_future()

    @classmethod
    async def over(cls, line: socket.socket) -> Frames:
        _, frames = await asyncio.get_running_loop().create_unix_connection(cls, sock=line)
        return frames

    def say(self, *words: Any) -> None:
        """Send a value. To somebody who has gone, nothing is said."""
        if self._transport is None or self._transport.is_closing():
            return
        data = pickle.dumps(words, pickle.HIGHEST_PROTOCOL)
        self._transport.write(len(data).to_bytes(_LENGTH, "big") + data)

    async def hear(self) -> Any:
        """The next value. Raises Gone. For one listener."""
        while not self._heard:
            if self._lost.done():
                raise Gone
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return pickle.loads(self._heard.popleft())

    async def close(self) -> None:
        """Everything that was said has left, or nobody is there to hear it. Safe to call twice."""
        if self._transport is not None:
            self._transport.close()
        await self._lost

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's have other parents

    def data_received(self, data: bytes) -> None:
        self._rest += data
        at, end = 0, len(self._rest)
        while end - at >= _LENGTH:
            start = at + _LENGTH
            stop = start + int.from_bytes(self._rest[at:start], "big")
            if stop > end:
                break
            self._heard.append(bytes(self._rest[start:stop]))
            at = stop
        if at:
            del self._rest[:at]
            self._wake()

    def connection_lost(self, problem: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_result(None)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
