"""What a link to our own server knows: of which delivery it is, and what it is for. Sealed: nobody else can read it.

/c/ click   the delivery, the link's place in the page, the URL that it leads to
/o/ open    the delivery
/v/ view    the delivery, and the key text of its row, by which the warehouse finds it again
"""

from __future__ import annotations

import base64
import re
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from enum import StrEnum

from connect.identity import KeyRing, SealBroken


class Kind(StrEnum):
    """The path of a link; its name is the purpose of the seal."""

    click = "c"
    open = "o"
    view = "v"


_COUNTS = 1
"""A bit of the first byte: of a live run. Links of test copies work and are not counted."""
_RUN, _KEY, _NUMBER = 16, 16, 2
_HEAD = 1 + _RUN + _KEY


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody, or some program, has come to a link of ours."""

    run_id: str
    key: bytes = field(repr=False)
    """The message key."""
    counts: bool = True
    url: str = field(default="", repr=False)
    """Where a click leads."""
    number: int = 0
    """Which of the links of its page that is, from 1."""
    key_text: str = field(default="", repr=False)
    """Whose message is to be shown."""


def head(run_id: str, key: bytes, *, counts: bool) -> bytes:
    """What all links of a delivery have in common."""
    return bytes((_COUNTS if counts else 0,)) + run_id.encode() + key


def click_token(ring: KeyRing, head: bytes, url: str, number: int) -> str:
    rest = min(number, 65535).to_bytes(_NUMBER, "big") + url.encode(errors="replace")
    return _sealed(ring, "click", b"click", head, rest)


def open_token(ring: KeyRing, head: bytes) -> str:
    return _sealed(ring, "open", b"open", head, b"")


def view_token(ring: KeyRing, head: bytes, key_text: str) -> str:
    return _sealed(ring, "view", b"view", head, key_text.encode(errors="replace"))


def _sealed(ring: KeyRing, purpose: str, seed: bytes, head: bytes, rest: bytes) -> str:
    """The same for the same delivery: a message that is rendered again is the same to the last byte."""
    sealed = ring.seal(purpose, head + rest, seed + head[-_KEY:])
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,8000}").fullmatch


def visit(ring: KeyRing, kind: Kind, token: str) -> Visit:
    """What a token says. Raises SealBroken for one that is not ours, or for something else."""
    if not _TOKEN(token):
        raise SealBroken("not a token")
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except NotBase64:
        raise SealBroken("not a token") from None
    plain = ring.open(kind.name, sealed)
    run_id, key, rest = plain[1 : 1 + _RUN].decode(), plain[1 + _RUN : _HEAD], plain[_HEAD:]
    counts = bool(plain[0] & _COUNTS)
    if kind is Kind.click:
        number, url = int.from_bytes(rest[:_NUMBER], "big"), rest[_NUMBER:].decode()
        return Visit(run_id, key, counts, url=url, number=number)
    return Visit(run_id, key, counts, key_text=rest.decode())
