"""Opening a DuckDB file: readers of one process share it, a writer has it alone, and nothing else can be reached."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from connect.warehouses.duckdb_errors import interrupted

_COURTESY = 2.0
"""For so many seconds a read lets a waiting writer go first. Not longer: its thread may be reading already."""


@dataclass(frozen=True, slots=True)
class Configuration:
    memory: int
    threads: int | None
    writes: bool = False


@dataclass
class _Held:
    configuration: Configuration
    users: int = 0


@dataclass
class _Instances:
    """Which files this process has open, and how: DuckDB refuses a second configuration for an open file."""

    held: dict[Path, _Held] = field(default_factory=dict)
    writers: Counter[Path] = field(default_factory=Counter)
    """How many wait to write."""
    changed: threading.Condition = field(default_factory=threading.Condition)


_instances = _Instances()


@contextmanager
def instance(file: Path | None, wanted: Configuration, until: float, name: str) -> Iterator[Configuration]:
    """The configuration to open a file with: the wanted one, or one that is open and has as much memory.

    A writer waits until nobody of this process has the file open, and keeps others out until it is done.
    """
    if file is None:
        yield wanted
        return
    with _instances.changed:
        if not _waited_for(file, wanted, until):
            raise interrupted("timeout", name)
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


def _waited_for(file: Path, wanted: Configuration, until: float) -> bool:
    """Wait for one's turn. Returns whether it came in time."""
    left = max(0.0, until - time.monotonic())
    if not wanted.writes:
        _instances.changed.wait_for(lambda: not _instances.writers[file], min(_COURTESY, left))
    _instances.writers[file] += wanted.writes
    try:
        return _instances.changed.wait_for(lambda: _joins(file, wanted), max(0.0, until - time.monotonic()))
    finally:
        _instances.writers[file] -= wanted.writes
        _instances.changed.notify_all()


def _joins(file: Path, wanted: Configuration) -> bool:
    held = _instances.held.get(file)
    if held is None:
        return True
    if wanted.writes or held.configuration.writes:
        return False
    return held.configuration.threads == wanted.threads and held.configuration.memory >= wanted.memory


_opening = threading.Lock()


def opened(
    file: Path | None, configuration: Configuration, prepare: Callable[[Any], None]
) -> tuple[Any, Callable[[], None]]:
    """A raw connection that reaches nothing but the file, which only a writer's may change; and how to close it.

    `prepare` is called with the connection before it is locked down.
    """
    import sqlalchemy

    config = {"memory_limit": f"{configuration.memory}B", "temp_directory": ""}
    if configuration.threads is not None:
        config["threads"] = str(configuration.threads)
    url = sqlalchemy.URL.create("duckdb", database=str(file) if file else ":memory:")
    arguments = {"read_only": file is not None and not configuration.writes, "config": config}
    engine = sqlalchemy.create_engine(url, connect_args=arguments, poolclass=sqlalchemy.pool.NullPool)
    with _opening:
        connection = engine.connect()
        # The real connection behind duckdb-sqlalchemy's wrapper: a private name, which a test guards.
        raw = cast(Any, connection.connection.driver_connection)._ConnectionWrapper__c
        try:
            prepare(raw)
            _lock_down(raw)
        except BaseException:
            connection.close()
            raise
    return raw, connection.close


def _lock_down(raw: Any) -> None:
    """Once for each instance: its second connection finds everything set and locked."""
    if raw.sql("select current_setting('lock_configuration')").fetchall()[0][0]:
        return
    raw.execute("set global TimeZone = 'UTC'")
    raw.execute("set enable_external_file_cache = false")  # a file that was replaced is another one
    raw.execute("set enable_progress_bar = false")  # where Python is interactive it prints on standard output
    raw.execute("set enable_external_access = false")
    raw.execute("set lock_configuration = true")
