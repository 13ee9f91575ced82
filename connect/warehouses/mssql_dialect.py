"""How SQL Server 2022 writes what wrapping needs. Written from its documentation, and never run on a server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal

from connect.warehouses.interface import Kind, Query, Standard, Table, laid_out

_WHITESPACE = "".join(chr(number) for number in range(1, 0x3001) if chr(number).isspace())
"""What Python's `strip` takes off; `trim` alone only takes spaces, and would miss an opt-out."""

_EXACT = "Latin1_General_100_BIN2"
"""Compared letter by letter: ids that differ in case or accents are different people."""
_UTF8 = "Latin1_General_100_BIN2_UTF8"
"""In which a `varchar` holds the bytes of UTF-8; those of `nvarchar` are UTF-16, and have other digests."""
_WHOLE_CHARACTERS = "Latin1_General_100_CI_AS_SC"
"""In which `len` counts a character beyond the first 65,536 once."""

_TYPES: Mapping[Kind, str] = {
    Kind.text: f"nvarchar(max) collate {_EXACT}",
    Kind.integer: "bigint",
    Kind.boolean: "bit",
    Kind.instant: "datetimeoffset(6)",
}


class MSSQLDialect(Standard):
    """T-SQL of SQL Server 2022 and Azure SQL: `greatest` and `generate_series` are in none before."""

    sqlglot = "tsql"
    text_type, integer_type = "nvarchar(4000)", "bigint"

    def parameter(self, name: str) -> str:
        return f"%({name})s"

    def quote(self, identifier: str) -> str:
        return quote(identifier)

    def text(self, expression: str) -> str:
        return f"convert(nvarchar(max), {expression}) collate {_EXACT}"

    def md5(self, expression: str) -> str:
        return _digest(expression)

    def joined(self, *texts: str) -> str:
        return " + ".join(texts)  # `concat` takes null for a blank

    def length(self, text: str) -> str:
        # Without the blanks at the end, which `len` does not count, it would be another key.
        return f"len(({text} + N'.') collate {_WHOLE_CHARACTERS}) - 1"

    def beginning(self, text: str, count: int) -> str:
        return f"left({text}, {count:d})"

    def truth(self, expression: str) -> str:
        return f"{expression} = 1"

    def limited(self, columns: str, relation: str, count: int) -> str:
        return f"select top ({count:d}) {columns}\nfrom {relation}"

    def trimmed(self, expression: str) -> str:
        return f"trim(N'{_WHITESPACE}' from {expression})"

    def phone_digits(self, expression: str) -> str:
        letter = "substring(d.v, s.value, 1)"
        letters = f"(select {expression} as v) as d cross apply generate_series(1, cast(len(d.v) as int)) as s"
        digits = f"string_agg({letter}, N'') within group (order by s.value)"
        picked = f"(select {digits} from {letters} where {letter} like N'[0-9]')"
        return f"case when left({self.trimmed(expression)}, 1) = N'+' then N'+' else N'' end + nullif({picked}, N'')"

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        whole = _row_text([f"c.{quote(name)}" for name in columns])
        counted = f"select r.*, count(*) over (partition by r.{key}) as connect_count\nfrom (\n{relation}\n) as r"
        order = f"partition by c.{key} order by case when c.connect_count > 1 then {whole} end"
        numbered = f"select c.*, row_number() over ({order}) as connect_place\nfrom (\n{counted}\n) as c"
        names = ", ".join(f"o.{quote(name)}" for name in columns)
        selected = f"select o.{key}, o.connect_count - 1 as {others}, {names}"
        return f"{selected}\nfrom (\n{numbered}\n) as o where o.connect_place = 1"

    def create_table(self, table: Table) -> Sequence[str]:
        columns = [f"{quote(name)} {_column_type(table, name)}" for name in table.columns]
        key = f"primary key ({', '.join(quote(name) for name in table.key)})"
        made = f"create table {table.name} {laid_out([*columns, key])}"
        return [f"if object_id(N'{table.name.replace(chr(39), chr(39) * 2)}') is null {made}"]

    def copied(self, name: str, select: str) -> str:
        return f"select u.* into {name} from (\n{select}\n) as u"


def quote(identifier: str) -> str:
    return "[" + identifier.replace("]", "]]") + "]"


def _column_type(table: Table, name: str) -> str:
    # A key has 900 bytes at most.
    own = f"nvarchar({450 // len(table.key)}) collate {_EXACT} not null"
    return own if name in table.key else _TYPES[table.columns[name]]


def _digest(expression: str) -> str:
    bytes_ = f"convert(varchar(max), ({expression}) collate {_UTF8})"
    return f"lower(convert(varchar(32), hashbytes('MD5', {bytes_}), 2)) collate {_EXACT}"


def _row_text(columns: Sequence[str]) -> str:
    """A text of all these columns: the same one, of several rows, is always the first by it."""
    texts = (f"convert(nvarchar(max), {column}) collate {_EXACT}" for column in columns)
    parts = [f"coalesce(convert(nvarchar(20), len({text} + N'.')) + N':' + {text}, N'-')" for text in texts]
    return _digest(" + ".join(parts))


# Parameters

_MARKER = re.compile(r"%\(([A-Za-z_][A-Za-z0-9_]*)\)s")


def filled(query: Query) -> str:
    """The query with its values for the markers of parameters."""
    return _MARKER.sub(
        lambda found: literal(query.parameters[found[1]]) if found[1] in query.parameters else found[0], query.sql
    )


def literal(value: object) -> str:
    """A value as SQL. A text is written in hexadecimal digits of UTF-16, so that nothing in it can end it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"cast({value:d} as bit)"
    if isinstance(value, float):
        return f"cast({value!r} as float)"
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"({', '.join(literal(one) for one in value) or 'null'})"
    return _literal_of_time(value) or _text(json.dumps(value) if isinstance(value, dict) else str(value))


def _literal_of_time(value: object) -> str:
    if isinstance(value, datetime):
        kind = "datetimeoffset(6)" if value.tzinfo else "datetime2(6)"
        instant = value.astimezone(UTC) if value.tzinfo else value
        return f"cast('{instant.isoformat(' ', 'microseconds')}' as {kind})"
    if isinstance(value, date):
        return f"cast('{value.isoformat()}' as date)"
    return f"cast('{value.isoformat()}' as time(6))" if isinstance(value, time) else ""


def _text(value: str) -> str:
    return f"cast(0x{value.encode('utf-16-le').hex()} as nvarchar(max))" if value else "N''"
