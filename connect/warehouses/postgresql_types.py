"""PostgreSQL's types as Arrow's: by the numbers of the catalog, enums, domains, arrays and composites included.

Everything but numbers and bytes comes as the server's text, and a whole column of it is cast by Arrow at once: that
is twice as fast as an object for each date. The server's settings for texts are those of `postgresql_connection`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from functools import partial
from typing import Any

import pyarrow
from pyarrow import types

from connect.errors import OutsideError
from connect.warehouses.interface import json_type, numeric_type

Ask = Callable[[str], Sequence[Sequence[Any]]]
"""Rows of a query over the catalog."""

Key = tuple[int, int]
"""A type's number, and its modifier: the 10 and 2 of `numeric(10, 2)`, put together; -1 for none."""

READ_BY_DRIVER = frozenset({16, 17, 20, 21, 23, 26, 700, 701})
"""The numbers of the types whose values the driver makes: boolean, bytea, integers, oid, floats."""

_NUMERIC, _VARCHAR, _CHAR = 1700, 1043, 1042


@dataclass(frozen=True)
class Kind:
    """A type: what it is called, what its texts are first made into, and what the column becomes."""

    name: str
    raw: pyarrow.DataType
    type: pyarrow.DataType
    parse: Callable[[str], Any] | None = None
    """A text → a value of `raw`; none where the text itself is one."""
    read_by_driver: bool = False

    def column(self, name: str, values: Sequence[Any]) -> pyarrow.Array:
        """The values of a column; what no calendar has (infinity, years beyond 9999), and NaN, are nulls."""
        if self.parse is not None and not self.read_by_driver:
            parse = self.parse
            values = [None if value is None else parse(value) for value in values]
        try:
            array = pyarrow.array(values, self.raw)
        except pyarrow.ArrowException:
            raise _unforeseen(name) from None
        if self.raw == self.type:
            return array
        try:
            return array.cast(self.type)
        except pyarrow.ArrowException:
            fitting = [_fitting(value, self.raw, self.type) for value in values]
            return pyarrow.array(fitting, _storage(self.type)).cast(self.type)


def _unforeseen(name: str) -> OutsideError:
    message = f"the column `{name}` holds what its type does not tell, such as arrays of several dimensions"
    hint = f"write `to_json({name}) as {name}` in the query"
    return OutsideError.of("query-failed", message, hint)


def _fitting(value: Any, raw: pyarrow.DataType, kind: pyarrow.DataType) -> Any:
    """A value as Python's, with null for each part of it that the type has no room for."""
    if value is None:
        return None
    if types.is_list(kind):
        return [_fitting(one, raw.value_type, kind.value_type) for one in value]
    if types.is_struct(kind):
        return {field.name: _fitting(value[field.name], raw.field(field.name).type, field.type) for field in kind}
    if isinstance(kind, pyarrow.BaseExtensionType):
        return value
    try:
        return pyarrow.scalar(value, raw).cast(kind).as_py()
    except (pyarrow.ArrowException, OverflowError, ValueError):
        return None


def _storage(kind: pyarrow.DataType) -> pyarrow.DataType:
    """The type without extensions, of which Arrow makes no arrays."""
    if types.is_list(kind):
        return pyarrow.list_(_storage(kind.value_type))
    if types.is_struct(kind):
        return pyarrow.struct([(field.name, _storage(field.type)) for field in kind])
    return kind.storage_type if isinstance(kind, pyarrow.BaseExtensionType) else kind


# Scalars


def _time(text: str) -> time | None:
    """Without the zone of `timetz`, as DuckDB reads one; 24:00, which PostgreSQL has, is no time of Python's."""
    try:
        return time.fromisoformat(text[:15].partition("+")[0].partition("-")[0])
    except ValueError:
        return None


_SPAN = re.compile(r"([+-]?\d+) (year|mon|day)s?|([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")


def _interval(text: str) -> Any:
    months = days = nanoseconds = 0
    for number, unit, sign, hours, minutes, seconds, fraction in _SPAN.findall(text):
        if unit == "day":
            days += int(number)
        elif unit:
            months += int(number) * (12 if unit == "year" else 1)
        else:
            span = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
            nanoseconds = (span * 1_000_000 + int((fraction or "0").ljust(6, "0"))) * (-1000 if sign == "-" else 1000)
    return pyarrow.MonthDayNano([months, days, nanoseconds])


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


def _unpadded(text: str) -> str:
    """The blanks at the end of a char(n) are not part of it."""
    return text.rstrip(" ")


_TEXT = pyarrow.string()


def _driven(name: str, kind: pyarrow.DataType, parse: Callable[[str], Any]) -> Kind:
    return Kind(name, kind, kind, parse, read_by_driver=True)


SCALARS: Mapping[int, Kind] = {
    16: _driven("boolean", pyarrow.bool_(), lambda text: text == "t"),
    17: _driven("bytea", pyarrow.binary(), _bytes),
    19: Kind("name", _TEXT, _TEXT),
    20: _driven("bigint", pyarrow.int64(), int),
    21: _driven("smallint", pyarrow.int16(), int),
    23: _driven("integer", pyarrow.int32(), int),
    25: Kind("text", _TEXT, _TEXT),
    26: _driven("oid", pyarrow.int64(), int),
    114: Kind("json", _TEXT, json_type()),
    700: _driven("real", pyarrow.float64(), float),
    701: _driven("double precision", pyarrow.float64(), float),
    _CHAR: Kind("character", _TEXT, _TEXT, _unpadded),
    _VARCHAR: Kind("character varying", _TEXT, _TEXT),
    1082: Kind("date", _TEXT, pyarrow.date32()),
    1083: Kind("time without time zone", pyarrow.time64("us"), pyarrow.time64("us"), _time),
    1114: Kind("timestamp without time zone", _TEXT, pyarrow.timestamp("us")),
    1184: Kind("timestamp with time zone", _TEXT, pyarrow.timestamp("us", "UTC")),
    1186: Kind("interval", pyarrow.month_day_nano_interval(), pyarrow.month_day_nano_interval(), _interval),
    1266: Kind("time with time zone", pyarrow.time64("us"), pyarrow.time64("us"), _time),
    _NUMERIC: Kind("numeric", _TEXT, numeric_type()),
    2950: Kind("uuid", _TEXT, _TEXT),
    3802: Kind("jsonb", _TEXT, json_type()),
}
"""By their numbers in `pg_type`, which are the same on every server. The texts of all other types stay texts."""

_HEADER = 4
"""What PostgreSQL adds to the modifiers of texts and decimals."""


def _modified(number: int, modifier: int) -> Kind:
    """A scalar with its modifier: a decimal with a scale, a text with a length."""
    kind = SCALARS[number]
    if number in (_CHAR, _VARCHAR) and modifier >= _HEADER:
        return Kind(f"{kind.name}({modifier - _HEADER})", kind.raw, kind.type, kind.parse)
    precision, scale = (modifier - _HEADER) >> 16 & 0xFFFF, (modifier - _HEADER) & 0x7FF
    if number == _NUMERIC and modifier >= _HEADER and scale <= precision <= 38:
        return Kind(f"numeric({precision},{scale})", kind.raw, pyarrow.decimal128(precision, scale))
    return kind


# What is made of other types


_ARRAY_TOKEN = re.compile(r'[{},]|"((?:[^"\\]|\\.)*)"|[^{},"]+')
_ROW_TOKEN = re.compile(r'"((?:[^"\\]|\\.|"")*)"|([^",()]+)|(,)')
_ESCAPED = re.compile(r'\\(.)|"(")', re.DOTALL)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1\2", text)


def array_values(parse: Callable[[str], Any] | None, text: str) -> list[Any]:
    """The elements of an array as PostgreSQL writes one: `{a,NULL,"b c",{…}}`."""
    stack: list[list[Any]] = [[]]
    for token in _ARRAY_TOKEN.finditer(text.partition("=")[2] if text.startswith("[") else text):
        word = token[0]
        if word == "{":
            stack.append([])
        elif word == "}":
            stack[-2].append(stack.pop())
        elif word != ",":
            value = None if word == "NULL" else word if token[1] is None else _unescaped(token[1])
            stack[-1].append(parse(value) if parse and value is not None else value)
    return list(stack[0][0])


def row_values(fields: Mapping[str, Callable[[str], Any] | None], text: str) -> dict[str, Any]:
    """The fields of a composite as PostgreSQL writes one, `(1,"a b",)`: nothing is null, a quote is doubled."""
    cells: list[str | None] = [None]
    for quoted, bare, comma in _ROW_TOKEN.findall(text[1:-1]):
        if comma:
            cells.append(None)
        else:
            cells[-1] = (cells[-1] or "") + (bare or _unescaped(quoted))
    return {
        name: parse(cell) if parse and cell is not None else cell
        for (name, parse), cell in zip(fields.items(), cells, strict=False)
    }


_TYPES = """
select t.oid, format_type(t.oid, null), t.typtype, case when t.typcategory = 'A' then t.typelem else 0 end,
       t.typrelid, t.typbasetype, t.typtypmod
from pg_type as t where t.oid in ({})
"""
_FIELDS = """
select a.attname, a.atttypid, a.atttypmod from pg_attribute as a
where a.attrelid = {:d} and a.attnum > 0 and not a.attisdropped order by a.attnum
"""


class Types:
    """The types of one warehouse, each looked up once."""

    def __init__(self, *, catalog: bool = True) -> None:
        """catalog: whether types that are not `SCALARS` can be looked up; else they are texts."""
        self._catalog = catalog
        self._known: dict[Key, Kind] = {}

    def unknown(self, keys: Iterable[Key]) -> list[Key]:
        return [key for key in dict.fromkeys(keys) if key[0] not in SCALARS and key not in self._known]

    def learn(self, keys: Iterable[Key], ask: Ask) -> None:
        """Look up what is not known yet."""
        for key in self.unknown(keys):
            self._known[key] = self._looked_up(key, ask)

    def of(self, key: Key) -> Kind:
        return _modified(*key) if key[0] in SCALARS else self._known[key]

    def _looked_up(self, key: Key, ask: Ask) -> Kind:
        number, modifier = key
        rows = ask(_TYPES.format(int(number))) if self._catalog else ()
        if not rows:
            return Kind(f"type {number}", _TEXT, _TEXT)
        _, name, sort, element, relation, base, base_modifier = rows[0]
        if sort == "d":
            return self._inner((int(base), int(base_modifier)), ask)
        if sort == "c":
            return self._composite(name, int(relation), ask)
        if int(element):
            return _array(name, self._inner((int(element), modifier), ask))
        return Kind(f"enum {name}" if sort == "e" else name, _TEXT, _TEXT)

    def _inner(self, key: Key, ask: Ask) -> Kind:
        self.learn([key], ask)
        return self.of(key)

    def _composite(self, name: str, relation: int, ask: Ask) -> Kind:
        fields = {str(row[0]): self._inner((int(row[1]), int(row[2])), ask) for row in ask(_FIELDS.format(relation))}
        raw = pyarrow.struct([(field, kind.raw) for field, kind in fields.items()])
        made = pyarrow.struct([(field, kind.type) for field, kind in fields.items()])
        return Kind(name, raw, made, partial(row_values, {field: kind.parse for field, kind in fields.items()}))


def _array(name: str, element: Kind) -> Kind:
    shown = f"{element.name}[]" if name.endswith("[]") else name
    parse = partial(array_values, element.parse)
    return Kind(shown, pyarrow.list_(element.raw), pyarrow.list_(element.type), parse)
