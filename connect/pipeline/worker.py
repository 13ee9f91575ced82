"""What one worker does with the rows that it is dealt: compose, hand to lanes, account for every delivery."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from connect.clock import Clock
from connect.ledger.records import Intent
from connect.pipeline import gates, tracing
from connect.pipeline.accounts import Accounts
from connect.pipeline.audience import Rows
from connect.pipeline.books import Books, Composed
from connect.pipeline.breaker import Breaker, template_trouble
from connect.pipeline.compose import Composer, Composing
from connect.pipeline.deliveries import Delivery, Ended
from connect.pipeline.dispatch import Hold, Lane, Terms
from connect.pipeline.failover import Failover, Taker
from connect.pipeline.rates import Limit
from connect.pipeline.recovery import IN_DOUBT, Recovered, how_it_ended
from connect.pipeline.verdicts import Ticket
from connect.providers.interface import Account, Provider
from connect.vocabulary import Channel, InDoubt, Reason

_TOGETHER = 50
"""Rows that are composed in one go: rendering must not starve what is in the air."""

_CONTENT = frozenset({Reason.render_error, Reason.null_value, Reason.content_too_large, Reason.invalid_header})
"""Why the content, or a column that it prints, is at fault rather than a person's address."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """Neighbouring rows of the sweep for one worker."""

    number: int
    first: int
    """The place of the first row's first delivery in the run's work."""
    rows: Rows


class Row(NamedTuple):
    """One row of a batch, with the deliveries that it makes now."""

    batch: int
    row: int
    key: str
    settled: Sequence[Delivery]
    strayed: set[Channel]
    """Where the person was near the air, before a crash, at an address that they do not have any more. It may be any
    of those that were not near the air: nobody knows which phone has a new token, and none is to hear twice."""


@dataclass(frozen=True)
class Sending:
    """How a worker sends: the same for all workers of a run, but for their number."""

    in_doubt: InDoubt
    offline: bool
    """Nothing leaves, not even a greeting."""
    breakers_off: bool
    """Somebody has looked at what went wrong, and wants the run to go on."""
    last_call: int
    """The highest number of a call that the ledger remembers."""
    worker: int = 0
    of: int = 1
    buckets: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    """By account, what its messages may not be faster than (`connect.pipeline.rates`): its own rate, the campaign's."""
    closes_at: datetime | None = None
    """Nothing is sent from then on, until the slice opens again: the lanes raise Closed."""
    expires_at: datetime | None = None
    """What was not sent by then is skipped."""


class Worker:
    """Composes what it is dealt and sends it, by lanes of its own. Everything it does goes through the books."""

    def __init__(
        self,
        composer: Composer,
        accounts: Accounts,
        recovered: Recovered,
        sending: Sending,
        books: Books,
        hold: Hold,
        clock: Clock,
        random: Random,
    ) -> None:
        self._composer, self._recovered, self._books = composer, recovered, books
        self._sending, self._clock = sending, clock
        self._accounts = accounts
        self._content = Breaker(off=sending.breakers_off)
        self._sequence = 0
        calls = itertools.count(sending.last_call + 1 + sending.worker, sending.of)
        terms = Terms(sending.in_doubt, clock, random, hold, calls, sending.closes_at, sending.expires_at)
        self._failover = Failover()
        self.lanes = {
            name: Lane(
                provider,
                account,
                books,
                terms,
                whole=recovered.whole_calls(name),
                breaker=Breaker(off=sending.breakers_off),
                limits=sending.buckets.get(name, ()),
                successor=self._failover.successor(name),
                comes_back=self._failover.comes_back(name),
            )
            for name, (provider, account) in accounts.items()
        }
        self._failover.lanes.update(self.lanes)

    async def open(self, stack: AsyncExitStack) -> None:
        """Connect the accounts; they are closed with the stack. Raises RunTrouble."""
        for name, (provider, _) in self._accounts.items():
            if not self._sending.offline:
                stack.push_async_callback(provider.close)
                await provider.open()
            stack.push_async_callback(self.lanes[name].close)

    async def deliver(self, dealt: Dealt) -> None:
        """Compose these rows and hand them to their lanes; waits where a lane has no room. Raises what stopped it."""
        rows = dealt.rows
        heard = rows.history.flags if rows.history else None
        composing = self._composer.over(rows.keys, rows.columns, rows.optouts, self._clock.now, heard, rows.dead)
        for start in range(0, len(rows), _TOGETHER):
            some = range(start, min(start + _TOGETHER, len(rows)))
            with tracing.span("render", rows=len(some)):
                going = self._compose(dealt, composing, some)
            for lane, ticket in going:
                lane.add(ticket)
            for lane in self.lanes.values():
                await lane.room()
            await asyncio.sleep(0)

    def flush(self) -> None:
        """No more rows are at hand: calls leave as they are."""
        for lane in self.lanes.values():
            lane.flush()

    async def drain(self) -> None:
        """Wait until every delivery has ended. A lane that was idle may be handed something, and stop for it."""
        lanes = list(self.lanes.values())
        while True:
            for lane in lanes:
                await lane.drain()
            if all(lane.idle and lane.trouble is None for lane in lanes):
                return

    async def stop(self) -> None:
        """Finish what is in the air, start nothing new: no lane while another one is waited for."""
        await asyncio.gather(*(lane.stop() for lane in self.lanes.values()))

    def abandon(self) -> None:
        """Let go at once: what is in the air stays in doubt."""
        for lane in self.lanes.values():
            lane.abandon()

    def halt(self, trouble: BaseException) -> None:
        for lane in self.lanes.values():
            lane.halt(trouble)

    def throttle(self, account: str, wait: timedelta, words: str) -> None:
        """Another worker was told that this account makes everyone wait."""
        self.lanes[account].wait(wait, words)

    @property
    def waiting(self) -> str:
        """What is waited for, for people to read."""
        return "; ".join(lane.waiting for lane in self.lanes.values() if lane.waiting)

    # Composing

    def _compose(self, dealt: Dealt, composing: Composing, places: range) -> list[tuple[Taker, Ticket]]:
        """Tell the books what became of these rows, and return what is to be sent."""
        composed = Composed(dealt.number, places.start)
        going: list[tuple[Taker, Ticket]] = []
        rows, width = dealt.rows, len(self._composer.channels)
        # Several devices make a row wider than that: places of the next rows move on.
        sequence = max(self._sequence, dealt.first + places.start * width)
        for row in places:
            pending, others = 0, rows.duplicates[row]
            settled = composing.deliveries(row)
            mine = Row(dealt.number, row, rows.keys[row], settled, set())
            for delivery in settled:
                sequence += 1
                ticket = self._ticket(composed, mine, delivery, sequence)
                if ticket is not None:
                    pending += 1
                    going.append((self._taker(ticket), ticket))
            composed.pending.append(pending)
            if len(settled) != width or others or self._composer.several:
                channels = dict.fromkeys(delivery.channel for delivery in settled)
                composed.more += len(settled) - len(channels)
                composed.elsewhere += (width - len(channels)) * (1 + others)
                if others:
                    composed.ended += [(row, channel, gates.DUPLICATE, others, None, "", "") for channel in channels]
        self._sequence = sequence
        composed.problems, self._composer.problems = self._composer.problems, Counter()
        self._books.composed(composed)
        return going

    def _taker(self, ticket: Ticket) -> Taker:
        """The lane of the account that it is in doubt with, or the first that takes it now."""
        return self.lanes[ticket.before.account] if ticket.before else self._failover.first(ticket.route)

    def _ticket(self, composed: Composed, mine: Row, delivery: Delivery, sequence: int) -> Ticket | None:
        """The delivery's place in its lane; None for what ended at a gate or before a crash, which is counted."""
        result = delivery.result
        self._watch_content(result)
        key, account, address = None, "", ""
        before = self._before(composed, mine, delivery) if self._recovered else None
        if before is None:
            if not isinstance(result, Ended) and delivery.channel not in mine.strayed:
                return Ticket(result, mine.batch, mine.row, sequence, delivery.route)
            end = result if isinstance(result, Ended) else IN_DOUBT
        else:
            found = self._since_before(delivery, before)
            if found is None:
                assert not isinstance(result, Ended)
                return Ticket(result, mine.batch, mine.row, sequence, delivery.route, before, in_doubt=True)
            end, key, account = found, before.key, before.account
            if not isinstance(result, Ended) and result.key == key:
                address = result.message.address
        composed.ended.append((mine.row, delivery.channel, end, 1, key, account, address))
        return None

    def _watch_content(self, result: object) -> None:
        """A template that can not render many of its people must not burn the list."""
        reason = result.reason if isinstance(result, Ended) else ""
        if (not reason or reason in _CONTENT) and self._content.trips(bool(reason)):
            raise template_trouble(reason)

    # What a worker that died left behind

    def _before(self, composed: Composed, mine: Row, delivery: Delivery) -> Intent | None:
        """What became of this person on this channel before a crash, under whatever address."""
        key = None if isinstance(delivery.result, Ended) else delivery.result.key
        others = {one.result.key for one in mine.settled if not isinstance(one.result, Ended)} - {key}
        before = self._recovered.take(self._composer.mark(mine.key), delivery.channel, key, others)
        if before is not None:
            composed.met.append(before.key)
            if before.key != key:
                mine.strayed.add(delivery.channel)
        return before

    def _since_before(self, delivery: Delivery, before: Intent) -> Ended | None:
        """How a delivery ended that was near the air before a crash; None when it is to be sent again."""
        lane = self.lanes.get(before.account)
        if lane is None:  # an account that the project does not have any more
            return how_it_ended(before) or IN_DOUBT
        if isinstance(delivery.result, Ended) or delivery.result.key != before.key:
            lane.incomplete(before)
            return how_it_ended(before) or IN_DOUBT  # nobody hears twice because their address has changed
        return lane.how_it_ended(before)


def split(rows: Rows, size: int) -> Iterator[Rows]:
    """The same rows in pieces of at most this size."""
    for start in range(0, len(rows), size):
        yield rows if len(rows) <= size else rows.piece(start, start + size)


def accounts_of(share: Sequence[tuple[type[Provider], Account]]) -> dict[str, tuple[Provider, Account]]:
    """Accounts that are made anew, in a process of their own."""
    return {account.name: (provider(account), account) for provider, account in share}
