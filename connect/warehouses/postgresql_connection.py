"""A connection to PostgreSQL for one query, or for one change: a transaction with a time-out, stopped from outside.

Facts measured with psycopg 3.3 and libpq 18, half a million rows of twelve columns, CPU of the client:
- results in chunks (`stream(size=…)`) cost 0.66 s, a cursor of the server 1.01 s; Arrow's columns 0.8 s more;
- ADBC costs 0.87 s and streams only queries without parameters: with them it holds the whole result in memory;
- COPY costs 1.29 s with Arrow's CSV reader, and takes no parameters at all.
So one query is streamed in chunks. A cursor of the server would also keep it from running in parallel.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from connect.warehouses.postgresql_types import READ_BY_DRIVER, Key

if TYPE_CHECKING:
    from psycopg import Cursor
    from psycopg.adapt import AdaptersMap

# A server that vanished without a word is noticed within a minute (libpq's connection parameters).
CONNECTING: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
CONNECTING |= {"fallback_application_name": "connect"}

_CANCELLING = 5.0
_GRACE = 5.0
"""How long after its time-out a server may say so itself, before we hang up."""


@cache
def _adapters() -> AdaptersMap:
    """How values travel: texts as they come, but for what is a number or bytes; mappings as JSON."""
    import psycopg
    from psycopg.adapt import AdaptersMap
    from psycopg.types.json import JsonbDumper
    from psycopg.types.string import TextLoader

    adapters = AdaptersMap(psycopg.adapters)
    for info in psycopg.adapters.types:
        for number in (info.oid, info.array_oid):
            if number and number not in READ_BY_DRIVER:
                adapters.register_loader(number, TextLoader)
    adapters.register_dumper(dict, JsonbDumper)
    return adapters


@dataclass(frozen=True)
class _Context:
    adapters: Any
    connection: Any = None


class Running:
    """An open connection; the query on it can be stopped from whichever thread."""

    def __init__(self, parameters: dict[str, Any], until: float, *, writes: bool = False) -> None:
        """Connects. `until`: the instant of `time.monotonic()` at which the time is over. Raises psycopg's errors.

        Without `writes` the transaction is a read-only one.
        """
        import psycopg

        self._guard = threading.Lock()
        self._open = True
        self.why = ""
        self.until = until
        self._raw = psycopg.connect(
            **parameters,
            context=_Context(_adapters()),
            cursor_factory=psycopg.RawCursor,
            prepare_threshold=None,  # a pooler between may give the next statement to another connection
        )
        self._raw.read_only = not writes
        self._timer = threading.Timer(max(0.0, until - time.monotonic()) + _GRACE, self.interrupt, ("timeout",))
        self._timer.daemon = True
        self._timer.start()

    @property
    def raw(self) -> Any:
        """psycopg's connection."""
        return self._raw

    def prepare(self, statement: str, patience: float) -> None:
        """Begin the transaction: from here on a reader can write nothing, and the time runs."""
        left = max(1, int((self.until - time.monotonic()) * 1000))
        locks = max(1, min(left // 2, int(patience * 1000)))
        self._raw.execute(statement.format(timeout=left, locks=locks))

    def ask(self, sql: str, values: Sequence[object] | None = None) -> Sequence[Sequence[Any]]:
        return self._raw.execute(sql, values).fetchall()

    def execute(self, sql: str, values: Sequence[object] = ()) -> None:
        # Asked for a binary result the driver uses the protocol in which a text is one statement and no more.
        self._raw.execute(sql, values, binary=True)

    def copy(self, statement: str, text: bytes) -> None:
        """Send the rows of `copy … from stdin`."""
        with self._raw.cursor().copy(statement) as copy:
            copy.write(text)

    def commit(self) -> None:
        self._raw.commit()

    def describe(self, sql: str, values: Sequence[object]) -> list[tuple[str, Key]]:
        """Execute a query that gives no rows; its columns."""
        return _described(self._raw.execute(sql, values))

    def stream(self, sql: str, values: Sequence[object], rows: int) -> Generator[Chunk, None, None]:
        """The rows of a query as they come, some at a time. Closing it early cancels the query."""
        from psycopg import capabilities

        cursor = self._raw.cursor()
        coming: Any = cursor.stream(sql, values, size=rows if capabilities.has_stream_chunked() else 1)
        try:
            while chunk := list(islice(coming, rows)):
                yield Chunk(_described(cursor), chunk)
        finally:
            coming.close()

    def interrupt(self, why: str) -> None:
        """Stop the query: ask the server to, and hang up where it does not answer."""
        with self._guard:
            self.why = self.why or why
            if not self._open:
                return
            try:
                self._raw.cancel_safe(timeout=_CANCELLING)
            except Exception as error:
                if not is_driver_error(error):
                    raise
                self._hang_up()
            if why == "timeout":
                self._hang_up()  # it should have stopped by itself

    def close(self) -> None:
        self._timer.cancel()
        with self._guard:
            self._open = False
        self._raw.close()

    def _hang_up(self) -> None:
        """End the connection under a thread that waits for it; closing it would not wake that one up."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._raw.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and the names and types of their columns."""

    columns: list[tuple[str, Key]]
    rows: list[tuple[Any, ...]]


def _described(cursor: Cursor[Any]) -> list[tuple[str, Key]]:
    result = cursor.pgresult
    if result is None:
        return []
    return [
        ((result.fname(place) or b"").decode(), (result.ftype(place), result.fmod(place)))
        for place in range(result.nfields)
    ]


def is_driver_error(error: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] == "psycopg" for kind in type(error).__mro__)
