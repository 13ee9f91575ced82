"""Rows for a table of ours: a temporary table of the session's own, and one MERGE from it.

A MERGE holds the table's lock until it is committed, and is itself all or none. Rows travel as JSON in a bound
value: array binding would put files on a stage, which least privilege does not have.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from connect.warehouses.interface import Query, Table
from connect.warehouses.snowflake_dialect import merged, staged, staged_more

if TYPE_CHECKING:
    import pyarrow

_BYTES = 8 << 20
"""`parse_json` takes 16 MiB. https://docs.snowflake.com/en/sql-reference/functions/parse_json"""


def added(table: Table, rows: pyarrow.Table) -> Iterator[Query]:
    """The statements, each to be run by itself; only the last one is seen by anybody else."""
    columns = [name for name in table.columns if name in rows.column_names]
    schema = table.name.rpartition(".")[0]
    name = f"{schema}{'.' if schema else ''}connect_added_{secrets.token_hex(8)}"
    for number, part in enumerate(_parts(rows.select(columns))):
        statement = staged_more if number else staged
        yield Query(statement(name, table, columns), {"rows": part})
    yield Query(merged(name, table, columns), {})


def _parts(rows: pyarrow.Table) -> Iterator[str]:
    """The rows as texts of JSON, each short enough."""
    texts = [json.dumps(row, default=_plain, ensure_ascii=False) for row in rows.to_pylist()]
    part: list[str] = []
    size = 0
    for text in texts:
        if part and size + len(text.encode()) > _BYTES:
            yield _joined(part)
            part, size = [], 0
        part.append(text)
        size += len(text.encode())
    yield _joined(part)


def _joined(texts: Sequence[str]) -> str:
    return f"[{','.join(texts)}]"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
