"""Reports from the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from connect.ledger.records import RunRecord
from connect.ledger.store import Ledger
from connect.reports.counts import Report, merged
from connect.reports.parts import ALWAYS, Part, Period
from connect.vocabulary import Mode


def run_report(
    ledger: Ledger, run: RunRecord, problems: Counter[str] | None = None, *, zone: str | None = None
) -> Report:
    """What became of one run; with a zone, whose days are told, also what was reported of what it sent."""
    states = tuple(ledger.states(run.id))
    if zone is None:
        return Report(run.campaign, (run,), tuple(ledger.tallies(run.id)), states, problems or Counter())
    return replace(report_of(run.campaign, [counted(ledger, run)], zone), states=states, problems=problems or Counter())


_LOOKED_THROUGH = 1000
"""Runs among which those that count are looked for, however many tests came after them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs of a campaign a report counts."""

    runs: int = 50
    """So many of the newest."""
    period: Period = ALWAYS


def counting_runs(ledger: Ledger, campaign: str, wanted: Wanted) -> tuple[list[RunRecord], bool]:
    """The runs that count, newest first, and whether there are more: live ones where there are any, so that tests do
    not count."""
    looked_through = max(wanted.runs, _LOOKED_THROUGH)
    runs = ledger.runs(campaign=campaign, limit=looked_through)
    counting = max((run.mode for run in runs), key=list(Mode).index, default=Mode.live)
    found = [run for run in runs if run.mode is counting and wanted.period.has(run.fire_time)]
    return found[: wanted.runs], len(found) > wanted.runs or len(runs) == looked_through


def campaign_report(ledger: Ledger, campaign: str, zone: str, wanted: Wanted = Wanted()) -> Report:
    """The newest runs of a campaign, added up, with what was reported of them. Days are those of the zone."""
    runs, more = counting_runs(ledger, campaign, wanted)
    report = report_of(campaign, [counted(ledger, run) for run in runs], zone)
    return replace(report, period=wanted.period, more=more)


def counted(ledger: Ledger, run: RunRecord) -> Part:
    return Part(run, tuple(ledger.tallies(run.id)), tuple(ledger.events(run.id)))


def report_of(campaign: str, parts: Sequence[Part], zone: str) -> Report:
    tallies = merged([tally for part in parts for tally in part.tallies])
    return Report(campaign, tuple(part.run for part in parts), tallies, parts=tuple(parts), zone=zone)
