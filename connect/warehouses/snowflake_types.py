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

from connect.errors import OutsideError
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


class Arrangement:
    """The types of the columns of one result: those of its first table hold for the others."""

    def __init__(self) -> None:
        self._whole: dict[int, pyarrow.DataType] = {}
        """Place → the type of a column of whole numbers, as its first file has it."""

    def of(self, table: pyarrow.Table, description: Sequence[Any]) -> pyarrow.Table:
        """A table of the driver's with the types that `description` says. Raises OutsideError."""
        for place, column in enumerate(description):
            cells = table.column(place)
            made = _json(cells) if column.type_code in _JSON else self._cast(place, cells, column.name)
            if made is not cells:
                table = table.set_column(place, table.schema.field(place).name, made)
        return table

    def _cast(self, place: int, cells: pyarrow.ChunkedArray, name: str) -> pyarrow.ChunkedArray:
        kind = cells.type
        if types.is_integer(kind) or (types.is_decimal(kind) and not kind.scale):
            wanted = pyarrow.int64() if types.is_integer(kind) else pyarrow.decimal128(38, 0)
            return _whole(cells, self._whole.setdefault(place, wanted), name)
        if types.is_timestamp(kind):
            return cells.cast(pyarrow.timestamp("us", "UTC" if kind.tz else None), safe=False)
        return cells.cast(pyarrow.time64("us"), safe=False) if types.is_time(kind) else cells


def _whole(cells: pyarrow.ChunkedArray, kind: pyarrow.DataType, name: str) -> pyarrow.ChunkedArray:
    try:
        return cells.cast(kind)
    except pyarrow.ArrowException:
        message = f"the column `{name}` holds numbers of 64 bits, and further on longer ones"
        hint = f"write `cast({name} as varchar) as {name}` in the query"
        trouble = OutsideError.of("query-failed", message, hint)
    raise trouble


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
