"""DuckDB: files opened read-only for as long as a query runs, streamed as Arrow, with nothing written to disk.

Facts measured with DuckDB 2.0:
- Only `.sql(query, params=…).to_arrow_reader(n)` streams; Arrow from `.execute()` makes an extra copy of everything.
- Connections of one process to one file share an instance and must have the same configuration.
- `temp_directory` can not be set in one configuration with `enable_external_access`; `set global TimeZone` can be set
  only before `lock_configuration`, and is then seen by every connection to the instance.
- There is no statement time-out: a timer interrupts, which surfaces as InterruptException, or as pyarrow's OSError.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from pydantic import model_validator

from connect.errors import ConnectError, OutsideError, UserError
from connect.warehouses.interface import (
    Access,
    Capabilities,
    Column,
    Query,
    Source,
    SourceSettings,
    Standard,
    json_type,
    python_values,
)

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")

_MEBIBYTE = 1 << 20
_ROWS = 10_000
_FIRST_MEMORY = 128 * _MEBIBYTE
"""Enough for a range of an audience that is a table or a filter; a query that needs more gets four times as much."""


class DuckDBSettings(SourceSettings):
    """`url: duckdb:///shop.duckdb` or `path: shop.duckdb`, relative to the project's folder."""

    url: str | None = None
    path: str | None = None
    memory_limit: str | None = None
    """At most this much, e.g. `4GB`. Half the machine's memory where it is not set."""
    threads: int | None = None

    @model_validator(mode="after")
    def _one_place(self) -> DuckDBSettings:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either `url` or `path`")
        if self.memory_limit is not None:
            _bytes(self.memory_limit)
        return self

    def file(self, root: Path) -> Path | None:
        """The database file; None for a database in memory."""
        place = self.path if self.url is None else self.url.partition(":")[2].partition("?")[0].removeprefix("///")
        return None if place in ("", "//", ":memory:", None) else (root / place).resolve()


_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


def _bytes(text: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?B)\s*", text, re.IGNORECASE)
    if not found:
        raise ValueError("`memory_limit` must look like 512MB or 4GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _half_the_machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


_WHITESPACE = "".join(chr(number) for number in range(1, 0x3001) if chr(number).isspace())
"""What Python's `strip` takes off; DuckDB's `trim` alone only takes spaces, and would miss an opt-out."""


class DuckDBDialect(Standard):
    """How DuckDB writes what wrapping needs."""

    sqlglot = "duckdb"
    materialized = "materialized"

    def parameter(self, name: str) -> str:
        return f"${name}"

    def text(self, expression: str) -> str:
        return f"cast({expression} as varchar)"

    def md5(self, expression: str) -> str:
        return f"md5({expression})"

    def trimmed(self, expression: str) -> str:
        # Trimming a set of characters costs ten times as much as seeing that there is nothing to trim.
        trimmed = f"trim({expression}, {_literal(_WHITESPACE)})"
        return f"case when regexp_matches({expression}, '^[^!-~]|[^!-~]$') then {trimmed} else {expression} end"

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', '', 'g'), '')"
        return f"case when starts_with({self.trimmed(expression)}, '+') then '+' else '' end || {digits}"

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        # An aggregate, where a window or a sort would hold every row: a million rows of one key cost as much as one.
        fields = ", ".join(f"struct_extract(o.connect_row, {_literal(name)}) as {self.quote(name)}" for name in columns)
        text = f"cast(row({', '.join(f'r.{self.quote(name)}' for name in columns)}) as varchar)"
        row = f"arg_min(r, md5({text})) as connect_row"  # without the salted position: the same row wins in every run
        grouped = f"select r.{key}, count(*) - 1 as {others}, {row}\nfrom (\n{relation}\n) as r group by r.{key}"
        return f"select o.{key}, o.{others}, {fields}\nfrom (\n{grouped}\n) as o"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class DuckDB:
    """A DuckDB file, or a database in memory."""

    Settings: ClassVar[type[SourceSettings]] = DuckDBSettings
    # A reader locks out every writer of another process, so a read must not last.
    capabilities: ClassVar[Capabilities] = Capabilities(longest_read=timedelta(minutes=1), enforces_read_only=True)
    dialect: ClassVar[DuckDBDialect] = DuckDBDialect()

    patience: ClassVar[timedelta] = timedelta(seconds=5)
    """How long a file that somebody else writes to is waited for."""

    def __init__(self, source: Source) -> None:
        settings = cast(DuckDBSettings, source.settings)
        self._name = source.name
        self._file = settings.file(source.root)
        self._threads = settings.threads
        self._most = _bytes(settings.memory_limit) if settings.memory_limit else _half_the_machine()
        self._memory = min(_FIRST_MEMORY, self._most)
        self._running: set[_Running] = set()
        self._guard = threading.Lock()

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        def ask(running: _Running) -> list[Column]:
            relation = running.sql(query)
            return [Column(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]

        with self._run(timeout, ask) as (_, columns):
            return columns

    def rows(self, query: Query, timeout: timedelta) -> list[dict[str, object]]:
        def ask(running: _Running) -> list[dict[str, object]]:
            relation = running.sql(query)
            table = _with_json(relation.to_arrow_reader(_ROWS).read_all(), _json_columns(relation))
            columns = [python_values(column.combine_chunks()) for column in table.columns]
            return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

        with self._run(timeout, ask) as (_, rows):
            return rows

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[pyarrow.RecordBatch]]:
        def begin(running: _Running) -> tuple[Any, Any, Any]:
            relation = running.sql(query)
            reader = relation.to_arrow_reader(batch_rows)
            return next(reader, None), reader, _json_columns(relation)

        with self._run(timeout, begin) as (running, (first, reader, json)):
            stream = (_with_json(batch, json) for batch in self._stream(running, first, reader))
            try:
                yield stream
            finally:
                running.interrupt("left")
                stream.close()
                reader.close()

    def grants(self, access: Access) -> Sequence[str]:
        who = "-- DuckDB has no users: the account that runs Connect must be able to"
        reading = [f"{who} read {self._place()}"] if access.reads else []
        # Beside the file stands its write-ahead log.
        return reading + ([f"{who} write {self._place()}, and its folder"] if access.adds or access.makes else [])

    def check(self) -> str:
        counted = "select count(*) as tables from information_schema.tables where table_schema <> 'information_schema'"
        tables = self.rows(Query(counted, {}), timedelta(seconds=30))[0]["tables"]
        return f"DuckDB {self._version()}, {self._place()}, {tables} table{'' if tables == 1 else 's'}"

    def close(self) -> None:
        with self._guard:
            running = list(self._running)
        for one in running:
            one.interrupt("closed")

    def _version(self) -> str:
        import duckdb

        return str(duckdb.__version__)

    def _place(self) -> str:
        return str(self._file) if self._file else "in memory"

    def _stream(self, running: _Running, first: Any, reader: Any) -> Generator[Any, None, None]:
        batch = first
        while batch is not None:
            yield batch
            batch = self._translated(running, lambda: next(reader, None))

    @contextmanager
    def _run(self, timeout: timedelta, ask: Callable[[_Running], T]) -> Iterator[tuple[_Running, T]]:
        """Open, ask, and keep open until the context ends; ask again with more memory where it was not enough."""
        until = time.monotonic() + timeout.total_seconds()
        while True:
            with self._opened(until) as running:
                try:
                    answer = self._translated(running, partial(_interruptible, running, partial(ask, running)))
                except _MoreMemory:
                    continue
                yield running, answer
                return

    def _translated(self, running: _Running, call: Callable[[], T]) -> T:
        """What a call returns. DuckDB's errors become ours, with no value of a row in them or in their context."""
        try:
            return call()
        except Exception as error:
            if not _is_engine_error(error):
                raise
            trouble = self._trouble(running, str(error))
            error.args = (type(error).__name__,)  # a traceback prints the chain: nothing may be left in it
        raise trouble

    def _trouble(self, running: _Running, words: str) -> Exception:
        if words.startswith("Out of Memory") and not running.why:
            return self._more_memory(running.memory)
        if words.startswith("INTERRUPT") or running.why:
            return _interrupted(running.why, self._name)
        return _said(words, self._name)

    def _more_memory(self, had: int) -> Exception:
        if had < self._most:
            self._memory = max(self._memory, min(had * 4, self._most))
            return _MoreMemory.of("query-memory", f"the query on `{self._name}` needs more memory", "run it again")
        return OutsideError.of(
            "query-memory",
            f"the query on `{self._name}` does not fit into {self._most // _MEBIBYTE:,} MiB of memory",
            "raise the source's `memory_limit`, or build a table of the audience first: contact data is never"
            " spilled to disk",
        )

    @contextmanager
    def _opened(self, until: float) -> Iterator[_Running]:
        wanted = _Configuration(self._memory, self._threads)
        with _instance(self._file, wanted, until, self._name) as configuration:
            raw, closes = self._connect(configuration, until)
            running = _Running(raw, configuration.memory)
            timer = threading.Timer(max(0.0, until - time.monotonic()), running.interrupt, ("timeout",))
            timer.daemon = True
            with self._guard:
                self._running.add(running)
            timer.start()
            try:
                yield running
            finally:
                timer.cancel()
                with self._guard:
                    self._running.discard(running)
                running.done()
                closes()

    def _connect(self, configuration: _Configuration, until: float) -> tuple[Any, Callable[[], None]]:
        """A locked-down connection, waited for while another process writes to the file."""
        if self._file is not None and not self._file.exists():
            hint = "check `url` in connect.yml; it is relative to the project's folder"
            raise OutsideError.of("warehouse-missing", f"there is no file {self._file} for source `{self._name}`", hint)
        patient = min(until, time.monotonic() + self.patience.total_seconds())
        pause = 0.05
        while True:
            words = ""
            try:
                return _open(self._file, configuration)
            except Exception as error:
                if not _is_engine_error(error):
                    raise
                words = str(getattr(error, "orig", error))
            if "Could not set lock" not in words or time.monotonic() + pause > patient:
                raise _not_opened(words, self._name, self._file)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)


class _MoreMemory(OutsideError):
    """The query did not fit; it may fit next time."""


class _Running:
    """A connection on which a query runs, and why it was interrupted."""

    def __init__(self, raw: Any, memory: int) -> None:
        self._raw = raw
        self._guard = threading.Lock()
        self._open = True
        self.memory = memory
        self.why = ""

    def sql(self, query: Query) -> Any:
        """The relation of a query; parameters that the text does not have would be an error of DuckDB's."""
        if self.why:
            raise OSError("INTERRUPT Error: before it began")
        names = self._raw.extract_statements(query.sql)[0].named_parameters
        values: Mapping[str, object] = {name: query.parameters[name] for name in names if name in query.parameters}
        return self._raw.sql(query.sql, params=values) if names else self._raw.sql(query.sql)

    def interrupt(self, why: str) -> None:
        with self._guard:
            self.why = self.why or why
            if self._open:
                self._raw.interrupt()

    def done(self) -> None:
        with self._guard:
            self._open = False


def _interruptible(running: _Running, call: Callable[[], T]) -> T:
    """What a call returns, with Ctrl-C at any instant: inside Arrow's reader DuckDB does not look for signals."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(call)
        try:
            return asked.result()
        except KeyboardInterrupt:
            while not wait([asked], 0.05).done:
                running.interrupt("closed")
            raise


def _json_columns(relation: Any) -> list[int]:
    return [number for number, kind in enumerate(relation.types) if str(kind) == "JSON"]


def _with_json(batch: Any, columns: Sequence[int]) -> Any:
    """A batch or a table whose JSON says so: DuckDB hands it out as any text."""
    for number in columns:
        batch = batch.set_column(number, batch.schema.names[number], batch.column(number).cast(json_type()))
    return batch


# Opening


@dataclass(frozen=True, slots=True)
class _Configuration:
    memory: int
    threads: int | None


@dataclass
class _Held:
    configuration: _Configuration
    users: int = 0


@dataclass
class _Instances:
    """Which files this process has open, and how: DuckDB refuses a second configuration for an open file."""

    held: dict[Path, _Held] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)


_instances = _Instances()


@contextmanager
def _instance(file: Path | None, wanted: _Configuration, until: float, name: str) -> Iterator[_Configuration]:
    """The configuration to open a file with: the wanted one, or one that is open and has as much memory."""
    if file is None:
        yield wanted
        return
    with _instances.changed:
        free = _instances.changed.wait_for(lambda: _joins(file, wanted), max(0.0, until - time.monotonic()))
        if not free:
            raise _interrupted("timeout", name)
        held = _instances.held.setdefault(file, _Held(wanted))
        held.users += 1
    try:
        yield held.configuration
    finally:
        with _instances.changed:
            held.users -= 1
            if not held.users:
                del _instances.held[file]
            _instances.changed.notify_all()


def _joins(file: Path, wanted: _Configuration) -> bool:
    held = _instances.held.get(file)
    if held is None:
        return True
    return held.configuration.threads == wanted.threads and held.configuration.memory >= wanted.memory


_opening = threading.Lock()


def _open(file: Path | None, configuration: _Configuration) -> tuple[Any, Callable[[], None]]:
    """A raw connection that can read nothing but the file and write nothing at all; and how to close it."""
    import sqlalchemy

    config = {"memory_limit": f"{configuration.memory}B", "temp_directory": ""}
    if configuration.threads is not None:
        config["threads"] = str(configuration.threads)
    url = sqlalchemy.URL.create("duckdb", database=str(file) if file else ":memory:")
    arguments = {"read_only": file is not None, "config": config}
    engine = sqlalchemy.create_engine(url, connect_args=arguments, poolclass=sqlalchemy.pool.NullPool)
    with _opening:
        connection = engine.connect()
        # The real connection behind duckdb-sqlalchemy's wrapper: a private name, which a test guards.
        raw = cast(Any, connection.connection.driver_connection)._ConnectionWrapper__c
        _lock_down(raw)
    return raw, connection.close


def _lock_down(raw: Any) -> None:
    """Once for each instance: its second connection finds everything set and locked."""
    if raw.sql("select current_setting('lock_configuration')").fetchall()[0][0]:
        return
    raw.execute("set global TimeZone = 'UTC'")
    raw.execute("set enable_progress_bar = false")  # where Python is interactive it prints on standard output
    raw.execute("set enable_external_access = false")
    raw.execute("set lock_configuration = true")


# What DuckDB says, in our words


def _is_engine_error(error: BaseException) -> bool:
    """An exception of DuckDB, of SQLAlchemy around one, or of pyarrow that carries DuckDB's words."""
    if isinstance(error, ConnectError):
        return False
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(roots & {"_duckdb", "duckdb", "sqlalchemy", "pyarrow"}) or isinstance(error, OSError | ValueError)


_NAMES_ONLY = ("Binder Error", "Catalog Error", "Parser Error", "Syntax Error")
"""Errors that quote names and SQL. All others may quote data, and are not repeated."""


def _said(words: str, name: str) -> ConnectError:
    kind = words.partition(":")[0] if re.match(r"[A-Z][A-Za-z ]+ Error:", words) else "error"
    if kind in _NAMES_ONLY:
        said = words.partition("\n\nLINE")[0].partition(": ")[2]
        return UserError.of("sql-error", f"DuckDB does not accept the query on `{name}`: {said}", _sql_hint(said))
    if kind == "Permission Error":
        message = f"the query on `{name}` reaches outside its database, which is locked for audiences"
        return UserError.of("sql-error", message, "load files into the database first, in a job of its own")
    hint = "run the query in DuckDB to see the value: it is not repeated here, because it may be a person's"
    return OutsideError.of("query-failed", f"DuckDB stopped the query on `{name}` with a {kind}", hint)


def _sql_hint(said: str) -> str:
    near = re.search(r"(?:Candidate bindings: |Did you mean )\"([^\"]+)\"", said)
    return f"did you mean `{near[1]}`?" if near else "run it in DuckDB to try"


def _interrupted(why: str, name: str) -> OutsideError:
    if why == "timeout":
        hint = "raise `audience.timeout`, or make the query cheaper: build a table of the audience first"
        return OutsideError.of("query-timeout", f"the query on `{name}` took longer than its time-out", hint)
    return OutsideError.of("query-stopped", f"the query on `{name}` was stopped", "run it again")


def _not_opened(words: str, name: str, file: Path | None) -> OutsideError:
    if "Could not set lock" in words:
        holder = re.search(r"\(PID (\d+)\)", words)
        who = f"process {holder[1]}" if holder else "another process"
        hint = f"wait until process {holder[1]} is done, or stop it" if holder else "wait until it is done, or stop it"
        return OutsideError.of("warehouse-locked", f"{file}, source `{name}`, is being written to by {who}", hint)
    hint = "check that it is a DuckDB file that this version of DuckDB reads, and that you may read it"
    return OutsideError.of("warehouse-unreadable", f"{file}, source `{name}`, can not be opened", hint)
