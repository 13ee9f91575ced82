"""What a run tells the user's endpoints: that messages were sent, and that they failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connect.clock import Clock
from connect.pipeline.books import Settlement
from connect.pipeline.happening import Happening, Tell
from connect.vocabulary import HappeningType, Outcome

if TYPE_CHECKING:
    from connect.pipeline.audience import Rows

TOLD = {Outcome.sent: HappeningType.sent, Outcome.failed: HappeningType.failed}
_NAMES = ("id", "email")
"""Columns that say who somebody is; the first of them that the audience has."""


@dataclass(frozen=True)
class Announcing:
    """Makes happenings of a live run's deliveries, once they are durable."""

    tell: Tell
    clock: Clock
    run_id: str
    campaign: str
    names: dict[int, list[Any]] = field(default_factory=dict, repr=False)
    """Batch → who its rows are, until the cursor has passed them."""

    def begin(self, batch: int, rows: Rows) -> None:
        """These rows are about to be sent to."""
        column = next((name for want in _NAMES for name in rows.columns if name.casefold() == want), None)
        if column is not None:
            self.names[batch] = rows.columns[column]

    def passed(self, batch: int) -> None:
        """Nothing more will be heard of these rows."""
        self.names.pop(batch, None)

    def of(self, end: Settlement) -> Happening | None:
        """What is told of a delivery that has ended; None where nothing is. Before the cursor passes its row."""
        kind = TOLD.get(end.outcome)
        if kind is None:
            return None
        named = self.names.get(end.batch)
        name = named[end.row] if named else None
        return Happening(
            kind,
            self.clock.now(),
            self.campaign,
            self.run_id,
            end.channel,
            end.key.hex(),
            "" if name is None else str(name),
            end.address,
            reason=end.reason,
        )

    def told(self, found: Sequence[Happening | None]) -> None:
        happenings = [each for each in found if each is not None]
        if happenings:
            self.tell(happenings)
