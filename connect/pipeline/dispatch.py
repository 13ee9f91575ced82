"""From rendered messages to receipts: intents first, then the provider, then outcomes.

One lane per provider account, of stages that overlap:

    pack      messages become calls, up to what the provider takes in one
    write     outcomes of calls that have ended, and intents of calls that leave, as far as the released window has
              room: many of both in one commit
    send      calls whose intents are durable, as many at once as the account's concurrency

So what a kill leaves in doubt is at most one window.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from random import Random
from typing import Protocol

from connect.clock import Clock
from connect.ledger.records import Call, Intent
from connect.pipeline import tracing
from connect.pipeline.alarm import Alarm
from connect.pipeline.answers import Answer, Answers
from connect.pipeline.books import Books
from connect.pipeline.breaker import Breaker
from connect.pipeline.deliveries import Ended
from connect.pipeline.doubt import Doubt, may_repeat
from connect.pipeline.exact import Gathering
from connect.pipeline.failover import Taker
from connect.pipeline.gate import LOOK_AROUND, Gate, Passing
from connect.pipeline.gate import Closed as Closed
from connect.pipeline.lineup import Lineup
from connect.pipeline.packing import Packed
from connect.pipeline.rates import Limit, Meter
from connect.pipeline.ready import Ready
from connect.pipeline.recovery import IN_DOUBT
from connect.pipeline.standing import Standing
from connect.pipeline.verdicts import Ticket, Verdicts
from connect.providers.interface import Account, Capabilities, Idempotency, Posts, Provider, Receipt
from connect.vocabulary import InDoubt

_WINDOW = 2
"""Calls released to an account, as a multiple of its concurrency."""


_PACK_FOR = 1.0
"""Seconds that a message waits for others to fill its call, while rows keep coming."""

_BLINK = 0.001
"""Seconds in which nothing changes that is worth a look."""

_GATHER = 0.005
"""Seconds that outcomes wait for others to share their commit: a fraction of what a commit takes."""
_LOOKS = 5
"""How often it is looked meanwhile whether they are enough."""


class Hold(Protocol):
    """Whether this process may still send."""

    def fresh(self) -> bool:
        """Asked before each call: nobody else can have taken over."""

    async def held(self) -> None:
        """Make sure of it. Raises LeaseLost when somebody took over."""


@dataclass(frozen=True)
class Terms:
    """What a lane sends by, beside its account: the same for every lane of a worker."""

    in_doubt: InDoubt
    clock: Clock
    random: Random
    hold: Hold
    calls: Iterator[int]
    """Numbers for calls that nobody else uses in this run."""
    closes_at: datetime | None = None
    """Nothing leaves from then on."""
    expires_at: datetime | None = None
    """What has not left by then is skipped."""


class Lane:
    """One provider account: packs calls, keeps to its concurrency, waits out throttling, retries, settles.

    `whole` are the calls from before a crash that are in doubt with all of their members: number → message keys, in
    the order of the call.
    """

    def __init__(
        self,
        provider: Provider,
        account: Account,
        books: Books,
        terms: Terms,
        *,
        whole: Mapping[int, Sequence[bytes]] | None = None,
        breaker: Breaker | None = None,
        limits: Sequence[Limit] = (),
        successor: Callable[[Ticket], Taker | None] = lambda ticket: None,
        comes_back: Callable[[Ticket], bool] = lambda ticket: False,
    ) -> None:
        self._provider, self._account, self._books = provider, account, books
        self._calls = tracing.Calls(account.name)
        self._terms, self._clock = terms, terms.clock
        self._successor = successor
        account.margin.holds = terms.hold.fresh
        self._keyed = provider.capabilities.idempotency is Idempotency.request_key
        self._gathering = Gathering(whole if whole and self._keyed else {})
        self._in_doubt = Doubt(provider, terms.in_doubt, self._gathering, terms.clock)
        self._verdicts = Verdicts(
            account.name,
            terms.clock,
            terms.random,
            breaker or Breaker(),
            repeats=may_repeat(provider, terms.in_doubt),
            halt=self.halt,
            throttled=self._throttled,
            successor=successor,
            comes_back=comes_back,
        )
        self._read = Answers(self._verdicts, keyed=self._keyed, in_doubt=terms.in_doubt, halt=self.halt)
        self._stirred = asyncio.Event()
        self._changed, self._halted = asyncio.Event(), asyncio.Event()
        self._alarm = Alarm(terms.clock, self._stirred.set)
        self._gate = Gate(
            self._verdicts,
            terms.clock,
            self._halted,
            meter=self._meter(limits),
            closes_at=terms.closes_at,
            expires_at=terms.expires_at,
        )
        self._lineup = Lineup(self._most(), terms.clock)
        self._free = self._window = _WINDOW * account.concurrency
        self._flying = 0
        self._ready = Ready(account.concurrency, self._leave)
        # A call of several is worth a task.
        self._posts = provider if isinstance(provider, Posts) and provider.capabilities.max_batch == 1 else None
        self._answers: list[Answer] = []
        self._writing: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self.trouble: BaseException | None = None
        self._words = ""

    def _meter(self, limits: Sequence[Limit]) -> Meter | None:
        if not limits:
            return None
        return Meter(limits, self._books.slots, self._clock, ready=self._stirred.set, failed=self.halt)

    def _most(self) -> Capabilities:
        """What goes into one call: no more than the provider takes, and no more than the rate lets through at once."""
        most = self._provider.capabilities
        meter = self._gate.meter
        return replace(most, max_batch=min(most.max_batch, meter.clump)) if meter else most

    # Putting

    async def put(self, ticket: Ticket) -> None:
        """Take a delivery; waits while more wait than can be released at once. Raises what stopped the lane."""
        self.add(ticket)
        await self.room()

    def add(self, ticket: Ticket) -> None:
        """Take a delivery. Whoever adds many asks for `room` now and then."""
        ticket.account = self._account.name
        if self._gathering:
            for number in self._gathering.scattered(ticket.sequence):
                self._disperse(number)
        before = ticket.before
        if before is not None and self.how_it_ended(before) is not None:
            self._doubt([ticket])  # its call broke after it was composed: by a neighbour's change, a moment ago
        elif before is None or before.call not in self._gathering:
            self._lineup.add(ticket)
            self._stir()
        elif members := self._gathering.add(before.call, ticket):
            self._lineup.put([Packed(members, exact=True)])
            self._stir()

    async def room(self) -> None:
        """Wait until what waits for its release is less than a window. Nobody waits long for a call to be full."""
        self._raise()
        if self._lineup.packs_for > _PACK_FOR:
            self.flush()
        while self._lineup.new >= self._window:
            self._changed.clear()
            await self._changed.wait()
            self._raise()

    def flush(self) -> None:
        """What is packed becomes a call."""
        self._lineup.flush()
        self._stir()

    def _stir(self) -> None:
        """There may be calls that can leave."""
        if self._halted.is_set():
            self._lineup.clear()
        elif self._lineup.new:
            self._start()
            self._stirred.set()

    def _start(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_on())

    # Calls that are in doubt since a crash

    def incomplete(self, before: Intent) -> None:
        """A member of this call can not be sent as it was: the call can not be repeated."""
        self._disperse(before.call)

    def _disperse(self, number: int) -> None:
        """Members of a call that stays incomplete: unknown, or sent again where the user said so."""
        members = self._gathering.give_up(number)
        if self._terms.in_doubt is InDoubt.resend:
            for ticket in members:
                self._lineup.add(ticket)
            self._stir()
        elif members:
            self._doubt(members)

    def _doubt(self, tickets: Collection[Ticket]) -> None:
        """Nobody can know what became of these."""
        self._flying += 1
        self._start()
        self._answer(Answer([ticket.ended(IN_DOUBT) for ticket in tickets], places=0))

    def how_it_ended(self, before: Intent) -> Ended | None:
        """How a delivery that was near the air before a crash counts; None when it is to be sent (again)."""
        return self._in_doubt.how_it_ended(before)

    # Ending

    async def drain(self) -> None:
        """Wait until every delivery of the lane has ended, retries included."""
        while True:
            self._raise()
            self.flush()
            for number in self._gathering.incomplete():
                self._disperse(number)
            if self.idle:
                return
            self._changed.clear()
            await self._changed.wait()

    @property
    def standing(self) -> Standing:
        """Whether the account takes anything now, or others may take over."""
        return self._verdicts.standing

    @property
    def idle(self) -> bool:
        """Nothing waits, is in the air, or is to be tried again."""
        return not (self._lineup or self._gathering or self._flying)

    async def stop(self) -> None:
        """Let go: finish what is in the air, start nothing new. What is left has no intent and is taken up again."""
        self._lineup.clear()
        self._gathering.clear()
        self._halt()
        while self._flying:
            self._changed.clear()
            await self._changed.wait()
        await self._end()

    def abandon(self) -> None:
        """Let go at once: what is in the air stays in doubt."""
        self._halt()
        for task in self._tasks():
            task.cancel()
        if self._posts is not None:
            self._posts.drop()

    async def close(self) -> None:
        """End the stages of a lane that has drained."""
        self._halt()
        await self._end()

    def halt(self, trouble: BaseException) -> None:
        """Start nothing new, and raise this to whoever puts or drains."""
        if self.trouble is None:
            self.trouble = trouble
            self._books.troubled(trouble)
        self._halt()

    def _halt(self) -> None:
        self._halted.set()
        self._alarm.off()
        if self._gate.meter:
            self._gate.meter.stop()
        for event in (self._changed, self._stirred):
            event.set()

    async def _end(self) -> None:
        self._calls.end()
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [*self._sending, *((self._writing,) if self._writing else ())]

    def _raise(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    # The books: outcomes that came in and calls that leave share a commit

    async def _write_on(self) -> None:
        while True:
            await self._stirred.wait()
            if not self._is_worth_a_commit():
                await self._gather()
            self._stirred.clear()
            answers, self._answers = self._answers, []
            self._free += sum(answer.places for answer in answers)
            calls = [] if self._halted.is_set() else self._leaving()
            self._free -= len(calls)
            self._flying += len(calls)
            self._changed.set()
            try:
                await self._write(answers, calls)
            except Exception as problem:  # noqa: BLE001 - raised to whoever puts or drains
                self._lost(len(answers) + len(calls), problem)
            else:
                self._land(answers)
                self._ready.put(calls)

    async def _gather(self) -> None:
        """Others in the air end soon, and share the commit."""
        for _ in range(_LOOKS):
            await asyncio.sleep(_GATHER / _LOOKS)
            if self._is_worth_a_commit():
                return

    def _is_worth_a_commit(self) -> bool:
        """Half a window, so that the other half is in the air meanwhile; or too little is in the air to wait for."""
        ended = len(self._answers)
        leaving = min(self._free + ended, self._lineup.calls)
        if max(ended, leaving) >= self._window // 2 or ended >= self._flying:
            return True
        return leaving > 0 and self._gate.is_open and self._ready.room > self._account.concurrency // 2

    async def _write(self, answers: Sequence[Answer], calls: Sequence[Packed]) -> None:
        """A place of the window is free as soon as the outcome of its call is durable, and so also together with it."""
        settled = [end for answer in answers for end in answer.settled]
        untaken = [key for answer in answers for key in answer.untaken]
        if settled or untaken or calls:
            began = self._clock.monotonic()
            await self._books.write(settled, untaken, [self._call(packed) for packed in calls])
            self._gate.committed(self._clock.monotonic() - began)

    def _land(self, answers: Sequence[Answer]) -> None:
        """What became of these calls is durable: what goes round again may."""
        self._flying -= len(answers)
        for answer in answers:
            for wait, call in answer.again:
                self._again(call, wait)
            self._pass_on(answer.elsewhere)
        self._changed.set()
        if answers and not self._gate.is_open:
            self._stirred.set()

    def _pass_on(self, tickets: Iterable[Ticket]) -> None:
        """To whoever takes over now; what nobody does goes round again."""
        for ticket in () if self._halted.is_set() else tickets:
            if (taker := self._successor(ticket)) is not None:
                self._verdicts.let_go(ticket)
                taker.add(ticket)
            else:
                self._again(Packed([ticket]), 0.0)

    def _leaving(self) -> list[Packed]:
        """Take the calls that may be released now."""
        if self.standing.is_out:
            self._hand_over()
        self._wake(self._lineup.take_those_due())
        if self._gate.is_open:
            return list(islice(self._lineup.in_turn(self._verdicts.down), self._free))
        if self._gate.has_closed and not self.idle:
            self.halt(Closed())
            return []
        room, changes = self._gate.room(len(self._ready))
        leaving = list(self._admitted(min(room, self._free)))
        if self._lineup.calls:
            self._look_again(changes, idles=not (leaving or self._flying or self._gate.is_asking))
        return leaving

    def _hand_over(self) -> None:
        """What waits here goes to who takes over, now or when somebody is back."""
        self._pass_on(self._lineup.leave(lambda ticket: self._successor(ticket) is not None))
        if self._lineup:
            self._wake(self._clock.monotonic() + LOOK_AROUND)

    def _admitted(self, room: int) -> Iterator[Packed]:
        """Take calls as far as the rate lets them through."""
        waiting = self._lineup.messages
        for _ in range(room):
            call = next(self._lineup.in_turn(self._verdicts.down), None)
            if call is None:
                return
            if not self._gate.admits(call, waiting):
                self._lineup.first = call
                return
            waiting -= len(call.tickets)
            yield call

    def _look_again(self, changes: float, *, idles: bool) -> None:
        """When what holds the next call back has changed. Where answers are to come, they are followed by a look."""
        first = self._lineup.first
        slot = self._gate.asks_again(first) if first else math.inf
        deadline = self._gate.deadline() if idles else math.inf
        self._wake(max(min(changes, slot, deadline), self._clock.monotonic() + _BLINK))

    def _wake(self, when: float) -> None:
        """Look then, at the latest."""
        if when < math.inf:
            self._alarm.set(when)

    def _call(self, packed: Packed) -> Call:
        """The call as the ledger remembers it."""
        return Call(
            next(self._terms.calls),
            packed.tickets[0].outgoing.channel,
            self._account.name,
            [ticket.outgoing.key for ticket in packed.tickets],
            [ticket.sequence for ticket in packed.tickets],
        )

    def _lost(self, calls: int, problem: BaseException) -> None:
        """What became of these calls is not known here any more: the ledger tells the next worker."""
        self._flying -= calls
        self.halt(problem)

    # Send

    def _leave(self, call: Packed) -> None:
        """At once where nothing is in its way, which is how nearly all leave; else in a task, which may wait."""
        if self._posts is not None and self._may_leave_now():
            self._calls.call(1)
            try:
                self._posts.post(call.tickets[0].outgoing, partial(self._heard, call))
            except Exception as problem:  # noqa: BLE001 - as if it were heard
                self._heard(call, problem)
        else:
            task = asyncio.create_task(self._send_on(call))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def _may_leave_now(self) -> bool:
        return self._gate.is_open and not self._halted.is_set() and self._terms.hold.fresh()

    def _heard(self, call: Packed, said: Receipt | Exception) -> None:
        try:
            if isinstance(said, Exception):
                raise said
            self._answer(self._read.to(call, (said,)))
        except Exception as problem:  # noqa: BLE001 - raised to whoever puts or drains
            self._lost(1, problem)
        self._ready.landed()

    async def _send_on(self, leaves: Packed) -> None:
        """This call, and those that are ready when it has landed."""
        call: Packed | None = leaves
        while call is not None:
            try:
                self._answer(await self._send(call))
            except Exception as problem:  # noqa: BLE001 - raised to whoever puts or drains
                self._lost(1, problem)
            call = self._ready.taken()

    async def _send(self, call: Packed) -> Answer:
        if not self._gate.is_open and (kept := await self._kept_back(call)):
            return kept
        if self._halted.is_set():
            return self._read.given_back(call)
        if not self._terms.hold.fresh():
            await self._terms.hold.held()
            if not self._gate.is_open and (kept := await self._kept_back(call)):
                return kept
        with self._calls.call(len(call.tickets)):
            receipts = await self._provider.send([ticket.outgoing for ticket in call.tickets])
        if len(receipts) != len(call.tickets):
            raise RuntimeError(f"{self._account.name} gave {len(receipts)} receipts for {len(call.tickets)} messages")
        return self._read.to(call, receipts)

    async def _kept_back(self, call: Packed) -> Answer | None:
        """Wait until the call may leave. What becomes of it where it may not, though its intents are durable."""
        passing = await self._gate.passes(call)
        if passing is Passing.leaves:
            return None
        if passing is Passing.expired:
            return self._read.expired(call)
        if passing is Passing.late:
            return self._read.put_off(call)
        if passing is Passing.elsewhere:
            return self._read.passed_on(call, lambda ticket: self._successor(ticket) is not None)
        if passing is Passing.closed:
            self.halt(Closed())
        return self._read.given_back(call)

    def wait(self, wait: timedelta, words: str) -> None:
        """Another worker was throttled, or told to wait for so long; `words` say so to people."""
        self._verdicts.told(wait)
        self._words = words or self._words
        if self._lineup:  # it may be taken over
            self._start()
            self._stirred.set()

    def _throttled(self, wait: timedelta, words: str) -> None:
        self._words = words or self._words
        self._books.throttled(self._account.name, wait, words)

    @property
    def waiting(self) -> str:
        """What is waited for, for people to read."""
        if self._verdicts.open_at > self._clock.monotonic():
            return self._words
        meter = self._gate.meter
        return meter.words(self._lineup.messages) if meter and self._lineup.first else ""

    def _answer(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._stirred.set()

    def _again(self, call: Packed, wait: float) -> None:
        if self._halted.is_set():
            return
        due = self._clock.monotonic() + wait
        self._lineup.again(call, due)
        self._wake(min(due, self._gate.deadline()))
