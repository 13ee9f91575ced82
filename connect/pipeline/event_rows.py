"""Events as rows of connect_events."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connect.warehouses.destination import events_table
from connect.warehouses.interface import Kind, Range, Table, Warehouse

if TYPE_CHECKING:
    import pyarrow

    from connect.pipeline.noticed import Noticed

TIMEOUT = timedelta(seconds=20)
_LONGEST_LINK = 8000


def event_key(account: str, event_id: str) -> str:
    """The same for the same event, however often it is reported: 32 hexadecimal digits."""
    told = f"{account}\x1f{event_id}".encode(errors="replace")
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def add_rows(
    warehouse: Warehouse,
    name: str,
    noticed: Sequence[Noticed],
    now: datetime,
    written: Sequence[Range] | None = None,
) -> None:
    """Add those that are not there yet; `written`: when they may have been. Raises as `Warehouse.add` does."""
    table = events_table(name, written)
    rows = list({one.key: one for one in noticed}.values())
    most = warehouse.capabilities.most_added
    for start in range(0, len(rows), most):
        warehouse.add(table, _arrow(table, rows[start : start + most], now), TIMEOUT)


def _arrow(table: Table, rows: Sequence[Noticed], now: datetime) -> pyarrow.Table:
    import pyarrow

    types = {
        Kind.text: pyarrow.string(),
        Kind.boolean: pyarrow.bool_(),
        Kind.instant: pyarrow.timestamp("us", "UTC"),
        Kind.integer: pyarrow.int64(),
    }
    cells = zip(*(_cells(one, now) for one in rows), strict=True)
    columns = zip(table.columns.items(), cells, strict=True)
    return pyarrow.table({name: pyarrow.array(column, types[kind]) for (name, kind), column in columns})


def _cells(one: Noticed, now: datetime) -> Sequence[object]:
    """In the order of the table's columns."""
    event = one.event
    return (
        one.key,
        event.run_id,
        event.key.hex() if event.key else None,
        one.account,
        event.type.value,
        event.bounce.value if event.bounce else None,
        _text(event.reason) or None,
        _text(event.link[:_LONGEST_LINK]) or None,
        event.machine,
        one.at,
        now,
    )


def _text(text: str) -> str:
    """What every engine takes: no halves of characters, no NUL."""
    return text if text.isascii() and "\0" not in text else text.encode(errors="replace").decode().replace("\0", "�")
