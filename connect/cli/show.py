"""`connect show`: the effective campaign, and where each value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import out, print_json, show_problems

if TYPE_CHECKING:
    from connect.project.campaign import Campaign


def show(
    name: Annotated[str, typer.Argument(help="The campaign.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the effective campaign with the file and line that each value came from."""
    from rich.table import Table

    from connect.cli.opening import open_project
    from connect.errors import raise_errors
    from connect.project.campaigns import load_campaign
    from connect.project.show import effective

    loaded = load_campaign(open_project(project, target), name)
    raise_errors(loaded.problems)
    assert loaded.campaign is not None
    values = effective(loaded)
    if json:
        print_json([{"key": key, "value": value, "origin": origin} for key, value, origin in values])
        return
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("key", no_wrap=True)
    table.add_column("value", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("from", no_wrap=True)
    for key, value, origin in values:
        table.add_row(key, _short(value), f"[dim]{origin}[/dim]")
    out.print(table)
    out.print(f"\n{_fires(loaded.campaign)}", markup=False)
    show_problems(loaded.problems)


def _fires(campaign: Campaign) -> str:
    """When it fires next, in words."""
    from connect.cli.upcoming import in_words
    from connect.clock import SystemClock
    from connect.pipeline.firing import next_fires

    return in_words(campaign, next_fires(campaign, SystemClock().now()))


def _short(value: object) -> str:
    from rich.markup import escape

    if value is None:
        return "[dim]none[/]"
    if isinstance(value, bool):
        return str(value).lower()
    lines = str(value).strip().splitlines() or [""]
    return escape(lines[0][:70] + (f" … ({len(lines)} lines)" if len(lines) > 1 else ""))
