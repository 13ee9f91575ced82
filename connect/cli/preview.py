"""`connect preview`: the messages that people would get, from invented rows or a few real ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import print_json

if TYPE_CHECKING:
    from connect.project.campaign import Campaign
    from connect.project.project import Project

Row = Mapping[str, object]


def preview(
    name: Annotated[str, typer.Argument(help="The campaign.")],
    real: Annotated[
        bool, typer.Option("--real", help="Render real rows; at a terminal only, so that they stay out of logs.")
    ] = False,
    rows: Annotated[int, typer.Option(min=1, max=50, help="How many real rows.")] = 3,
    open_page: Annotated[bool, typer.Option("--open", help="Show them in the browser, from memory.")] = False,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Render the campaign's `examples`, or real rows, as the people would get them. Sends and writes nothing."""
    from connect.cli import previewing
    from connect.cli.opening import open_project
    from connect.clock import SystemClock
    from connect.errors import raise_errors
    from connect.liquid.library import Library
    from connect.pipeline.previewing import previews
    from connect.project.campaigns import load_campaign
    from connect.project.load import templates

    opened = open_project(project, target)
    loaded = load_campaign(opened, name)
    raise_errors(loaded.problems)
    assert loaded.campaign is not None
    library = Library(templates(opened.root))
    people: Sequence[Row] = _real_rows(opened, loaded.campaign, rows) if real else _examples(loaded.campaign)
    found = previews(opened.name, loaded.campaign, library, people, SystemClock().now())
    if json:
        print_json([previewing.as_json(one) for one in found])
    elif open_page:
        previewing.show_page(loaded.campaign, found)
    else:
        previewing.show(found)


def _examples(campaign: Campaign) -> Sequence[Row]:
    from connect.errors import UserError

    rows = list(campaign.examples or campaign.audience.people or ())
    if not rows:
        raise UserError.of(
            "no-examples",
            f"{campaign.name} has no `examples` to render",
            "add a few invented rows under `examples`, or look at real ones with `--real`",
        )
    return rows


def _real_rows(project: Project, campaign: Campaign, count: int) -> Sequence[Row]:
    """The first rows of the audience; only for eyes at a terminal."""
    from connect import wiring
    from connect.clock import SystemClock
    from connect.errors import UserError
    from connect.pipeline.checking import wrap
    from connect.pipeline.firing import moment_of_a_look
    from connect.warehouses.looking import first_query

    if not sys.stdout.isatty():
        raise UserError.of(
            "real-needs-terminal", "`--real` shows real people, and the output is not a terminal", "run it at one"
        )
    warehouse = wiring.open_audience(project, campaign.audience)
    try:
        audience = wrap(project, campaign, warehouse, moment_of_a_look(campaign, SystemClock().now())).audience
        return list(warehouse.rows(first_query(audience, warehouse.dialect, count), campaign.audience.timeout))
    finally:
        warehouse.close()
