"""What the processes of one run say to each other: Python values over a socket that nobody else has.

Nothing of it is ever written to disk. Values are pickled: both ends are the same program, and one started the other.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from typing import Any

_LENGTH = 4


class Gone(Exception):
    """The other process is not there any more."""


class Frames:
    """One end of the line. Everything said on it arrives whole and in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, line: socket.socket) -> Frames:
        return cls(*await asyncio.open_connection(sock=line, limit=1 << 20))

    def say(self, *words: Any) -> None:
        """Send a value. It leaves as soon as it can."""
        data = pickle.dumps(words, pickle.HIGHEST_PROTOCOL)
        self._writer.write(len(data).to_bytes(_LENGTH, "big") + data)

    async def sent(self) -> None:
        """Wait until the other end keeps up with what was said."""
        try:
            await self._writer.drain()
        except OSError:
            raise Gone from None

    async def hear(self) -> Any:
        """The next value. Raises Gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
            return pickle.loads(await self._reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            raise Gone from None

    def close(self) -> None:
        self._writer.transport.abort()
