"""A request as HTTP/1.1 writes it (RFC 9112): where it goes, and its head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

from connect.providers.http_exchange import AGENT, NotWritten


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a connection is made to."""

    secure: bool
    host: str
    port: int
    name: str
    """As the Host field has it."""


_URL = re.compile(r"(https?://[^/?#\x00-\x20]*)((?:[/?][^#]*)?)(?:#.*)?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"[a-z0-9._~-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_PORTS = {"http": 80, "https": 443}


def target(url: str) -> tuple[Origin, str]:
    """Whom it is for, and the path and query that they are asked for. Raises NotWritten where it is no URL."""
    match = _URL.fullmatch(url)
    if match is None:
        raise NotWritten("not_a_request")
    where, path = match.groups()
    if not path.startswith("/"):
        path = "/" + path
    return origin(where), path if path.isascii() and path.isprintable() and " " not in path else _quoted(path)


def _quoted(path: str) -> str:
    if any(character < " " for character in path):
        raise NotWritten("not_a_request")
    return quote(path, safe="!#$%&'()*+,/:;=?@[]~")


@lru_cache(maxsize=64)
def origin(url: str) -> Origin:
    """Raises NotWritten where nobody can be asked there; a user's name and password belong in the headers."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("ascii" if url.isascii() else "idna").decode()
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:  # UnicodeError too
        host, port = "", 0
    if not _HOST.fullmatch(host) or "@" in url:
        raise NotWritten("not_a_request")
    shown = f"[{host}]" if ":" in host else host
    return Origin(parts.scheme == "https", host, port, shown if port == _PORTS[parts.scheme] else f"{shown}:{port}")


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"}
"""Fields that say where a request ends, or whom it is for."""


@lru_cache(maxsize=256)
def field_name(name: str) -> str:
    """In lower case. Raises ValueError for what can not be one."""
    if not _TOKEN.fullmatch(name):
        raise ValueError("not the name of a field")
    return name.lower()


@lru_cache(maxsize=256)
def _given(name: str) -> str:
    """The name of a field that whoever asks may set."""
    known = field_name(name)
    if known in _OURS:
        raise ValueError("this field is the client's")
    return known


@lru_cache(maxsize=64)
def _opening(name: str, agent: bool) -> str:
    return f" HTTP/1.1\r\nhost: {name}\r\naccept: */*\r\n" + (f"user-agent: {AGENT}\r\n" if agent else "")


def head(method: str, path: str, name: str, headers: Mapping[str, str], length: int) -> bytes:
    """Everything before the body. Raises NotWritten where a field is none, or would hide another."""
    lines = [method, " ", path, ""]
    agent = True
    try:
        field_name(method)
        for key, value in headers.items():
            known = _given(key)
            agent = agent and known != "user-agent"
            if not value.isprintable():
                raise ValueError("not the value of a field")
            lines += (known, ": ", value, "\r\n")
    except ValueError:
        lines = []
    if not lines:
        raise NotWritten("not_a_request")
    lines[3] = _opening(name, agent)
    lines.append(f"content-length: {length}\r\n\r\n" if length or method != "GET" else "\r\n")
    return "".join(lines).encode(errors="replace")
