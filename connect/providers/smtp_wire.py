"""One SMTP connection as bytes: what comes in becomes replies, and whoever listens hears them in order."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

_LONGEST_LINE = 8192
"""Octets. RFC 5321 4.5.3.1.5 says 512; some servers say more, none of them this much."""
_LONGEST_REPLY = 65536
"""Octets, over all lines of one reply."""

_CODES = {f"{code}".encode(): code for code in range(100, 600)}
# As nearly everything comes: replies of one line each, none of them cut off.
_REPLY = re.compile(rb"([1-5][0-9][0-9]) ([^\r\n]*)\r\n")
_WHOLE = re.compile(rb"(?:[1-5][0-9][0-9] [^\r\n]*\r\n)+")


Said = tuple[int, bytes]
"""A reply: its code, and its lines' text joined by line feeds."""


class NotSmtp(ConnectionError):
    """What came in is no reply: nothing that follows can be matched to what was asked."""


class Replies:
    """Bytes in, replies out: split at any byte, or many at once."""

    def __init__(self) -> None:
        self._kept = b""
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether a reply has begun and not ended."""
        return bool(self._kept or self._lines)

    def plain(self, data: bytes) -> list[Said] | None:
        """As `feed`, at once, where nothing but whole replies of one line came; else None, and nothing is taken."""
        if self._kept or self._lines or _WHOLE.fullmatch(data) is None:
            return None
        return [(_CODES[code], text) for code, text in _REPLY.findall(data)]

    def feed(self, data: bytes) -> Iterator[Said]:
        """Every reply that is whole now. Raises NotSmtp."""
        if self._kept:
            data = self._kept + data
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            code = _CODES.get(data[start : start + 3])
            after = data[start + 3 : start + 4]
            text = data[start + 4 : end].rstrip(b"\r")
            start = end + 1
            if code is None or after not in b" -\r\n":
                raise NotSmtp("the server says what is no SMTP reply")
            if after == b"-" or self._lines:
                text = self._joined(text, more=after == b"-")
                if after == b"-":
                    continue
            self._kept = data[start:]
            yield code, text
        self._kept = data[start:]
        if len(self._kept) > _LONGEST_LINE:
            raise NotSmtp("a line of the server's reply does not end")

    def _joined(self, text: bytes, more: bool) -> bytes:
        """Keep a line of several, or join them with the last one."""
        self._lines.append(text)
        self._size += len(text) + 1
        if self._size > _LONGEST_REPLY:
            raise NotSmtp("the server's reply does not end")
        if more:
            return b""
        text = b"\n".join(self._lines)
        self._lines, self._size = [], 0
        return text


class Listener(Protocol):
    """Who hears what comes in."""

    def replied(self, replies: Sequence[Said]) -> None:
        """What came in together, in its order."""

    def writable(self) -> None:
        """What was written has left: there is room for more."""

    def lost(self, error: Exception | None) -> None:
        """The connection is gone, or says what is no SMTP. Heard once, and nothing after it."""


class Wire(asyncio.Protocol):
    """The transport's other half. It never closes by itself in a way that waits for the other side."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.transport: asyncio.Transport | None = None
        self.paused = False
        """The other side does not read: nothing more may be written."""
        self.replies = Replies()
        self._lost = False
        self.gone = asyncio.get_running_loop().create_future()
        """Done once the transport is closed."""

    @property
    def usable(self) -> bool:
        """Whether what is written now may still get through."""
        return not self._lost and self.transport is not None and not self.transport.is_closing()

    @property
    def cipher(self) -> str:
        """The TLS version, or nothing in clear."""
        cipher = self.transport.get_extra_info("cipher") if self.transport is not None else None
        return str(cipher[1]) if cipher else ""

    def write(self, data: bytes | memoryview) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def abort(self) -> None:
        """Close at once, and say nothing more to the listener.

        A polite end of TLS would wait for the other side's, which may take half a minute or outlive the loop.
        """
        self._lost = True
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in everything but its class

    def data_received(self, data: bytes) -> None:
        plain = self.replies.plain(data)
        if plain is not None:
            self.listener.replied(plain)
            return
        try:
            for reply in self.replies.feed(data):
                self.listener.replied((reply,))
                if self._lost:
                    return
        except NotSmtp as error:
            self._lose(error)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if not self._lost:
            self.listener.writable()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self.abort()
            self.listener.lost(error)
