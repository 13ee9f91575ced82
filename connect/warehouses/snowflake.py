"""Snowflake: a session for each query, whose result is streamed as Arrow in flat memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from connect.errors import UserError
from connect.warehouses.interface import (
    Access,
    Capabilities,
    Column,
    Query,
    Source,
    SourceSettings,
    SqlError,
    Table,
    python_values,
)
from connect.warehouses.snowflake_dialect import SnowflakeDialect, folded, marked, unfolded, unmarked
from connect.warehouses.snowflake_settings import SnowflakeSettings

if TYPE_CHECKING:
    import pyarrow

    from connect.warehouses.snowflake_connection import Running

T = TypeVar("T")

_ROWS = 10_000
_LOOKING = timedelta(seconds=60)
"""A virtual warehouse that sleeps takes some seconds to wake up."""


class Snowflake:
    """A database of a Snowflake account."""

    Settings: ClassVar[type[SourceSettings]] = SnowflakeSettings
    # A result is kept for a day, and its files can be fetched for hours; what costs money is every further query.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(hours=3), enforces_read_only=False, billed_per_read=True, holds_reads=True, writes=True
    )
    dialect: ClassVar[SnowflakeDialect] = SnowflakeDialect()

    def __init__(self, source: Source) -> None:
        self._name, self._root = source.name, source.root
        self._settings = cast(SnowflakeSettings, source.settings)
        self._running: set[Running] = set()
        self._guard = threading.Lock()

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        # The server describes it, and runs nothing. In a subquery nothing but a query can stand.
        before = "select u.* from (\n"
        asked = Query(f"{before}{query.sql}\n) as u", query.parameters)
        sql, values = self._read_only(asked)
        with self._run(timeout) as running:
            try:
                found = self._translated(running, lambda: running.describe(sql, values), asked)
            except SqlError as error:
                if error.offset is not None:
                    error.offset = min(max(0, error.offset - len(before)), len(query.sql))
                raise
        return self._told(found)

    def rows(self, query: Query, timeout: timedelta) -> list[dict[str, object]]:
        with self.read(query, timeout, _ROWS) as batches:
            return [row for batch in batches for row in _as_dicts(batch)]

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[pyarrow.RecordBatch]]:
        sql, values = self._read_only(query)
        with self._run(timeout) as running:
            stream = self._stream(running, query, running.stream(sql, values), batch_rows)
            first = next(stream, None)
            try:
                yield _continued(first, stream)
            finally:
                stream.close()

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        sent = [self._one_statement(query) for query in statements]
        with self._run(timeout) as running:
            if len(sent) == 1:
                self._translated(running, lambda: running.run(*sent[0]), statements[0], writes=True)
                return
            try:
                self._translated(running, lambda: running.all_or_none(sent), writes=True)
            except BaseException:
                running.roll_back()
                raise

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        from connect.warehouses.snowflake_adding import added

        if not rows.num_rows:
            return
        with self._run(timeout) as running:
            for query in added(table, rows):
                self._translated(running, partial(running.run, *marked(query)), query, writes=True)

    def grants(self, access: Access) -> Sequence[str]:
        from connect.warehouses.snowflake_grants import grants

        return grants(access, self._settings)

    def check(self) -> str:
        (found,) = self.rows(Query(_FOUND, {}), _LOOKING)
        role, computes = found["role"], self._computes
        tables = "1 table" if found["readable"] == 1 else f"{found['readable']} tables"
        told = f"Snowflake {found['version']}, database {found['database']}, role {role}, {computes}, sees {tables}"
        if str(role).upper() in _MIGHTY or found["owned"]:
            told += "; this role may change data. `connect doctor --grants` shows the least that it needs"
        return told

    _computes: str = ""

    def close(self) -> None:
        with self._guard:
            running = list(self._running)
        for one in running:
            one.interrupt("closed")

    # Running

    def _read_only(self, query: Query) -> tuple[str, list[object]]:
        """What the server is sent, which is one SELECT."""
        from connect.warehouses.snowflake_guard import only_reads

        sql, values = marked(query)
        only_reads(sql, self._name)
        return sql, values

    def _one_statement(self, query: Query) -> tuple[str, list[object]]:
        from connect.warehouses.snowflake_guard import one_statement

        sql, values = marked(query)
        one_statement(sql, self._name)
        return sql, values

    def _told(self, found: Sequence[Any]) -> list[Column]:
        from connect.warehouses.snowflake_types import name_of

        for column in found:
            if unfolded(folded(column.name)) != column.name:
                message = f"the column `{column.name}` is kept in small letters, which only its quoted name reaches"
                raise UserError.of("column-case", message, f'write `"{column.name}" as {column.name}` in the query')
        return [Column(folded(column.name), name_of(column)) for column in found]

    def _stream(
        self, running: Running, query: Query, tables: Iterator[tuple[Any, Sequence[Any]]], rows: int
    ) -> Generator[pyarrow.RecordBatch, None, None]:
        from connect.warehouses.snowflake_types import Arrangement

        arrangement = Arrangement()
        while (chunk := self._translated(running, lambda: next(tables, None), query)) is not None:
            table, description = chunk
            made = arrangement.of(table, description)
            yield from made.rename_columns([folded(name) for name in made.column_names]).to_batches(rows)

    @contextmanager
    def _run(self, timeout: timedelta) -> Iterator[Running]:
        """A session, until the context ends."""
        running = self._connected(time.monotonic() + timeout.total_seconds())
        with self._guard:
            self._running.add(running)
        try:
            yield running
        finally:
            with self._guard:
                self._running.discard(running)
            running.close()

    def _connected(self, until: float) -> Running:
        from connect.warehouses import snowflake_errors as errors

        if find_spec("snowflake") is None or find_spec("snowflake.connector") is None:
            remedy = 'pip install "connect-campaigns[snowflake]"'
            message = f"source `{self._name}` needs the package `snowflake-connector-python`"
            raise UserError.of("missing-extra", message, remedy)
        from connect.warehouses.snowflake_connection import Running

        parameters = self._settings.parameters(self._name, self._root)
        try:
            running = Running(parameters, self._settings.query_tag or f"connect:{self._name}", until)
            self._computes = f"warehouse {running.raw.warehouse}" if running.raw.warehouse else "no warehouse"
            return running
        except Exception as error:
            if not _is_driver_error(error):
                raise
            trouble = errors.of_connecting(error, self._name, str(parameters.get("account")))
            _emptied(error)
        raise trouble

    def _translated(
        self, running: Running, call: Callable[[], T], query: Query | None = None, *, writes: bool = False
    ) -> T:
        """What a call returns. The driver's errors become ours, with no value of a row in them or in their context."""
        from connect.warehouses import snowflake_errors as errors

        try:
            return call()
        except InterruptedError as error:
            trouble: Exception = errors.of_query(error, self._name, running.why, running.until, writes=writes)
        except Exception as error:
            if not _is_driver_error(error):
                raise
            trouble = errors.of_query(error, self._name, running.why, running.until, writes=writes)
            if isinstance(trouble, SqlError) and query is not None:
                place = errors.place_in(marked(query)[0], error)
                trouble.offset = None if place is None else unmarked(query, place)
            _emptied(error)
        raise trouble


def _is_driver_error(error: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] == "snowflake" for kind in type(error).__mro__)


def _emptied(error: BaseException | None) -> None:
    """A traceback prints the chain of exceptions: nothing of the driver's may be left in it."""
    while error is not None:
        error.args = (type(error).__name__,)
        for field in ("msg", "raw_msg", "query"):
            if hasattr(error, field):
                setattr(error, field, "")
        error = error.__cause__ or error.__context__


def _continued(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
        yield from rest


def _as_dicts(batch: pyarrow.RecordBatch) -> Iterator[dict[str, object]]:
    columns = [python_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


# What `connect doctor` tells

_FOUND = """
select current_version() as version, current_database() as database, current_role() as role,
       count(*) as readable, coalesce(sum(case when t.table_owner = current_role() then 1 else 0 end), 0) as owned
from information_schema.tables as t where t.table_schema <> 'INFORMATION_SCHEMA'
"""
_MIGHTY = ("ACCOUNTADMIN", "ORGADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN")
