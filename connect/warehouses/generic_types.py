"""Which type a column has: as its driver tells it, where it does; else it is learned from the first rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow

from connect.errors import OutsideError
from connect.warehouses.interface import Column, untold_type
from connect.warehouses.values import carried

_OWN = {"connect_duplicates": pyarrow.int64(), "connect_position": pyarrow.string(), "connect_key": pyarrow.string()}
_WRAPPED = re.compile(r"(?:nullable|lowcardinality)\((.*)\)", re.IGNORECASE)
_FAMILIES: Sequence[tuple[str, pyarrow.DataType]] = (
    (r"(tiny|small|medium|big|u)?int(eger)?(2|4|8|16|32|64)?", pyarrow.int64()),
    (r"n?varchar2?(\(.*\))?|character varying(\(.*\))?|text|string|citext|name", pyarrow.string()),
    (r"bool(ean)?", pyarrow.bool_()),
    (r"real|double( precision)?|float(4|8|32|64)?", pyarrow.float64()),
    (r"date", pyarrow.date32()),
    (r"timestamptz|timestamp(\(\d\))? with time zone", pyarrow.timestamp("us", "UTC")),
    (r"timestamp(\(\d\))?( without time zone)?", pyarrow.timestamp("us")),
)


def told(description: Sequence[Any]) -> Column | None:
    """A column of a cursor's description; None where the driver does not say of which type it is.

    PEP 249 leaves open what `type_code` is: a name, a number of the engine's, or an object with a name.
    """
    name, code = description[0], description[1]
    shown = getattr(description, "type_display", None) or getattr(code, "name", None) or code
    if not isinstance(shown, str) or not re.match(r"[A-Za-z]", shown):
        return None
    while wrapped := _WRAPPED.fullmatch(shown):
        shown = wrapped[1]
    return Column(name, shown)


def learned(name: str, values: Iterable[Any]) -> Column:
    """A column by the values in its first rows."""
    kinds = {_kind(value) for value in values if value is not None}
    return Column(name, kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "varchar")


_KINDS: Sequence[tuple[type, str]] = (
    (bool, "boolean"),
    (int, "bigint"),
    (str, "varchar"),
    (float, "double"),
    (bytes, "blob"),
    (datetime, "timestamp"),
    (date, "date"),
)


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__.lower())


def arrow_type(column: Column | None, name: str) -> pyarrow.DataType:
    """How a column travels. None: its type is not told."""
    if name in _OWN or name.startswith("connect_optout_"):
        return _OWN.get(name, pyarrow.int64())
    kind = column.type.lower() if column else ""
    return next((arrow for pattern, arrow in _FAMILIES if re.fullmatch(pattern, kind)), untold_type())


def array(name: str, kind: pyarrow.DataType, values: Sequence[Any]) -> pyarrow.Array:
    """The values of a column. Raises OutsideError where one is not what its type tells."""
    if isinstance(kind, pyarrow.BaseExtensionType):
        return pyarrow.array([carried(value) for value in values], pyarrow.string()).cast(kind)
    try:
        return pyarrow.array(values, kind)
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError):
        pass
    if pyarrow.types.is_string(kind):
        return pyarrow.array([None if value is None else str(value) for value in values], kind)
    message = f"the column `{name}` holds what its type does not tell"
    raise OutsideError.of("query-failed", message, f"cast it in the query: `cast({name} as varchar) as {name}`")
