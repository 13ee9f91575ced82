"""MySQL's and MariaDB's types as Arrow's. The server sends texts, and Arrow casts a whole column at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import pyarrow
from pyarrow import compute

from connect.warehouses.interface import json_type, numeric_type
from connect.warehouses.mysql_wire import Field

# https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html
_INTEGERS = {1: "tinyint", 2: "smallint", 3: "int", 8: "bigint", 9: "mediumint"}
_TINY, _INT, _BIGINT, _YEAR, _BIT, _JSON = 1, 3, 8, 13, 16, 245
_DECIMALS = (0, 246)
_FLOATS = {4: "float", 5: "double"}
_TIMES = {
    7: ("timestamp", pyarrow.timestamp("us", "UTC")),
    10: ("date", pyarrow.date32()),
    11: ("time", pyarrow.time64("us")),
    12: ("datetime", pyarrow.timestamp("us")),
    14: ("date", pyarrow.date32()),
}
_NULL = 6
_CHAR = 254
_VARCHARS = (15, 253)
_BINARY = 63
"""The charset of what is no text."""
_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_TEXT = pyarrow.string()

Make = Callable[[pyarrow.Array], pyarrow.Array]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type: what it is called, and what Arrow first makes of its bytes, and then of that."""

    name: str
    raw: pyarrow.DataType
    make: Make

    def column(self, cells: Sequence[bytes | None]) -> pyarrow.Array:
        return self.make(pyarrow.array(cells, self.raw))


def kind(field: Field, is_boolean: bool) -> Kind:
    """The type of a column. `is_boolean`: its expression is one, which the server does not tell."""
    if field.code in _INTEGERS:
        return _integer(field, is_boolean)
    if field.code in _DECIMALS:
        return _decimal(field)
    if field.code in _FLOATS:
        return Kind(_FLOATS[field.code], _TEXT, lambda texts: texts.cast(pyarrow.float64()))
    if field.code in _TIMES:
        name, made = _TIMES[field.code]
        return Kind(name, _TEXT, lambda texts: _when(texts, made))
    if field.code == _YEAR:
        return Kind("year", _TEXT, lambda texts: texts.cast(pyarrow.int64()))
    if field.code == _BIT:
        return _bits(field)
    if field.code == _NULL:
        return Kind("null", pyarrow.null(), _itself)
    return _string(field)


def may_be_condition(field: Field) -> bool:
    """Whether a condition would look like this column."""
    return field.code in (_INT, _BIGINT)


def _itself(array: pyarrow.Array) -> pyarrow.Array:
    return array


def _integer(field: Field, is_boolean: bool) -> Kind:
    unsigned = bool(field.flags & _UNSIGNED)
    if is_boolean or (field.code == _TINY and field.length == 1 and not unsigned):
        return Kind("boolean", _TEXT, lambda texts: compute.not_equal(texts.cast(pyarrow.int64()), 0))
    made = pyarrow.uint64() if unsigned else pyarrow.int64()
    return Kind(_INTEGERS[field.code] + " unsigned" * unsigned, _TEXT, lambda texts: texts.cast(made))


def _decimal(field: Field) -> Kind:
    scale = field.decimals
    precision = field.length - (scale > 0) - (not field.flags & _UNSIGNED)
    name = f"decimal({precision},{scale})"
    if scale > precision or precision > 38:
        return Kind(name, _TEXT, lambda texts: texts.cast(numeric_type()))
    return Kind(name, _TEXT, lambda texts: texts.cast(pyarrow.decimal128(precision, scale)))


def _bits(field: Field) -> Kind:
    if field.length == 1:
        return Kind("boolean", pyarrow.binary(), _bit)

    def numbers(cells: pyarrow.Array) -> pyarrow.Array:
        values = [None if cell is None else int.from_bytes(cell, "big") for cell in cells.to_pylist()]
        return pyarrow.array(values, pyarrow.uint64())

    return Kind(f"bit({field.length})", pyarrow.binary(), numbers)


def _bit(cells: pyarrow.Array) -> pyarrow.Array:
    """One bit: as itself, or as a digit, as MariaDB sends that of a subquery in the place of a value."""
    return compute.and_(compute.not_equal(cells, b"\x00"), compute.not_equal(cells, b"0"))


def _string(field: Field) -> Kind:
    if field.code == _JSON or field.format == "json":
        return Kind("json", _TEXT, lambda texts: texts.cast(json_type()))
    if field.format:
        return Kind(field.format, _TEXT, _itself)
    if field.charset == _BINARY:
        name = {_CHAR: "binary", 255: "geometry"}.get(field.code, "varbinary" if field.code in _VARCHARS else "blob")
        return Kind(name, pyarrow.binary(), _itself)
    if field.flags & (_ENUM | _SET):
        return Kind("enum" if field.flags & _ENUM else "set", _TEXT, _itself)
    letters = field.length // 4  # of utf8mb4, in which the server was told to answer
    names = {_CHAR: f"char({letters})", **dict.fromkeys(_VARCHARS, f"varchar({letters})")}
    return Kind(names.get(field.code, "text"), _TEXT, _itself)


def _when(texts: pyarrow.Array, made: pyarrow.DataType) -> pyarrow.Array:
    """Dates and times; what no calendar or clock has (`0000-00-00`, `-01:00:00`, `99:00:00`) are nulls."""
    local = pyarrow.timestamp("us") if pyarrow.types.is_timestamp(made) else made
    if local == pyarrow.time64("us"):
        return pyarrow.array([_moment(time.fromisoformat, text) for text in texts.to_pylist()], made)
    try:
        array = texts.cast(local)
    except pyarrow.ArrowException:
        read = date.fromisoformat if local == pyarrow.date32() else datetime.fromisoformat
        array = pyarrow.array([_moment(read, text) for text in texts.to_pylist()], local)
    return array if local == made else compute.assume_timezone(array, "UTC")


def _moment(read: Callable[[str], Any], text: str | None) -> Any:
    try:
        return None if text is None else read(text)
    except ValueError:
        return None
