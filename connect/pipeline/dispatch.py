"""From rendered messages to receipts: intents first, then the provider, then outcomes.

One lane per provider account. A call leaves only when the intents of its messages are durable, and its place in the
released window is free again only when their outcomes are; so what a kill leaves in doubt is at most one window.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from connect.channels.message import Email, Outgoing
from connect.clock import Clock
from connect.errors import Disposition, Problem, RunTrouble
from connect.ledger.commits import Commits
from connect.ledger.records import Intent
from connect.pipeline.breaker import Breaker, down_trouble, provider_trouble
from connect.pipeline.deliveries import Ended
from connect.pipeline.outcomes import Outcomes, Row
from connect.pipeline.recovery import how_it_ended
from connect.providers.interface import Account, Idempotency, Provider, Receipt, Status
from connect.vocabulary import InDoubt, Outcome, Reason

RETRY_FOR = timedelta(minutes=10)
"""How long one delivery is tried. An account that throttles does not count: it makes everyone wait."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_WINDOW = 2
"""Calls released to an account, as a multiple of its concurrency."""

_MANY = 20
"""Deliveries in trouble one after the other, and none through, that make it the account's trouble."""

_ENDS = {
    Status.accepted: Outcome.sent,
    Status.rejected_recipient: Outcome.failed,
    Status.rejected_content: Outcome.failed,
    Status.undecidable: Outcome.unknown,
}
_PAUSES = {
    Status.config: ("provider-config", "refuses these credentials, this sender or these settings"),
    Status.quota: ("provider-quota", "says that the account's quota is used up"),
}


@dataclass(slots=True)
class Ticket:
    """One delivery in a lane: its message, its row, and how often it was tried."""

    outgoing: Outgoing
    row: Row
    sequence: int
    """The place of the delivery in this process's work."""
    in_doubt: bool = False
    """An earlier call may have taken it, whatever a later one says."""
    attempts: int = 0
    deadline: float | None = None
    """Monotonic seconds after which it is not tried again; starts with the first failure."""


@dataclass(order=True, slots=True)
class _Later:
    due: float
    order: int
    ticket: Ticket = field(compare=False)


class Lane:
    """One provider account: packs calls, keeps to its concurrency, waits out throttling, retries, settles."""

    def __init__(
        self,
        provider: Provider,
        account: Account,
        commits: Commits,
        outcomes: Outcomes,
        in_doubt: InDoubt,
        clock: Clock,
        random: Random,
        *,
        last_call: int = 0,
        held: Callable[[], Awaitable[None]] | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._provider, self._account = provider, account
        self._commits, self._outcomes = commits, outcomes
        self._in_doubt, self._clock, self._random = in_doubt, clock, random
        self._window = asyncio.Semaphore(_WINDOW * account.concurrency)
        self._air = asyncio.Semaphore(account.concurrency)
        self._packing: list[Ticket] = []
        self._packed_bytes = 0
        self._later: list[_Later] = []
        self._retrying: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()
        self._order = itertools.count()
        self._calls: set[asyncio.Task[None]] = set()
        self._call_numbers = itertools.count(last_call + 1)
        self._held, self._breaker = held, breaker or Breaker()
        self._unwell: set[bytes] = set()
        self._down_since: float | None = None
        self._throttles = 0
        self._open_at = 0.0
        self._settled = asyncio.Event()
        self._halted = asyncio.Event()
        self.trouble: BaseException | None = None
        self.waiting = ""
        """Why the account makes everyone wait, for people to read."""

    async def put(self, ticket: Ticket) -> None:
        """Take a delivery; waits while the released window is full. Raises what stopped the lane."""
        weight = _weight(ticket.outgoing)
        limit = self._provider.capabilities.max_call_bytes
        if self._packing and limit and self._packed_bytes + weight > limit:
            await self.flush()
        self._packing.append(ticket)
        self._packed_bytes += weight
        if len(self._packing) >= self._provider.capabilities.max_batch:
            await self.flush()

    async def flush(self) -> None:
        """Release what is packed as one call."""
        tickets, self._packing, self._packed_bytes = self._packing, [], 0
        if tickets:
            await self._release(tickets)

    async def drain(self) -> None:
        """Wait until every delivery of the lane has ended, retries included."""
        while True:
            self._raise()
            await self.flush()
            if not self._calls and not self._later:
                return
            self._settled.clear()
            await self._settled.wait()

    async def stop(self) -> None:
        """Let go: finish what is in the air, start nothing new. What is left has no intent and is taken up again."""
        self._packing, self._later = [], []
        self._halted.set()
        self._sooner.set()
        if self._calls:
            await asyncio.wait(self._calls)
        if self._retrying:
            await asyncio.wait((self._retrying,))

    def abandon(self) -> None:
        """Let go at once: what is in the air stays in doubt."""
        self._halted.set()
        for call in self._calls:
            call.cancel()

    async def _until(self, event: asyncio.Event, seconds: float) -> None:
        """Until the event, or until this much time has passed by the run's clock."""
        waits = (asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._clock.sleep(max(seconds, 0.0))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _retry_on(self) -> None:
        """Release what waits for its next try, whatever else the lane is doing: others may wait for its outcome."""
        while self._later and not self._halted.is_set():
            self._sooner.clear()
            await self._until(self._sooner, self._later[0].due - self._clock.monotonic())
            await self._window.acquire()
            due = [] if self._halted.is_set() else self._due()
            if due:
                self._start(due)
            else:
                self._window.release()

    def _due(self) -> list[Ticket]:
        """As many as fit into a call."""
        due: list[Ticket] = []
        now, weight, most = self._clock.monotonic(), 0, self._provider.capabilities
        while self._later and self._later[0].due <= now and len(due) < most.max_batch:
            weight += _weight(self._later[0].ticket.outgoing)
            if due and most.max_call_bytes and weight > most.max_call_bytes:
                break
            due.append(heapq.heappop(self._later).ticket)
        return due

    async def _release(self, tickets: list[Ticket]) -> None:
        await self._window.acquire()
        if self._halted.is_set():
            self._window.release()
            self._raise()
            return
        self._start(tickets)

    def _start(self, tickets: list[Ticket]) -> None:
        """Begin a call, in a place of the window that was taken for it."""
        call = asyncio.create_task(self._call(tickets))
        self._calls.add(call)
        call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._window.release()
        self._settled.set()
        if not call.cancelled() and (problem := call.exception()) is not None:
            self.halt(problem)

    def halt(self, trouble: BaseException) -> None:
        """Start nothing new, and raise this to whoever puts or drains."""
        self.trouble = self.trouble or trouble
        self._halted.set()
        self._sooner.set()
        self._settled.set()
        self._outcomes.give_up()

    def _raise(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def _call(self, tickets: list[Ticket]) -> None:
        number = next(self._call_numbers)
        await self._commits.intend([self._intent(ticket, number) for ticket in tickets])
        async with self._air:
            await self._opened()
            if self._halted.is_set():
                await self._withdraw(tickets)
                return
            if self._held is not None:
                await self._held()
            receipts = await self._provider.send([ticket.outgoing for ticket in tickets])
        if len(receipts) != len(tickets):
            raise RuntimeError(f"{self._account.name} gave {len(receipts)} receipts for {len(tickets)} messages")
        await self._take(tickets, receipts)

    def _intent(self, ticket: Ticket, call: int) -> Intent:
        return Intent(
            key=ticket.outgoing.key,
            sequence=ticket.sequence,
            channel=ticket.outgoing.channel,
            account=self._account.name,
            call=call,
        )

    async def _opened(self) -> None:
        """Wait while the account makes everyone wait."""
        while not self._halted.is_set() and (wait := self._open_at - self._clock.monotonic()) > 0:
            await self._until(self._halted, wait)
        self.waiting = ""

    async def _take(self, tickets: Sequence[Ticket], receipts: Sequence[Receipt]) -> None:
        """Settle what ended, send the rest round again, pause for what only a person can mend."""
        ended: list[tuple[Ticket, Ended]] = []
        untaken: list[Ticket] = []
        for ticket, receipt in zip(tickets, receipts, strict=True):
            verdict = self._verdict(ticket, receipt)
            if isinstance(verdict, Ended):
                ended.append((ticket, verdict))
            else:
                untaken.append(ticket)
            if isinstance(verdict, RunTrouble):
                self.halt(verdict)
        await self._withdraw(untaken)
        if ended:
            await self._outcomes.settle(
                [(ticket.row, ticket.outgoing.channel, ticket.outgoing.key, end) for ticket, end in ended]
            )

    async def _withdraw(self, tickets: Sequence[Ticket]) -> None:
        """These are not in the air; what is in doubt stays in the ledger, also while it waits."""
        untaken = [ticket.outgoing.key for ticket in tickets if not ticket.in_doubt]
        if untaken:
            await self._commits.withdraw(untaken)

    def _verdict(self, ticket: Ticket, receipt: Receipt) -> Ended | RunTrouble | None:
        """How the delivery ended; or None when it goes round again; or the trouble that pauses the run."""
        status = receipt.status
        if status in _ENDS:
            self._throttles = 0
            self._down_since = None
            self._unwell.clear()
            return self._ended_as(_ENDS[status], receipt)
        if status in _PAUSES:
            return self._trouble(status, receipt)
        if status is Status.throttled:
            self._throttle(receipt)
            self._again(ticket, self._open_at - self._clock.monotonic())
            return None
        down = self._is_down(ticket, receipt)
        if status is Status.ambiguous:
            ticket.in_doubt = True
            if not self.may_repeat():
                return self._ended_as(Outcome.unknown, Receipt(status, Reason.in_doubt))
        if down:  # everyone waits for the account, and nobody's ten minutes run
            self._again(ticket, self._open_at - self._clock.monotonic())
            return None
        return self._retry(ticket)

    def _ended_as(self, outcome: Outcome, receipt: Receipt) -> Ended:
        reason = "" if outcome is Outcome.sent else receipt.reason or receipt.status.value
        if self._breaker.trips(outcome is not Outcome.sent):
            self.halt(provider_trouble(self._account.name, reason))
        return Ended(outcome, reason)

    def _is_down(self, ticket: Ticket, receipt: Receipt) -> bool:
        """Whether trouble is the account's and not this delivery's: many in a row have it, and nobody gets through."""
        self._unwell.add(ticket.outgoing.key)
        if len(self._unwell) < _MANY:
            return False
        now = self._clock.monotonic()
        self._down_since = now if self._down_since is None else self._down_since
        self._throttle(receipt)
        self._unwell = set(itertools.islice(self._unwell, _MANY))  # no more is to be remembered than decides
        if now - self._down_since > RETRY_FOR.total_seconds():
            self.halt(down_trouble(self._account.name, receipt.reason or receipt.status.value))
        return True

    def how_it_ended(self, before: Intent) -> Ended | None:
        """How a delivery that was near the air before a crash counts; None when it is to be sent (again)."""
        stored = how_it_ended(before)
        if stored is None and not (self._in_doubt is InDoubt.resend or self._still_knows(before)):
            return Ended(Outcome.unknown, Reason.in_doubt)
        return stored

    def _still_knows(self, before: Intent) -> bool:
        """Whether the provider recognises a message that it was given back then."""
        if self._provider.capabilities.idempotency is not Idempotency.message_key:
            return False
        lifetime = self._provider.capabilities.idempotency_lifetime
        return not lifetime or not before.released_at or self._clock.now() - before.released_at < lifetime

    def may_repeat(self) -> bool:
        """Whether a delivery in doubt may be sent again: the provider deduplicates, or the user said so."""
        return self._provider.capabilities.idempotency is Idempotency.message_key or self._in_doubt is InDoubt.resend

    def _trouble(self, status: Status, receipt: Receipt) -> RunTrouble:
        code, says = _PAUSES[status]
        detail = receipt.detail or receipt.reason
        message = f"{self._account.name} {says}" + (f": {detail}" if detail else "")
        hint = f"`connect doctor` tests {self._account.name}; then `connect run` goes on where this run stopped"
        return RunTrouble(Disposition.pause, Problem(code, message, hint))

    def _throttle(self, receipt: Receipt) -> None:
        """The whole account waits: as long as the provider says, else longer each time."""
        if self._open_at <= self._clock.monotonic():  # replies to calls of one moment are one request to slow down
            self._throttles += 1
        wait = receipt.retry_after.total_seconds() if receipt.retry_after else self._backoff(self._throttles)
        self._open_at = max(self._open_at, self._clock.monotonic() + wait)
        self.waiting = f"{self._account.name} throttles: {receipt.reason or 'slow down'}"

    def _retry(self, ticket: Ticket) -> Ended | None:
        now = self._clock.monotonic()
        ticket.attempts += 1
        ticket.deadline = ticket.deadline or now + RETRY_FOR.total_seconds()
        if now >= ticket.deadline:
            return (
                Ended(Outcome.unknown, Reason.in_doubt)
                if ticket.in_doubt
                else Ended(Outcome.failed, Reason.retries_exhausted)
            )
        self._again(ticket, self._backoff(ticket.attempts))
        return None

    def _again(self, ticket: Ticket, wait: float) -> None:
        heapq.heappush(self._later, _Later(self._clock.monotonic() + wait, next(self._order), ticket))
        self._sooner.set()
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry_on())

    def _backoff(self, attempt: int) -> float:
        """Full jitter: seconds between nothing and a bound that doubles with each attempt."""
        return self._random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))


def _weight(outgoing: Outgoing) -> int:
    """About how many bytes a message takes in a call."""
    message = outgoing.message
    if isinstance(message, Email):
        attached = sum(len(attachment.content) for attachment in message.attachments)
        return len(message.html or "") + len(message.text or "") + attached * 4 // 3 + 1024
    return len(message.body) + 256
