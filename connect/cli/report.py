"""`connect report`: how the deliveries of a campaign ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target, typed
from connect.cli.terminal import out, print_json


def report(
    campaign: Annotated[str | None, typer.Argument(help="The campaign; without it, each one that has run.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Count this many of its newest runs.")] = 50,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show how a campaign's deliveries ended, and why."""
    from connect.cli.opening import ledger_of, open_project
    from connect.cli.tables import show_report, show_runs
    from connect.errors import UserError
    from connect.pipeline.reporting import campaign_report

    with ledger_of(open_project(project, target)) as ledger:
        names = [campaign] if campaign else sorted({run.campaign for run in ledger.runs(limit=1000)})
        reports = [campaign_report(ledger, name, runs) for name in names]
    if campaign and not reports[0].runs:
        raise UserError.of(
            "never-ran", f"{campaign} has not run on this target", f"`connect run {campaign}{typed(target)}` runs it"
        )
    if json:
        print_json(reports[0].as_json() if campaign else [one.as_json() for one in reports])
        return
    if not reports:
        out.print("nothing has run yet: `connect run NAME` runs a campaign")
    for one in reports:
        out.print(one.campaign, style="bold", markup=False)
        show_runs(one.runs[:5], out)
        out.print()
        show_report(one, out)
        out.print()
