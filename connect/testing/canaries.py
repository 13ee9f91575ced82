"""Values that occur nowhere else, and a search for them in whatever form something may have kept them."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote, quote_plus

Value = str | int | Decimal | datetime

_HEAD = 8
"""Needles are found by their first bytes; shorter ones would be found everywhere."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Where something was found, what it was, and how it was written."""

    place: str
    column: str
    form: str


class Canaries:
    """Distinctive values, by the column they were planted in."""

    def __init__(self) -> None:
        self._needles: dict[bytes, list[tuple[bytes, str, str]]] = {}

    def add(self, column: str, value: Value) -> None:
        for form, needle in forms(value):
            assert len(needle) >= _HEAD, f"{column}: too short to be distinctive as {form}"
            for spelled in {needle, needle.lower()}:
                self._needles.setdefault(spelled[:_HEAD], []).append((spelled, column, form))

    def search(self, place: str, data: bytes) -> set[Hit]:
        """Every canary in these bytes, in any letter case."""
        return self._search(place, data) | self._search(place, data.lower())

    def search_files(self, roots: Iterable[Path], without: Iterable[Path]) -> set[Hit]:
        """Every canary in the files of these folders, and in their names."""
        found: set[Hit] = set()
        excluded = {path.resolve() for path in without}
        for root in roots:
            for path in sorted(root.rglob("*")):
                found |= self.search(f"the name of {path}", str(path.relative_to(root)).encode())
                if path.is_file() and path.resolve() not in excluded:
                    found |= self.search(str(path), path.read_bytes())
        return found

    def _search(self, place: str, data: bytes) -> set[Hit]:
        found = set()
        for start in range(len(data) - _HEAD + 1):
            for needle, column, form in self._needles.get(data[start : start + _HEAD], ()):
                if data.startswith(needle, start):
                    found.add(Hit(place, column, form))
        return found


def forms(value: Value) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every way in which a value is looked for."""
    for text in dict.fromkeys(_texts(value)):
        yield from _encoded(text)
        yield from _hashed(text)
    if isinstance(value, int):
        yield "packed", struct.pack("<q", value)
        yield "packed, big end first", struct.pack(">q", value)


def _texts(value: Value) -> list[str]:
    if isinstance(value, datetime):
        return [str(value), value.isoformat(), str(int(value.timestamp() * 1_000_000))]
    return [str(value), str(value).lower()]


def _encoded(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    yield "raw", raw
    yield "utf-16", text.encode("utf-16-le")
    yield "hex", raw.hex().encode()
    yield "hex, capitals", raw.hex().upper().encode()
    for name, encoded in (("quoted", quote(text, safe="")), ("quoted plus", quote_plus(text))):
        yield f"url, {name}", encoded.encode()
    yield "url, every byte", "".join(f"%{byte:02X}" for byte in raw).encode()
    yield "escaped", text.encode("unicode_escape")
    yield "json", json.dumps(text)[1:-1].encode()
    for offset in range(3):
        yield f"base64, offset {offset}", _base64(raw, offset, base64.b64encode)
        yield f"base64 url-safe, offset {offset}", _base64(raw, offset, base64.urlsafe_b64encode)


def _base64(raw: bytes, offset: int, encode: object) -> bytes:
    """What stands in the base64 of any text that holds this one behind 3n + offset bytes."""
    assert callable(encode)
    encoded: bytes = encode(bytes(offset) + raw)
    first = (offset * 8 + 5) // 6
    last = (offset + len(raw)) * 8 // 6
    return encoded[first:last]


def _hashed(text: str) -> Iterator[tuple[str, bytes]]:
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, text.encode(), usedforsecurity=False)
        yield name, digest.digest()
        yield f"{name} hex", digest.hexdigest().encode()
        yield f"{name} base64", base64.b64encode(digest.digest()).rstrip(b"=")[:-1]
