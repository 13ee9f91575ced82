"""One statement for many rows, given as tuples: what a busy ledger does hundreds of times a second.

SQLAlchemy writes the statement once for each engine; the rows then go to the driver as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Dialect, Table, Update, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

Row = tuple[object, ...]
Insert = sqlite.Insert | postgresql.Insert
"""Two classes, spelled the same."""
_Run = Callable[[Connection, Sequence[Row]], int]


def insert_on(connection: Connection, table: Table) -> Insert:
    """An INSERT which knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


class Given:
    """What stands in a statement for the values of a row."""

    def __init__(self, columns: Mapping[str, TypeEngine[Any]], insert: Callable[[Table], Insert]) -> None:
        self._insert = insert
        self._columns = {name: bindparam(name, type_=kind) for name, kind in columns.items()}

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        return self._columns[name]

    def insert_into(self, table: Table) -> Insert:
        """An INSERT of all columns that are given, which knows ON CONFLICT."""
        return self._insert(table).values(self._columns)


@dataclass(frozen=True, eq=False)
class ManyRows:
    """A statement that is run for each of many rows, given as tuples in the order of `columns`."""

    columns: Mapping[str, TypeEngine[Any]]
    statement: Callable[[Given], Insert | Update | Delete]

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """How many rows of the table it hit."""
        return _written(self, connection.dialect)(connection, rows) if rows else 0


@lru_cache(maxsize=64)
def _written(many: ManyRows, dialect: Dialect) -> _Run:
    return _for_sqlite(many, dialect) if dialect.name == "sqlite" else _for_postgresql(many, dialect)


def _for_sqlite(many: ManyRows, dialect: Dialect) -> _Run:
    compiled = many.statement(Given(many.columns, sqlite.insert)).compile(dialect=dialect)
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


def _for_postgresql(many: ManyRows, dialect: Dialect) -> _Run:
    """Several rows go in one round trip: psycopg sends them one after the other without waiting for answers."""
    compiled = many.statement(Given(many.columns, postgresql.insert)).compile(dialect=dialect)
    # %(name)b: as bytes, not as text. https://www.psycopg.org/psycopg3/docs/basic/params.html#binary-parameters-and-results
    sql, names = str(compiled).replace(")s", ")b"), list(many.columns)

    def run(connection: Connection, rows: Sequence[Row]) -> int:
        given = [dict(zip(names, row, strict=True)) for row in rows]
        return connection.exec_driver_sql(sql, given if len(given) > 1 else given[0]).rowcount

    return run
