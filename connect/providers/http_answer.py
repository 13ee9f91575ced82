"""An answer as HTTP/1.1 writes it (RFC 9112), read strictly: whatever leaves a doubt about its end is unreadable."""

from __future__ import annotations

import re

from connect.providers.http_exchange import NoAnswer, Reply
from connect.providers.http_request import field_name

_LONGEST_HEAD = 1 << 16
_LONGEST_LINE = 1 << 12
"""Of a chunk's size with its extensions."""
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n\0]*)?")
_START = b"HTTP/1."
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n\0]*)?")


class Answer:
    """One answer, in pieces of any size."""

    def __init__(self, method: str, largest: int) -> None:
        self._method, self._largest = method, largest
        self._head = b""
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: _Counted | _Chunked | _UntilTheEnd | None = None
        self.keeps = False
        """The connection is as it was before the request. Known once the answer is whole."""

    def feed(self, data: bytes) -> Reply | None:
        """The reply, once it is whole. Raises NoAnswer."""
        while self._body is None:
            end, data = self._more_of_the_head(data)
            if end < 0:
                return None
            data = self._read_head(data[:end], data[end + 4 :])
        body = self._body.feed(data)
        if body is None:
            return None
        self.keeps = self.keeps and not self._body.rest
        return Reply(self._status, self._headers, body)

    def end(self) -> Reply:
        """The connection's end. Raises NoAnswer where it is not the answer's."""
        if not isinstance(self._body, _UntilTheEnd):
            raise NoAnswer("connection_lost_after_write")
        return Reply(self._status, self._headers, bytes(self._body.body))

    def _more_of_the_head(self, data: bytes) -> tuple[int, bytes]:
        """(where the head ends, or -1; what has come since the last one)"""
        data = self._head + data if self._head else data
        if not data.startswith(_START) and not _START.startswith(data[: len(_START)]):
            raise _unreadable()
        end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
        if end < 0:
            self._head = data
            if len(data) >= _LONGEST_HEAD:
                raise _unreadable()
        return end, data

    def _read_head(self, head: bytes, rest: bytes) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        match = _STATUS.fullmatch(first)
        if match is None:
            raise _unreadable()
        minor, self._status = match[1], int(match[2])
        self._head = b""
        if self._status < 200:  # says nothing of the request yet, except 101, which nobody asked for
            if self._status == 101:
                raise _unreadable()
            return rest
        self._headers = headers = fields(lines)
        self._body = body = self._body_of(headers)
        closes = "connection" in headers and "close" in headers["connection"].lower()
        self.keeps = minor == "1" and not closes and not isinstance(body, _UntilTheEnd)
        return rest

    def _body_of(self, headers: dict[str, str]) -> _Counted | _Chunked | _UntilTheEnd:
        """Where it ends (RFC 9112 6.3). Both ways at once, which proxies have read differently, are unreadable."""
        if self._method == "HEAD" or self._status in (204, 304):
            return _Counted(0)
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            if length is not None or coding.lower() != "chunked":
                raise _unreadable()
            return _Chunked(self._largest)
        if length is None:
            return _UntilTheEnd(self._largest)
        if not _LENGTH.fullmatch(length):
            raise _unreadable()
        if int(length) > self._largest:
            raise _too_large()
        return _Counted(int(length))


def fields(lines: list[str]) -> dict[str, str]:
    """Name in lower case → value; one that comes twice is a list (RFC 9110 5.3). Raises NoAnswer."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        try:
            name = field_name(name)
        except ValueError:
            colon = ""
        if not colon or not (value.isprintable() or _VALUE.fullmatch(value)):
            raise _unreadable()
        value = value.strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


_VALUE = re.compile(r"[^\r\n\0]*")


class _Counted:
    """A body of a known length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._body = b""
        self._parts: list[bytes] = []
        self._size = 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes | None:
        if not self._parts and len(data) == self._length:
            return data
        self._size += len(data)
        if self._size < self._length:
            self._parts.append(data)
            return None
        whole = b"".join((*self._parts, data)) if self._parts else data
        self.rest = whole[self._length :]
        return whole[: self._length]


class _UntilTheEnd:
    """A body that ends with the connection."""

    rest = b""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self.body = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        self.body += data
        if len(self.body) > self._largest:
            raise _too_large()
        return None


class _Chunked:
    """A body in pieces, each of which says its size (RFC 9112 7.1)."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._raw = bytearray()
        self._body = bytearray()
        self._last = False
        self._trailers = 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes | None:
        self._raw += data
        while not self._last:
            if not self._chunk():
                return None
        return bytes(self._body) if self._over() else None

    def _chunk(self) -> bool:
        """Take one away; False where it is not whole yet."""
        line = self._line()
        if line is None:
            return False
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise _unreadable()
        size, start = int(match[1], 16), len(line) + 2
        self._last = size == 0
        if len(self._body) + size > self._largest:
            raise _too_large()
        end = start + size
        if not self._last and len(self._raw) < end + 2:
            return False
        if not self._last and self._raw[end : end + 2] != b"\r\n":
            raise _unreadable()
        self._body += self._raw[start:end]
        del self._raw[: start if self._last else end + 2]
        return True

    def _over(self) -> bool:
        """Whether the trailer fields, which nobody reads, have ended."""
        while (line := self._line()) is not None:
            del self._raw[: len(line) + 2]
            if not line:
                self.rest = bytes(self._raw)
                return True
            self._trailers += len(line)
            if self._trailers > _LONGEST_HEAD:
                raise _unreadable()
        return False

    def _line(self) -> bytes | None:
        end = self._raw.find(b"\r\n", 0, _LONGEST_LINE)
        if end < 0 and len(self._raw) >= _LONGEST_LINE:
            raise _unreadable()
        return bytes(self._raw[:end]) if end >= 0 else None


def _unreadable() -> NoAnswer:
    return NoAnswer("unreadable_answer")


def _too_large() -> NoAnswer:
    return NoAnswer("answer_too_large")
