"""Group commit: what concurrent deliveries write shares transactions, and each waits only until it is durable."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from sqlalchemy import Connection

from connect.ledger import intents, runs, slices, tallies
from connect.ledger.book import Book
from connect.ledger.intents import Settled
from connect.ledger.records import Call, Intent, Slice
from connect.ledger.refusals import LeaseLost
from connect.ledger.store import Ledger
from connect.ledger.tables import microseconds
from connect.ledger.tallies import TallyKey
from connect.ledger.writes import Writes, members_among, members_of

ENOUGH = 64
"""Deliveries that are worth a transaction of their own: with so many, nobody else is waited for."""

_Waiting = tuple[Writes, "asyncio.Future[None]"]


class Commits:
    """Everything that the holder of a slice writes, in order. For one event loop, which it never blocks.

    Each method returns when its write is durable. It raises LeaseLost, OutsideError (`ledger-unavailable`) or
    Unaccounted when nothing of it was written; so do the others that shared its transaction. A call that is
    cancelled may have been written. Once a move of the cursor has failed, every later one fails as it did: it would
    pass deliveries that were not counted.

    Where several callers come at once, a transaction waits for more of them: at most `linger` seconds, and only until
    it is about `ENOUGH` deliveries.
    """

    def __init__(self, ledger: Ledger, slice: Slice, *, linger: float = 0.003) -> None:
        self.lost = False
        """Another worker holds the slice now, or the run was ended: every call raises LeaseLost."""
        self._ledger = ledger
        self._slice = slice
        self._linger = linger
        self._line = ledger.line()
        self._book: Book | None = None
        self._said: list[_Waiting] = []
        """By callers of this turn of the event loop."""
        self._waiting: list[_Waiting] = []
        self._deliveries = 0
        """How many those that are waiting are about."""
        self._stuck: Exception | None = None
        """Why the cursor could not be moved, once that has happened."""
        self._guard = threading.Lock()
        self._work = threading.Event()
        self._enough = threading.Event()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None

    async def intend(self, intents: Sequence[Intent]) -> None:
        """Before a send: these deliveries are about to be in the air. One that is already may be intended again."""
        await self._write(Writes(released=members_among(intents)))

    async def release(self, calls: Sequence[Call]) -> None:
        """The same for whole calls, without an object for each delivery."""
        await self._write(Writes(released=members_of(calls)))

    async def settle(self, outcomes: Sequence[Settled], withdrawn: Sequence[bytes] = ()) -> None:
        """After a send, for deliveries that the cursor can not pass yet: (key, outcome, reason).

        With `withdrawn`, what became of one call is one write: it is never found half withdrawn.
        """
        await self._write(Writes(settled=outcomes, withdrawn=withdrawn))

    async def withdraw(self, keys: Sequence[bytes]) -> None:
        """The provider certainly did not take these; they are not in the air any more."""
        await self._write(Writes(withdrawn=keys))

    async def advance(
        self,
        cursor: str | None,
        tallies: Mapping[TallyKey, int],
        passed: Sequence[bytes],
        *,
        settled: Sequence[Settled] = (),
        withdrawn: Sequence[bytes] = (),
        released: Sequence[Call] = (),
        further: bool = False,
    ) -> None:
        """Everything up to the cursor is settled: count it and forget its keys, settled before or not.

        `settled`, `withdrawn` and `released` are others, ahead of the cursor, that are to be written with it.

        A cursor of None stays where it is, for deliveries that are in no place, such as those of people who left.
        `further`: the run has got further, though the cursor may not show it yet.
        """
        await self._write(Writes(members_of(released), settled, withdrawn, passed, cursor, dict(tallies), further))

    async def close(self) -> None:
        """Write what is waiting, and stop. Safe to call twice."""
        self._hand_over()
        self._closing.set()
        self._enough.set()
        self._work.set()
        if self._writer:
            await asyncio.to_thread(self._writer.join)

    async def _write(self, writes: Writes) -> None:
        if self.lost:
            raise LeaseLost(self._slice.run_id)
        if self._closing.is_set():
            raise RuntimeError("these commits are closed")
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        if not self._said:
            loop.call_soon(self._hand_over)  # once for all that come in this turn of the loop
        self._said.append((writes, answer))
        if writes.deliveries() >= ENOUGH:
            self._hand_over()
        await answer

    def _hand_over(self) -> None:
        """To the writer, which starts with the first."""
        if not self._said:
            return
        said, self._said = self._said, []
        with self._guard:
            self._waiting += said
            self._deliveries += sum(writes.deliveries() for writes, _ in said)
            if self._deliveries >= ENOUGH:
                self._enough.set()
            self._work.set()
        if self._writer is None:
            # A daemon thread: a crash must not wait for it. What is not committed then was not promised to anybody.
            self._writer = threading.Thread(target=self._write_on, name="connect-commits", daemon=True)
            self._writer.start()

    def _write_on(self) -> None:
        callers = 0
        while not self._closing.is_set() or self._waiting:
            self._work.wait()
            if max(callers, len(self._waiting)) > 1:  # nobody else comes where there is only one
                self._enough.wait(self._linger)
            batch = self._take()
            callers = len(batch)
            self._write_batch([waiting for waiting in batch if not self._is_stuck(waiting)])
        self._line.close()

    def _take(self) -> list[_Waiting]:
        with self._guard:
            batch, self._waiting, self._deliveries = self._waiting, [], 0
            if not self._closing.is_set():
                self._work.clear()
                self._enough.clear()
        return batch

    def _is_stuck(self, waiting: _Waiting) -> bool:
        """Whether this would move the cursor over a hole; then it is told so."""
        writes, answer = waiting
        if self._stuck is None or writes.cursor is None:
            return False
        _answer([answer], self._stuck)
        return True

    def _write_batch(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        error = self._commit([writes for writes, _ in batch])
        if error and any(writes.cursor is not None for writes, _ in batch):
            self._stuck = self._stuck or error
        _answer([answer for _, answer in batch], error)

    def _commit(self, batch: Sequence[Writes]) -> Exception | None:
        """Write a batch in one transaction; returns what went wrong.

        Written twice, it would count twice. So each has a number that the slice remembers: when the answer to a
        commit is lost with the connection, the number tells whether it was written.
        """
        number = secrets.randbits(63)
        try:
            self._book = self._ledger.transact(
                lambda connection: self._write_all(connection, batch, number),
                happened=lambda connection, _: slices.last_write(connection, self._slice) == number,
                wait=self._closing.wait,
                line=self._line,
            )
        except LeaseLost as error:
            self.lost = True
            return error
        except Exception as error:  # noqa: BLE001 — raised where it is awaited; the thread must live on
            return error
        return None

    def _write_all(self, connection: Connection, batch: Sequence[Writes], number: int) -> Book:
        """The book as it is once this is committed; until then there is none."""
        cursors = [writes.cursor for writes in batch if writes.cursor is not None]
        book = self._fenced_book(connection, number, cursors[-1] if cursors else None)
        now = microseconds(self._ledger.clock.now())
        counted: Counter[TallyKey] = Counter()
        for writes in batch:
            writes.note(book, now)
            for tally, number in writes.tallies.items():
                counted[tally] += number
        book.write(connection)
        tallies.count(connection, self._slice.run_id, counted)
        if any(writes.is_progress for writes in batch) and not book.has_moved:
            if slices.made_progress(connection, self._slice):
                runs.tell_recoveries(connection, self._slice.run_id)
            book.has_moved = True
        return book

    def _fenced_book(self, connection: Connection, number: int, cursor: str | None) -> Book:
        """The book, with the slice held and this write noted. Raises LeaseLost."""
        slice, (book, self._book) = self._slice, (self._book, None)
        if book is None or not slices.note_write(connection, slice, number, after=book.version, cursor=cursor):
            book = Book(slice.id, *slices.standing(connection, slice), intents.bundles(connection, slice.id))
            slices.note_write(connection, slice, number, after=book.version, cursor=cursor)
        book.version = number
        return book


def _answer(answers: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        answers[0].get_loop().call_soon_threadsafe(_answer_all, answers, error)


def _answer_all(answers: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for answer in answers:
        if answer.done():
            continue  # its caller was cancelled
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(None)
