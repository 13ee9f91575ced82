"""`connect run`: what it is about to do, shown and asked first; then progress, and a report that adds up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target

if TYPE_CHECKING:
    pass

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Again = Annotated[bool, typer.Option("--again", help="Run it although it has already run live.")]


def run(
    name: Annotated[str, typer.Argument(help="The campaign.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    yes: Yes = False,
    again: Again = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a campaign now, or go on with a run that was interrupted."""
    from connect.cli.opening import open_project
    from connect.cli.running import run_campaign
    from connect.project.campaigns import load_campaign

    opened = open_project(project, target, mode)
    raise typer.Exit(run_campaign(opened, load_campaign(opened, name), yes=yes, again=again, json=json))
