"""Snowflake's types: what a column is called, and its Arrow type from one batch to the next.

The driver chooses the narrowest integer for each file of a result, gives instants in nanoseconds, and JSON as any
text; here each column of one query has one type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow
import pyarrow.compute
from pyarrow import types

from connect.warehouses.interface import json_type

_FIXED = 0
# https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api#type-codes
_NAMES = {
    1: "FLOAT",
    2: "VARCHAR",
    3: "DATE",
    4: "TIMESTAMP_NTZ",
    5: "VARIANT",
    6: "TIMESTAMP_LTZ",
    7: "TIMESTAMP_TZ",
    8: "TIMESTAMP_NTZ",
    9: "OBJECT",
    10: "ARRAY",
    11: "BINARY",
    12: "TIME",
    13: "BOOLEAN",
    14: "GEOGRAPHY",
    15: "GEOMETRY",
    16: "VECTOR",
    17: "MAP",
}
_JSON = frozenset({5, 9, 10, 14, 15, 17})
"""Types that arrive as the text of JSON."""


def name_of(column: Any) -> str:
    """What a column's type is called; whole numbers are `integer`, however many digits they have."""
    if column.type_code == _FIXED:
        return f"NUMBER({column.precision},{column.scale})" if column.scale else "INTEGER"
    return _NAMES.get(column.type_code, "VARCHAR")


def arranged(table: pyarrow.Table, description: Sequence[Any]) -> pyarrow.Table:
    """A table of the driver's with the types that `description` says."""
    for place, column in enumerate(description):
        field, cells = table.schema.field(place), table.column(place)
        made = _json(cells) if column.type_code in _JSON else _cast(cells, column)
        if made is not cells:
            table = table.set_column(place, field.name, made)
    return table


_MOST_DIGITS = 18
"""A number of so many digits fits into 64 bits."""


def _cast(cells: pyarrow.ChunkedArray, column: Any) -> pyarrow.ChunkedArray:
    kind = cells.type
    if types.is_integer(kind) or (types.is_decimal(kind) and not kind.scale):
        # Of a wider one a file may hold integers and the next one decimals.
        narrow = column.precision is not None and column.precision <= _MOST_DIGITS
        return cells.cast(pyarrow.int64() if narrow else pyarrow.decimal128(38, 0))
    if types.is_timestamp(kind):
        return cells.cast(pyarrow.timestamp("us", "UTC" if kind.tz else None), safe=False)
    if types.is_time(kind):
        return cells.cast(pyarrow.time64("us"), safe=False)
    return cells


# A null of SQL inside an array is `undefined` there.
_UNDEFINED = re.compile(r'("(?:[^"\\]|\\.)*")|\bundefined\b')


def _json(cells: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    if not types.is_string(cells.type):
        cells = cells.cast(pyarrow.string())
    if pyarrow.compute.any(pyarrow.compute.match_substring(cells, "undefined")).as_py():
        cells = pyarrow.chunked_array([[_defined(text) for text in cells.to_pylist()]], pyarrow.string())
    return cells.cast(json_type())


def _defined(text: str | None) -> str | None:
    replaced: Callable[[re.Match[str]], str] = lambda found: found[1] or "null"  # noqa: E731
    return None if text is None else _UNDEFINED.sub(replaced, text)
