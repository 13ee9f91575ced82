"""Any engine that SQLAlchemy has a dialect for, and Connect no adapter: read as the standard has it.

It promises less, and says so: see `capabilities`. Whether the engine writes positions as Python does is asked of it
with a handful of constants, before anything of an audience is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from urllib.parse import quote

from pydantic import Field

from connect.errors import ConnectError, OutsideError
from connect.warehouses.generic_dialect import GenericDialect, for_sqlalchemy, not_written, only_reads
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

if TYPE_CHECKING:
    import pyarrow

    from connect.warehouses.generic_connection import Running

T = TypeVar("T")

_ROWS = 10_000
_FIRST = 100
"""Rows from which the types of columns are learned that the driver does not tell."""
_LOOKING = timedelta(seconds=30)


class GenericSettings(SourceSettings):
    """`url: trino://user@host:8080/hive`: as SQLAlchemy takes it."""

    url: str = Field(repr=False)


class Generic:
    """A database behind a URL of SQLAlchemy's."""

    Settings: ClassVar[type[SourceSettings]] = GenericSettings
    # Nothing is known of what a long read is in the way of.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=10),
        enforces_read_only=False,
        holds_reads=True,
        reservations=(
            "what is no SELECT is refused, and everything is rolled back; only its user's privileges forbid more",
            "a query that is stopped may go on in the warehouse, where the driver can not cancel it",
            "it is only read: nothing is written back to it",
        ),
    )

    def __init__(self, source: Source) -> None:
        self._name = source.name
        self._url = _absolute(cast(GenericSettings, source.settings).url, source)
        self._engine = self._url.partition(":")[0].partition("+")[0].lower()
        self.dialect = GenericDialect(self._engine)
        self._running: set[Running] = set()
        self._guard = threading.Lock()
        self._proved = False

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        from connect.warehouses.generic_types import learned, told

        self._prove(timeout)
        around = f"(\n{query.sql}\n) as u"
        described, _ = self._first(Query(f"select u.* from {around} where 1 = 0", query.parameters), timeout)
        columns = [told(one) for one in described]
        if all(columns):
            return [column for column in columns if column]
        _, rows = self._first(Query(self.dialect.limited("u.*", around, _FIRST), query.parameters), timeout)
        return [
            column or learned(str(described[place][0]), (row[place] for row in rows))
            for place, column in enumerate(columns)
        ]

    def rows(self, query: Query, timeout: timedelta) -> list[dict[str, object]]:
        with self.read(query, timeout, _ROWS) as batches:
            return [row for batch in batches for row in _as_dicts(batch)]

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[pyarrow.RecordBatch]]:
        self._prove(timeout)
        with self._run(query, timeout) as running:
            stream = self._stream(running, query, batch_rows)
            first = next(stream, None)
            try:
                yield (batch for part in ([first] if first else [], stream) for batch in part)
            finally:
                stream.close()
                if self._is_unfinished(running):
                    running.interrupt("left")

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        raise not_written()

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        raise not_written()

    def cost(self, query: Query, timeout: timedelta) -> int:
        raise NotImplementedError  # `capabilities.tells_cost` is False

    def grants(self, access: Access) -> Sequence[str]:
        reading = [f"grant select on {table} to connect_reader" for table in access.reads]
        return reading or (["-- it is only read: nothing is to be granted"] if access.adds or access.makes else [])

    def check(self) -> str:
        self._proved = False
        self._prove(_LOOKING)
        not_promised = "; ".join(self.capabilities.reservations)
        return f"{self._engine} through SQLAlchemy, positions are those of Python. Know that {not_promised}"

    def close(self) -> None:
        with self._guard:
            running = list(self._running)
        for one in running:
            one.interrupt("closed")

    # Running

    def _prove(self, timeout: timedelta) -> None:
        """Raises UserError where the engine does not write positions as Python does. Asked once."""
        from connect.warehouses import generic_proof as proof

        if self._proved:
            return
        try:
            _, rows = self._first(proof.query(self.dialect), timeout)
        except SqlError:
            raise proof.differs(self._name, self._engine) from None
        except OutsideError as error:
            if error.problems[0].code != "query-failed":
                raise
            raise proof.differs(self._name, self._engine) from None
        wrong = proof.wrong(rows)
        if wrong:
            raise proof.differs(self._name, self._engine, wrong)
        self._proved = True

    def _first(self, query: Query, timeout: timedelta) -> tuple[Sequence[Any], list[Any]]:
        """A query that gives few rows: how its columns are described, and the rows."""
        with self._run(query, timeout) as running:
            chunks = running.stream(for_sqlalchemy(query), query.parameters, _ROWS)
            return self._translated(running, lambda: next(chunks), query)

    def _stream(self, running: Running, query: Query, rows: int) -> Generator[pyarrow.RecordBatch, None, None]:
        chunks = running.stream(for_sqlalchemy(query), query.parameters, rows)
        while True:
            chunk = self._translated(running, lambda: next(chunks, None), query)
            if chunk is None:
                running.cursor = None
                return
            if chunk[1]:
                yield _batch(*chunk)

    @staticmethod
    def _is_unfinished(running: Running) -> bool:
        return running.cursor is not None and not running.why

    @contextmanager
    def _run(self, query: Query, timeout: timedelta) -> Iterator[Running]:
        """A connection in a transaction that is rolled back when the context ends."""
        from connect.warehouses import generic_errors as errors

        if why := only_reads(query.sql, self.dialect.sqlglot):
            raise errors.refused(self._name, why)
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
        from connect.warehouses import generic_errors as errors
        from connect.warehouses.generic_connection import Running

        try:
            return Running(self._url, until)
        except Exception as error:
            if isinstance(error, ConnectError):
                raise
            trouble = errors.of_connecting(error, self._name, self._engine)
            errors.emptied(error)
        raise trouble

    def _translated(self, running: Running, call: Callable[[], T], query: Query) -> T:
        """What a call returns. Whatever is raised becomes ours, with no value of a row in it or in its context."""
        from connect.warehouses import generic_errors as errors

        try:
            return call()
        except Exception as error:
            if isinstance(error, ConnectError):
                raise
            trouble = errors.of_query(error, self._name, running.why, query.sql)
            errors.emptied(error)
        raise trouble


def _absolute(url: str, source: Source) -> str:
    """A file of SQLite's: relative to the project's folder, and neither made nor written."""
    scheme, found, path = url.partition(":///")
    if scheme.startswith("sqlite") and found and path and "?" not in path and not path.startswith((":", "file:")):
        return f"{scheme}:///file:{quote(str((source.root / path).resolve()))}?mode=ro&uri=true"
    return url


def _batch(described: Sequence[Any], rows: Sequence[Sequence[Any]]) -> pyarrow.RecordBatch:
    import pyarrow

    from connect.warehouses.generic_types import array, arrow_type, told

    names = [str(one[0]) for one in described]
    kinds = [arrow_type(told(one), name) for one, name in zip(described, names, strict=True)]
    arrays = map(array, names, kinds, (list(column) for column in zip(*rows, strict=True)))
    return pyarrow.record_batch(list(arrays), names=names)


def _as_dicts(batch: pyarrow.RecordBatch) -> Iterator[dict[str, object]]:
    columns = [python_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


__all__ = ["Generic", "GenericSettings"]
