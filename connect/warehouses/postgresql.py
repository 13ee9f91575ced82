"""PostgreSQL: one connection and one read-only transaction for each query, streamed into Arrow in flat memory.

What is written has a connection and a transaction of its own, too.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, model_validator

from connect.errors import OutsideError, UserError
from connect.redact import Secret
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
from connect.warehouses.postgresql_dialect import PostgreSQLDialect, numbered, unnumbered
from connect.warehouses.postgresql_grants import READER, grants
from connect.warehouses.tables import arranged

if TYPE_CHECKING:
    import pyarrow

    from connect.warehouses.postgresql_connection import Chunk, Running
    from connect.warehouses.postgresql_types import Key, Types

T = TypeVar("T")

_ROWS = 10_000
_LOOKING = timedelta(seconds=30)
_NOTHING = Query("", {})

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class PostgreSQLSettings(SourceSettings):
    """`url: postgresql://user:${PASSWORD}@host/database`, or the same in pieces."""

    url: str | None = Field(None, repr=False)
    host: str | None = None
    port: int | None = Field(None, ge=1, le=65535)
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    sslmode: SslMode | None = None

    @model_validator(mode="after")
    def _one_place(self) -> PostgreSQLSettings:
        pieces = [self.host, self.port, self.database, self.user, self.password, self.sslmode]
        if self.url is not None and any(piece is not None for piece in pieces):
            raise ValueError("give either `url`, which may end in ?sslmode=require, or its pieces")
        if self.url is None and not self.database:
            raise ValueError("give either `url`, or `host`, `database`, `user` and `password`")
        return self

    def parameters(self, defaults: dict[str, Any]) -> dict[str, Any]:
        """What libpq connects with. Raises psycopg's error where the URL is none."""
        from psycopg.conninfo import conninfo_to_dict

        if self.url is not None:
            return {**defaults, **conninfo_to_dict("postgresql:" + self.url.partition(":")[2])}
        password = self.password.reveal() if self.password else None
        own = {"host": self.host, "port": self.port, "dbname": self.database, "user": self.user}
        own |= {"password": password, "sslmode": self.sslmode}
        return {**defaults, **{name: value for name, value in own.items() if value is not None}}

    def names(self) -> tuple[str, str]:
        """The user and the database; blank where the settings leave them to the machine, or can not be read."""
        if self.url is None:
            return self.user or "", self.database or ""
        parts = urlsplit(self.url)
        named = dict(parse_qsl(parts.query))
        user = unquote(parts.netloc.rpartition("@")[0].partition(":")[0])
        return user or named.get("user", ""), unquote(parts.path[1:]) or named.get("dbname", "")


class PostgreSQL:
    """A database on a PostgreSQL server, or on what speaks like one."""

    Settings: ClassVar[type[SourceSettings]] = PostgreSQLSettings
    # Readers are in nobody's way; but what they may still see, no vacuum can clear away.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=10), enforces_read_only=True, holds_reads=True, writes=True
    )
    dialect: ClassVar[PostgreSQLDialect] = PostgreSQLDialect()

    product: ClassVar[str] = "PostgreSQL"
    encodings: ClassVar[tuple[str, ...]] = ("UTF8",)
    knows_types: ClassVar[bool] = True
    """Whether types of the user's own can be looked up in the catalog."""
    defaults: ClassVar[dict[str, Any]] = {}
    """Connection parameters beside libpq's own."""
    # A text of a date, a float, an interval must look as we read it, whatever the server's settings are.
    settings: ClassVar[tuple[tuple[str, str], ...]] = (
        ("timezone", "UTC"),
        ("datestyle", "ISO, MDY"),
        ("intervalstyle", "postgres"),
        ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
        ("idle_in_transaction_session_timeout", "0"),
        ("statement_timeout", "{timeout}"),
        ("lock_timeout", "{locks}"),
    )
    grants_connecting: ClassVar[bool] = True
    """Whether a user has to be allowed to connect to a database."""
    patience: ClassVar[timedelta] = timedelta(seconds=30)
    """How long a table that somebody has locked is waited for."""

    def __init__(self, source: Source) -> None:
        self._name = source.name
        self._settings = cast(PostgreSQLSettings, source.settings)
        self._running: set[Running] = set()
        self._guard = threading.Lock()
        self._known: Types | None = None

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        # The engine plans it, and gives nothing. In a subquery, where it refuses a data-modifying CTE.
        before = "select u.* from (\n"
        asked = Query(f"{before}{query.sql}\n) as u limit 0", query.parameters)

        def ask(running: Running) -> list[Column]:
            found = running.describe(*numbered(asked))
            types = self._learned(running, [key for _, key in found])
            return [Column(name, types.of(key).name) for name, key in found]

        with self._run(timeout) as running:
            try:
                return self._translated(running, partial(ask, running), asked, read=False)
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
                run = partial(running.execute, *numbered(statement))
                self._translated(running, run, statement, read=True, writes=True)
            self._translated(running, running.commit, _NOTHING, read=True, writes=True)

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        new = arranged(table, rows)

        def whole(running: Running) -> None:
            self._add(running, table, new)
            running.commit()

        with self._run(timeout, writes=True) as running:
            self._translated(running, partial(whole, running), _NOTHING, read=True, writes=True)

    def grants(self, access: Access) -> Sequence[str]:
        user, database = self._settings.names()
        return grants(access, user or READER, database, self.grants_connecting)

    def check(self) -> str:
        (found,) = self.rows(Query(_FOUND, {}), _LOOKING)
        version = re.search(rf"{self.product} [\d.]+", str(found["version"]))
        product = version[0] if version else str(found["version"]).partition(",")[0]
        tables = "1 table" if found["readable"] == 1 else f"{found['readable']} tables"
        told = f"{product}, database {found['database']}, as {found['role']}, {self._line()}, may read {tables}"
        return told + self._warning(found) + self._advice(found)

    def close(self) -> None:
        with self._guard:
            running = list(self._running)
        for one in running:
            one.interrupt("closed")

    def _advice(self, found: dict[str, object]) -> str:
        """The least privilege, where there is more of it, or not enough."""
        if found["readable"] and not found["superuser"] and not found["writable"]:
            return ""
        why = "a superuser may do anything" if found["superuser"] else "this user may write too"
        said = why if found["superuser"] or found["writable"] else "it may read nothing yet"
        return f"; {said}. `connect doctor --grants` shows the least that it needs"

    def _warning(self, found: dict[str, object]) -> str:
        if found["lowered"] == "é":
            return ""
        return "; its locale is C, where addresses that differ in the case of an accented letter are different ones"

    def _line(self) -> str:
        return "over TLS" if self._encrypted else "without TLS"

    _encrypted: bool = False

    def _add(self, running: Running, table: Table, rows: pyarrow.Table) -> None:
        from connect.warehouses import postgresql_writing as writing

        writing.copied_in(running, table, rows)
        if writing.has_unique_key(running, table):
            running.execute(writing.insert_by_constraint(table, rows.column_names))
        else:
            running.execute(writing.turn_of(table))
            running.execute(writing.insert_by_search(table, rows.column_names))

    # Running

    def _stream(self, running: Running, query: Query, rows: int) -> Generator[pyarrow.RecordBatch, None, None]:
        chunks = running.stream(*numbered(query), rows)
        kinds: Types | None = None
        try:
            while True:
                chunk = self._translated(running, lambda: next(chunks, None), query, read=True)
                if chunk is None:
                    return
                kinds = kinds or self._types_of(chunk)
                yield _batch(chunk, kinds)
        finally:
            _left(chunks)

    def _types_of(self, chunk: Chunk) -> Types:
        """The types of what is being read. Those met for the first time are asked for on another connection."""
        keys = [key for _, key in chunk.columns]
        if not self._types().unknown(keys):
            return self._types()
        with self._run(_LOOKING) as other:
            return self._translated(other, lambda: self._learned(other, keys), _NOTHING, read=True)

    def _types(self) -> Types:
        from connect.warehouses.postgresql_types import Types

        self._known = self._known or Types(catalog=self.knows_types)
        return self._known

    def _learned(self, running: Running, keys: Sequence[Key]) -> Types:
        self._types().learn(keys, running.ask)
        return self._types()

    @contextmanager
    def _run(self, timeout: timedelta, *, writes: bool = False) -> Iterator[Running]:
        """A connection in a transaction until the context ends: a read-only one, or one to be committed."""
        until = time.monotonic() + timeout.total_seconds()
        running = self._connected(until, writes)
        with self._guard:
            self._running.add(running)
        try:
            prepare = self._prepare_to_write if writes else self._prepare
            self._translated(running, partial(prepare, running), _NOTHING, read=True)
            yield running
        finally:
            with self._guard:
                self._running.discard(running)
            running.close()

    def _prepare(self, running: Running) -> None:
        said = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in self.settings)
        running.prepare(f"select {said}", self.patience.total_seconds())
        self._encrypted = bool(running.raw.pgconn.ssl_in_use)

    def _prepare_to_write(self, running: Running) -> None:
        # No SELECT: Redshift's transaction would see no row that is committed later, though it waits for others.
        said = "; ".join(f"set local {name} to '{value}'" for name, value in self.settings)
        running.prepare(said, self.patience.total_seconds())

    def _connected(self, until: float, writes: bool) -> Running:
        from connect.warehouses import postgresql_errors as errors

        if find_spec("psycopg") is None:
            remedy = f'pip install "connect-campaigns[{self.product.lower()}]"'
            raise UserError.of("missing-extra", f"source `{self._name}` needs the package `psycopg`", remedy)
        from connect.warehouses.postgresql_connection import CONNECTING, Running, is_driver_error

        trouble: Exception = errors.bad_settings(self._name)
        place = f"the {self.product} server"
        try:
            parameters = self._settings.parameters({**CONNECTING, **self.defaults})
            place = f"{self.product} on {parameters.get('host') or 'this machine'}"
            trouble = OutsideError()
            running = Running(parameters, until, writes=writes)
            encoding = running.raw.info.parameter_status("server_encoding") or self.encodings[0]
            if encoding in self.encodings:
                return running
            running.close()
            trouble = errors.bad_encoding(self._name, encoding)
        except Exception as error:
            if not is_driver_error(error):
                raise
            if not isinstance(trouble, UserError):
                trouble = errors.of_connecting(error, self._name, place)
            error.args = (type(error).__name__,)
        raise trouble

    def _translated(
        self, running: Running, call: Callable[[], T], query: Query, *, read: bool, writes: bool = False
    ) -> T:
        """What a call returns. psycopg's errors become ours, with no value of a row in them or in their context."""
        from connect.warehouses import postgresql_errors as errors
        from connect.warehouses.postgresql_connection import is_driver_error

        try:
            if running.why:
                raise InterruptedError
            return call()
        except InterruptedError as error:
            trouble: Exception = errors.of_query(
                error, self._name, running.why, running.until, read=read, writes=writes
            )
        except Exception as error:
            if not is_driver_error(error):
                raise
            trouble = errors.of_query(error, self._name, running.why, running.until, read=read, writes=writes)
            error.args = (type(error).__name__,)  # a traceback prints the chain: nothing may be left in it
        if isinstance(trouble, SqlError) and trouble.offset is not None:
            trouble.offset = unnumbered(query, trouble.offset)
        raise trouble


def _left(chunks: Generator[Chunk, None, None]) -> None:
    """Stop a query whose rows nobody wants: what the server says of that is no news."""
    from connect.warehouses.postgresql_connection import is_driver_error

    try:
        chunks.close()
    except Exception as error:
        if not is_driver_error(error):
            raise


def _continued(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
        yield from rest


def _batch(chunk: Chunk, types: Types) -> pyarrow.RecordBatch:
    import pyarrow

    kinds = [types.of(key) for _, key in chunk.columns]
    names = [name for name, _ in chunk.columns]
    cells = zip(*chunk.rows, strict=True)
    arrays = [kind.column(name, column) for name, kind, column in zip(names, kinds, cells, strict=True)]
    return pyarrow.record_batch(arrays, names=names)


def _as_dicts(batch: pyarrow.RecordBatch) -> Iterator[dict[str, object]]:
    columns = [python_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


# What `connect doctor` tells

_FOUND = """
select version() as version, current_database() as database, current_user as role, lower('É') as lowered,
       coalesce(sum(case when has_table_privilege(c.oid, 'select') then 1 else 0 end), 0) as readable,
       coalesce(sum(case when has_table_privilege(c.oid, 'insert') or has_table_privilege(c.oid, 'update')
                         or has_table_privilege(c.oid, 'delete') then 1 else 0 end), 0) as writable,
       coalesce((select u.usesuper from pg_user as u where u.usename = current_user), false) as superuser
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'v', 'm', 'p', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname not like 'pg\\_%' and has_schema_privilege(n.oid, 'usage')
"""
