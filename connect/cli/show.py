"""`connect show`: the effective campaign, and where each value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import out, print_json, show_problems


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
    show_problems(loaded.problems)


def _short(value: object) -> str:
    from rich.markup import escape

    if value is None:
        return "[dim]none[/]"
    if isinstance(value, bool):
        return str(value).lower()
    lines = str(value).strip().splitlines() or [""]
    return escape(lines[0][:70] + (f" … ({len(lines)} lines)" if len(lines) > 1 else ""))
