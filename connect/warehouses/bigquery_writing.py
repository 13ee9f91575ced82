"""Adding rows to a table of ours: a MERGE of a text that holds them as JSON, so that it is one statement and one job.

Rows as a parameter need no table beside, no load job and no right to make tables; a request may have 10 MB
(https://cloud.google.com/bigquery/quotas#query_jobs, seen in November 2026), so many rows are several statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow

from connect.warehouses.bigquery_dialect import BigQueryDialect
from connect.warehouses.interface import Kind, Query, Table

_MOST_BYTES = 6_000_000
"""Of rows in one statement: JSON within JSON needs a little more on its way."""
_MOST_PRUNED = 1000
"""So many values of the key's first column are named, for the engine to skip the blocks of all others."""


def merges(dialect: BigQueryDialect, table: Table, rows: pyarrow.Table) -> Iterator[Query]:
    """Statements that add the rows whose key is new; one, unless the rows are many."""
    names = rows.column_names
    for lines in _packed(rows):
        parameters: dict[str, object] = {"connect_rows": f"[{','.join(lines)}]"}
        first = sorted({json.loads(line)[names.index(table.key[0])] for line in lines})
        pruned = len(first) <= _MOST_PRUNED
        if pruned:
            parameters["connect_first"] = first
        yield Query(_merge(dialect, table, names, pruned), parameters)


def _merge(dialect: BigQueryDialect, table: Table, names: list[str], pruned: bool) -> str:
    cells = ", ".join(
        f"{_cell(table.columns[name], place)} as {dialect.quote(name)}" for place, name in enumerate(names)
    )
    same = [f"t.{dialect.quote(name)} = s.{dialect.quote(name)}" for name in table.key]
    same += [f"t.{dialect.quote(table.key[0])} in unnest(@connect_first)"] if pruned else []
    listed = ", ".join(dialect.quote(name) for name in names)
    given = ", ".join(f"s.{dialect.quote(name)}" for name in names)
    return (
        f"merge into {dialect.relation(table.name)} as t\n"
        f"using (select {cells} from unnest(json_query_array(@connect_rows, '$')) as r) as s\n"
        f"on {' and '.join(same)}\n"
        f"when not matched then insert ({listed}) values ({given})"
    )


_CASTS = {Kind.integer: "int64", Kind.boolean: "bool"}


def _cell(kind: Kind, place: int) -> str:
    text = f"json_value(r, '$[{place}]')"
    if kind is Kind.instant:
        return f"timestamp_micros(cast({text} as int64))"
    return f"cast({text} as {_CASTS[kind]})" if kind in _CASTS else text


def _packed(rows: pyarrow.Table) -> Iterator[list[str]]:
    """Rows as JSON, as many as go into one request."""
    lines: list[str] = []
    size = 0
    for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        line = json.dumps([_plain(cell) for cell in row], ensure_ascii=False)
        if lines and size + len(line) > _MOST_BYTES:
            yield lines
            lines, size = [], 0
        lines.append(line)
        size += len(line.encode())
    if lines:
        yield lines


def _plain(cell: Any) -> Any:
    """An instant as its microseconds since 1970."""
    if isinstance(cell, datetime):
        seconds = int(cell.replace(microsecond=0).timestamp())
        return seconds * 1_000_000 + cell.microsecond
    return cell
