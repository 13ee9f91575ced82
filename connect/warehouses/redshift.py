"""Amazon Redshift: it speaks like PostgreSQL 8, and what differs is data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from connect.warehouses.interface import Capabilities
from connect.warehouses.postgresql import PostgreSQL
from connect.warehouses.postgresql_dialect import PostgreSQLDialect


class RedshiftDialect(PostgreSQLDialect):
    """PostgreSQL's, without what Redshift never had."""

    sqlglot = "redshift"

    def text(self, expression: str) -> str:
        # A bare `varchar` is 256 bytes there, and a longer value would be an error.
        return f"cast({expression} as varchar(65535))"

    def md5(self, expression: str) -> str:
        return f"md5({expression})"  # its texts are ordered by bytes, always

    def phone_digits(self, expression: str) -> str:
        # Its regexp_replace replaces all, and takes no flags.
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', ''), '')"
        return f"case when left({self.trimmed(expression)}, 1) = '+' then '+' else '' end || {digits}"

    def row_text(self, columns: Sequence[str]) -> str:
        """There are no rows as text: the columns one by one, each with its length, where null has none."""
        texts = (self.text(column) for column in columns)
        parts = (f"coalesce(cast(length({text}) as varchar(10)) || ':' || {text}, '-')" for text in texts)
        return f"md5({' || '.join(parts)})"


class Redshift(PostgreSQL):
    """A Redshift cluster or workgroup."""

    # A long read holds a slot of the cluster's queue, and every read scans: few and long ones.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=30), enforces_read_only=True, holds_reads=True
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
