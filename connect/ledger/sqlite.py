"""A ledger in an SQLite file, for one machine: in write-ahead mode, durable at every commit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from connect.clock import Clock
from connect.errors import UserError
from connect.ledger import place
from connect.ledger.place import GOES_ON, Chance, Place, bad_url

_OUTSIDE_TRANSACTIONS = {"ledger_begin": ""}

# https://sqlite.org/pragma.html. FULL: in write-ahead mode NORMAL may lose the last commits when the power goes,
# and a lost intent is a message sent twice. secure_delete: message keys and sealed secrets are overwritten, not
# only unlinked. temp_store: nothing is spilled to a temporary file. wal_autocheckpoint, in pages: whoever commits then
# is held up, and everybody behind; who writes much moves its pages before that (`checkpoint`).
_WRITE_AHEAD = "PRAGMA journal_mode = WAL"
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 10000",
)

_INSTANT = 0.005
"""Seconds in which another one has changed the mode."""

_PERMISSIONS = "the file and its folder must be writable for the user who runs Connect"
_LOCKED = ("is locked by another process", "close programs that have it open, such as a database browser")
_REMEDIES = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_READONLY": ("can not be written", _PERMISSIONS),
    "SQLITE_CANTOPEN": ("can not be opened", _PERMISSIONS),
    "SQLITE_PERM": ("can not be opened", _PERMISSIONS),
    "SQLITE_FULL": ("can not grow: the disk is full", f"free some space; {GOES_ON}"),
    "SQLITE_IOERR": ("can not be read or written: the disk fails", f"keep it on a local disk; {GOES_ON}"),
}


@dataclass(frozen=True, slots=True)
class SQLiteFile(Place):
    url: URL
    path: Path
    one_writer: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, Any]] = {"ledger_begin": "BEGIN"}

    @classmethod
    def of(cls, url: URL) -> Self:
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise bad_url("`state` names no file, and a ledger in memory survives nothing")
        return cls(url, Path(url.database))

    def __str__(self) -> str:
        return f"the ledger {self.path}"

    def engine(self) -> Engine:
        """Its transactions take the write lock at once, so that none has to be given up half-way."""
        with self.trouble():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite gives -wal and -shm the permissions of the file itself.
            self.path.touch(mode=0o600, exist_ok=True)
        engine = create_engine(self.url, hide_parameters=True)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def chance(self, error: BaseException | None) -> Chance:
        said = error.orig if isinstance(error, DBAPIError) else error  # the driver's own, where it was asked directly
        again = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CONSTRAINT")
        return Chance.at_once if str(getattr(said, "sqlite_errorname", "")).startswith(again) else Chance.none

    def one_at_a_time(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE has seen to it."""

    def now(self, connection: Connection, clock: Clock) -> datetime:
        return clock.now()  # all who share the file are on one machine

    def checkpoint(self, engine: Engine) -> None:
        """Others write meanwhile: no more is moved than can be without waiting for anybody."""
        _checkpoint(engine, "PASSIVE")

    def forget(self, engine: Engine) -> None:
        """Empty the write-ahead log, in which overwritten bytes live on until it is used again."""
        _checkpoint(engine, "TRUNCATE")

    def damage(self, connection: Connection) -> str:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        return "" if found == "ok" else str(found)

    def remark(self, connection: Connection) -> str:
        return ""

    def size(self, connection: Connection) -> int:
        """The file and its write-ahead log."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def explained(self, error: BaseException | None) -> Exception:
        if isinstance(error, OSError):
            return self.unavailable(f"can not be opened: {error.strerror}", _PERMISSIONS)
        name = str(getattr(error, "sqlite_errorname", ""))
        if name == "SQLITE_NOTADB":
            return self.not_a_ledger()
        if name.startswith("SQLITE_CORRUPT"):
            return self.damaged("its pages contradict each other")
        family = "_".join(name.split("_")[:2])
        unknown = (f"can not be used ({name or type(error).__name__})", "see `connect doctor`")
        return self.unavailable(*_REMEDIES.get(family, unknown))

    def not_a_ledger(self) -> UserError:
        return UserError.of(
            "ledger-not-a-ledger",
            f"{self.path} exists and is something else than a ledger of Connect",
            "point `state` in connect.yml at a file of its own; it is made when it does not exist",
        )


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver's own idea of when a transaction begins is turned off: `_begin` says it.
    driver: Any = connection
    driver.isolation_level = None
    connection.cursor().execute(f"PRAGMA busy_timeout = {int(place.BUSY_SECONDS * 1000)}")
    _write_ahead(connection)
    for pragma in _PRAGMAS:
        connection.cursor().execute(pragma)


def _write_ahead(connection: DBAPIConnection) -> None:
    """Of several that change a new file's mode at one instant SQLite tells all but one, at once, that it is locked."""
    until = time.monotonic() + place.BUSY_SECONDS
    while True:
        try:
            connection.cursor().execute(_WRITE_AHEAD)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_INSTANT)
        else:
            return


def _checkpoint(engine: Engine, how: str) -> None:
    with engine.connect() as connection:
        connection.execution_options(**_OUTSIDE_TRANSACTIONS)
        connection.exec_driver_sql(f"PRAGMA wal_checkpoint({how})")


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get("ledger_begin", "BEGIN IMMEDIATE")
    if statement:
        connection.connection.cursor().execute(statement)
