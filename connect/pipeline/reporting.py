"""Reports from the ledger."""

from __future__ import annotations

from collections import Counter

from connect.ledger.records import RunRecord
from connect.ledger.store import Ledger
from connect.reports.counts import Report, merged
from connect.vocabulary import Mode


def run_report(ledger: Ledger, run: RunRecord, problems: Counter[str] | None = None) -> Report:
    """What became of one run."""
    return Report(
        run.campaign, (run,), tuple(ledger.tallies(run.id)), tuple(ledger.states(run.id)), problems or Counter()
    )


_LOOKED_THROUGH = 1000
"""Runs among which the live ones are looked for, however many tests came after them."""


def campaign_report(ledger: Ledger, campaign: str, limit: int) -> Report:
    """The newest runs of a campaign, added up; live ones only where there are any, so that tests do not count."""
    runs = ledger.runs(campaign=campaign, limit=max(limit, _LOOKED_THROUGH))
    counting = max((run.mode for run in runs), key=list(Mode).index, default=Mode.live)
    runs = [run for run in runs if run.mode is counting][:limit]
    tallies = [tally for run in runs for tally in ledger.tallies(run.id)]
    return Report(campaign, tuple(runs), merged(tallies))
