"""`connect preview`: the messages that people would get, from invented rows or a few real ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import out, plural, print_json

if TYPE_CHECKING:
    from connect.pipeline.previewing import Preview
    from connect.project.campaign import Campaign
    from connect.project.project import Project
    from connect.reports.pages import Shown

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
    found = previews(loaded.campaign, library, people, SystemClock().now())
    if json:
        print_json([_as_json(one) for one in found])
    elif open_page:
        _serve(loaded.campaign, found)
    else:
        _print(found)


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
    warehouse = wiring.open_warehouse(project, campaign.audience.source)
    try:
        audience = wrap(project, campaign, warehouse, moment_of_a_look(campaign, SystemClock().now())).audience
        return list(warehouse.rows(first_query(audience, count), campaign.audience.timeout))
    finally:
        warehouse.close()


def _print(found: list[Preview]) -> None:
    from rich.markup import escape

    from connect.cli.tables import OUTCOME_COLOURS
    from connect.pipeline.deliveries import Ended

    for one in found:
        out.rule(f"row {one.row} · {one.channel}", align="left", style="dim")
        if isinstance(one.result, Ended):
            out.print(f"[{OUTCOME_COLOURS[one.result.outcome]}]{one.result.outcome}[/]: {escape(one.result.reason)}")
            for problem in one.problems:
                out.print(problem, markup=False, style="dim")
            continue
        shown = _shown(one)
        for label, text in (("from", shown.sender), ("to", shown.to), ("subject", shown.subject)):
            if text:
                out.print(f"[dim]{label:>8}[/]  ", end="")
                out.print(text, markup=False)
        out.print()
        out.print((shown.text or "").strip(), markup=False)
        out.print()


def _shown(one: Preview) -> Shown:
    from connect.channels.message import Email, Sms
    from connect.pipeline.deliveries import Ended
    from connect.reports.pages import Shown

    result, label = one.result, f"row {one.row}"
    if isinstance(result, Ended):
        notes = (f"{result.outcome}: {result.reason}", *one.problems)
        return Shown(one.channel, "", "", "", "", None, None, label, notes)
    if isinstance(result, Email):
        to = ", ".join(_mailbox(mailbox.name, mailbox.address) for mailbox in result.to)
        sender = _mailbox(result.sender.name, result.sender.address)
        return Shown(one.channel, to, sender, result.subject, "", result.html, result.text, label, ())
    sender = result.sender if isinstance(result, Sms) else ""
    return Shown(one.channel, result.address, sender, "", "", None, result.said, label, ())


def _mailbox(name: str, address: str) -> str:
    return f"{name} <{address}>" if name else address


def _serve(campaign: Campaign, found: list[Preview]) -> None:
    from connect.cli.pages import serve
    from connect.reports.pages import messages_page

    subtitle = f"{plural(len(found), 'delivery', 'deliveries')}; nothing is sent, and links lead nowhere"
    serve(messages_page(f"Preview of {campaign.name}", subtitle, [_shown(one) for one in found]))


def _as_json(one: Preview) -> dict[str, object]:
    from connect.pipeline.deliveries import Ended

    if isinstance(one.result, Ended):
        ended = {"outcome": one.result.outcome.value, "reason": one.result.reason, "problems": list(one.problems)}
        return {"row": one.row, "channel": one.channel.value, **ended}
    shown = _shown(one)
    return {
        "row": one.row,
        "channel": one.channel.value,
        "from": shown.sender,
        "to": shown.to,
        "subject": shown.subject,
        "html": shown.html,
        "text": shown.text,
    }
