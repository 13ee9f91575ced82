"""A connection through SQLAlchemy for one query, in a thread of its own: a driver that never answers holds up nobody.

Many drivers are of one thread, and many can not be told to stop: what takes too long is asked to, and left alone.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_GRACE = 5.0
"""Seconds that a driver has to stop, once it was told."""
_CANCELS = (("raw", "cancel_safe"), ("raw", "interrupt"), ("cursor", "cancel"), ("raw", "cancel"))
"""How drivers cancel: psycopg and sqlite3 by their connection, Trino's and Databricks' by the cursor."""

_PREPARED: Mapping[str, Sequence[str]] = {"sqlite": ("pragma query_only = on",), "postgresql": ("set time zone 'UTC'",)}
"""By SQLAlchemy's name of the engine: what is said before the query."""


class Stopped(Exception):
    """We stopped it: see `Running.why`."""


@dataclass
class _Task(Generic[T]):
    job: Callable[[], T]
    done: bool = False
    result: T | None = None
    error: BaseException | None = None


@dataclass(eq=False)
class Running:
    """An open connection in a transaction that is always rolled back."""

    url: str = field(repr=False)
    until: float
    """The instant of `time.monotonic()` at which the time is over."""
    why: str = ""
    raw: Any = None
    cursor: Any = None
    _connection: Any = None
    _result: Any = None

    def __post_init__(self) -> None:
        """Connects. Raises what SQLAlchemy and the driver raise, and Stopped."""
        self._tasks: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="warehouse", daemon=True)
        self._thread.start()
        try:
            self.ask(self._connect)
        except BaseException:
            self.close()
            raise

    def ask(self, job: Callable[[], T]) -> T:
        """What a job returns that is done with the connection."""
        task = _Task(job)
        self._tasks.put(task)
        if not self._waited(task, self.until - time.monotonic()):
            self.interrupt("timeout")
        if self.why:
            self._waited(task, _GRACE, stopped=True)
            raise Stopped
        if task.error is not None:
            raise task.error
        return task.result  # type: ignore[return-value]

    def execute(self, sql: str, values: Mapping[str, object]) -> Any:
        """Begin a query: what `partitions` reads on."""
        import sqlalchemy

        streaming = self._connection.execution_options(stream_results=True)
        result = streaming.execute(sqlalchemy.text(sql), dict(values))
        self.cursor, self._result = result.cursor, result
        return result

    def stream(self, sql: str, values: Mapping[str, object], rows: int) -> Iterator[tuple[Any, list[Any]]]:
        """(the cursor's description, some rows), at least once."""
        result = self.ask(lambda: self.execute(sql, values))
        if not result.returns_rows:
            raise ValueError("it returns no rows")
        described = list(self.cursor.description or ())
        # With the size in so many words: `yield_per` in the options is not heeded for text (SQLAlchemy 2.1).
        partitions = self.ask(lambda: result.partitions(rows))
        some = self.ask(lambda: next(partitions, None))
        yield described, [tuple(row) for row in some or ()]
        while some is not None:
            some = self.ask(lambda: next(partitions, None))
            if some is not None:
                yield described, [tuple(row) for row in some]

    def interrupt(self, why: str) -> None:
        """Stop what is running, from whichever thread."""
        with self._changed:
            self.why = self.why or why
            self._changed.notify_all()
        threading.Thread(target=self._cancel, name="warehouse-cancel", daemon=True).start()

    def close(self) -> None:
        """Let go. A driver that does not answer is left to its thread."""
        self._tasks.put(None)
        self._thread.join(_GRACE)

    # In its thread

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task.result = task.job()
            except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
                task.error = error
            with self._changed:
                task.done = True
                self._changed.notify_all()
        with suppress(Exception):
            self._let_go()

    def _connect(self) -> None:
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.pool.NullPool)
        self._connection = engine.connect()
        self.raw = self._connection.connection.driver_connection
        if engine.dialect.name == "sqlite":
            _teach(self.raw)
        for statement in _PREPARED.get(engine.dialect.name, ()):
            self._connection.execute(sqlalchemy.text(statement))

    def _let_go(self) -> None:
        if self._result is not None:
            with suppress(Exception):
                self._result.close()
        if self._connection is not None:
            try:
                self._connection.rollback()
            finally:
                self._connection.close()

    # In others

    def _waited(self, task: _Task[Any], seconds: float, *, stopped: bool = False) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: task.done or (bool(self.why) and not stopped), max(0.0, seconds))

    def _cancel(self) -> None:
        for of, verb in _CANCELS:
            cancel = getattr(getattr(self, of), verb, None)
            if callable(cancel):
                with suppress(Exception):
                    cancel()
                return
        with suppress(Exception):
            self.raw.close()


def _teach(raw: Any) -> None:
    """The functions that SQLite has not: in Python, for as long as this connection is open."""
    import hashlib

    def md5(text: str | None) -> str | None:
        return None if text is None else hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    def digits(text: str | None) -> str | None:
        return None if text is None else "".join(letter for letter in text if letter in "0123456789")

    def greatest(*values: Any) -> Any:
        return None if any(value is None for value in values) else max(values)

    raw.create_function("md5", 1, md5, deterministic=True)
    raw.create_function("connect_digits", 1, digits, deterministic=True)
    raw.create_function("greatest", -1, greatest, deterministic=True)
