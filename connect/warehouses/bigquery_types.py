"""BigQuery's types as Arrow's: from the rows of its REST interface, where every cell is a text.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list shows how each type is written.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from typing import Any

import pyarrow
from pyarrow import types

from connect.warehouses.interface import Column, json_type, numeric_type

Parse = Callable[[Any], Any]

_TEXT = pyarrow.string()


@dataclass(frozen=True)
class Kind:
    """A type: what it is called in SQL, Arrow's type, and what makes a value of a cell."""

    name: str
    type: pyarrow.DataType
    parse: Parse | None = None

    def column(self, cells: Sequence[Any]) -> pyarrow.Array:
        parse = self.parse
        values = cells if parse is None else [None if cell is None else parse(cell) for cell in cells]
        storage = _storage(self.type)
        array = pyarrow.array(values, storage)
        return array if storage == self.type else array.cast(self.type)


def kind_of(field: Mapping[str, Any]) -> Kind:
    """The type of a column or of a struct's field, as the schema of a job tells it."""
    single = _structure(field) if field["type"] in ("RECORD", "STRUCT") else _SCALARS.get(field["type"])
    kind = single or Kind(str(field["type"]), _TEXT)
    if field.get("mode") != "REPEATED":
        return kind
    return Kind(f"ARRAY<{kind.name}>", pyarrow.list_(kind.type), partial(_array, kind.parse))


def columns_of(fields: Sequence[Mapping[str, Any]]) -> list[Column]:
    return [Column(field["name"], kind_of(field).name) for field in fields]


def batch_of(fields: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> pyarrow.RecordBatch:
    """The rows of one page."""
    cells = zip(*([cell["v"] for cell in row["f"]] for row in rows), strict=True) if rows else ([] for _ in fields)
    arrays = [kind_of(field).column(column) for field, column in zip(fields, cells, strict=True)]
    return pyarrow.record_batch(arrays, names=[field["name"] for field in fields])


def _structure(field: Mapping[str, Any]) -> Kind:
    fields = {part["name"]: kind_of(part) for part in field.get("fields", ())}
    name = f"STRUCT<{', '.join(f'{part} {kind.name}' for part, kind in fields.items())}>"
    made = pyarrow.struct([(part, kind.type) for part, kind in fields.items()])
    return Kind(name, made, partial(_struct, {part: kind.parse for part, kind in fields.items()}))


def _storage(kind: pyarrow.DataType) -> pyarrow.DataType:
    """The type without extensions, of which Arrow makes no arrays."""
    if types.is_list(kind):
        return pyarrow.list_(_storage(kind.value_type))
    if types.is_struct(kind):
        return pyarrow.struct([(field.name, _storage(field.type)) for field in kind])
    return kind.storage_type if isinstance(kind, pyarrow.BaseExtensionType) else kind


# Cells


def _array(parse: Parse | None, cell: Sequence[Mapping[str, Any]]) -> list[Any]:
    values = (part["v"] for part in cell)
    return list(values) if parse is None else [None if value is None else parse(value) for value in values]


def _struct(fields: Mapping[str, Parse | None], cell: Mapping[str, Any]) -> dict[str, Any]:
    values = ((name, parse, part["v"]) for (name, parse), part in zip(fields.items(), cell["f"], strict=True))
    return {name: parse(value) if parse and value is not None else value for name, parse, value in values}


def decimal_text(cell: str) -> str:
    """Without zeros behind the last digit that counts: a NUMERIC has nine digits behind its point, and shows them."""
    return cell.rstrip("0").rstrip(".") if "." in cell else cell


def _truth(cell: object) -> bool:
    return str(cell).lower() == "true"


_INTEGER = Kind("INT64", pyarrow.int64(), int)
_FLOAT = Kind("FLOAT64", pyarrow.float64(), float)
_BOOLEAN = Kind("BOOL", pyarrow.bool_(), _truth)

_SCALARS: Mapping[str, Kind] = {
    "INTEGER": _INTEGER,
    "INT64": _INTEGER,
    "FLOAT": _FLOAT,
    "FLOAT64": _FLOAT,
    "BOOLEAN": _BOOLEAN,
    "BOOL": _BOOLEAN,
    "STRING": Kind("STRING", _TEXT),
    "BYTES": Kind("BYTES", pyarrow.binary(), b64decode),
    "NUMERIC": Kind("NUMERIC", numeric_type(), decimal_text),
    "BIGNUMERIC": Kind("BIGNUMERIC", numeric_type(), decimal_text),
    "DATE": Kind("DATE", pyarrow.date32(), date.fromisoformat),
    "DATETIME": Kind("DATETIME", pyarrow.timestamp("us"), datetime.fromisoformat),
    "TIME": Kind("TIME", pyarrow.time64("us"), time.fromisoformat),
    "TIMESTAMP": Kind("TIMESTAMP", pyarrow.timestamp("us", "UTC"), int),
    "JSON": Kind("JSON", json_type()),
}
"""The others (GEOGRAPHY, INTERVAL, RANGE) are texts as BigQuery writes them."""
