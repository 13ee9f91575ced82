"""What a provider's receipts mean for a delivery and for its account: ended, again in so many seconds, or a pause."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from connect.channels.message import Outgoing, Sms
from connect.clock import Clock
from connect.errors import Disposition, Problem, RunTrouble
from connect.ledger.records import Intent
from connect.pipeline.books import Settlement
from connect.pipeline.breaker import Breaker, devices_trouble, down_trouble, provider_trouble
from connect.pipeline.deliveries import Ended
from connect.pipeline.recovery import IN_DOUBT
from connect.pipeline.standing import Standing
from connect.pipeline.tempo import Tempo
from connect.providers.interface import LEASE_OVER, Receipt, Status
from connect.vocabulary import Channel, Outcome, Reason, segments_reason

RETRY_FOR = timedelta(minutes=10)
"""How long one delivery is tried. An account that throttles does not count: it makes everyone wait."""

_FIRST_WAIT, _LONGEST_WAIT, _DOUBLINGS = 0.5, 60.0, 10

_MANY = 20
"""Deliveries in trouble one after the other, and none through, that make it the account's trouble."""

_SENT = Ended(Outcome.sent, "")
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

_SLOWER = 6
"""Times in a row that an account throttles, and takes nothing, before slowing down is not enough: then all wait."""


class Elsewhere:
    """The verdict on a delivery that another account takes over: this one surely did not accept it."""


ELSEWHERE = Elsewhere()
Verdict = Ended | RunTrouble | float | Elsewhere
"""How a delivery ended; or the trouble that pauses the run; or the seconds until it goes round again; or elsewhere."""

_OUT_FOR, _LONG = 300.0, 60.0
"""Seconds after which an account that was out is tried again, unless it says when; and how long a wait puts it out."""
_DOWN_FOR = 30.0
"""Seconds for which nobody gets through before an account that has a successor is out."""
_LEAST_LEFT = 60.0
"""Seconds that a delivery is tried at an account which takes it over, however long it was tried before."""

_BURST = 50
"""Devices in a row whose address the provider does not take, and none that it takes: the settings must be wrong."""


@dataclass(slots=True)
class Ticket:
    """One delivery in a lane: its message, whose row it is, and how often it was tried."""

    outgoing: Outgoing
    batch: int
    row: int
    sequence: int
    """The place of the delivery in the run's work."""
    route: tuple[str, ...] = ()
    """The accounts that may carry it, in the order in which one takes over from another."""
    before: Intent | None = None
    """What a worker that died left of it: it is in doubt."""
    in_doubt: bool = False
    """An earlier call may have taken it, whatever a later one says."""
    stays: bool = False
    """It was in doubt with this account: no other one may have it, also where its provider said what became of it."""
    account: str = ""
    """The lane that it is in."""
    attempts: int = 0
    left: float = RETRY_FOR.total_seconds()
    """Seconds for which it may still be tried…"""
    deadline: float | None = None
    """…and when they are over at the account that it is with: they begin with the first failure there."""

    def ended(self, end: Ended) -> Settlement:
        outgoing, reason = self.outgoing, end.reason
        if not reason and isinstance(outgoing.message, Sms):
            reason = segments_reason(outgoing.message.segments)
        address = outgoing.message.address
        return Settlement(
            self.batch, self.row, outgoing.channel, outgoing.key, end.outcome, reason, self.account, address
        )


class Verdicts:
    """Reads the receipts of one account, and knows how the account is.

    halt: told of trouble that must stop everything. throttled: told when the account makes everyone wait.
    repeats: whether what is in doubt may be sent again.
    """

    def __init__(
        self,
        account: str,
        clock: Clock,
        random: Random,
        breaker: Breaker,
        *,
        repeats: bool,
        halt: Callable[[RunTrouble], None],
        throttled: Callable[[timedelta, str], None],
        successor: Callable[[Ticket], object | None] = lambda ticket: None,
        comes_back: Callable[[Ticket], bool] = lambda ticket: False,
    ) -> None:
        self._account, self._clock, self._random, self._breaker = account, clock, random, breaker
        self._repeats, self._halt, self._throttled = repeats, halt, throttled
        self._successor, self._comes_back = successor, comes_back
        self.standing = Standing(clock)
        self._unwell: set[bytes] = set()
        self._down_since: float | None = None
        self._throttles = self._fails = 0
        """How often it has made everyone slow down, or wait, since somebody got through."""
        self._closed = 0.0
        """Seconds for which the account has made everyone wait: nobody's ten minutes run meanwhile."""
        self.tempo = Tempo(clock)
        self.open_at = 0.0
        """Monotonic seconds before which nothing is offered to the account."""
        self._bad_devices = 0
        """In a row."""
        self.free = True
        """Nobody has had to wait, or to slow down, until now."""

    @property
    def down(self) -> bool:
        """Many deliveries in a row are in trouble, and nobody gets through."""
        return self._down_since is not None

    def has_successor(self, tickets: Iterable[Ticket]) -> bool:
        """Whether another account takes over any of these."""
        return any(self._successor(ticket) is not None for ticket in tickets)

    def let_go(self, ticket: Ticket) -> None:
        """Another account takes it over: what is left of its time goes along, by the other's clock."""
        if ticket.deadline is not None:
            ticket.left = max(ticket.deadline - self._passed(), _LEAST_LEFT)
            ticket.deadline = None

    def accepted(self) -> Ended:
        """As of an accepted message, which nearly all of them are."""
        self._well()
        self._bad_devices = 0
        self._breaker.trips(False)
        return _SENT

    def of(self, ticket: Ticket, receipt: Receipt, began: float | None = None) -> Verdict:
        """How the delivery ended; or the seconds until it goes round again; or the trouble that pauses the run.

        `began` is when its call left, as the tempo knows it.
        """
        status = receipt.status
        if status in _ENDS:
            self._well()
            self._watch_devices(ticket, receipt)
            return self._ended_as(_ENDS[status], receipt)
        if status is Status.quota:
            return self._used_up(ticket, receipt)
        if status in _PAUSES:
            return self._trouble(status, receipt)
        if status is Status.throttled:
            wait = self._slow_down(receipt, began)
            long = wait if wait > _LONG else _OUT_FOR
            is_out = max(wait, self.standing.in_trouble()) > _LONG
            return ELSEWHERE if is_out and self._passes_on(ticket, long) else wait
        if receipt.reason == LEASE_OVER:  # nobody's trouble: the lane makes sure of its lease before the next try
            return 0.0
        down = self._is_down(ticket, receipt)
        if status is Status.ambiguous:
            ticket.in_doubt = ticket.stays = True
        if self.standing.in_trouble() > _DOWN_FOR and self._passes_on(ticket, _OUT_FOR):
            return ELSEWHERE
        if status is Status.ambiguous and not self._repeats:
            return self._ended_as(Outcome.unknown, Receipt(status, Reason.in_doubt))
        return self._wait_for_it(ticket) if down else self._retry(ticket)

    def _used_up(self, ticket: Ticket, receipt: Receipt) -> Verdict:
        """The quota is: another account takes over, or all wait for it to be renewed, or for the other account."""
        wait = receipt.retry_after
        self.standing.in_trouble()
        self.standing.is_spent = wait is None
        if self._passes_on(ticket, wait.total_seconds() if wait else _OUT_FOR):
            return ELSEWHERE
        if wait is None and not self._comes_back(ticket):
            return self._trouble(Status.quota, receipt)
        return self._everyone_waits(wait or timedelta(seconds=_OUT_FOR), "quota until")

    def _wait_for_it(self, ticket: Ticket) -> Ended | float:
        """Everyone waits for the account, and nobody's ten minutes run. But what is in doubt waits no longer than
        that where all others go elsewhere."""
        assert self._down_since is not None
        down_for = self._clock.monotonic() - self._down_since
        if _stays_alone(ticket) and down_for > RETRY_FOR.total_seconds():
            return IN_DOUBT
        return self._remaining()

    def _passes_on(self, ticket: Ticket, seconds: float) -> bool:
        """Where there are other accounts, this one is out for so long. Whether one of them takes this delivery now."""
        if len(ticket.route) < 2:
            return False
        self.standing.goes_out(seconds)
        self.free = False
        return self._successor(ticket) is not None

    def _watch_devices(self, ticket: Ticket, receipt: Receipt) -> None:
        """Dead tokens are nobody's fault; addresses that are no tokens of this app, one after the other, are."""
        if ticket.outgoing.channel is not Channel.push or receipt.reason == Reason.unregistered:
            return
        self._bad_devices = self._bad_devices + 1 if receipt.status is Status.rejected_recipient else 0
        if self._bad_devices >= _BURST and not self._breaker.off:
            self._halt(devices_trouble(self._account, receipt.reason))

    def _well(self) -> None:
        """Somebody got through."""
        self._throttles = self._fails = 0
        self._down_since = None
        self.standing.well()
        if self._unwell:
            self._unwell.clear()

    def _ended_as(self, outcome: Outcome, receipt: Receipt) -> Ended:
        if outcome is Outcome.sent:
            return self.accepted()
        reason = receipt.reason or receipt.status.value
        if self._breaker.trips(reason != Reason.unregistered):
            self._halt(provider_trouble(self._account, reason))
        return Ended(outcome, reason)

    def _is_down(self, ticket: Ticket, receipt: Receipt) -> bool:
        """Whether trouble is the account's and not this delivery's: many in a row have it, and nobody gets through."""
        self._unwell.add(ticket.outgoing.key)
        if len(self._unwell) < _MANY:
            return False
        now = self._clock.monotonic()
        self._down_since = now if self._down_since is None else self._down_since
        if self.open_at <= now:  # what fails in one moment is one reason to wait
            self._fails += 1
            self._everyone_waits(receipt.retry_after or self._growing_wait(self._fails), "is down, next try at")
        self._unwell = set(itertools.islice(self._unwell, _MANY))  # no more is to be remembered than decides
        nobody = self._successor(ticket) is None and not _stays_alone(ticket)
        if nobody and now - self._down_since > RETRY_FOR.total_seconds():
            self._halt(down_trouble(self._account, receipt.reason or receipt.status.value))
        return True

    def _trouble(self, status: Status, receipt: Receipt) -> RunTrouble:
        code, says = _PAUSES[status]
        detail = receipt.detail or receipt.reason
        message = f"{self._account} {says}" + (f": {detail}" if detail else "")
        hint = f"`connect doctor` tests {self._account}; then `connect run` goes on where this run stopped"
        return RunTrouble(Disposition.pause, Problem(code, message, hint))

    def _slow_down(self, receipt: Receipt, began: float | None) -> float:
        """Everyone slows down, and waits where the provider says so, or where slowing down does not help."""
        wait = receipt.retry_after
        self.free = False
        if self.tempo.throttled(began):
            self._throttles += 1
            if wait is None and self._throttles > _SLOWER:
                wait = self._growing_wait(self._throttles - _SLOWER)
            elif wait is None:
                self._throttled(timedelta(0), "")
        if wait is not None:
            self._everyone_waits(wait, "throttles until")
            self.tempo.paused(self.open_at)
        return self._remaining()

    def _everyone_waits(self, wait: timedelta, words: str) -> float:
        """The whole account waits for so long, in all workers; returns the seconds that are left of it."""
        self.wait(wait)
        until = self._clock.now() + timedelta(seconds=self._remaining())
        self._throttled(wait, f"waiting: {self._account} {words} {until:%H:%M:%S} UTC")
        return self._remaining()

    def _growing_wait(self, times: int) -> timedelta:
        return timedelta(seconds=self._backoff(times))

    def _remaining(self) -> float:
        return max(self.open_at - self._clock.monotonic(), 0.0)

    def wait(self, wait: timedelta) -> None:
        """The account makes everyone wait for so long."""
        now = self._clock.monotonic()
        until = now + wait.total_seconds()
        self._closed += max(0.0, until - max(now, self.open_at))
        self.open_at = max(self.open_at, until)
        self.free = False

    def told(self, wait: timedelta) -> None:
        """Another worker was throttled, and perhaps told to wait for so long."""
        self.free = False
        self.tempo.told()
        if wait.total_seconds() > _LONG:
            self.standing.goes_out(wait.total_seconds())
        if wait:
            self.wait(wait)
            self.tempo.paused(self.open_at)

    def _retry(self, ticket: Ticket) -> Ended | float:
        now = self._passed()
        ticket.attempts += 1
        if ticket.deadline is None:
            ticket.deadline = now + ticket.left
        if now >= ticket.deadline:
            return IN_DOUBT if ticket.in_doubt else Ended(Outcome.failed, Reason.retries_exhausted)
        return self._backoff(ticket.attempts)

    def _passed(self) -> float:
        """Seconds by which deliveries are measured: none pass while the account makes everyone wait."""
        return self._clock.monotonic() - self._closed

    def _backoff(self, attempt: int) -> float:
        """Full jitter: seconds between nothing and a bound that doubles with each attempt."""
        return self._random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempt, _DOUBLINGS)))


def _stays_alone(ticket: Ticket) -> bool:
    """It can not be taken over, though others of its account can: it is in doubt."""
    return ticket.in_doubt and len(ticket.route) > 1
