"""What became of what was sent, as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connect.cli.terminal import plural
from connect.reports.groups import By, Group
from connect.reports.measures import Figure, Measure, Rate
from connect.reports.words import NAMES, converted_in_words, no_events, percent, since_in_words, unreported

if TYPE_CHECKING:
    from connect.reports.counts import Report


def show_figures(report: Report, console: Console) -> None:
    """Each measure with what it is a rate of; what nobody has reported is said, and not shown as nothing."""
    told = [measure for measure in NAMES if measure in report.figures]
    if told:
        console.print(_summary(report, told))
    for line in (no_events(report), unreported(report), since_in_words(report), converted_in_words(report)):
        if line:
            console.print(line, style="dim", markup=False)


def _table(*columns: str, left: int = 1, gap: int = 2) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", overflow="fold")
    return table


def _summary(report: Report, told: Sequence[Measure]) -> Table:
    table = _table("", "unique", "total", "rate")
    table.add_column("", no_wrap=True)
    for measure in told:
        figure = report.figures[measure]
        share, of = (percent(figure.rate), of_what(figure.rate)) if figure.rate else ("", "")
        table.add_row(NAMES[measure], f"{figure.unique:,}", f"{figure.total:,}", share, of)
    return table


def of_what(rate: Rate) -> str:
    return f"of {rate.base:,} {rate.of}"


def show_groups(report: Report, by: By, console: Console) -> None:
    """A row for each run, day, channel, arm or link: unique deliveries, and what share they are."""
    found = report.by(by)
    if by is By.link:
        _show_links(found, console)
        return
    measures = [measure for measure in _COLUMNS if any(measure in group.figures for group in found)]
    rated = [measure for measure in measures if any(_rate(group, measure) for group in found)]
    headings = [heading for measure in measures for heading in _headings(measure, rated)]
    table = _table(_LABELS.get(by, by.value), *headings, gap=1)
    for group in found:
        cells = [cell for measure in measures for cell in _cells(group, measure, rated)]
        table.add_row(_name(report, by)(group), *cells)
    console.print(table)


_COLUMNS = {
    Measure.sent: "sent",
    Measure.delivered: "deliv.",
    Measure.opened: "open",
    Measure.clicked: "click",
    Measure.hard_bounced: "bounce",
    Measure.unsubscribed: "unsub.",
    Measure.converted: "conv.",
}
"""What 80 columns have room for."""
_LABELS = {By.run: "fire time"}
_WITH_RATE = (Measure.opened, Measure.clicked, Measure.converted)


def _headings(measure: Measure, rated: Sequence[Measure]) -> list[str]:
    return [_COLUMNS[measure], "%"] if measure in rated and measure in _WITH_RATE else [_COLUMNS[measure]]


def _cells(group: Group, measure: Measure, rated: Sequence[Measure]) -> list[str]:
    figure = group.figures.get(measure)
    count = f"{figure.unique:,}" if figure else ""
    if measure not in rated or measure not in _WITH_RATE:
        return [count]
    return [count, f"{figure.rate.share * 100:.1f}" if figure and figure.rate else ""]


def _rate(group: Group, measure: Measure) -> Rate | None:
    figure = group.figures.get(measure)
    return figure.rate if figure else None


def _name(report: Report, by: By) -> Callable[[Group], str]:
    if by is By.run:
        zone = ZoneInfo(report.zone)
        times = {run.id: f"{run.fire_time.astimezone(zone):%Y-%m-%d %H:%M}" for run in report.runs}
        return lambda group: times.get(group.name, group.name)
    return lambda group: escape(group.name) or "(none)"


def _show_links(found: Sequence[Group], console: Console) -> None:
    """The link stands last: it is as long as it is."""
    if not found:
        console.print("no clicks have been reported", style="dim")
        return
    table = _table("clicks", "unique", "rate", "machines", left=0)
    table.add_column("link", overflow="fold")
    nothing = Figure(0, 0, None)
    for group in found:
        people, machines = (group.figures.get(of, nothing) for of in (Measure.clicked, Measure.machine_clicked))
        unique = f"{people.unique:,}" if group.name else ""
        rate = percent(people.rate) if people.rate else ""
        link = escape(group.name) or "[dim](no link of the templates)[/]"
        table.add_row(f"{people.total:,}", unique, rate, f"{machines.total:,}" if machines.total else "", link)
    console.print(table)


def counted_runs(report: Report) -> str:
    """Which runs are in the report, where it is not all of them."""
    runs = plural(len(report.runs), "run")
    return f"the newest {runs} of more: `--runs` counts more of them" if report.more else ""
