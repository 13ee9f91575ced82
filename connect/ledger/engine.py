"""The one module that knows which database the ledger is in: SQLite, in write-ahead mode, durable at every commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Delete, Dialect, Engine, Table, Update, create_engine, event, make_url
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from connect.errors import OutsideError, UserError

BUSY_SECONDS = 5
"""How long to wait for another writer, whose transactions take milliseconds."""
READS = {"ledger_begin": "BEGIN"}
_OUTSIDE_TRANSACTIONS = {"ledger_begin": ""}

# https://sqlite.org/pragma.html. FULL: in write-ahead mode NORMAL may lose the last commits when the power goes,
# and a lost intent is a message sent twice. secure_delete: message keys and sealed secrets are overwritten, not
# only unlinked. temp_store: nothing is spilled to a temporary file.
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ledger lives, and what to tell a person when it can not be used."""

    url: URL
    path: Path

    @classmethod
    def of(cls, text: str) -> Place:
        try:
            url = make_url(text)
        except ArgumentError:
            raise _bad_url("`state` is not an SQLAlchemy URL") from None
        if url.get_backend_name() != "sqlite":
            raise UserError.of(
                "not-yet-supported",
                f"a ledger in {url.get_backend_name()} is not supported yet",
                "leave `state` out, or write sqlite:///path/to/state.db",
            )
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise _bad_url("`state` names no file, and a ledger in memory survives nothing")
        return cls(url, Path(url.database))

    def __str__(self) -> str:
        return f"the ledger {self.path}"

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Turns what the driver and the file system raise into OutsideError with the remedy."""
        try:
            yield
        except DBAPIError as error:
            raise self._explained(error.orig) from error
        except (sqlite3.Error, OSError) as error:
            raise self._explained(error) from error

    def forget(self, engine: Engine) -> None:
        """Empty the write-ahead log, in which overwritten bytes live on until it is used again."""
        with engine.connect() as connection:
            connection.execution_options(**_OUTSIDE_TRANSACTIONS)
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def damage(self, connection: Connection) -> str:
        """What is broken in the file; empty when it is whole."""
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        return "" if found == "ok" else str(found)

    def damaged(self, what: str) -> OutsideError:
        return self._unavailable(
            f"{self} is damaged: {what}", "restore it from a backup; `sqlite3 FILE .recover` may save the rest"
        )

    def _explained(self, error: BaseException | None) -> Exception:
        if isinstance(error, OSError):
            return self._unavailable(f"{self} can not be opened: {error.strerror}", _PERMISSIONS)
        name = str(getattr(error, "sqlite_errorname", ""))
        if name == "SQLITE_NOTADB":
            return self.not_a_ledger()
        if name.startswith("SQLITE_CORRUPT"):
            return self.damaged("its pages contradict each other")
        family = "_".join(name.split("_")[:2])
        what, hint = _REMEDIES.get(
            family, (f"can not be used ({name or type(error).__name__})", "see `connect doctor`")
        )
        return self._unavailable(f"{self} {what}", hint)

    def not_a_ledger(self) -> UserError:
        return UserError.of(
            "ledger-not-a-ledger",
            f"{self.path} exists and is something else than a ledger of Connect",
            "point `state` in connect.yml at a file of its own; it is made when it does not exist",
        )

    def _unavailable(self, message: str, hint: str) -> OutsideError:
        return OutsideError.of("ledger-unavailable", message, hint)


_PERMISSIONS = "the file and its folder must be writable for the user who runs Connect"
_GOES_ON = "nothing is lost: `connect run` goes on where it stopped"
_REMEDIES = {
    "SQLITE_BUSY": ("is locked by another process", "close programs that have it open, such as a database browser"),
    "SQLITE_LOCKED": ("is locked by another process", "close programs that have it open, such as a database browser"),
    "SQLITE_READONLY": ("can not be written", _PERMISSIONS),
    "SQLITE_CANTOPEN": ("can not be opened", _PERMISSIONS),
    "SQLITE_PERM": ("can not be opened", _PERMISSIONS),
    "SQLITE_FULL": ("can not grow: the disk is full", f"free some space; {_GOES_ON}"),
    "SQLITE_IOERR": ("can not be read or written: the disk fails", f"keep it on a local disk; {_GOES_ON}"),
}


def _bad_url(message: str) -> UserError:
    return UserError.of("ledger-url", message, "leave it out, or write sqlite:///path/to/state.db")


def connect_to(place: Place) -> Engine:
    """An engine whose transactions take the write lock at once, so that none has to be given up half-way."""
    with place.trouble():
        place.path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives -wal and -shm the permissions of the file itself.
        place.path.touch(mode=0o600, exist_ok=True)
    # Parameters never show in exceptions or logs: they are keys and sealed secrets.
    engine = create_engine(place.url, hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver's own idea of when a transaction begins is turned off: `_begin` says it.
    driver: Any = connection
    driver.isolation_level = None
    for pragma in (f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}", *_PRAGMAS):
        connection.cursor().execute(pragma)


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get("ledger_begin", "BEGIN IMMEDIATE")
    if statement:
        connection.exec_driver_sql(statement)


def is_busy(error: BaseException | None) -> bool:
    """Somebody else held the lock for longer than BUSY_SECONDS; nothing of this transaction happened."""
    name = str(getattr(error.orig, "sqlite_errorname", "")) if isinstance(error, DBAPIError) else ""
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


@dataclass(frozen=True)
class ManyRows:
    """A statement that is run for thousands of rows a second, given as tuples in the order of `names`.

    SQLAlchemy writes it once; the rows then go to the driver as they are, which takes a third of the time.
    """

    statement: Insert | Update | Delete
    names: tuple[str, ...]

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> int:
        """How many rows of the table it hit."""
        if not rows:
            return 0
        sql, order = _written(self, connection.dialect)
        return connection.exec_driver_sql(sql, [order(row) for row in rows]).rowcount


@lru_cache(maxsize=64)
def _written(many: ManyRows, dialect: Dialect) -> tuple[str, Callable[[tuple[object, ...]], tuple[object, ...]]]:
    """The statement's SQL, and what puts a row into the order of its parameters."""
    columns = many.names if isinstance(many.statement, Insert) else None
    compiled = many.statement.compile(dialect=dialect, column_keys=columns)
    places = [many.names.index(name) for name in compiled.positiontup or ()]
    return str(compiled), itemgetter(*places)


def upsert(table: Table) -> Insert:
    """An INSERT that knows ON CONFLICT, which SQLAlchemy spells the same on PostgreSQL."""
    return insert(table)
