"""How DuckDB writes what wrapping needs, and tables of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connect.warehouses.interface import Kind, Query, Standard, Table

_WHITESPACE = "".join(chr(number) for number in range(1, 0x3001) if chr(number).isspace())
"""What Python's `strip` takes off; DuckDB's `trim` alone only takes spaces, and would miss an opt-out."""


_TYPES: Mapping[Kind, str] = {
    Kind.text: "varchar",
    Kind.integer: "bigint",
    Kind.boolean: "boolean",
    Kind.instant: "timestamptz",
}

_FEW = 20
"""So many values are worth to be looked for one by one."""


class DuckDBDialect(Standard):
    """How DuckDB writes what wrapping needs."""

    sqlglot = "duckdb"
    materialized = "materialized"

    def parameter(self, name: str) -> str:
        return f"${name}"

    def text(self, expression: str) -> str:
        return f"cast({expression} as varchar)"

    def md5(self, expression: str) -> str:
        return f"md5({expression})"

    def trimmed(self, expression: str) -> str:
        # Trimming a set of characters costs ten times as much as seeing that there is nothing to trim.
        trimmed = f"trim({expression}, {literal(_WHITESPACE)})"
        return f"case when regexp_matches({expression}, '^[^!-~]|[^!-~]$') then {trimmed} else {expression} end"

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', '', 'g'), '')"
        return f"case when starts_with({self.trimmed(expression)}, '+') then '+' else '' end || {digits}"

    def create_table(self, table: Table) -> Sequence[str]:
        # Without a primary key: its index of random keys costs each `add` more than looking for them does.
        columns = ", ".join(f"{self.quote(name)} {_TYPES[kind]}" for name, kind in table.columns.items())
        return [f"create table if not exists {table.name} ({columns})"]

    def copied(self, name: str, select: str) -> str:
        # In a subquery, where no statement that changes data is allowed.
        return f"create table {name} as select u.* from (\n{select}\n) as u"

    def added(self, table: Table, rows: str, columns: Sequence[str], firsts: Sequence[object]) -> Query:
        """A statement that adds the rows of `rows` whose key is new; `firsts`: what the key's first column may be.

        Row groups that hold none of the `firsts` are skipped without reading them.
        """
        names = ", ".join(self.quote(name) for name in columns)
        alike = [f"t.{self.quote(name)} = r.{self.quote(name)}" for name in table.key]
        values = {f"first_{place}": value for place, value in enumerate(firsts)} if len(firsts) <= _FEW else {}
        if values:
            listed = ", ".join(self.parameter(name) for name in values)
            alike.insert(0, f"t.{self.quote(table.key[0])} in ({listed})")
        known = f"select 1 from {table.name} as t where {' and '.join(alike)}"
        return Query(
            f"insert into {table.name} ({names}) select {names} from {rows} as r where not exists ({known})", values
        )

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        # An aggregate, where a window or a sort would hold every row: a million rows of one key cost as much as one.
        fields = ", ".join(f"struct_extract(o.connect_row, {literal(name)}) as {self.quote(name)}" for name in columns)
        own = ", ".join(f"r.{self.quote(name)}" for name in columns)
        # Without the salted position: the same row wins in every run. Its hash is DuckDB's own, whatever the types are;
        # the whole row as text costs twice what all else of this does together.
        row = f"arg_min(r, hash({own})) as connect_row"
        grouped = f"select r.{key}, count(*) - 1 as {others}, {row}\nfrom (\n{relation}\n) as r group by r.{key}"
        return f"select o.{key}, o.{others}, {fields}\nfrom (\n{grouped}\n) as o"


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
