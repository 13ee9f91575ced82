"""Values of a warehouse as JSON has them: what a string of JSON becomes that is exactly one `{{ … }}`.

text, true, null, whole numbers     as they are
12.50 (a decimal)                   a number where a double says exactly the same, else text: nothing is rounded
dates and times                     text, in ISO 8601
lists, ranges, mappings             the same of what is in them; keys are text
NaN and infinity                    refused: JSON has no such number
anything else                       the text that it prints
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from liquid import Undefined

from connect.liquid.limits import OUTPUT_BYTES, measure
from connect.liquid.printing import text_of
from connect.liquid.trouble import NotJson, TooLarge


def structure(value: object) -> Any:
    """The value as JSON has it. Raises TooLarge, NotJson, and BadValue for what can not be printed either."""
    made = _Making().of(value)
    if isinstance(made, str) and len(made) * 4 > OUTPUT_BYTES and len(made.encode(errors="replace")) > OUTPUT_BYTES:
        raise TooLarge("the output is longer than 2 MB")
    return made


class _Making:
    """Counts characters: a list may hold the same long text many times."""

    def __init__(self) -> None:
        self._size = 0

    def of(self, value: object) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._counted(str(value))
        known = next((convert for kind, convert in _CONVERT if isinstance(value, kind)), None)
        if known is not None:
            return known(value)
        if isinstance(value, Undefined):
            return None
        if isinstance(value, (list, tuple, range)):
            measure(value)
            return [self.of(item) for item in value]
        if isinstance(value, Mapping):
            return {self._counted(text_of(key)): self.of(inner) for key, inner in value.items()}
        return self._counted(text_of(value))

    def _counted(self, text: str) -> str:
        self._size += len(text) + 1
        if self._size > OUTPUT_BYTES:
            raise TooLarge("the output is longer than 2 MB")
        return text


def _whole(value: int) -> int:
    measure(value)
    return int(value)


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise NotJson(None)
    return float(value)


_MOST_DIGITS = 400


def _decimal(value: Decimal) -> int | float | str:
    if not value.is_finite():
        raise NotJson(None)
    if abs(value.adjusted()) > _MOST_DIGITS:
        return text_of(value)
    if value.as_tuple().exponent >= 0:  # type: ignore[operator]
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else text_of(value)


def _moment(value: date | time) -> str:
    return value.isoformat()


_CONVERT: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (int, _whole),
    (float, _float),
    (Decimal, _decimal),
    ((datetime, date, time), _moment),
)
