"""How values of a warehouse become text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from liquid import Undefined
from markupsafe import escape

from connect.liquid.trouble import BadValue


def text_of(value: object) -> str:
    """A value as Liquid prints it: nil is empty, true is `true`, 12.50 stays 12.50, no exponents, no Python syntax."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _other(value)


def _other(value: object) -> str:
    if isinstance(value, (float, Decimal)):
        return _plain_number(value)
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return "".join(text_of(item) for item in value)
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, Mapping) and not isinstance(value, Undefined):
        return json.dumps(_jsonable(value), ensure_ascii=False)
    return _own_text(value)


def _own_text(value: object) -> str:
    """What a type says of itself, if that is the same each time: not an address in memory, nor the order of a set."""
    kind = type(value)
    says_nothing = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
    if says_nothing or isinstance(value, (bytes, bytearray, set, frozenset)):
        raise BadValue("this kind of value can not be printed")
    return str(value)


def _plain_number(value: float | Decimal) -> str:
    text = str(value)
    return format(Decimal(text), "f") if "e" in text or "E" in text else text


def _instant(value: datetime) -> str:
    """As Ruby prints a time: `2026-03-14 09:30:00 UTC`."""
    written = value.replace(microsecond=0, tzinfo=None).isoformat(sep=" ")
    if value.tzinfo is None:
        return written
    offset = value.strftime("%z")
    return f"{written} UTC" if offset == "+0000" else f"{written} {offset}"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


PRINTERS: dict[type, Callable[[Any], str]] = {
    float: _plain_number,
    Decimal: _plain_number,
    bool: _boolean,
    datetime: _instant,
    date: date.isoformat,
}
"""What `text_of` makes of these types themselves; there is nothing to escape in it."""


def _jsonable(value: object) -> object:
    if isinstance(value, Mapping):
        return {text_of(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return text_of(value)


def printed(value: object, escaping: bool) -> str:
    """What `{{ value }}` writes; in HTML, what is not Markup is escaped."""
    if not escaping:
        return text_of(value)
    if isinstance(value, (list, tuple)):
        return "".join(printed(item, escaping) for item in value)
    return escape(text_of(value))
