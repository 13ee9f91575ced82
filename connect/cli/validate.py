"""`connect validate`: everything that can be known to be wrong before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import err, out, plural, print_json, problem_as_json, show_problems

if TYPE_CHECKING:
    from connect.pipeline.checking import Checked
    from connect.pipeline.domains import Lookups


def validate(
    names: Annotated[list[str] | None, typer.Argument(help="The campaigns; without any, all of them.")] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    offline: Annotated[
        bool, typer.Option("--no-warehouse", help="Do not ask the warehouse for the query's columns.")
    ] = False,
    dns: Annotated[
        bool, typer.Option("--dns", help="Look up SPF, DKIM and DMARC of the domains that e-mails are from.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check files, templates and queries, also against the columns that each query really returns."""
    from connect.cli.checks import check_campaigns
    from connect.cli.opening import open_project
    from connect.errors import Severity

    opened = open_project(project, target)
    checked = check_campaigns(opened, names or [], ask_warehouse=not offline, lookups=_lookups() if dns else None)
    problems = list(dict.fromkeys(problem for one in checked for problem in one.problems))
    notes = list(dict.fromkeys(note for one in checked for note in one.notes))
    errors = sum(problem.severity is Severity.error for problem in problems)
    if json:
        print_json(
            {
                "campaigns": [_as_json(one) for one in checked],
                "errors": errors,
                "warnings": len(problems) - errors,
                **({"notes": notes} if dns or notes else {}),
            }
        )
    else:
        show_problems(problems)
        for note in notes:
            err.print(f"note: {note}", markup=False)
        _show_campaigns(checked)
        warnings = f", {plural(len(problems) - errors, 'warning')}" if len(problems) > errors else ""
        err.print(f"{plural(len(checked), 'campaign')}, {plural(errors, 'error')}{warnings}")
    mistakes = any(not one.sound and not one.outside for one in checked)
    raise typer.Exit(2 if mistakes else 3 if errors else 0)


def _lookups() -> Lookups:
    from connect.pipeline import domains

    return domains.Lookups(domains.system_resolver())


def _show_campaigns(checked: list[Checked]) -> None:
    from rich.markup import escape

    for one in checked:
        sound = "[green]✓[/green]" if one.sound else "[red]✗[/red]"
        about = f"  [dim]{one.summary}  {escape(_fires(one))}{_billed(one)}[/dim]" if one.campaign else ""
        out.print(f"{sound} {escape(one.name)}{about}")


def _fires(one: Checked) -> str:
    from connect.cli.upcoming import in_words

    return in_words(one.campaign, one.next_fires) if one.campaign else ""


def _billed(one: Checked) -> str:
    from connect.pipeline.reads import in_words

    return "" if one.read_size is None else f"  {in_words(one.read_size)} billed for each read"


def _as_json(one: Checked) -> dict[str, object]:
    from connect.cli.upcoming import each

    return {
        "name": one.name,
        "sound": one.sound,
        "summary": one.summary,
        "next_fires": each(one.campaign, one.next_fires) if one.campaign else [],
        **({} if one.read_size is None else {"billed_bytes_per_read": one.read_size}),
        "problems": [problem_as_json(problem) for problem in one.problems],
    }
