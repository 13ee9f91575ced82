"""How PostgreSQL writes what wrapping needs, and how the text of a query becomes what the server is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from connect.warehouses.interface import Kind, Query, Standard, Table, laid_out

_WHITESPACE = "".join(chr(number) for number in range(1, 0x3001) if chr(number).isspace())
"""What Python's `strip` takes off; `btrim` alone only takes spaces, and would miss an opt-out."""


class PostgreSQLDialect(Standard):
    """SQL that Redshift understands too, but for what it overrides."""

    sqlglot = "postgres"
    # What is read once is not worth a copy; what is read twice is kept by itself, since PostgreSQL 12.
    materialized = ""
    types: ClassVar[Mapping[Kind, str]] = {
        Kind.text: "text",
        Kind.integer: "bigint",
        Kind.boolean: "boolean",
        Kind.instant: "timestamptz",
    }
    takes: Mapping[Kind, tuple[str, ...]] = {
        Kind.text: ("text", "character varying", "character"),
        Kind.integer: ("bigint", "integer", "numeric"),
        Kind.boolean: ("boolean",),
        Kind.instant: ("timestamp with time zone",),
    }

    def parameter(self, name: str) -> str:
        return f"%({name})s"

    def text(self, expression: str) -> str:
        return f"cast({expression} as text)"

    def md5(self, expression: str) -> str:
        # By bytes: the order of every locale is the same for these digits, and this is the fast one.
        return f'(md5({expression}) collate "C")'

    def trimmed(self, expression: str) -> str:
        return f"btrim({expression}, {literal(_WHITESPACE)})"

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', '', 'g'), '')"
        return f"case when left({self.trimmed(expression)}, 1) = '+' then '+' else '' end || {digits}"

    def create_table(self, table: Table) -> Sequence[str]:
        columns = [f"{self.quote(name)} {self.types[kind]}" for name, kind in table.columns.items()]
        return [f"create table if not exists {table.name} {laid_out([*columns, *self.constraints(table)])}"]

    def constraints(self, table: Table) -> Sequence[str]:
        """What else stands in the definition of a table. By its key an `add` finds what there is."""
        return [f"primary key ({', '.join(self.quote(name) for name in table.key)})"]

    def copied(self, name: str, select: str) -> str:
        # In a subquery, where the engine refuses a data-modifying CTE.
        return f"create table {name} as select u.* from (\n{select}\n) as u"

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        # Two windows over one sort by the key, which a server does within its own `work_mem`. Only rows that have
        # others are compared as text: with all of them it would take twice as long.
        whole = self.row_text([f"c.{self.quote(name)}" for name in columns])
        counted = f"select r.*, count(*) over (partition by r.{key}) as connect_count\nfrom (\n{relation}\n) as r"
        order = f"partition by c.{key} order by case when c.connect_count > 1 then {whole} end"
        numbered = f"select c.*, row_number() over ({order}) as connect_place\nfrom (\n{counted}\n) as c"
        names = ", ".join(f"o.{self.quote(name)}" for name in columns)
        selected = f"select o.{key}, o.connect_count - 1 as {others}, {names}"
        return f"{selected}\nfrom (\n{numbered}\n) as o where o.connect_place = 1"

    def row_text(self, columns: Sequence[str]) -> str:
        """A text of all these columns: the same one, of several rows, is always the first by it."""
        return f'md5(cast(row({", ".join(columns)}) as text)) collate "C"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_MARKER = re.compile(r"%\(([A-Za-z_][A-Za-z0-9_]*)\)s")


def numbered(query: Query) -> tuple[str, list[object]]:
    """The query with `$1`, `$2`, … for its parameters, and their values in that order."""
    places: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        if found[1] not in query.parameters:
            return found[0]
        return f"${places.setdefault(found[1], len(places) + 1)}"

    sql = _MARKER.sub(place, query.sql)
    return sql, [query.parameters[name] for name in places]


def unnumbered(query: Query, offset: int) -> int:
    """The place in the query's own text of a place in what `numbered` makes of it."""
    places: dict[str, int] = {}
    longer = 0
    for found in _MARKER.finditer(query.sql):
        if found[1] in query.parameters:
            number = places.setdefault(found[1], len(places) + 1)
            if found.start() - longer >= offset:
                break
            longer += len(found[0]) - len(f"${number}")
    return offset + longer
