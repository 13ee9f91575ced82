"""BigQuery: each query run dry first, which says what it is, returns and costs; then as a job, read page by page."""

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
from connect.warehouses.bigquery_dialect import BigQueryDialect
from connect.warehouses.bigquery_grants import grants
from connect.warehouses.bigquery_settings import BigQuerySettings
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
from connect.warehouses.tables import arranged

if TYPE_CHECKING:
    import pyarrow

    from connect.warehouses.bigquery_connection import Link, Running

T = TypeVar("T")

_ROWS = 5_000
_LOOKING = timedelta(seconds=60)
_NOTHING = Query("", {})


class BigQuery:
    """A project's datasets."""

    Settings: ClassVar[type[SourceSettings]] = BigQuerySettings
    # A result is kept for a day. Read-only: what a dry run does not call a SELECT is never begun.
    # A statement that writes takes seconds, however little it writes.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(hours=12),
        enforces_read_only=True,
        billed_per_read=True,
        tells_cost=True,
        holds_reads=True,
        writes=True,
        most_added=20_000,
    )
    dialect: ClassVar[BigQueryDialect] = BigQueryDialect()

    patience: ClassVar[timedelta] = timedelta(seconds=20)
    """How long one request is tried again."""

    def __init__(self, source: Source) -> None:
        self._name, self._root = source.name, source.root
        self._settings = cast(BigQuerySettings, source.settings)
        self._running: set[Running] = set()
        self._guard = threading.Lock()
        self.dialect = BigQueryDialect(self._settings.default_dataset)  # type: ignore[misc]
        self._credentials: Any = None

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        from connect.warehouses.bigquery_types import columns_of

        with self._run(timeout) as running:
            return columns_of(self._dry_run(running, query)["schema"])

    def rows(self, query: Query, timeout: timedelta) -> list[dict[str, object]]:
        with self.read(query, timeout, _ROWS) as batches:
            return [row for batch in batches for row in _as_dicts(batch)]

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[pyarrow.RecordBatch]]:
        with self._run(timeout) as running:
            fields = self._dry_run(running, query)["schema"]
            stream = self._stream(running, query, fields, batch_rows)
            first = next(stream, None)
            try:
                yield _continued(first, stream)
            finally:
                stream.close()

    def cost(self, query: Query, timeout: timedelta) -> int:
        with self._run(timeout) as running:
            return int(self._dry_run(running, query)["billed"])

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        with self._run(timeout) as running:
            self._written(running, statements)

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        from connect.warehouses.bigquery_writing import merges

        statements = list(merges(self.dialect, table, arranged(table, rows)))
        with self._run(timeout) as running:
            self._written(running, statements)

    def grants(self, access: Access) -> Sequence[str]:
        return grants(access, self._settings, self._root)

    def check(self) -> str:
        found = Query("select session_user() as who", {})
        with self._run(_LOOKING) as running:
            self._dry_run(running, found)
            tables = self._translated(running, partial(self._tables, running), _NOTHING, dry=True)
        (row,) = self.rows(found, _LOOKING)
        return f"BigQuery, {self._settings.place}, as {row['who']}{tables}, read over REST"

    def close(self) -> None:
        with self._guard:
            running = list(self._running)
        for one in running:
            one.interrupt("closed")

    # Running

    def _dry_run(self, running: Running, query: Query) -> dict[str, Any]:
        """What a query returns and costs. Raises UserError where it is no SELECT, or dearer than is allowed."""
        from connect.warehouses import bigquery_errors as errors
        from connect.warehouses.bigquery_connection import billed

        job = self._translated(running, partial(running.link.dry_run, query), query, dry=True)
        if job.statement_type != "SELECT":
            raise errors.not_a_select(self._name, str(job.statement_type or ""))
        size, limit = billed(int(job.total_bytes_processed or 0)), self._settings.limit
        if limit is not None and size > limit:
            raise errors.too_dear(self._name, size, limit)
        return {"schema": [field.to_api_repr() for field in job.schema or ()], "billed": size}

    def _written(self, running: Running, statements: Sequence[Query]) -> None:
        """One after the other; those that change rows in one transaction, which ends with the last of them.

        What makes or drops tables can not be in it: that is done at once, and sees nothing of it.
        """
        from connect.warehouses.bigquery_transaction import CHANGES, Transaction

        with Transaction(partial(self._execute, running), running.abandon) as transaction:
            for statement in statements:
                kind = self._kind(running, statement)
                transaction.run(statement, alone=len(statements) == 1 or kind not in CHANGES)

    def _kind(self, running: Running, statement: Query) -> str:
        """What BigQuery calls a statement. Raises UserError where it is several, or wrong."""
        from connect.warehouses import bigquery_errors as errors

        dry_run = partial(running.link.dry_run, statement)
        job = self._translated(running, dry_run, statement, dry=True, writes=True)
        if job.statement_type in ("SCRIPT", None):
            raise errors.not_a_statement(self._name)
        return str(job.statement_type)

    def _execute(self, running: Running, statement: Query, **config: Any) -> Any:
        run = partial(running.execute, statement, **config)
        return self._translated(running, run, statement, dry=False, writes=True)

    def _stream(
        self, running: Running, query: Query, fields: Sequence[Any], rows: int
    ) -> Generator[pyarrow.RecordBatch, None, None]:
        from connect.warehouses.bigquery_types import batch_of

        job = self._translated(running, partial(running.begin, query), query, dry=False)
        pages = running.pages(job, rows)
        while (page := self._translated(running, lambda: next(pages, None), query, dry=False)) is not None:
            yield batch_of(fields, page)

    @contextmanager
    def _run(self, timeout: timedelta) -> Iterator[Running]:
        from connect.warehouses.bigquery_connection import Running

        running = Running(self._link(), time.monotonic() + timeout.total_seconds())
        with self._guard:
            self._running.add(running)
        try:
            yield running
        finally:
            with self._guard:
                self._running.discard(running)
            running.close()

    def _link(self) -> Link:
        from connect.warehouses import bigquery_errors as errors

        if (
            find_spec("google") is None
            or find_spec("google.cloud") is None
            or find_spec("google.cloud.bigquery") is None
        ):
            remedy = 'pip install "connect-campaigns[bigquery]"'
            said = f"source `{self._name}` needs the package `google-cloud-bigquery`"
            raise UserError.of("missing-extra", said, remedy)
        from connect.warehouses.bigquery_connection import Link

        settings = self._settings
        try:
            self._credentials = self._credentials or settings.signed(self._root)
            where = {"project": settings.project_name, "credentials": self._credentials}
            where |= {"location": settings.location_name, "endpoint": settings.endpoint}
            config = {"default_dataset": settings.default_dataset, "maximum_bytes_billed": settings.limit}
            return Link(where, config, self.patience.total_seconds())
        except (ValueError, OSError) as error:
            trouble: Exception = errors.bad_credentials(self._name, "the key can not be read")
            error.args = (type(error).__name__,)
        except Exception as error:
            if not errors.is_driver_error(error):
                raise
            trouble = errors.unsigned(self._name)
            error.args = (type(error).__name__,)
        raise trouble

    def _tables(self, running: Running) -> str:
        """How many tables the dataset has; nothing where the settings name none."""
        if not self._settings.default_dataset:
            return ""
        asked = running.link.client.list_tables(self._settings.default_dataset, retry=running.link.retry)
        count = sum(1 for _ in asked)
        return f", {count} table{'' if count == 1 else 's'}"

    def _translated(
        self, running: Running, call: Callable[[], T], query: Query, *, dry: bool, writes: bool = False
    ) -> T:
        """What a call returns. Google's errors become ours, with no value of a row in them or in their context."""
        from connect.warehouses import bigquery_errors as errors

        try:
            running.heed()
            return call()
        except (InterruptedError, TimeoutError):
            trouble: Exception = errors.stopped(running.why or "timeout", self._name)
        except Exception as error:
            if not errors.is_driver_error(error):
                raise
            trouble = errors.of_query(error, self._name, running.why, query, dry=dry, writes=writes)
            errors.emptied(error)
        raise trouble


def _continued(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
        yield from rest


def _as_dicts(batch: pyarrow.RecordBatch) -> Iterator[dict[str, object]]:
    columns = [python_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))
