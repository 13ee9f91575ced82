"""What became of a call, for the books and for the lane: what ended, what was not taken, and what goes round again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from connect.errors import RunTrouble
from connect.pipeline.books import Settlement
from connect.pipeline.deliveries import Ended
from connect.pipeline.packing import Packed
from connect.pipeline.recovery import IN_DOUBT
from connect.pipeline.verdicts import Elsewhere, Ticket, Verdict, Verdicts
from connect.providers.interface import Receipt, Status
from connect.vocabulary import InDoubt, Outcome, Reason

_EXPIRED = Ended(Outcome.skipped, Reason.expired)


@dataclass(slots=True)
class Answer:
    """What became of a call."""

    settled: Sequence[Settlement] = ()
    untaken: Sequence[bytes] = ()
    """These are certainly not in the air any more."""
    again: Sequence[tuple[float, Packed]] = ()
    """What goes round again, and in how many seconds."""
    elsewhere: Sequence[Ticket] = ()
    """What another account takes over."""
    places: int = 1
    """Of the released window, free again when this is durable."""


class _Piles(NamedTuple):
    """An answer that is being made."""

    settled: list[Settlement]
    untaken: list[bytes]
    again: list[tuple[float, Packed]]
    elsewhere: list[Ticket]


class Answers:
    """Reads the receipts of one account's calls.

    keyed: the provider knows a call again by its key, and so by exactly its members. halt: told what pauses the run.
    """

    def __init__(
        self, verdicts: Verdicts, *, keyed: bool, in_doubt: InDoubt, halt: Callable[[BaseException], None]
    ) -> None:
        self._verdicts, self._keyed, self._in_doubt, self._halt = verdicts, keyed, in_doubt, halt

    def to(self, call: Packed, receipts: Sequence[Receipt]) -> Answer:
        """What ended, what goes round again, and what pauses the run."""
        if call.began is not None and any(receipt.status is Status.accepted for receipt in receipts):
            self._verdicts.tempo.took(call.began)
        if len(receipts) == 1 and receipts[0].status is Status.accepted:  # nearly all of them
            return Answer((call.tickets[0].ended(self._verdicts.accepted()),))
        pairs = zip(call.tickets, receipts, strict=True)
        verdicts = [self._verdicts.of(ticket, receipt, call.began) for ticket, receipt in pairs]
        exact = self._is_exact(call)
        if exact and all(isinstance(verdict, float | Elsewhere) for verdict in verdicts):
            return self._together(call, max((wait for wait in verdicts if isinstance(wait, float)), default=0.0))
        piles = _Piles([], [], [], [])
        for ticket, receipt, verdict in zip(call.tickets, receipts, verdicts, strict=True):
            if isinstance(verdict, float) and exact:
                verdict = self._apart(ticket, receipt, verdict)
            self._sort(piles, ticket, verdict)
        return Answer(*piles)

    def expired(self, call: Packed) -> Answer:
        """It was not made, and never will be. What an earlier call may have taken stays in doubt."""
        return Answer([ticket.ended(IN_DOUBT if ticket.in_doubt else _EXPIRED) for ticket in call.tickets])

    def given_back(self, call: Packed) -> Answer:
        """It was not made, by this worker."""
        return Answer(untaken=_not_in_doubt(call.tickets))

    def passed_on(self, call: Packed, goes: Callable[[Ticket], bool]) -> Answer:
        """It was not made: another account takes over what may go, the rest goes round again."""
        if call.exact or self._is_exact(call):
            return self._together(call, 0.0)
        again = [(0.0, Packed([ticket])) for ticket in call.tickets if not goes(ticket)]
        going = [ticket for ticket in call.tickets if goes(ticket)]
        return Answer(untaken=_not_in_doubt(call.tickets), again=again, elsewhere=going)

    def put_off(self, call: Packed) -> Answer:
        """It was not made, and goes round again."""
        if call.exact or self._is_exact(call):
            return self._together(call, 0.0)
        return Answer(untaken=_not_in_doubt(call.tickets), again=[(0.0, Packed([ticket])) for ticket in call.tickets])

    def _together(self, call: Packed, wait: float) -> Answer:
        return Answer(untaken=_not_in_doubt(call.tickets), again=[(wait, Packed(call.tickets, exact=True))])

    def _is_exact(self, call: Packed) -> bool:
        """Whether a call that is in doubt can be repeated with exactly its members only, be it one."""
        return self._keyed and any(ticket.in_doubt for ticket in call.tickets)

    def _apart(self, ticket: Ticket, receipt: Receipt, wait: float) -> float | Ended:
        """A member that is to be tried again, of a call in which others ended: what the provider said of it holds."""
        if receipt.status is not Status.ambiguous:
            ticket.in_doubt = False
            return wait
        return wait if self._in_doubt is InDoubt.resend else IN_DOUBT

    def _sort(self, piles: _Piles, ticket: Ticket, verdict: Verdict) -> None:
        if isinstance(verdict, Ended):
            piles.settled.append(ticket.ended(verdict))
            return
        if not ticket.in_doubt:
            piles.untaken.append(ticket.outgoing.key)
        if isinstance(verdict, RunTrouble):
            self._halt(verdict)
        elif isinstance(verdict, Elsewhere):
            piles.elsewhere.append(ticket)
        else:
            piles.again.append((verdict, Packed([ticket])))


def _not_in_doubt(tickets: Collection[Ticket]) -> list[bytes]:
    """Message keys of those that may leave the ledger; what is in doubt stays, also while it waits."""
    return [ticket.outgoing.key for ticket in tickets if not ticket.in_doubt]
