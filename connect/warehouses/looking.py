"""Small queries over an audience, for those who look before they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connect.warehouses.interface import Column, Dialect, Query
from connect.warehouses.wrapping import Audience


def nulls_query(audience: Audience, dialect: Dialect, columns: Sequence[str]) -> Query:
    """One row: how many nulls each of these columns holds, under the column's name."""
    counts = (f"count(*) - count(a.{dialect.quote(name)}) as {dialect.quote(name)}" for name in columns)
    return Query(f"select {', '.join(counts)}\nfrom (\n{audience.sql}\n) as a", audience.parameters)


def first_query(audience: Audience, dialect: Dialect, count: int) -> Query:
    """Some rows of the audience, whichever come first."""
    return Query(dialect.limited("a.*", f"(\n{audience.sql}\n) as a", count), audience.parameters)


def catalog_query(dialect: Dialect) -> Query:
    """One row for each column of each table that this user may know of: `place`, `relation`, `field`, `kind`.

    In capitals, as the standard has them: some engines know these names in no other case.
    """
    names = {"place": "TABLE_SCHEMA", "relation": "TABLE_NAME", "field": "COLUMN_NAME", "kind": "DATA_TYPE"}
    selected = ", ".join(f"{dialect.text(f'c.{column}')} as {name}" for name, column in names.items())
    order = "c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION"
    return Query(f"select {selected}\nfrom {dialect.catalog}.COLUMNS as c\norder by {order}", {})


@dataclass(frozen=True, slots=True)
class TableFound:
    """A table or a view of a warehouse."""

    schema: str
    name: str
    columns: tuple[Column, ...]


def tables_in(rows: Iterable[Mapping[str, object]]) -> list[TableFound]:
    """The tables of what `catalog_query` gave, without those of the engine itself."""
    found: dict[tuple[str, str], list[Column]] = {}
    for row in rows:
        place, relation, field, kind = (str(row[name]) for name in ("place", "relation", "field", "kind"))
        if place.casefold() not in _OF_ENGINES and not place.casefold().startswith("pg_"):
            found.setdefault((place, relation), []).append(Column(field, kind))
    return [TableFound(schema, name, tuple(columns)) for (schema, name), columns in found.items()]


_OF_ENGINES = {"information_schema", "mysql", "performance_schema", "sys"}
"""Schemas of the engines' own; PostgreSQL's begin with `pg_`."""


def named(tables: Sequence[TableFound], name: str) -> list[TableFound]:
    """The tables of this name, with its schema or without; as it is written, else in any case."""
    exact = [table for table in tables if name in (table.name, f"{table.schema}.{table.name}")]
    folded = name.casefold()
    return exact or [
        table for table in tables if folded in (table.name.casefold(), f"{table.schema}.{table.name}".casefold())
    ]
