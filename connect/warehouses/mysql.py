"""MySQL and MariaDB: one connection and one read-only transaction for each query, streamed in flat memory."""

from __future__ import annotations

import re
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
from connect.warehouses.mysql_dialect import MySQLDialect, filled, unfilled
from connect.warehouses.mysql_grants import READER, grants
from connect.warehouses.mysql_settings import MySQLSettings
from connect.warehouses.tables import arranged

if TYPE_CHECKING:
    import pyarrow

    from connect.warehouses.mysql_connection import Chunk, Running
    from connect.warehouses.mysql_wire import Field

T = TypeVar("T")

_ROWS = 10_000
_LOOKING = timedelta(seconds=30)
_NOTHING = Query("", {})
_ATTEMPTS = 5


class MySQL:
    """A database on a MySQL or MariaDB server, or on what speaks like one: which of them, the server says."""

    Settings: ClassVar[type[SourceSettings]] = MySQLSettings
    # Readers are in nobody's way, but for who alters a table; and what they may still see can not be purged.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=10), enforces_read_only=True, holds_reads=True, writes=True
    )
    dialect: ClassVar[MySQLDialect] = MySQLDialect()

    patience: ClassVar[timedelta] = timedelta(seconds=30)
    """How long a table that somebody has locked is waited for."""

    def __init__(self, source: Source) -> None:
        self._name = source.name
        self._settings = cast(MySQLSettings, source.settings)
        self._running: set[Running] = set()
        self._guard = threading.Lock()

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        # The engine plans it, and gives nothing. In a subquery, where two columns can not have one name.
        before = "select u.* from (\n"
        asked = Query(f"{before}{query.sql}\n) as u limit 0", query.parameters)

        def ask(running: Running) -> list[Column]:
            sql = filled(asked)
            return [Column(field.name, kind.name) for field, kind in _kinds(running.describe(sql), sql)]

        with self._run(timeout) as running:
            try:
                return self._translated(running, lambda: ask(running), asked)
            except SqlError as error:
                if error.offset is not None:
                    error.offset = min(max(0, error.offset - len(before)), len(query.sql))
                raise

    def rows(self, query: Query, timeout: timedelta) -> list[dict[str, object]]:
        with self.read(query, timeout, _ROWS) as batches:
            return [row for batch in batches for row in _as_dicts(batch)]

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[pyarrow.RecordBatch]]:
        with self._run(timeout) as running:
            stream = self._stream(running, query, batch_rows)
            first = next(stream, None)
            try:
                yield _continued(first, stream)
            finally:
                stream.close()

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        with self._run(timeout, writes=True) as running:
            for statement in statements:
                run = partial(running.execute, filled(statement))
                self._translated(running, run, statement, writes=True)
            self._translated(running, partial(running.execute, "commit"), _NOTHING, writes=True)

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        new = arranged(table, rows)
        with self._run(timeout, writes=True) as running:
            self._translated(running, partial(self._add, running, table, new), _NOTHING, writes=True)

    def grants(self, access: Access) -> Sequence[str]:
        try:
            own = self._settings.pieces()
        except ValueError:
            own = {}
        return [*grants(access, own.get("user") or READER, own.get("database") or "")]

    def check(self) -> str:
        with self._run(_LOOKING) as running:
            version, line = running.version, "over TLS" if running.encrypted else "without TLS"
            product = "MariaDB" if running.is_mariadb else "MySQL"
        (found,) = self.rows(Query(_FOUND, {}), _LOOKING)
        number = re.search(r"[\d.]+", version.removeprefix("5.5.5-"))  # what MariaDB tells old clients first
        tables = "1 table" if found["readable"] == 1 else f"{found['readable']} tables"
        told = f"{product} {number[0] if number else version}, database {found['place']}, as {found['whom']}, {line}"
        return f"{told}, may read {tables}{self._advice(found)}"

    def close(self) -> None:
        with self._guard:
            running = list(self._running)
        for one in running:
            one.interrupt("closed")

    def _advice(self, found: dict[str, object]) -> str:
        """Where there is more than the least privilege, or not enough."""
        if found["files"]:
            said = "this user may write files on the server, which a read-only transaction does not prevent"
        elif found["writable"]:
            said = "this user may write too"
        elif not found["readable"]:
            said = "it may read nothing yet"
        else:
            return ""
        return f"; {said}. `connect doctor --grants` shows the least that it needs"

    def _add(self, running: Running, table: Table, rows: pyarrow.Table) -> None:
        """In one transaction; again, where the server undid it because somebody else was adding too."""
        from connect.warehouses.mysql_connection import is_race

        # What does not fit is an error, and never cut off.
        running.execute("set session sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES')")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._add_once(running, table, rows)
                break
            except Exception as error:
                if not is_race(error) or attempt == _ATTEMPTS:
                    raise
                running.execute("rollback")

    def _add_once(self, running: Running, table: Table, rows: pyarrow.Table) -> None:
        from connect.warehouses import mysql_writing as writing

        running.execute("start transaction")
        running.wait_for_turn(writing.turn_of(table, min(running.left, self.patience.total_seconds())))
        collations = running.pairs(writing.collations_of(table))
        for part in writing.parts(rows):
            running.execute(writing.insertion(table, part, collations))
        running.execute("commit")

    # Running

    def _stream(self, running: Running, query: Query, rows: int) -> Generator[pyarrow.RecordBatch, None, None]:
        sql = filled(query)
        chunks = running.stream(sql, rows)
        kinds: list[Any] = []
        try:
            while True:
                chunk = self._translated(running, lambda: next(chunks, None), query)
                if chunk is None:
                    return
                kinds = kinds or _kinds(chunk.fields, sql)
                yield _batch(chunk, kinds)
        finally:
            chunks.close()

    @contextmanager
    def _run(self, timeout: timedelta, *, writes: bool = False) -> Iterator[Running]:
        """A connection in a transaction, which is a read-only one if nothing else is said, until the context ends."""
        with self._connection(timeout) as running:
            self._translated(running, lambda: self._prepare(running, writes), _NOTHING)
            yield running

    @contextmanager
    def _connection(self, timeout: timedelta) -> Iterator[Running]:
        running = self._connected(time.monotonic() + timeout.total_seconds())
        with self._guard:
            self._running.add(running)
        try:
            yield running
        finally:
            with self._guard:
                self._running.discard(running)
            running.close()

    def _prepare(self, running: Running, writes: bool) -> None:
        access = "read write" if writes else "read only"
        running.execute(f"set session transaction {access}")
        running.execute(self._session(running))
        running.execute(f"start transaction {access}")

    def _session(self, running: Running) -> str:
        """The settings of a session: instants in UTC, the time-out, and a reader that may be as slow as it likes."""
        left = running.left
        limit = f"max_statement_time = {left:.3f}" if running.is_mariadb else f"max_execution_time = {left * 1000:.0f}"
        # Rows that a slow provider keeps us from fetching are no reason to hang up, as they are after a minute else.
        slow = f"net_write_timeout = {int(left) + 60}"
        locks = f"lock_wait_timeout = {max(1, int(min(left / 2, self.patience.total_seconds())))}"
        return f"set session time_zone = '+00:00', {limit}, {slow}, {locks}"

    def _connected(self, until: float) -> Running:
        from connect.warehouses import mysql_errors as errors

        if find_spec("pymysql") is None:
            remedy = 'pip install "connect-campaigns[mysql]"'
            raise UserError.of("missing-extra", f"source `{self._name}` needs the package `pymysql`", remedy)
        from connect.warehouses.mysql_connection import Running, is_driver_error

        try:
            parameters = self._settings.parameters()
        except (ValueError, OSError):
            parameters = None
        if parameters is None:
            raise errors.bad_settings(self._name)
        place = f"the server on {parameters.get('host') or 'this machine'}"
        try:
            return Running(parameters, until)
        except Exception as error:
            if not is_driver_error(error):
                raise
            trouble = errors.of_connecting(error, self._name, place)
            error.args = (type(error).__name__,)
        raise trouble

    def _translated(self, running: Running, call: Callable[[], T], query: Query, *, writes: bool = False) -> T:
        """What a call returns. PyMySQL's errors become ours, with no value of a row in them or in their context."""
        from connect.warehouses import mysql_errors as errors
        from connect.warehouses.mysql_connection import is_driver_error

        try:
            if running.why:
                raise InterruptedError
            return call()
        except InterruptedError as error:
            trouble: Exception = errors.of_query(error, self._name, running.why, "", writes=writes)
        except Exception as error:
            if not is_driver_error(error):
                raise
            trouble = errors.of_query(error, self._name, running.why, filled(query), writes=writes)
            error.args = (type(error).__name__,)  # a traceback prints the chain: nothing may be left in it
        if isinstance(trouble, SqlError) and trouble.offset is not None:
            trouble.offset = unfilled(query, trouble.offset)
        raise trouble


def _kinds(fields: Sequence[Field], sql: str) -> list[tuple[Field, Any]]:
    from connect.warehouses.mysql_booleans import conditions
    from connect.warehouses.mysql_types import kind, may_be_condition

    asked = conditions(sql) if any(may_be_condition(field) for field in fields) else frozenset()
    return [(field, kind(field, may_be_condition(field) and field.name.lower() in asked)) for field in fields]


def _continued(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
        yield from rest


def _batch(chunk: Chunk, kinds: Sequence[tuple[Field, Any]]) -> pyarrow.RecordBatch:
    import pyarrow

    columns = zip(*chunk.rows, strict=True)
    arrays = [kind.column(cells) for (_, kind), cells in zip(kinds, columns, strict=True)]
    return pyarrow.record_batch(arrays, names=[field.name for field, _ in kinds])


def _as_dicts(batch: pyarrow.RecordBatch) -> Iterator[dict[str, object]]:
    columns = [python_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


# What `connect doctor` tells. A schema shows nobody a table that they may do nothing with.

_MAY = (
    "select 1 from information_schema.{0}_privileges as p"
    " where p.privilege_type in ({1}) and replace(p.grantee, '''', '') = current_user()"
)
_WRITES = "'INSERT', 'UPDATE', 'DELETE'"
_FOUND = f"""
select database() as place, current_user() as whom,
       (select count(*) from information_schema.tables as t where t.table_schema = database()) as readable,
       exists ({_MAY.format("user", "'FILE'")}) as files,
       exists ({_MAY.format("user", _WRITES)}) or exists ({_MAY.format("schema", _WRITES)})
         or exists ({_MAY.format("table", _WRITES)}) as writable
"""
