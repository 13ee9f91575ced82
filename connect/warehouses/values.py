"""Values whose type an engine does not tell beforehand, as one type of Arrow's: a letter for the kind, and its text.

A column of them has the same type in every batch, whatever is in it, and comes back as exactly what it was.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any


def carried(value: Any) -> str | None:
    """The text of a value of any kind; null stays null."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, str):
        return "s" + value
    if isinstance(value, bool):
        return "b1" if value else "b0"
    if isinstance(value, int):
        return f"i{int(value)}"
    if isinstance(value, float):
        return f"f{float(value)!r}"
    if isinstance(value, Decimal):
        return f"n{value}" if value.is_finite() else None
    if isinstance(value, datetime):
        return "t" + (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, date):
        return "d" + value.isoformat()
    if isinstance(value, time):
        return "h" + value.replace(tzinfo=None).isoformat()
    return _whole(value)


def _whole(value: Any) -> str:
    """What is made of other values, bytes, and what has a text only (a UUID, an address of the network)."""
    if isinstance(value, bytes | bytearray | memoryview):
        return "x" + base64.b64encode(bytes(value)).decode()
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return "m" + json.dumps({str(key): carried(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return "l" + json.dumps([carried(inner) for inner in value])
    return f"s{value}"


def restored(text: str) -> Any:
    """The value of a text that `carried` made; whole decimals as int."""
    return _RESTORED[text[0]](text[1:])


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    return int(number) if int(number.as_tuple().exponent) >= 0 else number


def _inner(text: str | None) -> Any:
    return None if text is None else restored(text)


_RESTORED: Mapping[str, Any] = {
    "s": str,
    "b": lambda text: text == "1",
    "i": int,
    "f": float,
    "n": _number,
    "t": datetime.fromisoformat,
    "d": date.fromisoformat,
    "h": time.fromisoformat,
    "x": base64.b64decode,
    "m": lambda text: {key: _inner(inner) for key, inner in json.loads(text).items()},
    "l": lambda text: [_inner(inner) for inner in json.loads(text)],
}
