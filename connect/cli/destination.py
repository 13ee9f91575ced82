"""`connect destination`: the tables in the user's own warehouse that deliveries and events are written to."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.run import Yes
from connect.cli.terminal import err, out, print_json

if TYPE_CHECKING:
    from connect.project.destination import Destination
    from connect.project.project import Project
    from connect.warehouses.destination import Described
    from connect.warehouses.interface import Table, Warehouse

app = typer.Typer(help="The tables that deliveries and events are written to.", no_args_is_help=True)
_TIMEOUT = timedelta(minutes=2)


@app.command("init")
def init(
    project: ProjectFolder = Path(),
    target: Target = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the SQL.")] = False,
    debug: Debug = False,
) -> None:
    """Show the SQL that makes the tables, ask, and make them. What is there already is left alone."""
    from connect.cli.opening import open_project
    from connect.pipeline.history import columns_of
    from connect.warehouses.destination import VERSION, lacking
    from connect.warehouses.interface import Query

    opened = open_project(project, target)
    destination, warehouse = _opened(opened)
    tables = list(_tables(destination))
    statements = [sql for table, _ in tables for sql in warehouse.dialect.create_table(table)]
    out.print(f"-- version {VERSION} of the columns; later ones only add to them\n", markup=False)
    for sql in statements:
        out.print(f"{sql};\n", markup=False)
    if dry_run:
        return
    _ask(yes, destination.source)
    warehouse.write([Query(sql, {}) for sql in statements], _TIMEOUT)
    for table, _ in tables:
        problem = lacking(table, columns_of(warehouse, table, destination.source), warehouse.dialect.takes)
        if problem is not None:
            from connect.errors import UserError

            raise UserError(problem)
        err.print(f"{table.name} is ready in `{destination.source}`", markup=False)


@app.command("show")
def show(project: ProjectFolder = Path(), target: Target = None, json: Json = False, debug: Debug = False) -> None:
    """What each column of the tables means, and whether they are there."""
    from connect.cli.opening import open_project

    opened = open_project(project, target)
    destination, warehouse = _opened(opened)
    found = {table.name: (_state(warehouse, table, destination.source), words) for table, words in _tables(destination)}
    if json:
        print_json([_as_json(name, state, words) for name, (state, words) in found.items()])
        return
    for name, (state, words) in found.items():
        _print(name, state, words)


def _opened(project: Project) -> tuple[Destination, Warehouse]:
    from connect import wiring
    from connect.errors import UserError

    destination = project.destination
    if destination is None:
        hint = "add `destination: {}` to connect.yml"
        raise UserError.of("no-destination", "this project writes its deliveries nowhere", hint)
    return destination, wiring.open_warehouse(project, destination.source)


def _tables(destination: Destination) -> Iterator[tuple[Table, Mapping[str, Described]]]:
    from connect.warehouses.destination import DELIVERIES, EVENTS, deliveries_table, events_table

    yield deliveries_table(destination.deliveries), DELIVERIES
    yield events_table(destination.events), EVENTS


def _ask(yes: bool, source: str) -> None:
    from connect.errors import UserError

    if yes:
        return
    if not sys.stdin.isatty():
        said = "this asks before it changes a warehouse, and there is nobody to ask"
        raise UserError.of("not-confirmed", said, "`--yes` makes them without asking, `--dry-run` only shows the SQL")
    if not typer.confirm(f"Run this in `{source}`?", err=True):
        raise UserError.of("not-confirmed", "nothing was made")


def _state(warehouse: Warehouse, table: Table, source: str) -> str:
    from connect.errors import UserError
    from connect.pipeline.history import columns_of
    from connect.warehouses.destination import lacking

    try:
        problem = lacking(table, columns_of(warehouse, table, source), warehouse.dialect.takes)
    except UserError:
        return "not there: `connect destination init` makes it"
    return problem.message if problem else "ready"


def _as_json(name: str, state: str, words: Mapping[str, Described]) -> dict[str, object]:
    from connect.warehouses.destination import VERSION

    columns = [
        {"name": column, "type": described.kind.value, "meaning": described.meaning}
        for column, described in words.items()
    ]
    return {"table": name, "state": state, "version": VERSION, "columns": columns}


def _print(name: str, state: str, words: Mapping[str, Described]) -> None:
    from rich.table import Table as Shown

    out.print(f"[bold]{name}[/]  [dim]{state}[/]")
    shown = Shown(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for column, described in words.items():
        shown.add_row(f"  {column}", f"[dim]{described.kind.value}[/]", described.meaning)
    out.print(shown)
    out.print()
