"""Jobs of BigQuery: run dry, begun, waited for, read page by page, and stopped from outside.

A job's result is a table of BigQuery's own, which only its account can read, for a day. So a read that waits is in
nobody's way, and may be as long as it likes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any

from google.api_core.client_info import ClientInfo
from google.cloud import bigquery

from connect.warehouses.interface import Query

_CANCELLING = 5.0
_REQUEST = 60.0
"""Seconds for one answer. BigQuery holds a question about a job that runs for ten."""
_GRACE = 5.0
"""How long after its time-out a job may say so itself, before it is cancelled."""
_LABELS = {"tool": "connect"}
_MEBIBYTE = 1 << 20
_LEAST = 10 * _MEBIBYTE
"""What a query that reads anything is billed for, at least. https://cloud.google.com/bigquery/pricing"""


def billed(processed: int) -> int:
    """The bytes that are billed for so many that are read: whole mebibytes, ten at least."""
    return -(-max(processed, _LEAST) // _MEBIBYTE) * _MEBIBYTE if processed else 0


class Link:
    """The client, for one verb."""

    def __init__(self, where: Mapping[str, Any], config: Mapping[str, Any], patience: float) -> None:
        """`where`: what `bigquery.Client` takes; `config`: what all jobs have. Raises google's errors."""
        options = {"api_endpoint": where["endpoint"]} if where.get("endpoint") else None
        self.client = bigquery.Client(
            project=where["project"],
            credentials=where["credentials"],
            location=where.get("location"),
            client_options=options,
            client_info=ClientInfo(user_agent="connect-campaigns"),  # type: ignore[no-untyped-call]
        )
        self._config = dict(config)
        self._location = where.get("location")
        self.retry = bigquery.DEFAULT_RETRY.with_timeout(patience).with_delay(initial=0.2, maximum=4.0)

    def close(self) -> None:
        self.client.close()  # type: ignore[no-untyped-call]

    def dry_run(self, query: Query, **config: Any) -> bigquery.QueryJob:
        """What a query is, returns and costs; nothing is read. It tells where the tables are, too."""
        job = self.begin(query, dry_run=True, **config)
        # A transaction is begun by a statement that names no table: by itself it would begin in the US.
        self._location = self._location or job.location
        return job

    def begin(self, query: Query, **config: Any) -> bigquery.QueryJob:
        names = {} if config.get("dry_run") else {"labels": _LABELS, **self._config}
        given = {**names, "default_dataset": self._config.get("default_dataset"), **config}
        made = bigquery.QueryJobConfig(query_parameters=parameters(query.parameters))
        for name, value in given.items():
            if value is not None:
                setattr(made, name, value)
        return self.client.query(
            query.sql,
            made,
            job_id_prefix="connect_",
            location=self._location,
            retry=self.retry,
            timeout=_REQUEST,
            job_retry=None,
        )


class Running:
    """What one verb does; it can be stopped from whichever thread."""

    def __init__(self, link: Link, until: float) -> None:
        """`until`: the instant of `time.monotonic()` at which the time is over."""
        self.link, self.until = link, until
        self.why = ""
        self._guard = threading.Lock()
        self._job: bigquery.QueryJob | None = None
        self._timer = threading.Timer(max(0.0, until - time.monotonic()) + _GRACE, self.interrupt, ("timeout",))
        self._timer.daemon = True
        self._timer.start()

    def begin(self, query: Query, **config: Any) -> bigquery.QueryJob:
        left = self.until - time.monotonic()
        if left <= 0:
            self.why = self.why or "timeout"
        self.heed()
        job = self.link.begin(query, job_timeout_ms=max(1, int(left * 1000)), **config)
        with self._guard:
            self._job = job
        self.heed_begun(job)
        return job

    def execute(self, query: Query, **config: Any) -> bigquery.QueryJob:
        """Run a statement to its end."""
        job = self.begin(query, **config)
        self.finished(job)
        return job

    def abandon(self, query: Query, **config: Any) -> None:
        """Run a statement to its end, although what this does was stopped."""
        self.link.begin(query, **config).result(retry=self.link.retry, timeout=_REQUEST, job_retry=None)

    def finished(self, job: bigquery.QueryJob, rows: int | None = None) -> Any:
        """Wait for a job; an iterator over its rows, so many in a page."""
        # The client takes this for one request and for all the waiting together.
        left = self.until - time.monotonic() + 2 * _GRACE
        found = job.result(page_size=rows, retry=self.link.retry, timeout=max(_GRACE, left), job_retry=None)
        with self._guard:
            self._job = None
        return found

    def pages(self, job: bigquery.QueryJob, rows: int) -> Generator[Sequence[Mapping[str, Any]], None, None]:
        """The rows of a job as it writes them, some at a time."""
        for page in self.finished(job, rows).pages:
            self.heed()
            yield page.raw_page.get("rows", ())
            if time.monotonic() > self.until:
                self.why = self.why or "timeout"
            self.heed()

    def heed(self) -> None:
        """Raises InterruptedError where somebody stopped it."""
        if self.why:
            raise InterruptedError

    def heed_begun(self, job: bigquery.QueryJob) -> None:
        """Who stopped it while the job was being begun could not cancel it."""
        if self.why:
            self._cancel(job)
            self.heed()

    def interrupt(self, why: str) -> None:
        with self._guard:
            self.why = self.why or why
            job = self._job
        if job is not None:
            self._cancel(job)

    def close(self) -> None:
        """Let go. A job that still runs then is nobody's any more."""
        self._timer.cancel()
        with self._guard:
            job, self._job = self._job, None
        if job is not None:
            self._cancel(job)
        self.link.close()

    def _cancel(self, job: bigquery.QueryJob) -> None:
        from connect.warehouses.bigquery_errors import is_driver_error

        try:
            job.cancel(retry=None, timeout=_CANCELLING)
        except Exception as error:
            if not is_driver_error(error):
                raise


# Parameters


def parameters(values: Mapping[str, object]) -> list[Any]:
    """Values with the types that BigQuery gives them; nothing is pasted."""
    return [_parameter(name, value) for name, value in values.items()]


def _parameter(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple | set):
        items = list(value)
        kind = next((_kind(item) for item in items if item is not None), "STRING")
        return bigquery.ArrayQueryParameter(name, kind, items)
    return bigquery.ScalarQueryParameter(name, _kind(value), value)


_KINDS: Mapping[type, str] = {
    bool: "BOOL",
    int: "INT64",
    float: "FLOAT64",
    datetime: "TIMESTAMP",
    date: "DATE",
    time_of_day: "TIME",
    bytes: "BYTES",
    dict: "JSON",
    str: "STRING",
}
_NUMERIC_DIGITS, _NUMERIC_SCALE = 29, 9


def _kind(value: object) -> str:
    if isinstance(value, Decimal):
        exponent = int(value.as_tuple().exponent)
        fits = -exponent <= _NUMERIC_SCALE and value.adjusted() < _NUMERIC_DIGITS
        return "NUMERIC" if fits else "BIGNUMERIC"
    if isinstance(value, datetime) and value.tzinfo is None:
        return "DATETIME"
    return next((kind for of, kind in _KINDS.items() if isinstance(value, of)), "STRING")
