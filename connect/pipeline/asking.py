"""A query that somebody asks by hand: checked as an audience is, and its first rows kept in memory only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from connect.errors import OutsideError, Problem, UserError, raise_errors
from connect.pipeline.mistakes import placed_in
from connect.project.text import Text
from connect.warehouses import query
from connect.warehouses.interface import Column, Query, SqlError, Warehouse, python_values
from connect.warehouses.looking import TableFound, catalog_query, tables_in

if TYPE_CHECKING:
    import pyarrow

PATIENCE = timedelta(minutes=10)
"""How long a query may take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The first rows of a query, for the eyes of who asked."""

    columns: Sequence[Column]
    rows: list[tuple[Any, ...]] = field(repr=False)
    more: bool
    """There are more rows than were wanted."""
    warnings: tuple[Problem, ...] = ()


def ask(warehouse: Warehouse, sql: Text, values: Mapping[str, object], limit: int) -> Answer:
    """The first rows, as the query orders them. Raises UserError at the place in the text that is wrong."""
    dialect = warehouse.dialect
    problems = query.check(sql, dialect=dialect.sqlglot, parameters=tuple(values), clock_warehouse=True)
    raise_errors(problems)
    asked = query.bound(sql, dialect, values)
    with placed_in(sql, sql.file, dialect):
        # Inside of a subquery, where an engine refuses what would change data. Then as it stands: some engines do not
        # keep the order of a subquery, and some have no `limit`.
        columns = warehouse.columns(asked, PATIENCE)
        rows = first_rows(warehouse, asked, limit + 1)
    return Answer(columns, rows[:limit], len(rows) > limit, tuple(problems))


def first_rows(warehouse: Warehouse, asked: Query, count: int) -> list[tuple[Any, ...]]:
    """So many rows at most; the rest is not read."""
    with warehouse.read(asked, PATIENCE, count) as batches:
        return _first(batches, count)


def _first(batches: Iterable[pyarrow.RecordBatch], count: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for batch in batches:
        cells = [python_values(column) for column in batch.slice(0, count - len(rows)).columns]
        rows += zip(*cells, strict=True)
        if len(rows) >= count:
            break
    return rows


def tables(warehouse: Warehouse, source: str) -> list[TableFound]:
    """The tables of a warehouse, as its information_schema tells of them. Raises UserError where it has none."""
    try:
        return tables_in(warehouse.rows(catalog_query(warehouse.dialect), PATIENCE))
    except UserError as error:
        if not isinstance(error, SqlError) and not any(problem.code == "sql-error" for problem in error.problems):
            raise
    hint = "look with the tools of the warehouse itself"
    raise OutsideError.of("no-catalog", f"`{source}` has no information_schema that can be read", hint)
