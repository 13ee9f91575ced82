"""Group commit: what concurrent deliveries write shares transactions, and each waits only until it is durable.

Signatures first; the body follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connect.ledger.records import Intent, Slice
from connect.ledger.store import Ledger
from connect.vocabulary import Channel, Outcome


class Commits:
    """Everything that a claimed slice writes, in order. Used by one event loop; the loop never blocks.

    Every method returns when its write is durable, and raises LeaseLost, OutsideError (`ledger-unavailable`) or
    Unaccounted when nothing of it was written.
    """

    def __init__(self, ledger: Ledger, slice: Slice, *, linger: float = 0.003) -> None: ...

    lost: bool = False

    async def intend(self, intents: Sequence[Intent]) -> None: ...
    async def settle(self, outcomes: Sequence[tuple[bytes, Outcome, str]]) -> None: ...
    async def withdraw(self, keys: Sequence[bytes]) -> None: ...
    async def advance(
        self, cursor: str | None, tallies: Mapping[tuple[Channel, str, Outcome, str], int], passed: Sequence[bytes]
    ) -> None: ...
    async def close(self) -> None: ...
