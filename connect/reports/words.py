"""Figures in words, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connect.reports.measures import EVENTS, Measure, Rate
from connect.reports.parts import Via

if TYPE_CHECKING:
    from connect.reports.counts import Report

NAMES: Mapping[Measure, str] = {
    Measure.delivered: "delivered",
    Measure.opened: "opened",
    Measure.machine_opened: "opened by machines",
    Measure.clicked: "clicked",
    Measure.machine_clicked: "clicked by machines",
    Measure.hard_bounced: "bounced (hard)",
    Measure.soft_bounced: "bounced (soft)",
    Measure.complained: "complained",
    Measure.unsubscribed: "unsubscribed",
    Measure.resubscribed: "resubscribed",
    Measure.converted: "converted",
}
"""What is told of what was sent, in order."""
WANTED = (
    *(Measure.delivered, Measure.opened, Measure.clicked, Measure.hard_bounced, Measure.soft_bounced),
    *(Measure.complained, Measure.unsubscribed),
)
"""What is missed where nobody reports it."""


def percent(rate: Rate) -> str:
    """`30.6 %`; of shares too small for that, `0.02 %` or `< 0.01 %`, since nothing is not the same as little."""
    share = rate.share * 100
    if 0 < share < 0.005:
        return "< 0.01 %"
    return f"{share:.2f} %" if 0 < share < 0.1 else f"{share:.1f} %"


def no_events(report: Report) -> str:
    """What is said where nothing was reported of what was sent; blank else."""
    if report.known.events or not any(fact.measure is Measure.sent for fact in report.facts):
        return ""
    return "no events have been reported: see docs/webhooks.md"


def unreported(report: Report) -> str:
    """What was never reported, where something was; blank where it all was."""
    missing = [NAMES[measure] for measure in WANTED if measure not in report.figures]
    return f"never reported: {', '.join(missing)}" if missing and report.known.events else ""


def since_in_words(report: Report) -> str:
    """That some runs are older than the first event: what became of them was not reported then. Blank where none is."""
    first = report.first_day
    if first is None:
        return ""
    heard = {fact.run for fact in report.facts if fact.measure in EVENTS}
    zone = ZoneInfo(report.zone)
    before = [run for run in report.runs if run.id not in heard and run.fire_time.astimezone(zone).date() < first]
    if not before:
        return ""
    runs = f"{len(before):,} run{'' if len(before) == 1 else 's'}"
    return f"the first event is of {first}: of {runs} before that nothing has been reported"


_AFTER = {Via.clicked: "after a click", Via.opened: "after an opening", Via.received: "after neither"}


def converted_in_words(report: Report) -> str:
    """What of the conversions is in no figure; blank where the campaign has none."""
    if report.asking is None:
        return ""
    if report.asking.trouble:
        return f"who converted is not known: {report.asking.trouble}"
    told = ", ".join(f"{count:,} {_AFTER[via]}" for via, count in report.via().items() if count)
    value = "" if report.value is None else f"; value {report.value:,}"
    return f"converted within {_lasting(report.asking.within)} of the last message{f': {told}' if told else ''}{value}"


def _lasting(duration: timedelta) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count, rest = divmod(int(duration.total_seconds()), size)
        if count and not rest:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{int(duration.total_seconds())} seconds"
