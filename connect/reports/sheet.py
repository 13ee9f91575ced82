"""A report as CSV, for spreadsheets and programs: always the same columns, in the same order."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from connect.reports.counts import Report
from connect.reports.groups import By
from connect.reports.measures import OUTCOMES, Figures, Measure

_OUTCOMES = tuple(OUTCOMES.values())
_EVENTS = tuple(measure for measure in Measure if measure not in _OUTCOMES)
_RATED = (
    *(Measure.delivered, Measure.opened, Measure.clicked, Measure.hard_bounced, Measure.soft_bounced),
    *(Measure.complained, Measure.unsubscribed, Measure.converted),
)

COLUMNS = (
    *("campaign", "by", "name", "fire_time"),
    *(measure.value for measure in _OUTCOMES),
    *(f"{measure.value}_{kind}" for measure in _EVENTS for kind in ("total", "unique")),
    *(f"{measure.value}_{kind}" for measure in _RATED for kind in ("rate", "base", "of")),
)


def sheet(reports: Iterable[Report], by: By | None) -> str:
    """A row for each part of each report, or for each report. A blank cell is what is not known."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for report in reports:
        writer.writerows([_harmless(cell) for cell in row] for row in _rows(report, by))
    return written.getvalue()


def _rows(report: Report, by: By | None) -> Iterator[Sequence[str]]:
    if by is None:
        yield _row(report.campaign, "campaign", report.campaign, "", report.figures)
        return
    times = {run.id: run.fire_time.isoformat() for run in report.runs} if by is By.run else {}
    for group in report.by(by):
        yield _row(report.campaign, by.value, group.name, times.get(group.name, ""), group.figures)


def _row(campaign: str, by: str, name: str, fire_time: str, figures: Figures) -> Sequence[str]:
    cells: dict[str, str] = {"campaign": campaign, "by": by, "name": name, "fire_time": fire_time}
    if by != By.link.value:
        cells |= {measure.value: _total(figures, measure) for measure in _OUTCOMES}
    for measure in _EVENTS:
        cells |= _counts(figures, measure)
    return [cells.get(column, "") for column in COLUMNS]


def _total(figures: Figures, measure: Measure) -> str:
    """How deliveries end is always known."""
    return str(figures[measure].total) if measure in figures else "0"


def _counts(figures: Figures, measure: Measure) -> Mapping[str, str]:
    figure = figures.get(measure)
    if figure is None:
        return {}
    cells = {f"{measure.value}_total": str(figure.total), f"{measure.value}_unique": str(figure.unique)}
    if figure.rate is None:
        return cells
    told = {"rate": f"{figure.rate.share:.6f}", "base": str(figure.rate.base), "of": figure.rate.of}
    return cells | {f"{measure.value}_{kind}": text for kind, text in told.items()}


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def _harmless(cell: str) -> str:
    """A text that a spreadsheet would take for a formula is given a quotation mark, which makes it a text."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
