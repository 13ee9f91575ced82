"""The types of fields: each converts the text that stands in the file, whatever YAML would have made of it.

A value that is not a `Scalar` comes from a stored campaign and passes as it is. Each type carries the JSON Schema of
what may be written, which also allows what an editor's YAML parser makes of it (numbers, dates, booleans).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from connect.project import suggest
from connect.project.nodes import Block, Items, Scalar
from connect.project.reading import refuse


def _scalars(convert: Callable[[Scalar], object], needed: str) -> BeforeValidator:
    """A validator that converts text, refuses lists and mappings, and leaves everything else alone."""

    def read(value: object) -> object:
        if isinstance(value, Block | Items):
            raise refuse("wrong-type", f"this must be {needed}, not {_kind(value)}")
        return convert(value) if isinstance(value, Scalar) else value

    return BeforeValidator(read)


def _kind(value: Block | Items) -> str:
    return "a mapping" if isinstance(value, Block) else "a list"


def _boolean(text: Scalar) -> bool:
    if text not in ("true", "false"):
        raise refuse("wrong-type", f"`{text.written}` is neither `true` nor `false`", "only these two are booleans")
    return text == "true"


Boolean = Annotated[
    bool,
    _scalars(_boolean, "`true` or `false`"),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}),
]


def _integer(text: Scalar) -> int:
    if not re.fullmatch(r"0|[1-9]\d{0,17}", text):
        raise refuse("wrong-type", f"`{text.written}` is not a whole number", "digits only, such as 5000")
    return int(text)


Count = Annotated[
    int,
    _scalars(_integer, "a whole number"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(0|[1-9][0-9]*)$"}]}),
]


def _natural(text: Scalar) -> int:
    if text == "0":
        raise refuse("bad-value", "this must be at least 1")
    return _integer(text)


Natural = Annotated[
    int,
    _scalars(_natural, "a whole number"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[1-9][0-9]*$"}]}),
]
"""From 1 on."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: Scalar) -> timedelta:
    """`30s 15m 6h 7d`; a day is 24 hours."""
    found = re.fullmatch(r"(\d{1,8})([smhd])", text)
    if not found:
        raise refuse("bad-duration", f"`{text.written}` is not a duration", "a number and s, m, h or d: 30s 15m 6h 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def written_duration(value: timedelta) -> str:
    """A duration as people write it, in its largest whole unit."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


DURATION_SCHEMA = {"type": "string", "pattern": "^[0-9]{1,8}[smhd]$"}
Duration = Annotated[timedelta, _scalars(duration, "a duration"), WithJsonSchema(DURATION_SCHEMA)]


def between(least: timedelta, most: timedelta) -> AfterValidator:
    """For a duration that is neither shorter nor longer."""

    def check(value: timedelta, info: ValidationInfo) -> timedelta:
        if least <= value <= most:
            return value
        hint = f"at least {written_duration(least)} and at most {written_duration(most)}"
        said = "short" if value < least else "long"
        raise refuse("bad-value", f"`{info.field_name}: {written_duration(value)}` is too {said}", hint)

    return AfterValidator(check)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many messages in a stretch of time."""

    count: int
    per: timedelta

    def __str__(self) -> str:
        return f"{self.count}/{written_duration(self.per)[-1]}"


def rate(text: Scalar) -> Rate:
    """`50/s 600/m 10000/h`."""
    found = re.fullmatch(r"([1-9]\d{0,8})/([smhd])", text)
    if not found:
        hint = "a number, a slash, and s, m, h or d: 50/s 600/m 10000/h"
        raise refuse("bad-rate", f"`{text.written}` is not a rate", hint)
    return Rate(int(found[1]), timedelta(**{_UNITS[found[2]]: 1}))


def _rate(value: object) -> object:
    if isinstance(value, Block | Items):
        raise refuse("wrong-type", f"this must be a rate, not {_kind(value)}")
    if isinstance(value, Scalar):
        return rate(value)
    return rate(Scalar(value)) if isinstance(value, str) else value


RateField = Annotated[
    Rate,
    BeforeValidator(_rate),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,8}/[smhd]$"}),
]


def _time_of_day(text: Scalar) -> time:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text)
    if not found:
        raise refuse("bad-time", f"`{text.written}` is not a time of day", "hours and minutes, such as 21:00")
    return time(int(found[1]), int(found[2]))


TimeOfDay = Annotated[
    time,
    _scalars(_time_of_day, "a time of day"),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]
"""An editor that reads YAML 1.1 sees a number in `21:00`."""


def _share(text: Scalar) -> Decimal:
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)%", text)
    if not found or Decimal(found[1]) > 100:
        raise refuse("bad-share", f"`{text.written}` is not a share", "a percentage from 0% to 100%, such as 10%")
    return Decimal(found[1]) / 100


def written_share(value: Decimal) -> str:
    return f"{(value * 100).normalize():f}%"


Share = Annotated[
    Decimal,
    _scalars(_share, "a share"),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]{1,6})?)%$"}),
]


def _zone(text: Scalar) -> str:
    if re.match(r"(UTC|GMT|Z)?[+-]?\d", text):
        said = "an offset drifts over daylight saving; name a zone, such as Australia/Sydney"
        raise refuse("bad-zone", f"`{text.written}` is an offset, not a time zone", said)
    try:
        return ZoneInfo(str(text)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refuse("bad-zone", f"`{text.written}` is not an IANA time zone", _near_zone(text)) from None


def _near_zone(text: str) -> str:
    from zoneinfo import available_timezones

    meant = suggest.nearest(text, available_timezones())
    return f"did you mean `{meant}`?" if meant else "such as Australia/Sydney or UTC"


Zone = Annotated[
    str,
    _scalars(_zone, "a time zone"),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_+/-]*$", "examples": ["UTC", "Europe/Berlin"]}),
]


def instant(text: Scalar) -> datetime:
    """ISO 8601, possibly without an offset: the trigger then reads it in its zone."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        hint = "ISO 8601, such as 2026-11-27T09:00 (local to `timezone`) or 2026-11-27T09:00+11:00"
        raise refuse("bad-time", f"`{text.written}` is not a date and time", hint) from None


INSTANT_SCHEMA = {"type": "string", "pattern": r"^[0-9]{4}-?[0-9W]"}
Instant = Annotated[datetime, _scalars(instant, "a date and time"), WithJsonSchema(INSTANT_SCHEMA)]

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


def name_problem(text: str) -> str:
    """What is wrong with a name, or nothing."""
    return "" if re.fullmatch(_NAME, text) else "letters, digits, `-`, `_` and `.` only, 100 at most"


def _name(text: Scalar) -> str:
    if wrong := name_problem(text):
        raise refuse("bad-name", f"`{text.written}` can not be a name", wrong)
    return str(text)


NAME_SCHEMA = {"type": ["string", "integer"], "pattern": f"^{_NAME}$"}
Name = Annotated[str, _scalars(_name, "a name"), WithJsonSchema(NAME_SCHEMA)]


_PART = r'(?:[A-Za-z_][A-Za-z0-9_$]*(?:-[A-Za-z0-9_$]+)*|"[^"]+"|`[^`]+`)'
_TABLE = rf"{_PART}(?:\.{_PART}){{0,2}}"


def _table(text: Scalar) -> str:
    if not re.fullmatch(_TABLE, text):
        hint = "a name as SQL writes it, alone or in a schema: connect_opt_outs, marketing.connect_opt_outs"
        raise refuse("bad-name", f"`{text.written}` is not the name of a table", hint)
    return str(text)


TableName = Annotated[
    str, _scalars(_table, "the name of a table"), WithJsonSchema({"type": "string", "pattern": f"^{_TABLE}$"})
]
"""As SQL writes it, quoted where it has to be; with its schema, or its catalog and schema, where it is in one."""


def _plain(text: Scalar) -> str:
    return str(text)


WORD_SCHEMA = {"type": ["string", "number", "boolean"]}
Word = Annotated[str, _scalars(_plain, "text"), WithJsonSchema(WORD_SCHEMA)]
"""Any text; an editor may see a number or a boolean in it."""


def _locale(text: Scalar) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", text):
        raise refuse("bad-locale", f"`{text.written}` is not a locale", "such as `fr` or `fr-CA`")
    return str(text).replace("_", "-")


Locale = Annotated[
    str,
    _scalars(_locale, "a locale"),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$"}, {"const": False}]}
    ),
]
"""`no` is Norwegian; editors that read YAML 1.1 see false in it."""


def _words(value: object) -> object:
    """One word, or a list of them."""
    if isinstance(value, Block):
        raise refuse("wrong-type", "this must be text or a list of texts")
    nodes = [value] if isinstance(value, Scalar) else value
    if isinstance(nodes, Items) and any(not isinstance(node, Scalar) or node.is_null for node in nodes):
        raise refuse("wrong-type", "every item of this list must be text")
    return tuple(str(node) for node in nodes) if isinstance(nodes, list) else nodes


Words = Annotated[
    tuple[str, ...],
    BeforeValidator(_words),
    WithJsonSchema({"anyOf": [WORD_SCHEMA, {"type": "array", "items": WORD_SCHEMA, "minItems": 1}]}),
]

_DECIMAL = "$decimal"


def free(value: Any) -> Any:
    """A value that no field gives a type (parameters, rows): only what is written without quotes is converted.

    A decimal is stored as `{"$decimal": "1.50"}`, since JSON would make it a float.
    """
    if isinstance(value, Scalar):
        return _free_scalar(value)
    if isinstance(value, dict):
        if set(value) == {_DECIMAL} and re.fullmatch(r"-?\d+\.\d+", str(value[_DECIMAL])):
            return Decimal(str(value[_DECIMAL]))
        return {str(key): free(inner) for key, inner in value.items()}
    return [free(inner) for inner in value] if isinstance(value, list) else value


def _free_scalar(value: Scalar) -> object:
    text = str(value)
    if not value.plain:
        return text
    if value.is_null:
        return None
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"-?(0|[1-9]\d*)", text) and text != "-0":
        return int(text) if len(text) < 20 else text
    return Decimal(text) if re.fullmatch(r"-?(0|[1-9]\d*)\.\d+", text) else text


def stored(value: Any) -> Any:
    """A free value as JSON, such that `free` gives it back."""
    if isinstance(value, Decimal):
        return {_DECIMAL: f"{value:f}"}
    if isinstance(value, dict):
        return {key: stored(inner) for key, inner in value.items()}
    return [stored(inner) for inner in value] if isinstance(value, list) else value


def _row(value: object) -> object:
    if isinstance(value, Scalar | Items):
        raise refuse("wrong-type", "this must be a mapping of names to values")
    return free(value)


Values = Annotated[
    dict[str, Any],
    BeforeValidator(_row),
    PlainSerializer(stored, return_type=dict[str, Any], when_used="json"),
    WithJsonSchema({"type": "object"}),
]
"""Names and free values: a row, or parameters."""
