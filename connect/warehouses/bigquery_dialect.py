"""How BigQuery writes what wrapping needs, and tables of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from connect.warehouses.interface import Kind, Standard, Table, laid_out

# What Python's `strip` takes off, as RE2 writes it.
_BLANK = r"[\x{09}-\x{0d}\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]+"

_MOST_CLUSTERED = 4
"""By so many columns a table may be clustered. https://cloud.google.com/bigquery/docs/clustered-tables"""
_KEPT_DAYS = 7


class BigQueryDialect(Standard):
    """GoogleSQL."""

    sqlglot = "bigquery"
    text_type, integer_type = "string", "int64"
    types: ClassVar[Mapping[Kind, str]] = {
        Kind.text: "string",
        Kind.integer: "int64",
        Kind.boolean: "bool",
        Kind.instant: "timestamp",
    }
    takes: Mapping[Kind, tuple[str, ...]] = {
        Kind.text: ("string",),
        Kind.integer: ("int64", "integer", "numeric", "bignumeric"),
        Kind.boolean: ("bool", "boolean"),
        Kind.instant: ("timestamp",),
    }

    def __init__(self, dataset: str | None = None) -> None:
        """`dataset`, with its project: its tables are told of, as every one tells of its own only."""
        if dataset is not None:
            project, _, name = dataset.rpartition(".")
            self.catalog = f"{self.quote(project)}.{self.quote(name)}.INFORMATION_SCHEMA"

    def parameter(self, name: str) -> str:
        return f"@{name}"

    def quote(self, identifier: str) -> str:
        return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"

    def text(self, expression: str) -> str:
        return f"cast({expression} as string)"

    def md5(self, expression: str) -> str:
        return f"to_hex(md5({expression}))"

    def trimmed(self, expression: str) -> str:
        return f"regexp_replace({expression}, r'^{_BLANK}|{_BLANK}$', '')"

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif(regexp_replace({expression}, r'[^0-9]', ''), '')"
        return f"case when starts_with({self.trimmed(expression)}, '+') then '+' else '' end || {digits}"

    def create_table(self, table: Table) -> Sequence[str]:
        # By day where there is an instant: old rows are then read no more, and are billed as long-term storage.
        columns = laid_out([self._column(table, name) for name in table.columns])
        day = next((name for name, kind in table.columns.items() if kind is Kind.instant), None)
        parts = f"\npartition by timestamp_trunc({self.quote(day)}, day)" if day else ""
        key = ", ".join(self.quote(name) for name in table.key[:_MOST_CLUSTERED])
        return [f"create table if not exists {self.relation(table.name)} {columns}{parts}\ncluster by {key}"]

    def copied(self, name: str, select: str) -> str:
        # It ends by itself, should nobody be left to drop it.
        ends = f"expiration_timestamp = timestamp_add(current_timestamp(), interval {_KEPT_DAYS} day)"
        return f"create table {self.relation(name)} options ({ends}) as select u.* from (\n{select}\n) as u"

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        # Windows are spread over the engine's machines by their key. Only rows that have others are made into text.
        whole = f"to_hex(md5(to_json_string(struct({', '.join(f'c.{self.quote(name)}' for name in columns)}))))"
        counted = f"select r.*, count(*) over (partition by r.{key}) as connect_count\nfrom (\n{relation}\n) as r"
        order = f"partition by c.{key} order by case when c.connect_count > 1 then {whole} end"
        numbered = f"select c.*, row_number() over ({order}) as connect_place\nfrom (\n{counted}\n) as c"
        names = ", ".join(f"o.{self.quote(name)}" for name in columns)
        selected = f"select o.{key}, o.connect_count - 1 as {others}, {names}"
        return f"{selected}\nfrom (\n{numbered}\n) as o where o.connect_place = 1"

    def relation(self, name: str) -> str:
        """A table's name, with its project and dataset or without: a project's may hold dashes."""
        return name if "`" in name else ".".join(self.quote(part) for part in name.split("."))

    def _column(self, table: Table, name: str) -> str:
        required = " not null" if name in table.key else ""
        return f"{self.quote(name)} {self.types[table.columns[name]]}{required}"
