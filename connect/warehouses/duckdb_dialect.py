"""How DuckDB writes what wrapping needs, and tables of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connect.warehouses.interface import Kind, Query, Range, Standard, Table, laid_out

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


_TAKES: Mapping[Kind, tuple[str, ...]] = {
    Kind.text: ("varchar",),
    Kind.integer: ("bigint", "integer", "hugeint", "uinteger", "ubigint", "uhugeint", "decimal"),
    Kind.boolean: ("boolean",),
    Kind.instant: ("timestamp with time zone",),
}


class DuckDBDialect(Standard):
    """How DuckDB writes what wrapping needs."""

    sqlglot = "duckdb"
    takes = _TAKES
    materialized = "materialized"

    def parameter(self, name: str) -> str:
        return f"${name}"

    def text(self, expression: str) -> str:
        return f"cast({expression} as varchar)"

    def listed(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """As values, which DuckDB binds three times as fast as a union of so many."""
        values = ",\n".join(f"({', '.join(row)})" for row in rows)
        return f"select * from (values {values}) as listed({', '.join(names)})"

    def md5(self, expression: str) -> str:
        return f"md5({expression})"

    def trimmed(self, expression: str) -> str:
        # Trimming a set of characters costs ten times as much as seeing that there is nothing to trim: both ends are
        # printable ASCII. Comparing them costs a third of what an expression does that looks for them.
        trimmed = f"trim({expression}, {literal(_WHITESPACE)})"
        plain = f"({expression})[-1] between '!' and '~' and ({expression}) between '!' and '~'"
        return f"case when {plain} then {expression} else {trimmed} end"

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', '', 'g'), '')"
        return f"case when starts_with({self.trimmed(expression)}, '+') then '+' else '' end || {digits}"

    def create_table(self, table: Table) -> Sequence[str]:
        # Without a primary key: its index of random keys costs each `add` more than looking for them does.
        columns = [f"{self.quote(name)} {_TYPES[kind]}" for name, kind in table.columns.items()]
        return [f"create table if not exists {table.name} {laid_out(columns)}"]

    def copied(self, name: str, select: str) -> str:
        # In a subquery, where no statement that changes data is allowed.
        return f"create table {name} as select u.* from (\n{select}\n) as u"

    def added(self, table: Table, rows: str, columns: Sequence[str], firsts: Sequence[object]) -> Query:
        """A statement that adds the rows of `rows` whose key is new; `firsts`: what the key's first column may be.

        Row groups that hold none of the `firsts`, or nothing of a range in which rows may be alike, are skipped unread.
        """
        names = ", ".join(self.quote(name) for name in columns)
        alike = [f"t.{self.quote(name)} = r.{self.quote(name)}" for name in table.key]
        few = firsts if len(firsts) <= _FEW else ()
        values: dict[str, object] = {f"first_{place}": value for place, value in enumerate(few)}
        if values:
            listed = ", ".join(self.parameter(name) for name in values)
            alike.insert(0, f"t.{self.quote(table.key[0])} in ({listed})")
        places = [""]
        if table.among is not None:
            column, ranges = table.among
            bounds = [self._bounds(f"t.{self.quote(column)}", place, each) for place, each in enumerate(ranges)]
            places = [f"{sql} and " for sql, _ in bounds]
            values |= {name: value for _, bound in bounds for name, value in bound.items()}
        known = (f"select 1 from {table.name} as t where {place}{' and '.join(alike)}" for place in places)
        new = " and ".join(f"not exists ({one})" for one in known)
        where = f" where {new}" if new else ""
        return Query(f"insert into {table.name} ({names}) select {names} from {rows} as r{where}", values)

    def _bounds(self, column: str, place: int, within: Range) -> tuple[str, dict[str, object]]:
        """One condition for each range: of several in one, DuckDB reads all rows."""
        values: dict[str, object] = {f"from_{place}": within[0]}
        sql = f"{column} >= {self.parameter(f'from_{place}')}"
        if within[1] is not None:
            values[f"upto_{place}"] = within[1]
            sql += f" and {column} <= {self.parameter(f'upto_{place}')}"
        return sql, values

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
