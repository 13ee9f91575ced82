"""Messages on one connection: at most two at a time, every reply matched to its message.

    ◀── 354 ── content of A, final dot, envelope of B ──▶       one write
    ◀── 250 for A, 250 250 354 for B ── content of B, …         one read

So a message costs one round trip. While A's reply is awaited, nothing of B but its envelope is written, and A's reply
comes before B's: whatever breaks, it is known which of the two may have been accepted.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from connect.providers.interface import LEASE_OVER, Margin, Receipt
from connect.providers.smtp_session import Offers
from connect.providers.smtp_transaction import Move, Submission, Transaction
from connect.providers.smtp_wire import Said, Wire

_CHUNK = 65536
"""A larger message leaves in pieces, so that a connection that breaks in the middle is known to have done so."""
_GOODBYE_SECONDS = 2.0

_HAD_ENOUGH = re.compile(rb"too many (messages|mails|transactions|e-?mails)", re.IGNORECASE)
"""A server that will take no more on this connection says so at MAIL, with 421 or (OpenSMTPD) with 452."""


class Harbour(Protocol):
    """Where a connection belongs."""

    margin: Margin

    def changed(self, pipeline: Pipeline) -> None:
        """It has more or less room now."""

    def gone(self, pipeline: Pipeline) -> None:
        """It carries nothing any more."""

    def elsewhere(self, submission: Submission) -> None:
        """Nothing was said about this message, and it is not its fault: another connection may carry it."""

    def settle(self, submission: Submission, said: Receipt | Exception) -> None:
        """This became of it. The next one may come, to whoever has room, before this returns."""


class Pipeline:
    """One connection that carries messages, one after the other."""

    def __init__(self, wire: Wire, offers: Offers, harbour: Harbour, most: int, seconds: float) -> None:
        self.wire = wire
        self.offers = offers
        self._harbour = harbour
        self._left = most
        """How many messages it may still take."""
        self._seconds = seconds
        self._flights: deque[Transaction] = deque()
        self._content: memoryview | bytes | None = None
        """What is due of the first message's content."""
        self._used = False
        """A message was carried to its end."""
        self._dirty = False
        """A transaction was left open: RSET before the next one."""
        self._resetting = False
        self._leaving = False
        self._over = False
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        wire.listener = self

    @property
    def idle(self) -> bool:
        return not self._flights

    @property
    def has_room(self) -> bool:
        """Whether it takes another message now: one, and with PIPELINING a second behind it."""
        if self._over or self._leaving or self._left <= 0:
            return False
        return len(self._flights) < (2 if self.offers.pipelining else 1)

    def take(self, submission: Submission) -> None:
        """Carry this message. It leaves with the next write."""
        try:
            transaction = Transaction(submission, self.offers)
        except Exception as error:  # noqa: BLE001 - what is wrong with a message is told to whoever waits for it
            self._harbour.settle(submission, error)
            return
        if transaction.receipt is not None:
            self._harbour.settle(submission, transaction.receipt)
            return
        if self._over:
            self._harbour.settle(submission, transaction.broken("connection_lost"))
            return
        self._left -= 1
        self._flights.append(transaction)
        self._harbour.changed(self)
        self._soon()

    def abandon(self, submission: Submission) -> bool:
        """Nobody waits for this message any more. False when it is not here.

        Its reply must not reach the next one, so the connection ends; at once, unless that would put another in doubt.
        """
        if not any(each.submission is submission for each in self._flights):
            return False
        self._left = 0
        self._used = True  # it ends because we end it: the other message may move
        self._harbour.changed(self)
        if not any(each.written and not each.abandoned for each in self._flights):
            self._break("connection_lost")
        return True

    def leave(self) -> None:
        """Say goodbye, when nothing is in the air; else close at once."""
        if self._over or self._leaving:
            return
        if self._flights or not self.wire.usable or self.wire.paused:
            self._break("connection_lost")
            return
        self._leaving = True
        self._harbour.changed(self)
        self.wire.write(b"QUIT\r\n")
        self._stop_timer()
        self._timer = self._loop.call_later(min(_GOODBYE_SECONDS, self._seconds), self._break, "connection_lost")

    def drop(self) -> None:
        """Nobody waits for any of its messages any more."""
        for flight in self._flights:
            flight.submission.over = True
        self.cut()

    def cut(self) -> None:
        """Close at once, whatever is in the air."""
        self._break("connection_lost")

    # What comes in

    def replied(self, replies: Sequence[Said]) -> None:
        """A reply is to the oldest message that is in the air."""
        at = 0
        while at < len(replies) and not self._over:
            flight = self._flights[0] if self._flights and not self._resetting else None
            if flight is not None and (heard := flight.welcomed(replies, at)):
                at += heard
                self._content = flight.content
                self._soon()
            else:
                self._heard(flight, *replies[at])
                at += 1

    def _heard(self, flight: Transaction | None, code: int, text: bytes) -> None:
        if flight is None:
            self._unusual(code)
            return
        if code >= 400 and self._used and not flight.answered and _had_enough(code, text):
            self._break("connection_lost")
            return
        move = flight.reply(code, text)
        if move is Move.wait:
            return
        if move is Move.settled:
            self._land(flight, code)
            return
        if move is Move.content:
            self._content = flight.content
        self._soon()

    def _unusual(self, code: int) -> None:
        """The reply to RSET or QUIT, or a server that says unasked that it leaves."""
        if self._resetting and 200 <= code < 300:
            self._resetting = False
            self._soon()
        else:
            self._break("connection_lost")

    def writable(self) -> None:
        self._soon()

    def lost(self, error: Exception | None) -> None:
        self._break("connection_lost", str(error or ""))

    def _land(self, flight: Transaction, code: int) -> None:
        """The oldest message has its receipt. Where the server leaves, or was not given all of it, nothing follows."""
        assert flight.receipt is not None
        flights = self._flights
        flights.popleft()
        self._used = True
        self._dirty = not flight.clean
        cut_short = flight.clean and not flight.written
        abandoned = flight.abandoned or (flights and flights[0].abandoned)
        if code == 421 or cut_short or abandoned:
            self._break("connection_lost")
        elif self._left <= 0 and not flights:
            self.leave()
        else:
            self._harbour.changed(self)
            self._soon()
        self._harbour.settle(flight.submission, flight.receipt)

    # What goes out

    def _soon(self) -> None:
        """Write after whoever was just answered could bring the next message, so that one write carries both."""
        if not self._flushing and not self._over:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._over or not self._flights:
            return
        first = self._flights[0]
        if not first.started:
            self._start_clock(first)
        if self.wire.paused or self._resetting or not self.wire.usable:
            return  # `writable`, the reply, or `lost` will follow
        if not self._harbour.margin.holds():
            self._hold_back()
            return
        out: list[bytes | memoryview] = []
        self._first_words(first, out)
        if first.written and len(self._flights) > 1 and not self._flights[1].said:
            self._start_clock(self._flights[1])
            self._open(self._flights[1], out)
        if out:
            self.wire.write(out[0] if len(out) == 1 else b"".join(out))

    def _hold_back(self) -> None:
        """Another process may have taken over: nothing is begun, and what is begun does not get its final dot."""
        if not self._flights[0].written:
            self._break(LEASE_OVER)
        elif not self._flights[-1].said:
            late = self._flights.pop()
            self._left += 1
            self._harbour.changed(self)
            self._harbour.settle(late.submission, late.broken(LEASE_OVER))

    def _first_words(self, flight: Transaction, out: list[bytes | memoryview]) -> None:
        """What the oldest message has to say: its envelope, more of it, or its content."""
        if self._content is not None:
            out.append(self._piece(flight, self._content))
        elif not flight.said:
            self._open(flight, out)
        elif flight.words:
            out.append(flight.words)
            flight.words = b""

    def _open(self, flight: Transaction, out: list[bytes | memoryview]) -> None:
        """The envelope, or as much of it as may be said at once; before it RSET, where it is needed."""
        if self._dirty:
            out.append(b"RSET\r\n")
            self._dirty, self._resetting = False, True
            if not self.offers.pipelining:
                return
        out.append(flight.opening())

    def _piece(self, flight: Transaction, content: memoryview | bytes) -> memoryview | bytes:
        """The content, or the next piece of it. Every byte before the final dot is given to the network before it."""
        if len(content) <= _CHUNK:
            self._content, flight.content = None, b""  # nobody needs it again, and a window of them is megabytes
            flight.written = True
            return content
        rest = memoryview(content)
        self._content = rest[_CHUNK:]
        self._soon()  # which lets a connection that broke say so, before more is written into it
        return rest[:_CHUNK]

    # Time

    def _start_clock(self, flight: Transaction) -> None:
        flight.started = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def _look(self) -> None:
        """One timer for the connection, and not one for each message: the oldest is the first to be late."""
        self._timer = None
        if not self._flights:
            return
        now = self._loop.time()
        left = (self._flights[0].started or now) + self._seconds - now
        if left <= 0.001:
            self._break("timed_out")
        else:
            self._timer = self._loop.call_later(left, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # The end

    def _break(self, reason: str, text: str = "") -> None:
        """Close, and say of every message what is known of it."""
        if self._over:
            return
        self._over = True
        self._stop_timer()
        self.wire.abort()
        flights, self._flights = self._flights, deque()
        self._harbour.gone(self)
        ended: list[tuple[Submission, Receipt]] = []
        for flight in (each for each in flights if not each.abandoned):
            if self._may_move(flight, reason):
                self._harbour.elsewhere(flight.submission)
            else:
                ended.append((flight.submission, flight.broken(reason, text)))
            self._used = False
            if reason != LEASE_OVER:
                reason = "connection_lost"  # for the second: it ended in the middle of the first
        for submission, receipt in ended:
            self._harbour.settle(submission, receipt)

    def _may_move(self, flight: Transaction, reason: str) -> bool:
        """A message of which nothing was written; or that the server said nothing about, where it had carried others
        and left between two of them.

        That happens to a message once: on its next connection it is the first.
        """
        if reason == LEASE_OVER:
            return False
        return not flight.said or (self._used and reason != "timed_out" and not flight.answered)


def _had_enough(code: int, text: bytes) -> bool:
    return code == 421 or (400 <= code < 500 and _HAD_ENOUGH.search(text) is not None)
