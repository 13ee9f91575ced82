"""Adding rows to a table of ours: sent as one JSON text for a few thousand of them, which the server makes a table of.

So they are added without a temporary table, for which a user would need a privilege of its own. One adds after the
other; who adds beside us, on another node, meets the key. JSON_TABLE is in MySQL 8.0 and MariaDB 10.6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import md5
from typing import Any

import pyarrow

from connect.warehouses.interface import Kind, Table
from connect.warehouses.mysql_dialect import literal, quote

_MOST_BYTES = 1 << 20
"""Of rows in a statement. As hexadecimal digits they are twice as many; servers take 16 MiB or more."""

_TYPES = {
    Kind.text: "longtext character set utf8mb4",
    Kind.integer: "bigint",
    Kind.boolean: "tinyint",
    Kind.instant: "datetime(6)",
}


def parts(rows: pyarrow.Table) -> Iterator[pyarrow.Table]:
    """The rows in as many statements as they need."""
    count = max(1, int(rows.num_rows * min(1.0, _MOST_BYTES / max(1, rows.nbytes))))
    for start in range(0, rows.num_rows, count):
        yield rows.slice(start, count)


def insertion(table: Table, rows: pyarrow.Table, collations: Mapping[str, str]) -> str:
    """Adds the rows whose key is not found. `on duplicate key` would need the privilege to update."""
    alike = [_same(name, f"r.c{rows.column_names.index(name)}", collations.get(name, "")) for name in table.key]
    known = f"select 1 from {table.name} as t where {' and '.join(alike)}"
    return f"{_insertion(table, rows)} where not exists ({known})"


def _same(name: str, place: str, collation: str) -> str:
    """To the letter, also where the column's own collation does not look at case or at the end; that one finds it by
    the index."""
    column = f"t.{quote(name)}"
    exact = f"{column} = {place} collate utf8mb4_bin and char_length({column}) = char_length({place})"
    return f"{column} = {place} collate {collation} and {exact}" if collation.startswith("utf8mb4_") else exact


def _insertion(table: Table, rows: pyarrow.Table) -> str:
    names = ", ".join(quote(name) for name in rows.column_names)
    kinds = [_TYPES[table.columns[name]] for name in rows.column_names]
    columns = ", ".join(f"c{place} {kind} path '$[{place}]'" for place, kind in enumerate(kinds))
    cells = ", ".join(f"r.c{place}" for place in range(len(kinds)))
    return (
        f"insert into {table.name} ({names})"
        f" select {cells} from json_table({literal(json_text(rows))}, '$[*]' columns ({columns})) as r"
    )


def json_text(rows: pyarrow.Table) -> str:
    """A list of rows, each a list of cells."""
    cells = [_cells(column) for column in rows.columns]
    return json.dumps(list(zip(*cells, strict=True)), ensure_ascii=False)


def _cells(column: pyarrow.ChunkedArray) -> list[Any]:
    kind = column.type
    if pyarrow.types.is_timestamp(kind):
        column = column.cast(pyarrow.timestamp("us")).cast(pyarrow.string())
    elif pyarrow.types.is_boolean(kind):
        column = column.cast(pyarrow.int8())
    values: list[Any] = column.to_pylist()
    return values


def collations_of(table: Table) -> str:
    """A query for the columns of a table that are texts, and their collations."""
    return (
        "select c.column_name, c.collation_name from information_schema.columns as c"
        f" where c.table_schema = {_schema(table)} and c.table_name = {literal(_own_name(table))}"
        " and c.collation_name is not null"
    )


def turn_of(table: Table, patience: float) -> str:
    """A query that waits until nobody else of us adds to a table, and gives 1; until the connection ends."""
    name = md5(table.name.encode(), usedforsecurity=False).hexdigest()
    return f"select get_lock(concat('connect.', md5(concat({_schema(table)}, '{name}'))), {patience:.0f})"


def _schema(table: Table) -> str:
    schema = table.name.rpartition(".")[0].strip("`")
    return literal(schema) if schema else "database()"


def _own_name(table: Table) -> str:
    return table.name.rpartition(".")[2].strip("`")
