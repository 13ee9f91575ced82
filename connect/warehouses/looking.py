"""Small queries over an audience, for those who look before they run."""

from __future__ import annotations

from collections.abc import Sequence

from connect.warehouses.interface import Dialect, Query
from connect.warehouses.wrapping import Audience


def nulls_query(audience: Audience, dialect: Dialect, columns: Sequence[str]) -> Query:
    """One row: how many nulls each of these columns holds, under the column's name."""
    counts = (f"count(*) - count(a.{dialect.quote(name)}) as {dialect.quote(name)}" for name in columns)
    return Query(f"select {', '.join(counts)}\nfrom (\n{audience.sql}\n) as a", audience.parameters)


def first_query(audience: Audience, dialect: Dialect, count: int) -> Query:
    """Some rows of the audience, whichever come first."""
    return Query(dialect.limited("a.*", f"(\n{audience.sql}\n) as a", count), audience.parameters)
