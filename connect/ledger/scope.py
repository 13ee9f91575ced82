"""What all who write to one ledger go by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from connect.clock import Clock
from connect.ledger.place import Place


@dataclass(frozen=True, slots=True)
class Scope:
    """The target whose ledger it is, where it lives, and the clock of this machine."""

    target: str
    place: Place
    clock: Clock

    def now(self, connection: Connection) -> datetime:
        """The instant by the clock that all share, for leases and whatever else several go by."""
        return self.place.now(connection, self.clock)

    def one_at_a_time(self, connection: Connection) -> None:
        """Until the end of this transaction, no other run finds its place."""
        self.place.one_at_a_time(connection)
