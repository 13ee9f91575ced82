"""Calls from before a crash that are in doubt, and may be repeated only with exactly their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connect.pipeline.verdicts import Ticket

_SCATTERED = 25_000
"""So many deliveries apart, members of one call are not expected any more: half of what may be ahead of the cursor."""


class Gathering:
    """Keeps members back until their call is complete.

    `whole` are the calls that are in doubt with all of their members: number → message keys, in the order of the call.
    """

    def __init__(self, whole: Mapping[int, Sequence[bytes]]) -> None:
        self._whole = dict(whole)
        self._members: dict[int, dict[bytes, Ticket]] = {}

    def __contains__(self, number: int) -> bool:
        """Whether this call can still be repeated."""
        return number in self._whole

    def __bool__(self) -> bool:
        """Whether members are kept back."""
        return bool(self._members)

    def add(self, number: int, ticket: Ticket) -> list[Ticket]:
        """One more member; returns all of them, in the order of the call, with the last one."""
        members = self._members.setdefault(number, {})
        members[ticket.outgoing.key] = ticket
        keys = self._whole[number]
        if len(members) < len(keys):
            return []
        del self._members[number], self._whole[number]
        whole = [members[key] for key in keys]
        for member, sequence in zip(whole, sorted(member.sequence for member in whole), strict=True):
            member.sequence = sequence  # the ledger remembers the order of a call by it
        return whole

    def give_up(self, number: int) -> list[Ticket]:
        """The call can not be repeated; returns the members that were kept back."""
        self._whole.pop(number, None)
        return list(self._members.pop(number, {}).values())

    def scattered(self, sequence: int) -> list[int]:
        """Calls whose first member came so long before this delivery that the others have left."""
        return [
            number
            for number, members in self._members.items()
            if sequence - min(ticket.sequence for ticket in members.values()) > _SCATTERED
        ]

    def incomplete(self) -> list[int]:
        """Calls of which some members have come."""
        return list(self._members)

    def clear(self) -> None:
        self._members.clear()
