"""Remembers signatures that do not cover the body they came with, for as long as they are accepted."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

_MOST = 200_000
"""Five minutes at six hundred webhooks a second; the oldest are forgotten first."""


class Remembered:
    """In this process, in bounded memory: hashes only. Safe to use from several threads."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._bodies: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, token: str, body: bytes) -> bool:
        """False where this token has come with another body. The same again is a provider that tries again."""
        name, digest = _digest(token.encode(errors="surrogatepass")), _digest(body)
        with self._lock:
            known = self._bodies.setdefault(name, digest)
            if len(self._bodies) > self._most:
                self._bodies.popitem(last=False)
        return known == digest


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
