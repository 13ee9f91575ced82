"""SQL Server's types, as it describes them (`decimal(10,2)`), as Arrow's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow

from connect.errors import OutsideError

_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_TIMES = {
    "date": pyarrow.date32(),
    "datetime": pyarrow.timestamp("us"),
    "datetime2": pyarrow.timestamp("us"),
    "smalldatetime": pyarrow.timestamp("us"),
    "datetimeoffset": pyarrow.timestamp("us", "UTC"),
    "time": pyarrow.time64("us"),
}
_BINARY = ("binary", "varbinary", "image", "timestamp", "rowversion")
_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d+),(\d+)\)")


def name_of(kind: str) -> str:
    """What the type of a column is called: `bit` is what stands for a boolean."""
    return "boolean" if kind == "bit" else kind


def array(name: str, kind: str, cells: Sequence[Any]) -> pyarrow.Array:
    """The values of a column. Raises OutsideError where they are not of its type."""
    made = _type(kind)
    if pyarrow.types.is_string(made):
        cells = [cell if cell is None or isinstance(cell, str) else str(cell) for cell in cells]
    elif made == _TIMES["datetimeoffset"]:
        cells = [_instant(cell) for cell in cells]
    try:
        return pyarrow.array(cells, made)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        pass  # which may quote a value
    said = f"the column `{name}` is {kind}, and holds what is none"
    raise OutsideError.of("query-failed", said, f"write `convert(nvarchar(4000), {name}) as {name}` in the query")


def _type(kind: str) -> pyarrow.DataType:
    plain = kind.partition("(")[0]
    if plain in _INTEGERS:
        return pyarrow.int64()
    if found := _DECIMAL.fullmatch(kind):
        return pyarrow.decimal128(int(found[1]), int(found[2]))
    if plain in ("money", "smallmoney"):
        return pyarrow.decimal128(19, 4)
    if plain in ("float", "real"):
        return pyarrow.float64()
    if plain in _BINARY:
        return pyarrow.binary()
    return pyarrow.bool_() if plain == "bit" else _TIMES.get(plain, pyarrow.string())


def _instant(cell: Any) -> Any:
    """DB-Library may give an instant as its text."""
    if isinstance(cell, str):
        cell = datetime.fromisoformat(re.sub(r"(\.\d{6})\d", r"\1", cell).replace(" +", "+").replace(" -", "-"))
    return cell.replace(tzinfo=UTC) if isinstance(cell, datetime) and cell.tzinfo is None else cell
