"""Where a ledger lives: what differs between databases, and what to tell a person when one can not be used."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import Enum, auto
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from connect.clock import Clock
from connect.errors import OutsideError, UserError

BUSY_SECONDS = 5.0
"""How long to wait for another writer, whose transactions take milliseconds."""
GOES_ON = "nothing is lost: `connect run` goes on where it stopped"


class Chance(Enum):
    """Whether a transaction that failed may succeed when all of it is done again."""

    none = auto()
    at_once = auto()
    """Somebody else was in the way or faster."""
    later = auto()
    """The database is gone, and may come back."""


class Place(ABC):
    """One kind of database, and where it is. `str` names it without its secrets."""

    url: URL
    one_writer: ClassVar[bool]
    """It takes one writer at a time, and who waits looks again and again."""
    reads: ClassVar[Mapping[str, Any]]
    """Execution options of a transaction that only reads: a consistent view that holds nobody up."""

    @abstractmethod
    def engine(self) -> Engine:
        """Durable at every commit; parameters never show in exceptions or logs: they are keys and sealed secrets."""

    @abstractmethod
    def explained(self, error: BaseException | None) -> Exception:
        """What the driver or the file system raised, with the remedy."""

    @abstractmethod
    def chance(self, error: BaseException | None) -> Chance: ...

    @abstractmethod
    def one_at_a_time(self, connection: Connection) -> None:
        """Until the end of this transaction, no other that asks for it goes on."""

    @abstractmethod
    def now(self, connection: Connection, clock: Clock) -> datetime:
        """The instant by the clock that all who share this ledger go by."""

    @abstractmethod
    def checkpoint(self, engine: Engine) -> None:
        """Move what was committed to its place, where a commit would have to do that one day."""

    @abstractmethod
    def forget(self, engine: Engine) -> None:
        """Wipe what was deleted, as far as the database can."""

    @abstractmethod
    def damage(self, connection: Connection) -> str:
        """What is broken; empty when it is whole."""

    @abstractmethod
    def remark(self, connection: Connection) -> str:
        """What works, and should not be left so; empty where all is well."""

    @abstractmethod
    def size(self, connection: Connection) -> int:
        """Bytes on the disk."""

    @abstractmethod
    def not_a_ledger(self) -> UserError: ...

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Turns what the driver and the file system raise into OutsideError with the remedy."""
        try:
            yield
        except DBAPIError as error:
            raise self.explained(error.orig) from error
        except (sqlite3.Error, OSError) as error:
            raise self.explained(error) from error

    def damaged(self, what: str) -> OutsideError:
        return self.unavailable(f"is damaged: {what}", "restore it from a backup")

    def unavailable(self, what: str, hint: str) -> OutsideError:
        return OutsideError.of("ledger-unavailable", f"{self} {what}", hint)


def place_of(text: str) -> Place:
    """The place that a URL names. Raises UserError `ledger-url` or `missing-extra`."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise bad_url("`state` is not an SQLAlchemy URL") from None
    kind, _, driver = url.drivername.partition("+")
    if kind == "sqlite":
        from connect.ledger.sqlite import SQLiteFile

        return SQLiteFile.of(url)
    if kind in ("postgresql", "postgres"):
        from connect.ledger.postgresql import PostgreSQL

        return PostgreSQL.of(url, driver)
    raise bad_url(f"a ledger can not be in {kind}: it is in SQLite or PostgreSQL")


def bad_url(message: str) -> UserError:
    hint = "leave it out, or write sqlite:///path/to/state.db or postgresql+psycopg://user@host/database"
    return UserError.of("ledger-url", message, hint)
