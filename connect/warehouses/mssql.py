"""SQL Server 2022 and Azure SQL, through pymssql. Written from their documentation, and never run on a server.

SQL Server has no read-only transaction: each query is in one that is rolled back, and its user should be one who may
only read. DB-Library takes calls of one connection from one thread only, so that a query that gives no rows yet can not
be stopped from another: it ends at its time-out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from connect.errors import UserError
from connect.redact import Secret
from connect.warehouses.interface import (
    Access,
    Capabilities,
    Column,
    Query,
    Source,
    SourceSettings,
    Table,
    python_values,
)
from connect.warehouses.mssql_dialect import MSSQLDialect, filled, literal, quote
from connect.warehouses.mssql_hoisting import hoisted

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")

_ROWS = 10_000
_LOOKING = timedelta(seconds=30)
_CONNECTING = 10
_LOCKS = 30_000
"""How many milliseconds a table that somebody has locked is waited for."""

Encryption = Literal["off", "request", "require"]


class MSSQLSettings(SourceSettings):
    """`url: mssql://user:${PASSWORD}@host/database`, or the same in pieces."""

    url: str | None = Field(None, repr=False)
    host: str | None = None
    port: int | None = Field(None, ge=1, le=65535)
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    encryption: Encryption = "require"

    @model_validator(mode="after")
    def _one_place(self) -> MSSQLSettings:
        pieces = [self.host, self.port, self.database, self.user, self.password]
        if self.url is not None and any(piece is not None for piece in pieces):
            raise ValueError("give either `url` or its pieces")
        if self.url is None and not (self.host and self.database and self.user):
            raise ValueError("give either `url`, or `host`, `database`, `user` and `password`")
        return self

    def pieces(self) -> dict[str, str]:
        """By pymssql's names. Raises ValueError where the URL is none."""
        if self.url is None:
            password = self.password.reveal() if self.password else ""
            own = (self.host, self.port, self.database, self.user, password)
        else:
            parts = urlsplit(self.url)
            user, _, password = parts.netloc.rpartition("@")[0].partition(":")
            own = (parts.hostname, parts.port, unquote(parts.path[1:]), unquote(user), unquote(password))
        names = ("server", "port", "database", "user", "password")
        return {name: str(value) for name, value in zip(names, own, strict=True) if value}


@dataclass(eq=False)
class _Running:
    """An open connection, and why its query was stopped."""

    raw: Any
    why: str = ""


class MSSQL:
    """A database on SQL Server."""

    Settings: ClassVar[type[SourceSettings]] = MSSQLSettings
    capabilities: ClassVar[Capabilities] = Capabilities(longest_read=timedelta(minutes=10), enforces_read_only=False)
    dialect: ClassVar[MSSQLDialect] = MSSQLDialect()

    def __init__(self, source: Source) -> None:
        self._name = source.name
        self._settings = cast(MSSQLSettings, source.settings)
        self._running: set[_Running] = set()
        self._guard = threading.Lock()

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        from connect.warehouses.mssql_types import name_of

        asked = Query(f"select u.* from (\n{query.sql}\n) as u", query.parameters)
        with self._run(timeout) as running:
            return [Column(name, name_of(kind)) for name, kind in self._described(running, sent(asked))]

    def rows(self, query: Query, timeout: timedelta) -> list[dict[str, object]]:
        with self.read(query, timeout, _ROWS) as batches:
            return [row for batch in batches for row in _as_dicts(batch)]

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[pyarrow.RecordBatch]]:
        sql = sent(query)
        with self._run(timeout) as running:
            columns = self._described(running, sql)
            cursor = running.raw.cursor()
            self._translated(running, lambda: cursor.execute(sql))
            yield self._batches(running, cursor, columns, batch_rows)

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        raise self._unwritten()

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        raise self._unwritten()

    def grants(self, access: Access) -> Sequence[str]:
        try:
            user = self._settings.pieces().get("user", "connect_reader")
        except ValueError:
            user = "connect_reader"
        found = [f"grant select on {table} to {quote(user)}" for table in access.reads]
        written = access.adds or access.makes
        return [*found, *(["-- nothing is written to SQL Server"] if written else [])]

    def check(self) -> str:
        (found,) = self.rows(Query(_FOUND, {}), _LOOKING)
        told = f"SQL Server {found['version']}, database {found['place']}, as {found['whom']}"
        may = ", who may write too: grant db_datareader only" if found["writes"] else ""
        return f"{told}{may}. This adapter was never tried on a server: look at every count before you send"

    def close(self) -> None:
        with self._guard:
            for one in self._running:
                one.why = "closed"

    # Running

    def _batches(
        self, running: _Running, cursor: Any, columns: Sequence[tuple[str, str]], count: int
    ) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow

        from connect.warehouses.mssql_types import array

        names = [name for name, _ in columns]
        while rows := self._translated(running, lambda: cursor.fetchmany(count)):
            cells = zip(*rows, strict=True)
            arrays = [array(name, kind, column) for (name, kind), column in zip(columns, cells, strict=True)]
            yield pyarrow.record_batch(arrays, names=names)

    def _described(self, running: _Running, sql: str) -> list[tuple[str, str]]:
        """The names and types of what a query would give. Raises SqlError where it is wrong."""
        from connect.warehouses import mssql_errors as errors

        cursor = running.raw.cursor()
        self._translated(running, lambda: cursor.execute(_DESCRIBED.format(literal(sql))))
        found = self._translated(running, cursor.fetchall)
        for _, _, number, said in found:
            if number:
                raise errors.unaccepted(int(number), str(said), self._name)
        return [(str(name), str(kind)) for name, kind, _, _ in found]

    @contextmanager
    def _run(self, timeout: timedelta) -> Iterator[_Running]:
        """A connection in a transaction that changes nothing, until the context ends."""
        running = self._connected(timeout)
        with self._guard:
            self._running.add(running)
        try:
            yield running
        finally:
            with self._guard:
                self._running.discard(running)
            running.raw.close()  # which rolls back

    def _connected(self, timeout: timedelta) -> _Running:
        from connect.warehouses import mssql_errors as errors

        if find_spec("pymssql") is None:
            remedy = 'pip install "connect-campaigns[mssql]"'
            raise UserError.of("missing-extra", f"source `{self._name}` needs the package `pymssql`", remedy)
        import pymssql

        try:
            pieces = self._settings.pieces()
        except ValueError:
            pieces = {}
        if not pieces:
            raise errors.bad_settings(self._name)
        seconds = max(1, round(timeout.total_seconds()))
        try:
            raw = cast(Any, pymssql.connect)(
                **pieces,
                timeout=seconds,
                login_timeout=_CONNECTING,
                appname="connect",
                encryption=self._settings.encryption,
                read_only=True,  # asks for a replica that may be read, where there is one
                use_datetime2=True,
                conn_properties=[*_SESSION],
            )
            return _Running(raw)
        except pymssql.Error as error:
            trouble = errors.of_connecting(error, self._name)
            error.args = (type(error).__name__,)
        raise trouble

    def _translated(self, running: _Running, call: Callable[[], T]) -> T:
        """What a call returns. pymssql's errors become ours, with no value of a row in them or in their context."""
        import pymssql

        from connect.warehouses import mssql_errors as errors

        if running.why:
            raise errors.stopped(self._name)
        try:
            return call()
        except pymssql.Error as error:
            trouble = errors.of_query(error, self._name)
            error.args = (type(error).__name__,)  # a traceback prints the chain: nothing may be left in it
        raise trouble

    def _unwritten(self) -> UserError:
        said = f"nothing is written to `{self._name}`: the adapter of SQL Server only reads"
        return UserError.of("warehouse-privilege", said, "use another source for what Connect writes")


def sent(query: Query) -> str:
    """The text that the server is sent for a query."""
    return hoisted(filled(query))


def _as_dicts(batch: pyarrow.RecordBatch) -> Iterator[dict[str, object]]:
    columns = [python_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


_SESSION = (
    "set ansi_nulls on; set quoted_identifier on; set ansi_padding on; set ansi_warnings on; set arithabort on;"
    " set concat_null_yields_null on; set textsize 2147483647; set dateformat ymd;",
    f"set lock_timeout {_LOCKS}; set xact_abort on;",
)
"""What `hashbytes` of one text depends on is the same in every session: `a + null` is null, a date is one date."""

_DESCRIBED = (
    "select c.name, c.system_type_name, c.error_number, c.error_message"
    " from sys.dm_exec_describe_first_result_set({}, null, 0) as c"
    " where coalesce(c.is_hidden, 0) = 0 order by c.column_ordinal"
)

_FOUND = (
    "select convert(nvarchar(100), serverproperty('ProductVersion')) as version, db_name() as place,"
    " suser_sname() as whom, has_perms_by_name(db_name(), 'DATABASE', 'INSERT') as writes"
)
