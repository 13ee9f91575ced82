"""A session at Snowflake for one query or some changes; what runs can be stopped from whichever thread.

Facts, read in the driver's source (snowflake-connector-python 5.2, whose core is in Rust) and tried:
- A query that one waits for has no id until it is done, and can be neither aborted nor interrupted by Ctrl-C: the
  thread is in the core. So a query is submitted, asked about by its id, and fetched when it is done.
- `query_result` of a query that still runs gives no rows and no error.
- Results come in files, fetched ahead of the reader by threads of the core's, in memory that can be limited.
- Values are bound by the server with `qmark` only; other styles are pasted into the text.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

# What the driver would log may hold the text of a query and its values.
logging.getLogger("snowflake").setLevel(logging.CRITICAL + 1)

CONNECTING: dict[str, Any] = {
    "application": "Connect",
    "paramstyle": "qmark",
    "arrow_number_to_decimal": True,
    "auto_cleanup": False,  # a worker process that was forked from this one must leave the session alone
    "client_memory_limit": 256,
    "client_prefetch_threads": 2,
    "client_session_keep_alive": False,
    "enable_server_session_keep_alive_auto_detection": False,  # signing out ends what is left of a query
    "login_timeout": 30,
    "logout_total_timeout_seconds": 5,
    "retry_max_attempts": 4,  # and then the sweep tries again behind what came
}
# https://docs.snowflake.com/en/sql-reference/parameters
SESSION: dict[str, Any] = {
    "ABORT_DETACHED_QUERY": False,  # a submitted query is one that nobody is connected for
    "CLIENT_RESULT_CHUNK_SIZE": 48,
    "CLIENT_TELEMETRY_ENABLED": False,
    "GEOGRAPHY_OUTPUT_FORMAT": "GeoJSON",
    "GEOMETRY_OUTPUT_FORMAT": "GeoJSON",
    "MULTI_STATEMENT_COUNT": 1,
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "TIMEZONE": "UTC",
}

_FIRST_LOOK, _LONGEST_LOOK = 0.02, 1.0


class Running:
    """A session; what runs in it can be stopped."""

    def __init__(self, parameters: dict[str, Any], tag: str, until: float) -> None:
        """Signs in. `until`: when the time is over, by `time.monotonic()`. Raises the driver's errors."""
        import snowflake.connector

        self._stopped = threading.Event()
        self.until = until
        self.why = ""
        limits = {"STATEMENT_TIMEOUT_IN_SECONDS": self._seconds_left(), "LOCK_TIMEOUT": self._seconds_left()}
        session = {**SESSION, **limits, "QUERY_TAG": tag}
        self.raw = snowflake.connector.connect(**{**CONNECTING, **parameters, "session_parameters": session})

    def _seconds_left(self) -> int:
        """At least one: 0 is no limit at all."""
        return max(1, int(self.until - time.monotonic() + 1))

    def describe(self, sql: str, values: Sequence[object]) -> Sequence[Any]:
        """The columns of a query, which is not run."""
        return self.raw.cursor().describe(sql, list(values) or None) or ()

    def stream(self, sql: str, values: Sequence[object]) -> Iterator[tuple[Any, Sequence[Any]]]:
        """The rows of a query as they come, as Arrow tables, each with the description of its columns."""
        cursor = self._done(sql, values)
        for table in cursor.fetch_arrow_batches(force_microsecond_precision=True):
            self._go_on()
            yield table, cursor.description

    def run(self, sql: str, values: Sequence[object]) -> None:
        """A statement, until it is done."""
        self._done(sql, values)

    def all_or_none(self, statements: Sequence[tuple[str, Sequence[object]]]) -> None:
        """Several statements in a transaction; between two of them it can be stopped."""
        with self.raw.cursor() as cursor:
            cursor.execute("begin")
            for sql, values in statements:
                self._go_on()
                cursor.execute(sql, list(values) or None)
            cursor.execute("commit")

    def roll_back(self) -> None:
        """As far as there is somebody to be told."""
        with suppress(Exception):
            self.raw.cursor().execute("rollback")

    def interrupt(self, why: str) -> None:
        self.why = self.why or why
        self._stopped.set()

    def close(self) -> None:
        with suppress(Exception):
            self.raw.close(retry=False)

    def _done(self, sql: str, values: Sequence[object]) -> Any:
        """A cursor with the result of a query. Whatever ends the waiting ends the query."""
        self._go_on()
        cursor = self.raw.cursor()
        query = str(cursor.execute_async(sql, list(values) or None)["queryId"])
        try:
            self._wait(query)
        except BaseException:
            with suppress(Exception):
                cursor.abort_query(query)
            raise
        return cursor.query_result(query)

    def _wait(self, query: str) -> None:
        pause = _FIRST_LOOK
        while self.raw.is_still_running(self.raw.get_query_status(query)):
            left = self.until - time.monotonic()
            if left <= 0:
                self.interrupt("timeout")
            self._stopped.wait(max(0.0, min(pause, left)))
            self._go_on()
            pause = min(pause * 1.5, _LONGEST_LOOK)

    def _go_on(self) -> None:
        if self.why:
            raise InterruptedError(self.why)
