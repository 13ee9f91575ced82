"""Amazon Redshift: it speaks like PostgreSQL 8, and what differs is data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from connect.warehouses.interface import Capabilities, Kind, Table
from connect.warehouses.postgresql import PostgreSQL
from connect.warehouses.postgresql_dialect import PostgreSQLDialect

if TYPE_CHECKING:
    import pyarrow

    from connect.warehouses.postgresql_connection import Running


class RedshiftDialect(PostgreSQLDialect):
    """PostgreSQL's, without what Redshift never had."""

    sqlglot = "redshift"
    # Its `text` is 256 bytes.
    types: ClassVar[Mapping[Kind, str]] = {**PostgreSQLDialect.types, Kind.text: "varchar(65535)"}

    def text(self, expression: str) -> str:
        # A bare `varchar` is 256 bytes there, and a longer value would be an error.
        return f"cast({expression} as varchar(65535))"

    def md5(self, expression: str) -> str:
        return f"md5({expression})"  # its texts are ordered by bytes, always

    def phone_digits(self, expression: str) -> str:
        # Its regexp_replace replaces all, and takes no flags.
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', ''), '')"
        return f"case when left({self.trimmed(expression)}, 1) = '+' then '+' else '' end || {digits}"

    def constraints(self, table: Table) -> Sequence[str]:
        return []  # it enforces no key, and its planner believes one

    def row_text(self, columns: Sequence[str]) -> str:
        """There are no rows as text: the columns one by one, each with its length, where null has none."""
        texts = (self.text(column) for column in columns)
        parts = (f"coalesce(cast(length({text}) as varchar(10)) || ':' || {text}, '-')" for text in texts)
        return f"md5({' || '.join(parts)})"


class Redshift(PostgreSQL):
    """A Redshift cluster or workgroup."""

    # A long read holds a slot of the cluster's queue, and every read scans: few and long ones. So does every `add`.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=30), enforces_read_only=True, holds_reads=True, writes=True, most_added=25_000
    )
    dialect: ClassVar[RedshiftDialect] = RedshiftDialect()

    product: ClassVar[str] = "Redshift"
    encodings: ClassVar[tuple[str, ...]] = ("UTF8", "UNICODE")
    knows_types: ClassVar[bool] = False
    grants_connecting: ClassVar[bool] = False
    defaults: ClassVar[dict[str, Any]] = {"port": 5439, "sslmode": "require", "client_encoding": "utf8"}
    settings: ClassVar[tuple[tuple[str, str], ...]] = (
        ("timezone", "UTC"),
        ("datestyle", "ISO, MDY"),
        ("extra_float_digits", "0"),
        ("statement_timeout", "{timeout}"),
    )

    def _add(self, running: Running, table: Table, rows: pyarrow.Table) -> None:
        from connect.warehouses import postgresql_writing as writing

        # Before anything is read: then what is read is what was committed when the lock was given.
        running.execute(f"lock table {table.name}")
        writing.inserted(running, table, rows)
        running.execute(writing.insert_by_search(table, rows.column_names))
