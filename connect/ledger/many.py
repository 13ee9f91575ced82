"""One statement for many rows: each engine gets them in the way that it takes thousands a second.

SQLite runs a prepared statement for each row, inside the process. PostgreSQL gets the rows as arrays, in one statement
and one round trip: row by row it takes ten times as long.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Dialect, Table, Update, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

Row = tuple[object, ...]
Insert = sqlite.Insert | postgresql.Insert
"""Two classes, spelled the same."""
_Run = Callable[[Connection, Sequence[Row]], int]


class Given(ABC):
    """What stands in a statement for the values of a row."""

    @abstractmethod
    def __getitem__(self, name: str) -> ColumnElement[Any]: ...

    @abstractmethod
    def insert_into(self, table: Table) -> Insert:
        """An INSERT of all columns that are given, which knows ON CONFLICT."""


@dataclass(frozen=True, eq=False)
class ManyRows:
    """A statement that is run for thousands of rows a second, given as tuples in the order of `columns`.

    SQLAlchemy writes it once for each engine; the rows then go to the driver as they are. No two rows may be for the
    same row of the table: PostgreSQL would take one of them.
    """

    columns: Mapping[str, TypeEngine[Any]]
    statement: Callable[[Given], Insert | Update | Delete]

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """How many rows of the table it hit."""
        return _written(self, connection.dialect)(connection, rows) if rows else 0


@lru_cache(maxsize=64)
def _written(many: ManyRows, dialect: Dialect) -> _Run:
    return _row_by_row(many, dialect) if dialect.name == "sqlite" else _as_arrays(many, dialect)


class _Parameters(Given):
    def __init__(self, columns: Mapping[str, TypeEngine[Any]]) -> None:
        self._columns = {name: bindparam(name, type_=kind) for name, kind in columns.items()}

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        return self._columns[name]

    def insert_into(self, table: Table) -> Insert:
        return sqlite.insert(table).values(self._columns)


def _row_by_row(many: ManyRows, dialect: Dialect) -> _Run:
    compiled = many.statement(_Parameters(many.columns)).compile(dialect=dialect)
    names = list(many.columns)
    sql, order = str(compiled), [names.index(name) for name in compiled.positiontup or ()]
    in_order = None if order == list(range(len(names))) else itemgetter(*order)

    def run(connection: Connection, rows: Sequence[Row]) -> int:
        ordered = rows if in_order is None else [in_order(row) for row in rows]
        # By the driver itself: SQLAlchemy's way to it takes longer than such a statement.
        cursor = connection.connection.cursor()
        try:
            if len(ordered) == 1:
                cursor.execute(sql, ordered[0])
            else:
                cursor.executemany(sql, ordered)
            return int(cursor.rowcount)
        finally:
            cursor.close()

    return run


class _Arrays(Given):
    def __init__(self, columns: Mapping[str, TypeEngine[Any]]) -> None:
        arrays = [bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in columns.items()]
        shape = [column(name, kind) for name, kind in columns.items()]
        self._rows = func.unnest(*arrays).table_valued(*shape, name="given").render_derived()

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        return self._rows.c[name]

    def insert_into(self, table: Table) -> Insert:
        names = [each.name for each in self._rows.c]
        return postgresql.insert(table).from_select(names, select(self._rows))


def _as_arrays(many: ManyRows, dialect: Dialect) -> _Run:
    sql = str(many.statement(_Arrays(many.columns)).compile(dialect=dialect))

    def run(connection: Connection, rows: Sequence[Row]) -> int:
        arrays = [list(values) for values in zip(*rows, strict=True)]
        return connection.exec_driver_sql(sql, dict(zip(many.columns, arrays, strict=True))).rowcount

    return run
