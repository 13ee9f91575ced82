"""What is known of the runs that events are about: asked of the ledger once, kept in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from connect.clock import Clock
from connect.ledger.store import Ledger
from connect.pipeline.clicked import Clicked
from connect.vocabulary import Mode

_MOST = 256
_UNKNOWN_FOR = timedelta(minutes=1)
"""How long it is believed that there is no such run."""


@dataclass(frozen=True)
class KnownRun:
    campaign: str
    mode: Mode
    clicked: Clicked


@dataclass(frozen=True)
class _Kept:
    run: KnownRun | None
    since: datetime


class KnownRuns:
    """Used by one thread at a time."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def of(self, run_id: str, base_url: str | None) -> KnownRun | None:
        """None for a run of another target, or one that was pruned. Raises OutsideError."""
        kept, now = self._kept.get(run_id), self._clock.now()
        if kept is None or (kept.run is None and now - kept.since > _UNKNOWN_FOR):
            kept = _Kept(self._asked(run_id, base_url), now)
            self._kept[run_id] = kept
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(run_id)
        return kept.run

    def _asked(self, run_id: str, base_url: str | None) -> KnownRun | None:
        record = self._ledger.run(run_id)
        if record is None or record.id != run_id:
            return None
        return KnownRun(record.campaign, record.mode, Clicked.of(record.campaign_json, base_url))
