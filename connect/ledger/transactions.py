"""Whole transactions: all of one or nothing, done again from the beginning where that is safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from sqlalchemy import Connection, Engine

from connect.errors import OutsideError
from connect.ledger.place import BUSY_SECONDS, Chance, Place
from connect.ledger.turns import Turns

T = TypeVar("T")

TRIES = 3
"""How often a transaction is tried that others are in the way of."""
WAITS = (0.1, 0.4, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the tries of one whose database is gone: a restart or a fail-over takes about as long."""


class Line:
    """A connection that is kept for one thread after the other: to fetch one costs more than what is done with it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction. After trouble of any kind, the next one gets another connection."""
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                yield self._connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Really: the engine may have been disposed of, and nobody would close it later."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not connection.invalidated:
            connection.detach()
        connection.close()


class Transactions:
    """What is done with a ledger's database. Safe to use from several threads at once."""

    def __init__(self, place: Place, engine: Engine) -> None:
        self._place = place
        self._engine = engine
        self._turns = Turns(BUSY_SECONDS) if place.one_writer else None

    def line(self) -> Line:
        return Line(self._engine)

    @contextmanager
    def write(self, line: Line | None = None) -> Iterator[Connection]:
        """One transaction that writes. Raises OutsideError for locks, full disks and databases that are gone."""
        turn = self._turns.mine() if self._turns else nullcontext()
        with self._place.trouble(), turn, line.begin() if line else self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that holds nobody up."""
        with self._place.trouble(), self._engine.connect() as connection:
            yield connection.execution_options(**self._place.reads)

    def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer to a question; asked again once where the connection had gone stale."""
        try:
            with self.read() as connection:
                return question(connection)
        except OutsideError as error:
            if self._place.chance(error.__cause__) is Chance.none:
                raise
        with self.read() as connection:
            return question(connection)

    def do(
        self,
        work: Callable[[Connection], T],
        happened: Callable[[Connection, T], bool] = lambda connection, result: False,
        wait: Callable[[float], object] = time.sleep,
        line: Line | None = None,
    ) -> T:
        """Do this in one transaction, and again if somebody was in the way, or the database was gone and comes back.

        When it goes while a commit is under way, nobody can know what became of that. `happened` finds out in the
        next transaction, from what the work returned; it has to lock what the work locks, because the lost one may
        still be at it. Leave it out for work that may as well be done twice.
        """
        doubts: list[T] = []
        tries, waits = TRIES, iter(WAITS)
        while True:
            try:
                return self._do_once(work, happened, doubts, line)
            except OutsideError as error:
                tries, delay = tries - 1, self._pause(error, tries, waits)
                if delay is None:
                    raise
            wait(delay)

    def _do_once(
        self,
        work: Callable[[Connection], T],
        happened: Callable[[Connection, T], bool],
        doubts: list[T],
        line: Line | None,
    ) -> T:
        with self.write(line) as connection:
            if doubts and happened(connection, doubts[-1]):
                return doubts[-1]
            doubts.clear()
            result = work(connection)
            doubts.append(result)  # from here on it may be committed without an answer
        return result

    def _pause(self, error: OutsideError, tries: int, waits: Iterator[float]) -> float | None:
        """Seconds until the next try; None when there is none."""
        match self._place.chance(error.__cause__):
            case Chance.at_once:
                return 0.0 if tries > 1 else None
            case Chance.later:
                return next(waits, None)
            case Chance.none:
                return None
