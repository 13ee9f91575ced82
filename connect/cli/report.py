"""`connect report`: how the deliveries of a campaign ended, and what became of what was sent."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target, typed
from connect.cli.terminal import err, out, print_json
from connect.reports.groups import By

if TYPE_CHECKING:
    from connect.pipeline.reporting import Wanted
    from connect.project.project import Project
    from connect.reports.counts import Report


def report(
    campaign: Annotated[str | None, typer.Argument(help="The campaign; without it, each one that has run.")] = None,
    by: Annotated[By | None, typer.Option("--by", help="Divide it by this.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Count this many of its newest runs.")] = 50,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only runs whose fire time is from then on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Only runs whose fire time is before that.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots, which stands alone.")
    ] = None,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write a table for spreadsheets; `-` prints it.")
    ] = None,
    from_warehouse: Annotated[
        bool, typer.Option("--from-warehouse", help="Count in the tables of the destination, not in the ledger.")
    ] = False,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show how a campaign's deliveries ended and why, and what became of what was sent."""
    from connect.cli.opening import open_project
    from connect.errors import UserError

    opened = open_project(project, target)
    reports = _reports(opened, campaign, _wanted(opened, runs, since, until), from_warehouse)
    if campaign and not reports[0].runs:
        raise UserError.of(
            "never-ran", f"{campaign} has not run on this target", f"`connect run {campaign}{typed(target)}` runs it"
        )
    if html is not None or csv is not None:
        _write(reports, campaign, by, html, csv)
    elif json:
        print_json(reports[0].as_json() if campaign else [one.as_json() for one in reports])
    else:
        _show(reports, by)


def _wanted(project: Project, runs: int, since: str | None, until: str | None) -> Wanted:
    from connect.errors import UserError
    from connect.pipeline.reporting import Wanted
    from connect.reports.parts import Period
    from connect.schedule.times import given

    start = given(since, project.timezone, "--since") if since else None
    end = given(until, project.timezone, "--until") if until else None
    if start and end and end <= start:
        raise UserError.of("bad-window", "`--until` is not after `--since`", "runs are counted from the one on")
    return Wanted(runs, Period(start, end))


def _reports(project: Project, campaign: str | None, wanted: Wanted, from_warehouse: bool) -> list[Report]:
    from connect import wiring
    from connect.cli.opening import ledger_of
    from connect.clock import SystemClock
    from connect.pipeline.inquiry import Inquiry

    with ledger_of(project) as ledger:
        inquiry = Inquiry(project, ledger, partial(wiring.open_warehouse, project), SystemClock().now())
        names = [campaign] if campaign else sorted({run.campaign for run in ledger.runs(limit=1000)})
        return [inquiry.report(name, wanted, from_warehouse=from_warehouse) for name in names]


def _write(reports: list[Report], campaign: str | None, by: By | None, html: Path | None, csv: str | None) -> None:
    from connect.clock import SystemClock
    from connect.errors import UserError
    from connect.reports.page import report_page
    from connect.reports.sheet import sheet

    if html is not None and campaign is None:
        raise UserError.of("no-campaign", "a page is of one campaign", "`connect report NAME --html FILE`")
    if html is not None:
        _into(html, report_page(reports[0], SystemClock().now()))
    if csv == "-":
        sys.stdout.write(sheet(reports, by))
    elif csv is not None:
        _into(Path(csv), sheet(reports, by))


def _into(file: Path, text: str) -> None:
    from connect.errors import UserError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        said = f"{file} can not be written: {error.strerror}"
        raise UserError.of("file-not-written", said, "give another path") from None
    err.print(f"written to {file}", markup=False)


def _show(reports: list[Report], by: By | None) -> None:
    if not reports:
        out.print("nothing has run yet: `connect run NAME` runs a campaign")
    for report in reports:
        _show_one(report, by)


def _show_one(report: Report, by: By | None) -> None:
    from connect.cli.figures import counted_runs, show_figures, show_groups
    from connect.cli.tables import show_report, show_runs

    out.print(report.campaign, style="bold", markup=False)
    show_runs(report.runs[:5], out)
    if more := counted_runs(report):
        out.print(f"[dim]{more}[/]")
    out.print()
    show_report(report, out)
    out.print()
    show_figures(report, out)
    if by is not None:
        out.print()
        show_groups(report, by, out)
    out.print()
