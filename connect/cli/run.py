"""`connect run`: what it is about to do, shown and asked first; then progress, and a report that adds up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target, typed

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Again = Annotated[bool, typer.Option("--again", help="Run it although it has already run live.")]
Lease = Annotated[float, typer.Option(hidden=True, min=0.5, help="Seconds that others wait for a silent process.")]
"""For tests, which can not wait as long as people can."""
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Processes that compose and send. [default: one for each core, if it pays]"),
]


def run(
    name: Annotated[str, typer.Argument(help="The campaign.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    yes: Yes = False,
    again: Again = False,
    workers: Workers = None,
    lease: Lease = 30.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a campaign now, or go on with a run that was interrupted."""
    from connect.cli.opening import open_project
    from connect.cli.running import run_campaign
    from connect.project.campaigns import load_campaign

    opened = open_project(project, target, mode)
    loaded, held = load_campaign(opened, name), timedelta(seconds=lease)
    goes_on = f"connect run {name}{typed(target, mode)}"
    ended = run_campaign(opened, loaded, yes=yes, again=again, json=json, goes_on=goes_on, lease=held, workers=workers)
    raise typer.Exit(ended)
