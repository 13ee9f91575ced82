"""Where a page ends: opaque to callers, and about nobody."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from connect.server.problems import Refused


def cursor(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


def read(text: str, kinds: Sequence[type]) -> list[str | int]:
    """The parts of a cursor. Raises Refused."""
    try:
        parts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        parts = None
    if isinstance(parts, list) and [type(part) for part in parts] == list(kinds):
        return parts
    raise Refused(422, "bad-cursor", "this is no cursor", "take it as it is from `next` of the page before")
