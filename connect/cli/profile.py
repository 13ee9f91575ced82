"""`connect profile`: one person, on the terminal of who asks and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import err, out, print_json, problem_as_json, show_problems

if TYPE_CHECKING:
    from connect.pipeline.asking import Answer
    from connect.pipeline.profile import Profile
    from connect.project.project import Project
    from connect.warehouses.interface import Warehouse


def profile(
    id: Annotated[str, typer.Argument(metavar="ID", help="The person's id, as audiences return it.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what is known of a person: columns, segments, opt-outs, what was sent lately. Nothing of it is kept."""
    from connect.cli.opening import open_project
    from connect.clock import SystemClock
    from connect.pipeline.profile import profile_of

    opened = open_project(project, target)
    with _warehouses(opened) as open_warehouse:
        found = profile_of(opened, open_warehouse, id.strip(), SystemClock().now())
    show_problems(found.problems)
    _must_be_known(found)
    if json:
        print_json(as_json(found))
    else:
        _show(found, opened)
    raise typer.Exit(2 if found.problems else 0)


@contextmanager
def _warehouses(project: Project) -> Iterator[Callable[[str], Warehouse]]:
    """The project's warehouses by name, each opened once."""
    from connect import wiring

    with ExitStack() as stack:

        @cache
        def opened(name: str) -> Warehouse:
            warehouse = wiring.open_warehouse(project, name)
            stack.callback(warehouse.close)
            return warehouse

        yield opened


def _must_be_known(found: Profile) -> None:
    from connect.errors import UserError

    if not found.known and not found.problems:
        said = "nothing is known of this id: no row, no segment, no opt-out, nothing sent"
        raise UserError.of("unknown-person", said, "it is the id as audiences return it, with its capitals and zeros")


def as_json(found: Profile) -> dict[str, object]:
    """For programs. What could not be asked, or is not set up, is null."""
    from connect.cli import subscriber

    return {
        "profile": found.columns,
        "segments": found.segments,
        "subscriptions": subscriber.as_json(found.subscriber, found.who) if found.subscriber else None,
        "deliveries": _rows(found.deliveries),
        "events": _rows(found.events),
        "problems": [problem_as_json(problem) for problem in found.problems],
    }


def _rows(answer: Answer | None) -> list[dict[str, Any]] | None:
    names = [column.name for column in answer.columns] if answer else []
    return [dict(zip(names, row, strict=True)) for row in answer.rows] if answer else None


def _show(found: Profile, project: Project) -> None:
    from connect.cli import subscriber
    from connect.cli.cells import show_records

    if found.columns is None:
        err.print("the project's query knows nobody of this id")
    else:
        show_records(list(found.columns), [list(found.columns.values())], out)
    _show_segments(found)
    _heading("subscriptions")
    if found.subscriber is not None:
        subscriber.show(found.subscriber, found.who)
    else:
        why = "not known, see above" if project.subscriptions else "connect.yml has no `subscriptions`"
        out.print(f"[dim]{why}[/]")
    _show_history(found, project)


def _show_segments(found: Profile) -> None:
    if not found.segments:
        return
    _heading("segments")
    for label, state in (("in", True), ("not in", False), ("unknown", None)):
        names = [name for name, member in found.segments.items() if member is state]
        if names:
            out.print(f"[dim]{label:>7}[/]  ", end="")
            out.print(", ".join(names), markup=False)


def _show_history(found: Profile, project: Project) -> None:
    from connect.cli.cells import show_rows
    from connect.pipeline.correspondence import history_tables

    for what, answer in (("deliveries", found.deliveries), ("events", found.events)):
        if answer is None:
            continue
        _heading(f"{what}, last 30 days")
        if answer.rows:
            show_rows(*_brief(answer), out)
        else:
            out.print("[dim]none[/]")
        if answer.more:
            err.print(f"[dim]and more: these are the latest {len(answer.rows)}[/]")
    if history_tables(project) is None:
        _heading("deliveries")
        out.print("[dim]connect.yml has no `destination`, where they would be[/]")


def _brief(answer: Answer) -> tuple[list[str], list[list[Any]]]:
    """The rows without columns that say nothing, and without fractions of seconds."""
    from connect.cli.tables import instant

    columns = [list(cells) for cells in zip(*answer.rows, strict=True)]
    told = {column.name: cells for column, cells in zip(answer.columns, columns, strict=True) if any(cells)}
    shown = {name: [instant(cell) if isinstance(cell, datetime) else cell for cell in told[name]] for name in told}
    return list(shown), [list(row) for row in zip(*shown.values(), strict=True)]


def _heading(text: str) -> None:
    out.print(f"\n[bold]{text}[/]")
