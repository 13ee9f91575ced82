"""`connect sources`: the project's warehouses, what is in them, and a query by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import err, out, plural, print_json

if TYPE_CHECKING:
    from connect.project.project import Project
    from connect.warehouses.interface import Capabilities, Warehouse
    from connect.warehouses.looking import TableFound


class _Lists(TyperGroup):
    """`connect sources` alone, or with options, lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        bare = not args or (first.startswith("-") and first not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if bare else args)


app = typer.Typer(cls=_Lists, help="List the project's warehouses, test them, see their tables, ask a query.")

Name = Annotated[str | None, typer.Argument(help="The source; without it, the project's first.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV: a line of names, then the rows.")]


@app.command("list")
def list_sources(
    project: ProjectFolder = Path(), target: Target = None, json: Json = False, debug: Debug = False
) -> None:
    """List the project's sources: where each is, and how it is read. `connect sources` alone does the same."""
    from connect.cli.opening import open_project

    found = _listed(open_project(project, target))
    if json:
        print_json([source.as_json() for source in found])
    elif not found:
        out.print("connect.yml names no source: add one under `sources`")
    for source in () if json else found:
        source.show()


@dataclass(frozen=True)
class _Source:
    name: str
    type: str
    where: str
    default: bool
    capabilities: Capabilities

    @property
    def words(self) -> list[str]:
        return list(_words(self.capabilities))

    def as_json(self) -> dict[str, object]:
        told = {"name": self.name, "type": self.type, "where": self.where, "default": self.default}
        return {**told, "capabilities": self.words}

    def show(self) -> None:
        from connect.cli import terminal

        out.print(f"[bold]{self.name}[/]  {self.type}" + ("  [dim]the default[/]" if self.default else ""))
        for line in filter(None, (self.where, *self.words)):
            out.print(f"  {terminal.redactor.text(line)}", markup=False)


def _listed(project: Project) -> list[_Source]:
    from connect.warehouses import catalog
    from connect.warehouses.interface import SourceSettings

    found = []
    for name, entry in project.sources.items():
        where = entry.settings.where if isinstance(entry.settings, SourceSettings) else ""
        capabilities = catalog.load(entry.type).capabilities
        found.append(_Source(name, entry.type, where, name == project.default_source, capabilities))
    return found


def _words(capabilities: Capabilities) -> Iterator[str]:
    """What it can do, and how it is read."""
    from connect.project.types import written_duration

    longest = written_duration(capabilities.longest_read)
    yield (
        "the engine itself keeps queries from writing"
        if capabilities.enforces_read_only
        else "only its user's privileges keep queries from writing: give it one who may only read"
    )
    if capabilities.holds_reads:
        yield f"an audience is read in one pass, for {longest} at a time at most"
    else:
        yield f"an audience is read in ranges, for {longest} each at most"
    if capabilities.billed_per_read:
        yield "each read is billed"
    if capabilities.writes:
        yield "tables of Connect's own may be in it"


@app.command("test")
def check_sources(
    name: Annotated[str | None, typer.Argument(help="The source; without it, each of them.")] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Test that sources can be read, as `connect doctor` does, and say the remedy where one can not."""
    from connect import wiring
    from connect.cli.doctor import examine, show
    from connect.cli.opening import open_project

    opened = open_project(project, target)
    names = list(opened.sources) if name is None else [_known(opened, name)]
    findings = [
        examine(("source", one, lambda one=one: wiring.open_warehouse(opened, one).check()))  # type: ignore[misc]
        for one in names
    ]
    sound = all(finding["ok"] for finding in findings)
    if json:
        print_json({"ok": sound, "checks": findings})
    for finding in () if json else findings:
        show(finding)
    raise typer.Exit(0 if sound else 3)


@app.command("schema")
def show_schema(
    name: Name = None,
    table: Annotated[str | None, typer.Argument(help="Only this table, with its schema or without.")] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the tables of a source and their columns, with types. NAME may be a table of the first source, too."""
    from rich.markup import escape

    from connect.cli.cells import show_rows
    from connect.cli.opening import open_project
    from connect.pipeline.asking import tables

    opened = open_project(project, target)
    if name is not None and name not in opened.sources and table is None:
        name, table = None, name
    with _opened(opened, name) as (source, warehouse):
        found = _chosen(tables(warehouse, source), table, source)
    if json:
        print_json([_table_as_json(one) for one in found])
        return
    if not found:
        out.print(f"`{source}` has no tables that its user may see")
    for number, one in enumerate(found):
        out.print(("\n" if number else "") + f"{escape(one.schema)}.[bold]{escape(one.name)}[/]")
        show_rows(("  column", "type"), [(f"  {column.name}", column.type) for column in one.columns], out)


def _chosen(found: list[TableFound], name: str | None, source: str) -> list[TableFound]:
    from connect.errors import UserError
    from connect.project.suggest import nearest
    from connect.warehouses.looking import named

    if name is None or (chosen := named(found, name)):
        return found if name is None else chosen
    near = nearest(name, [table.name for table in found])
    hint = f"did you mean `{near}`?" if near else f"`connect sources schema {source}` lists them"
    raise UserError.of("unknown-table", f"`{source}` has no table `{name}` that its user may see", hint)


def _table_as_json(table: TableFound) -> dict[str, object]:
    columns = [{"name": column.name, "type": column.type} for column in table.columns]
    return {"schema": table.schema, "table": table.name, "columns": columns}


@app.command("query")
def ask_query(
    sql: Annotated[str, typer.Argument(help="One SELECT; - reads standard input.")],
    source: Annotated[str | None, typer.Option(help="The source to ask. [default: the project's first]")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many rows.")] = 50,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What the query binds as :NAME; may be repeated.")
    ] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    csv: Csv = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask a source a read-only query, and print the first rows. Nothing of them is stored or logged."""
    from connect.cli.cells import print_csv, show_rows
    from connect.cli.opening import open_project
    from connect.cli.terminal import show_problems
    from connect.pipeline.asking import ask
    from connect.project.text import Text

    opened = open_project(project, target)
    text = Text(source=sys.stdin.read() if sql == "-" else sql, file="query")
    with _opened(opened, source) as (_, warehouse):
        answer = ask(warehouse, text, _values(opened, param or []), limit)
    show_problems(answer.warnings)
    names = [column.name for column in answer.columns]
    if json:
        _must_differ(names)
        print_json([dict(zip(names, row, strict=True)) for row in answer.rows])
    elif csv:
        print_csv(names, answer.rows)
    else:
        show_rows(names, answer.rows, out)
    more = ", and there are more: `--limit` gives them" if answer.more else ""
    err.print(f"[dim]{plural(len(answer.rows), 'row')}{more}[/]")


def _must_differ(names: list[str]) -> None:
    from connect.errors import UserError

    for name in names:
        if names.count(name) > 1:
            said = f"two columns are named `{name}`, and an object has a name once"
            raise UserError.of("duplicate-column", said, "give one of them another name with `as`")


def _values(project: Project, given: list[str]) -> dict[str, object]:
    """The parameters, beside the instant and the day of now, which audiences may bind."""
    from zoneinfo import ZoneInfo

    from connect.clock import SystemClock
    from connect.errors import UserError
    from connect.project.nodes import Scalar
    from connect.project.types import free

    now = SystemClock().now()
    values: dict[str, object] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            said = "a parameter is given as NAME=VALUE"
            raise UserError.of("bad-parameter", said, "such as: --param plan=free --param since=2026-01-31")
        values[name] = free(Scalar(value, plain=True))
    return {"fire_time": now, "fire_date": now.astimezone(ZoneInfo(project.timezone)).date(), **values}


@contextmanager
def _opened(project: Project, name: str | None) -> Iterator[tuple[str, Warehouse]]:
    """A source by its name, or the first."""
    from connect import wiring
    from connect.errors import UserError

    if not project.sources:
        raise UserError.of("no-source", "connect.yml names no source to ask", "add one under `sources`")
    source = project.default_source if name is None else _known(project, name)
    warehouse = wiring.open_warehouse(project, source)
    try:
        yield source, warehouse
    finally:
        warehouse.close()


def _known(project: Project, name: str) -> str:
    from connect.errors import UserError
    from connect.project import suggest

    if name not in project.sources:
        hint = suggest.hint(name, project.sources) or "add it under `sources`"
        raise UserError.of("unknown-source", f"connect.yml has no source `{name}`", hint)
    return name
