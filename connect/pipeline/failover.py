"""Which of several accounts takes a delivery: the first in its order that is not out.

An account is out, for a while, when it is throttled for long, down, or out of quota. What it has not accepted for
certain goes to the next; a delivery that is in doubt stays with the account that may have taken it. Where all are out,
the one that is back first takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from connect.pipeline.standing import Standing
from connect.pipeline.verdicts import Ticket


class Taker(Protocol):
    """An account's lane, as far as this goes."""

    @property
    def standing(self) -> Standing:
        """Whether it takes anything now."""

    def add(self, ticket: Ticket) -> None:
        """Take a delivery."""


class Failover:
    """Of one worker. Knows every lane by the name of its account."""

    def __init__(self) -> None:
        self.lanes: dict[str, Taker] = {}

    def first(self, route: Sequence[str]) -> Taker:
        """Who takes a new delivery."""
        if len(route) == 1:
            return self.lanes[route[0]]
        for name in route:
            if self.lanes[name].standing.takes():
                return self.lanes[name]
        return self.lanes[min(route, key=lambda name: self.lanes[name].standing.out_until)]

    def successor(self, account: str) -> Callable[[Ticket], Taker | None]:
        """For the lane of this account: who takes over a delivery from it, if anybody does."""

        def successor(ticket: Ticket) -> Taker | None:
            if ticket.stays or ticket.before is not None:
                return None
            others = (self.lanes[name] for name in ticket.route if name != account)
            return next((lane for lane in others if not lane.standing.is_out), None)

        return successor

    def comes_back(self, account: str) -> Callable[[Ticket], bool]:
        """For the same lane: whether another account, that is out now, will take over without anybody's doing."""

        def comes_back(ticket: Ticket) -> bool:
            if ticket.stays or ticket.before is not None:
                return False
            return not all(self.lanes[name].standing.is_spent for name in ticket.route if name != account)

        return comes_back
