"""Opening a DuckDB file: readers of one process share it, a writer has it alone, and nothing else can be reached.

An engine takes twenty milliseconds to start, and a file one to be attached to it. So there is one engine for each file,
which stays when the file is let go. While the file is not attached, nobody else is in its way. Each time leaves some
kilobytes behind in the engine, so it is replaced now and then.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connect.warehouses.duckdb_dialect import DuckDBDialect, literal
from connect.warehouses.duckdb_errors import interrupted, wants_memory

_COURTESY = 2.0
"""For so many seconds a read lets a waiting writer go first. Not longer: its thread may be reading already."""
_TIMES = 50
"""An engine attaches a file: by then it has grown by three megabytes."""
_quoted = DuckDBDialect().quote
_BESIDE = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB writes beside a file, and the file itself: an engine reaches these and nothing else."""


@dataclass(frozen=True, slots=True)
class Configuration:
    memory: int
    threads: int | None
    writes: bool = False


@dataclass
class Held:
    """A file that somebody of this process uses."""

    file: Path | None
    configuration: Configuration
    users: int = 0
    engine: _Engine | None = None
    """It has the file attached, for so many connections:"""
    connections: int = 0


@dataclass
class _Instances:
    """Which files this process has open, and how: what one reads, another must not write."""

    held: dict[Path, Held] = field(default_factory=dict)
    writers: Counter[Path] = field(default_factory=Counter)
    """How many wait to write."""
    changed: threading.Condition = field(default_factory=threading.Condition)


_instances = _Instances()


@contextmanager
def instance(file: Path | None, wanted: Configuration, until: float, name: str) -> Iterator[Held]:
    """The file with the configuration to open it with: the wanted one, or one that is open and has as much memory,
    with however many threads.

    A writer waits until nobody of this process has the file open, and keeps others out until it is done.
    """
    if file is None:
        yield Held(None, wanted)
        return
    with _instances.changed:
        if not _waited_for(file, wanted, until):
            raise interrupted("timeout", name)
        held = _instances.held.setdefault(file, Held(file, wanted))
        held.users += 1
    try:
        yield held
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
    return held.configuration.memory >= wanted.memory


class _Engine:
    """DuckDB, locked down to one file, which it has attached or not."""

    def __init__(self, file: Path, memory: int, threads: int | None) -> None:
        self.memory, self.threads = memory, threads
        self.spoilt = self.cramped = False
        """It is not used again; it had no memory left to put what was written in order in the file."""
        self._file, self._times = file, 0
        self._root = _started(memory, threads)
        self._catalog = ""
        allowed = ", ".join(literal(f"{file}{ending}") for ending in _BESIDE)
        self._root.execute(f"set allowed_paths = [{allowed}]")
        _lock_down(self._root)

    def attach(self, *, writes: bool) -> None:
        """Raises what DuckDB does, such as where another process has the file."""
        self._times += 1
        # The name would be the engine's own: every other file gets the name that it has when it is opened by itself.
        name = " as memory_db" if self._file.stem == "memory" else ""
        self._root.execute(f"attach {literal(str(self._file))}{name}{'' if writes else ' (read_only)'}")
        found = "select database_name from duckdb_databases() where not internal and database_name <> 'memory'"
        self._catalog = self._root.execute(found).fetchall()[0][0]

    def connection(self) -> Any:
        raw = self._root.cursor()
        raw.execute(f"use {_quoted(self._catalog)}")
        return raw

    def detach(self) -> None:
        """Let the file go, checkpointed. What was committed is safe, whatever becomes of that."""
        try:
            self._root.execute(f"detach {_quoted(self._catalog)}")
        except Exception as error:  # noqa: BLE001 - such as a full disk: the write-ahead log has it
            self.spoilt, self.cramped = True, wants_memory(str(error))

    @property
    def worn(self) -> bool:
        return self._times >= _TIMES

    def close(self) -> None:
        self._root.close()


_opening = threading.Lock()
_engines: OrderedDict[Path, _Engine] = OrderedDict()
"""Of the files that nobody has attached now, who was needed last at the end."""
_MOST = 4
"""Of them: each has threads."""


def opened(held: Held, prepare: Callable[[Any], None]) -> tuple[Any, Callable[[bool], bool]]:
    """A raw connection that reaches nothing but the file, which only a writer's may change; and how to close it.

    That is told whether all went well: an engine that has failed is not used again. It tells whether there was too
    little memory to put what was written in order in the file: it stays in the write-ahead log, which grows. `prepare`
    is called with a connection to a database in memory, before it is locked down.
    """
    if held.file is None:
        return _in_memory(held.configuration, prepare)
    with _opening:
        engine = held.engine or _attached(held.file, held.configuration)
        held.engine, held.connections = engine, held.connections + 1
        try:
            raw = engine.connection()
        except BaseException:
            _leave(held, well=False)
            raise

    def close(well: bool) -> bool:
        raw.close()
        with _opening:
            return _leave(held, well=well)

    return raw, close


def _attached(file: Path, configuration: Configuration) -> _Engine:
    engine = _engines.pop(file, None)
    if engine is not None and (engine.memory, engine.threads) != (configuration.memory, configuration.threads):
        engine.close()
        engine = None
    engine = engine or _Engine(file, configuration.memory, configuration.threads)
    try:
        engine.attach(writes=configuration.writes)
    except BaseException:
        _keep(file, engine)  # it is asked again in a moment, where another process has the file
        raise
    return engine


def _leave(held: Held, *, well: bool) -> bool:
    """Returns whether there was too little memory to leave it in order."""
    engine = held.engine
    assert engine is not None
    assert held.file is not None
    engine.spoilt |= not well
    held.connections -= 1
    if held.connections:
        return False
    held.engine = None
    engine.detach()
    if engine.spoilt or engine.worn:
        engine.close()
    else:
        _keep(held.file, engine)
    return engine.cramped


def _keep(file: Path, engine: _Engine) -> None:
    _engines[file] = engine
    if len(_engines) > _MOST:
        _engines.popitem(last=False)[1].close()


def _in_memory(configuration: Configuration, prepare: Callable[[Any], None]) -> tuple[Any, Callable[[bool], bool]]:
    raw = _started(configuration.memory, configuration.threads)
    try:
        prepare(raw)
        _lock_down(raw)
    except BaseException:
        raw.close()
        raise

    def close(well: bool) -> bool:
        raw.close()
        return False

    return raw, close


def _started(memory: int, threads: int | None) -> Any:
    import duckdb

    config: dict[str, Any] = {"memory_limit": f"{memory}B", "temp_directory": ""}
    if threads is not None:
        config["threads"] = str(threads)
    return duckdb.connect(":memory:", config=config)


def _lock_down(raw: Any) -> None:
    raw.execute("set global allocator_background_threads = true")
    raw.execute("set global TimeZone = 'UTC'")
    raw.execute("set enable_external_file_cache = false")  # a file that was replaced is another one
    raw.execute("set enable_progress_bar = false")  # where Python is interactive it prints on standard output
    raw.execute("set enable_external_access = false")
    raw.execute("set lock_configuration = true")
