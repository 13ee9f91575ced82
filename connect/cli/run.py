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

Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Of an event campaign: run it for the events after this, up to --until."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="With --since: ISO 8601, local to the trigger's zone.")]

Parameters = Annotated[
    str | None, typer.Option(metavar="JSON", help="Of a campaign that is called: what a call would give.")
]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="With --mode test: providers check the copies and send none.")]


def run(
    name: Annotated[str, typer.Argument(help="The campaign.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    yes: Yes = False,
    again: Again = False,
    workers: Workers = None,
    sandbox: Sandbox = False,
    parameters: Parameters = None,
    since: Since = None,
    until: Until = None,
    lease: Lease = 30.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a campaign now, or go on with a run that was interrupted."""
    from connect.cli.opening import open_project
    from connect.cli.running import run_campaign
    from connect.cli.window import from_options
    from connect.clock import SystemClock
    from connect.errors import raise_errors
    from connect.project.campaigns import load_campaign

    opened = open_project(project, target, mode)
    loaded, held = load_campaign(opened, name), timedelta(seconds=lease)
    raise_errors(loaded.problems)
    assert loaded.campaign is not None
    ended = run_campaign(
        opened,
        loaded,
        yes=yes,
        again=again,
        json=json,
        goes_on=f"connect run {name}{typed(target, mode)}{' --sandbox' if sandbox else ''}",
        lease=held,
        workers=workers,
        sandbox=sandbox,
        parameters=_parsed(parameters),
        window=from_options(loaded.campaign, since, until, SystemClock().now()),
    )
    raise typer.Exit(ended)


def _parsed(text: str | None) -> dict[str, object] | None:
    """What a call would give. Raises UserError where it is no JSON object."""
    import json

    from connect.errors import UserError

    try:
        found = json.loads(text) if text is not None else None
    except json.JSONDecodeError:
        found = text
    if found is not None and not isinstance(found, dict):
        raise UserError.of("bad-parameters", "`--parameters` is no JSON object", 'such as {"order": "A-1"}')
    return found
