"""`connect validate`: everything that can be known to be wrong before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import err, out, plural, print_json, problem_as_json, show_problems

if TYPE_CHECKING:
    from connect.pipeline.checking import Checked


def validate(
    names: Annotated[list[str] | None, typer.Argument(help="The campaigns; without any, all of them.")] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    offline: Annotated[
        bool, typer.Option("--no-warehouse", help="Do not ask the warehouse for the query's columns.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check files, templates and queries, also against the columns that each query really returns."""
    from connect.cli.checks import check_campaigns
    from connect.cli.opening import open_project
    from connect.errors import Severity

    opened = open_project(project, target)
    checked = check_campaigns(opened, names or [], ask_warehouse=not offline)
    problems = [problem for one in checked for problem in one.problems]
    errors = sum(problem.severity is Severity.error for problem in problems)
    if json:
        print_json(
            {
                "campaigns": [_as_json(one) for one in checked],
                "errors": errors,
                "warnings": len(problems) - errors,
            }
        )
    else:
        show_problems(problems)
        _show_campaigns(checked)
        warnings = f", {plural(len(problems) - errors, 'warning')}" if len(problems) > errors else ""
        err.print(f"{plural(len(checked), 'campaign')}, {plural(errors, 'error')}{warnings}")
    mistakes = any(not one.sound and not one.outside for one in checked)
    raise typer.Exit(2 if mistakes else 3 if errors else 0)


def _show_campaigns(checked: list[Checked]) -> None:
    from rich.markup import escape

    for one in checked:
        sound = "[green]✓[/green]" if one.sound else "[red]✗[/red]"
        about = f"  [dim]{one.summary}  {escape(_fires(one))}[/dim]" if one.campaign else ""
        out.print(f"{sound} {escape(one.name)}{about}")


def _fires(one: Checked) -> str:
    from connect.cli.upcoming import in_words

    return in_words(one.campaign, one.next_fires) if one.campaign else ""


def _as_json(one: Checked) -> dict[str, object]:
    from connect.cli.upcoming import each

    return {
        "name": one.name,
        "sound": one.sound,
        "summary": one.summary,
        "next_fires": each(one.campaign, one.next_fires) if one.campaign else [],
        "problems": [problem_as_json(problem) for problem in one.problems],
    }
