"""Which of several accounts takes a delivery: the first in its order that is not out.

An account is out, for a while, when it is throttled for long, down, or out of quota. What it has not accepted for
certain goes to the next; a delivery that is in doubt stays with the account that may have taken it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from connect.pipeline.verdicts import Ticket


class Taker(Protocol):
    """An account's lane, as far as this goes."""

    @property
    def is_out(self) -> bool:
        """It takes nothing for a while."""

    def add(self, ticket: Ticket) -> None:
        """Take a delivery."""


class Failover:
    """Of one worker. Knows every lane by the name of its account."""

    def __init__(self) -> None:
        self.lanes: dict[str, Taker] = {}

    def first(self, route: Sequence[str]) -> Taker:
        """Who takes a new delivery: the first account that is not out; the first of all where every one is."""
        if len(route) == 1:
            return self.lanes[route[0]]
        return next((lane for lane in map(self.lanes.__getitem__, route) if not lane.is_out), self.lanes[route[0]])

    def successor(self, account: str) -> Callable[[Ticket], Taker | None]:
        """For the lane of this account: who takes over a delivery from it, if anybody does."""

        def successor(ticket: Ticket) -> Taker | None:
            if ticket.in_doubt or ticket.before is not None:
                return None
            others = (self.lanes[name] for name in ticket.route if name != account)
            return next((lane for lane in others if not lane.is_out), None)

        return successor
