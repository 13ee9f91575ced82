"""Requests to SES as JSON, written piece by piece: the parts that are the same are encoded once, texts in C.

`json.dumps` of a whole bulk call, with its texts inside a string inside it, takes three times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json import JSONEncoder

_text = JSONEncoder(ensure_ascii=False).encode

_SHORT = 200
"""Below this the encoder is the faster one."""
_CONTROLS = bytes(set(range(32)) - set(b"\n\r\t"))
_ONCE = ((b"\\", rb"\\"), (b'"', rb"\""), (b"\n", rb"\n"), (b"\r", rb"\r"), (b"\t", rb"\t"))
_TWICE = ((b"\\", rb"\\\\"), (b'"', rb"\\\""), (b"\n", rb"\\n"), (b"\r", rb"\\r"), (b"\t", rb"\\t"))


def string(text: str) -> bytes:
    """A JSON string in UTF-8. Half a surrogate pair, which no encoding can carry, becomes `?` as it does in MIME."""
    if len(text) < _SHORT:
        return _text(text).encode(errors="replace")
    data = text.encode(errors="replace")
    if len(data.translate(None, _CONTROLS)) < len(data):
        return _text(text).encode(errors="replace")
    return b'"%b"' % _escaped(data, _ONCE)


def inside(parts: Iterable[tuple[str, str]]) -> bytes:
    """A JSON object of strings, as a JSON string."""
    members = b",".join(b'\\"%b\\":%b' % (name.encode(), _twice(value)) for name, value in parts)
    return b'"{%b}"' % members


def _twice(text: str) -> bytes:
    data = text.encode(errors="replace")
    if len(data.translate(None, _CONTROLS)) < len(data):
        return _text(_text(text))[1:-1].encode(errors="replace")
    return b'\\"%b\\"' % _escaped(data, _TWICE)


def _escaped(data: bytes, table: Iterable[tuple[bytes, bytes]]) -> bytes:
    for plain, written in table:
        data = data.replace(plain, written)
    return data


def structure(members: Mapping[str, bytes]) -> bytes:
    """A JSON object of what is written already."""
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in members.items())


def array(values: Iterable[bytes]) -> bytes:
    return b"[%b]" % b",".join(values)


def strings(texts: Iterable[str]) -> bytes:
    return array(map(string, texts))
