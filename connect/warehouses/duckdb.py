"""DuckDB: files opened read-only for as long as a query runs, streamed as Arrow, with nothing written to disk.

Facts measured with DuckDB 2.0:
- Only `.sql(query, params=…).to_arrow_reader(n)` streams; Arrow from `.execute()` makes an extra copy of everything.
- Connections of one process to one file share an instance and must have the same configuration.
- `temp_directory` can not be set in one configuration with `enable_external_access`; `set global TimeZone` can be set
  only before `lock_configuration`, and is then seen by every connection to the instance.
- There is no statement time-out: a timer interrupts, which surfaces as InterruptException, or as pyarrow's OSError.
- `add` of 10,000 rows of 12 columns: 0.11 s of CPU, and 0.05 s more for each million rows of the same run, which are
  looked through; opening the file to write, and its checkpoint on closing, are half of the former. A primary key is
  no help: DuckDB keeps an index of it in memory, and has to load it each time.
"""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from pydantic import model_validator

from connect.errors import OutsideError, UserError
from connect.warehouses import duckdb_errors as errors
from connect.warehouses.duckdb_brought import Shelf
from connect.warehouses.duckdb_dialect import DuckDBDialect
from connect.warehouses.duckdb_kept import Keep, marked
from connect.warehouses.duckdb_opening import Configuration, Held, instance, opened
from connect.warehouses.duckdb_threads import Threads
from connect.warehouses.interface import (
    Access,
    Capabilities,
    Column,
    Kept,
    Query,
    Source,
    SourceSettings,
    Table,
    Warehouse,
    json_type,
    python_values,
)
from connect.warehouses.tables import arranged

if TYPE_CHECKING:
    import pyarrow

    Lendable = Callable[["_Running", Kept], Mapping[str, pyarrow.Table] | None]

T = TypeVar("T")

# duckdb 2.0 says so of each `few`, where a copy is what is wanted.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)

_MEBIBYTE = 1 << 20
_ROWS = 10_000
_ADDED = "connect_added"
_FIRST_MEMORY = 48 * _MEBIBYTE
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


class DuckDB:
    """A DuckDB file, or a database in memory."""

    Settings: ClassVar[type[SourceSettings]] = DuckDBSettings
    # A reader locks out every writer of another process, so a read must not last.
    # What is added is looked for among all of the run's rows: rather seldom, and many at once.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=1), enforces_read_only=True, writes=True, most_added=20_000, takes_rows=True
    )
    dialect: ClassVar[DuckDBDialect] = DuckDBDialect()

    patience: ClassVar[timedelta] = timedelta(seconds=5)
    """How long a file that somebody else writes to is waited for."""

    def __init__(self, source: Source) -> None:
        settings = cast(DuckDBSettings, source.settings)
        self._name = source.name
        self._file = settings.file(source.root)
        self._threads = Threads(settings.threads, may_be_one=self._file is not None)
        self._most = _bytes(settings.memory_limit) if settings.memory_limit else _half_the_machine()
        self._memory = min(_FIRST_MEMORY, self._most)
        self._running: set[_Running] = set()
        self._guard = threading.Lock()
        self._shelf = Shelf()
        self._keep = Keep()
        self.others: Callable[[str], Warehouse] = _alone

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
            if query.few:
                reader, json = running.few(query, batch_rows)
                return next(reader, None), reader, json
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

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        def run(running: _Running) -> None:
            for statement in statements:
                running.execute(statement)

        self._change(timeout, run)

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        new = arranged(table, rows)
        firsts = new.column(table.key[0]).unique().to_pylist()
        statement = self.dialect.added(_looked_in(table, new), _ADDED, new.column_names, firsts)

        def run(running: _Running) -> None:
            running.lend(_ADDED, new)
            running.execute(statement)

        self._change(timeout, run)

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
        self._shelf.close()
        self._keep.clear()

    def _version(self) -> str:
        import duckdb

        return str(duckdb.__version__)

    def _place(self) -> str:
        return str(self._file) if self._file else "in memory"

    def _stream(self, running: _Running, first: Any, reader: Any) -> Generator[Any, None, None]:
        batch, worked = first, 0.0
        try:
            while batch is not None:
                yield batch
                began = time.monotonic()
                batch = self._translated(running, lambda: next(reader, None))
                worked += time.monotonic() - began
        finally:
            self._threads.took(worked)

    def _change(self, timeout: timedelta, change: Callable[[_Running], None]) -> None:
        """Do something in a transaction of its own, alone with the file."""
        if self._file is None:
            raise errors.forgets(self._name)

        def whole(running: _Running) -> None:
            running.raw.begin()
            change(running)
            running.answer()
            running.commit()  # what fails before is undone when the connection is closed

        with self._run(timeout, whole, writes=True):
            pass

    @contextmanager
    def _run(
        self, timeout: timedelta, ask: Callable[[_Running], T], *, writes: bool = False
    ) -> Iterator[tuple[_Running, T]]:
        """Open, ask, and keep open until the context ends; ask again with more of what was not enough."""
        until = time.monotonic() + timeout.total_seconds()

        def answered(running: _Running) -> T:
            answer = ask(running)
            running.answer()
            return answer

        while True:
            with ExitStack() as stack:
                try:
                    running = stack.enter_context(self._opened(until, writes))
                    answer = self._translated(running, partial(_interruptible, running, partial(answered, running)))
                except _Again:
                    continue
                yield running, answer
                return

    def _translated(self, running: _Running, call: Callable[[], T]) -> T:
        """What a call returns. DuckDB's errors become ours, with no value of a row in them or in their context."""
        try:
            return call()
        except Exception as error:
            if not errors.is_engine_error(error):
                raise
            trouble = self._trouble(running, str(error))
            error.args = (type(error).__name__,)  # a traceback prints the chain: nothing may be left in it
        raise trouble

    def _trouble(self, running: _Running, words: str) -> Exception:
        if running.why == _SLOW:
            self._threads.take_all()
            return _Again.of("query-stopped", f"the query on `{self._name}` needs more threads", "run it again")
        if errors.wants_memory(words) and not running.why:
            return self._more_memory(running.memory)
        if words.startswith("INTERRUPT") or running.why:
            return errors.interrupted(running.why, self._name)
        return errors.said(words, self._name)

    def _more_memory(self, had: int) -> Exception:
        if self._raise_memory(had):
            return _Again.of("query-memory", f"the query on `{self._name}` needs more memory", "run it again")
        return OutsideError.of(
            "query-memory",
            f"the query on `{self._name}` does not fit into {self._most // _MEBIBYTE:,} MiB of memory",
            "raise the source's `memory_limit`, or build a table of the audience first: contact data is never"
            " spilled to disk",
        )

    def _raise_memory(self, had: int) -> bool:
        """Whether the next connection gets more than so many bytes."""
        self._memory = max(self._memory, min(had * 4, self._most))
        return self._memory > had

    @contextmanager
    def _opened(self, until: float, writes: bool) -> Iterator[_Running]:
        wanted = Configuration(self._memory, self._threads.number, writes)
        with instance(self._file, wanted, until, self._name) as held:
            raw, closes = self._connect(held, until)
            running = _Running(raw, held.configuration.memory, until, self._shelf, self._lendable)
            with self._guard:
                self._running.add(running)
            threading.Thread(target=running.watch, args=(self._threads.seconds,), daemon=True).start()
            well = False
            try:
                yield running
                well = running.why in ("", "left")
            finally:
                with self._guard:
                    self._running.discard(running)
                running.done()
                if closes(well):
                    self._raise_memory(running.memory)

    def _lendable(self, running: _Running, kept: Kept) -> Mapping[str, pyarrow.Table] | None:
        """The part of a query that need not be made again; None where it has to be. Only a file tells."""
        return self._keep.tables(kept, marked(self._file), running.sql) if self._file else None

    def _prepare(self, raw: Any) -> None:
        """Called with a connection that is not locked down yet."""

    def _connect(self, held: Held, until: float) -> tuple[Any, Callable[[bool], bool]]:
        """A locked-down connection, waited for while another process writes to the file, or reads what we write to."""
        if self._file is not None and not self._file.exists():
            hint = "check `url` in connect.yml; it is relative to the project's folder"
            raise OutsideError.of("warehouse-missing", f"there is no file {self._file} for source `{self._name}`", hint)
        patient = min(until, time.monotonic() + self.patience.total_seconds())
        pause = 0.05
        while True:
            words = ""
            try:
                return opened(held, self._prepare)
            except Exception as error:
                if not errors.is_engine_error(error):
                    raise
                words = str(error)
            if errors.wants_memory(words):  # for what the write-ahead log holds
                raise self._more_memory(held.configuration.memory)
            if "Could not set lock" not in words or time.monotonic() + pause > patient:
                raise errors.not_opened(words, self._name, self._file, writes=held.configuration.writes)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)


def _looked_in(table: Table, rows: pyarrow.Table) -> Table:
    """The table as it says where rows may be; all of it, where one of these would not be found again in that way."""
    if table.among is None:
        return table
    column = table.among[0]
    told = column in rows.column_names and not rows.column(column).null_count
    return table if told else replace(table, among=None)


class _Again(OutsideError):
    """The query did not fit, or took too long for one thread; it is asked again with more."""


_SLOW = "slow"


class _Running:
    """A connection on which a query runs, and why it was interrupted."""

    def __init__(self, raw: Any, memory: int, until: float, shelf: Shelf, lendable: Lendable) -> None:
        self.raw = raw
        self._until = until
        self._shelf = shelf
        self._lendable = lendable
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._open, self._answered = True, False
        self.memory = memory
        self.why = ""

    def sql(self, query: Query) -> Any:
        """The relation of a query; parameters that the text does not have would be an error of DuckDB's."""
        sql, values = self._ready(query)
        return self.raw.sql(sql, params=values) if values else self.raw.sql(sql)

    def few(self, query: Query, batch_rows: int) -> tuple[Any, list[int]]:
        """A reader of few rows, and which columns are JSON: copied, for which the text is read once and not thrice."""
        sql, values = self._ready(query)
        self.raw.execute(sql, values or None)
        json = [number for number, column in enumerate(self.raw.description) if str(column[1]) == "JSON"]
        return self.raw.to_arrow_reader(batch_rows), json

    def _ready(self, query: Query) -> tuple[str, dict[str, object]]:
        """Make all that a query names be there. Returns the text to ask, and what it binds."""
        if self.why:
            raise OSError("INTERRUPT Error: before it began")
        if query.kept is not None and (tables := self._lendable(self, query.kept)) is not None:
            query = query.kept.query
            query = replace(query, lent={**query.lent, **tables})
        for brought in query.brought:
            left = timedelta(seconds=max(1.0, self._until - time.monotonic()))
            self.lend(brought.name, self._shelf.table(brought, left))
        for name, rows in query.lent.items():
            self.lend(name, rows)
        names = _bound_in(self.raw, query.sql)
        return query.sql, {name: query.parameters[name] for name in names if name in query.parameters}

    def execute(self, statement: Query) -> None:
        """Run one statement; several in one text, of which DuckDB would run all, are refused as it refuses mistakes."""
        if self.why:
            raise OSError("INTERRUPT Error: before it began")
        if len(found := self.raw.extract_statements(statement.sql)) != 1:
            raise ValueError(f"Parser Error: there are {len(found)} statements in one text")
        names = found[0].named_parameters
        self.raw.execute(statement.sql, {name: statement.parameters[name] for name in names} or None)

    def commit(self) -> None:
        """What is durable has happened, also where there was no memory left to put it in order in the file."""
        try:
            self.raw.commit()
        except Exception as error:
            if not errors.is_durable(str(error)):
                raise

    def lend(self, name: str, rows: pyarrow.Table) -> None:
        """Let statements read Arrow's rows as a table of this name, until the connection is closed."""
        self.raw.register(name, rows)

    def watch(self, patience: float | None) -> None:
        """Interrupt it when its time is over; and after so many seconds where it has given nothing by then."""
        if patience is not None and not self._over.wait(min(patience, self._left)):
            self.interrupt(_SLOW)
        if not self._over.wait(self._left):
            self.interrupt("timeout")

    @property
    def _left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def answer(self) -> None:
        """From now on it is not stopped for being slow. Raises what DuckDB does where it has just been."""
        with self._guard:
            if self.why == _SLOW:
                raise OSError("INTERRUPT Error: while it answered")
            self._answered = True

    def interrupt(self, why: str) -> None:
        with self._guard:
            if why == _SLOW and (self._answered or self.why):
                return
            self.why = why if self.why == _SLOW else self.why or why
            if self._open:
                self.raw.interrupt()

    def done(self) -> None:
        self._over.set()
        with self._guard:
            self._open = False


_names: OrderedDict[str, frozenset[str]] = OrderedDict()
"""Text of a query → what it binds: to read it takes as long as a small answer."""
_MOST_NAMES, _LONGEST_NAMED = 100, 20_000


def _bound_in(raw: Any, sql: str) -> frozenset[str]:
    """The names of the parameters in a text. For any thread."""
    found = _names.get(sql)
    if found is None:
        found = frozenset(_the_select(raw.extract_statements(sql)).named_parameters)
        if len(sql) <= _LONGEST_NAMED:
            _names[sql] = found
            while len(_names) > _MOST_NAMES:
                with suppress(KeyError):  # another thread was faster
                    _names.popitem(last=False)
    return found


def _the_select(statements: Sequence[Any]) -> Any:
    """The one statement of a text that reads. Another could write even here: `copy` reaches the file."""
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise ValueError("Parser Error: what is read is one SELECT")
    return statements[0]


def _alone(name: str) -> Warehouse:
    raise UserError.of("unknown-source", f"nothing was said of a source `{name}`", "add it under `sources`")


def _interruptible(running: _Running, call: Callable[[], T]) -> T:
    """What a call returns, with Ctrl-C at any instant: inside Arrow's reader DuckDB does not look for signals."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    aside = _Aside(call)
    try:
        threading.Thread(target=aside.run, name="duckdb").start()
        aside.done.wait()
    except KeyboardInterrupt:  # also while the thread is being started
        if aside.has_begun():
            while not aside.done.wait(0.05):
                running.interrupt("closed")
        raise
    return aside.outcome()


class _Aside(Generic[T]):
    """A call that another thread makes, once."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.done = threading.Event()
        self._call = call
        self._guard = threading.Lock()
        self._begun = self._left = False
        self._answers: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        with self._guard:
            if self._left:
                return
            self._begun = True
        try:
            self._answers.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised to who asked
            self._error = error
        finally:
            self.done.set()

    def has_begun(self) -> bool:
        """Whether it is to be waited for; else it is never made."""
        with self._guard:
            self._left = True
            return self._begun

    def outcome(self) -> T:
        if (error := self._error) is not None:
            self._error = None
            raise error
        return self._answers[0]


def _json_columns(relation: Any) -> list[int]:
    return [number for number, kind in enumerate(relation.types) if str(kind) == "JSON"]


def _with_json(batch: Any, columns: Sequence[int]) -> Any:
    """A batch or a table whose JSON says so: DuckDB hands it out as any text."""
    for number in columns:
        batch = batch.set_column(number, batch.schema.names[number], batch.column(number).cast(json_type()))
    return batch
