"""How Snowflake writes what wrapping needs, and how the text of a query becomes what the server is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from connect.warehouses.interface import Kind, Query, Standard, Table, laid_out

_WHITESPACE = "".join(chr(number) for number in range(1, 0x3001) if chr(number).isspace())
"""What Python's `strip` takes off; Snowflake's `trim` alone only takes spaces, and would miss an opt-out."""

_CAPITALS = re.compile(r"[A-Z_][A-Z0-9_$]*").fullmatch
_SMALL = re.compile(r"[a-z_][a-z0-9_$]*").fullmatch

_KINDS = {
    Kind.text: "varchar",
    Kind.integer: "number(38, 0)",
    Kind.boolean: "boolean",
    Kind.instant: "timestamp_tz(6)",
}


def folded(name: str) -> str:
    """A name as it was most likely written: Snowflake keeps what is not quoted in capitals."""
    return name.lower() if _CAPITALS(name) else name


def unfolded(name: str) -> str:
    """The name that Snowflake keeps: what `folded` undoes."""
    return name.upper() if _SMALL(name) else name


_TAKES: Mapping[Kind, tuple[str, ...]] = {
    Kind.text: ("varchar",),
    Kind.integer: ("integer", "number"),
    Kind.boolean: ("boolean",),
    Kind.instant: ("timestamp_tz", "timestamp_ltz"),
}


class SnowflakeDialect(Standard):
    """Snowflake's SQL."""

    sqlglot = "snowflake"
    takes = _TAKES

    def parameter(self, name: str) -> str:
        return f"%({name})s"

    def quote(self, identifier: str) -> str:
        return '"' + unfolded(identifier).replace('"', '""') + '"'

    def text(self, expression: str) -> str:
        return f"cast({expression} as varchar)"

    def md5(self, expression: str) -> str:
        return f"md5({expression})"

    def trimmed(self, expression: str) -> str:
        return f"regexp_replace({expression}, '^[{_WHITESPACE}]+|[{_WHITESPACE}]+$', '')"

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', ''), '')"
        return f"case when left({self.trimmed(expression)}, 1) = '+' then '+' else '' end || {digits}"

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        # `hash` takes every type, nulls too, and gives the same number for the same row.
        whole = ", ".join(f"c.{self.quote(name)}" for name in columns)
        counted = f"select r.*, count(*) over (partition by r.{key}) as connect_count\nfrom (\n{relation}\n) as r"
        order = f"partition by c.{key} order by hash({whole})"
        numbered = f"select c.*, row_number() over ({order}) as connect_place\nfrom (\n{counted}\n) as c"
        names = ", ".join(f"o.{self.quote(name)}" for name in columns)
        selected = f"select o.{key}, o.connect_count - 1 as {others}, {names}"
        return f"{selected}\nfrom (\n{numbered}\n) as o where o.connect_place = 1"

    def create_table(self, table: Table) -> Sequence[str]:
        columns = [self._column(name, kind, name in table.key) for name, kind in table.columns.items()]
        # The key is told, for those who read the table; Snowflake does not enforce it.
        key = f"primary key ({', '.join(self.quote(name) for name in table.key)})"
        return [f"create table if not exists {table.name} {laid_out([*columns, key])}"]

    def copied(self, name: str, select: str) -> str:
        # Transient: without the days of fail-safe, in which Snowflake would keep the copy after it was dropped.
        return f"create transient table {name} data_retention_time_in_days = 0 as\n{select}"

    def _column(self, name: str, kind: Kind, in_key: bool) -> str:
        return f"{self.quote(name)} {_KINDS[kind]}{' not null' if in_key else ''}"


# Adding rows: they are bound as one text of JSON, and become a table of the session's own


def staged(name: str, table: Table, columns: Sequence[str]) -> str:
    """A statement that makes a temporary table of the rows in its one parameter."""
    return f"create temporary table {name} as\n{_rows(table, columns)}"


def staged_more(name: str, table: Table, columns: Sequence[str]) -> str:
    return f"insert into {name}\n{_rows(table, columns)}"


def _rows(table: Table, columns: Sequence[str]) -> str:
    cells = (f'f.value:"{name}"::{_KINDS[table.columns[name]]} as {_QUOTE(name)}' for name in columns)
    return f"select {', '.join(cells)}\nfrom table(flatten(input => parse_json(%(rows)s))) as f"


def merged(name: str, table: Table, columns: Sequence[str]) -> str:
    """A statement that adds the rows of the temporary table whose key is not in the table."""
    same = " and ".join(f"t.{_QUOTE(column)} = s.{_QUOTE(column)}" for column in table.key)
    names = ", ".join(_QUOTE(column) for column in columns)
    values = ", ".join(f"s.{_QUOTE(column)}" for column in columns)
    inserted = f"when not matched then insert ({names}) values ({values})"
    return f"merge into {table.name} as t using {name} as s on {same}\n{inserted}"


_QUOTE = SnowflakeDialect().quote


# Parameters

_MARKER = re.compile(r"%\(([A-Za-z_][A-Za-z0-9_]*)\)s")


def marked(query: Query) -> tuple[str, list[object]]:
    """The query with `?` for its parameters, and their values in that order."""
    values: list[object] = []

    def mark(found: re.Match[str]) -> str:
        if found[1] not in query.parameters:
            return found[0]
        values.append(bindable(query.parameters[found[1]]))
        return "?"

    return _MARKER.sub(mark, query.sql), values


def unmarked(query: Query, offset: int) -> int:
    """The place in the query's own text of a place in what `marked` makes of it."""
    longer = 0
    for found in _MARKER.finditer(query.sql):
        if found[1] in query.parameters:
            if found.start() - longer >= offset:
                break
            longer += len(found[0]) - 1
    return offset + longer


def bindable(value: object) -> object:
    """A value as the driver binds it: an instant with its type, lists and mappings as JSON."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return ("TIMESTAMP_LTZ", value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value) if isinstance(value, UUID) else value
