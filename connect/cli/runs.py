"""`connect runs`: what ran, what is going on, and why something waits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target, typed
from connect.cli.run import Yes
from connect.cli.terminal import out, print_json

if TYPE_CHECKING:
    from connect.cli.tables import RunLine
    from connect.ledger.records import RunRecord
    from connect.ledger.store import Ledger

app = typer.Typer(
    help="List runs, show what became of one; pause, resume or cancel it; forget old ones.", no_args_is_help=True
)


_ALL = 1_000_000


def _what_to_do(run: RunRecord, target: str | None) -> str:
    from rich.markup import escape

    from connect.pipeline.sending import is_a_send
    from connect.vocabulary import Mode, RunState

    if run.fleeting or is_a_send(run.campaign):
        return "a send does not go on"
    if run.state is RunState.queued:
        return escape(f"a daemon takes it up, or `connect daemon --once{typed(target)}`")
    mode = run.mode if run.mode is not Mode.live else None
    return escape(f"`connect run {run.campaign}{typed(target, mode)}` goes on")


@app.command("list")
def list_runs(
    campaign: Annotated[str | None, typer.Argument(help="Only this campaign's runs.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="A line for each fire time that was skipped.")] = False,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List runs, newest first; fire times of a campaign that were skipped one after the other are one line."""
    from connect.cli.opening import ledger_of, open_project
    from connect.cli.tables import show_lines, show_runs
    from connect.reports.counts import as_they_are, run_as_json

    with ledger_of(open_project(project, target)) as ledger:
        runs = as_they_are(ledger.runs(campaign=campaign, limit=limit), ledger.interrupted())
        lines = [] if every or json else _lines(ledger, campaign, limit)
    if json:
        print_json([run_as_json(run) for run in runs])
    elif not runs:
        out.print("nothing has run yet: `connect run NAME` runs a campaign")
    elif every:
        show_runs(runs, out)
    else:
        show_lines(lines, out)


def _lines(ledger: Ledger, campaign: str | None, limit: int) -> list[RunLine]:
    """So many lines, however many runs are folded into them."""
    from connect.cli.tables import folded
    from connect.reports.counts import as_they_are

    looked_at, interrupted = limit, ledger.interrupted()
    while True:
        runs = as_they_are(ledger.runs(campaign=campaign, limit=looked_at), interrupted)
        lines = folded(runs)
        if len(lines) > limit or len(runs) < looked_at:
            return lines[:limit]
        looked_at *= 4


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a run: its states with reasons, how its deliveries ended, and what was reported of them."""
    from rich.markup import escape

    from connect.cli.figures import show_figures
    from connect.cli.opening import ledger_of, open_project
    from connect.cli.tables import instant, show_report, show_runs, state_text
    from connect.pipeline.reporting import run_report
    from connect.reports.counts import as_they_are
    from connect.schedule.by_hand import found

    opened = open_project(project, target)
    with ledger_of(opened) as ledger:
        (record,) = as_they_are([found(ledger, run)], ledger.interrupted())
        report = run_report(ledger, record, zone=opened.timezone)
    if json:
        print_json(report.as_json())
        return
    show_runs([record], out)
    out.print()
    for change in report.states:
        reason = f": {escape(change.reason)}" if change.reason else ""
        out.print(f"[dim]{instant(change.at)}[/]  {change.state}{reason}")
    out.print()
    show_report(report, out)
    if report.known.events:
        out.print()
        show_figures(report, out)
    if not record.state.ended:
        out.print(f"\n{state_text(record)}; {_what_to_do(record, target)}")


@app.command("cancel")
def cancel_run(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """End a run that was interrupted, for good: nobody else of its audience is written to."""
    from connect.cli.opening import ledger_of, open_project
    from connect.cli.tables import show_report
    from connect.pipeline.reporting import run_report
    from connect.pipeline.snapshot import drop_of
    from connect.schedule.by_hand import cancel_run, found
    from connect.wiring import open_warehouse

    opened = open_project(project, target)
    with ledger_of(opened) as ledger:
        record = cancel_run(ledger, found(ledger, run))
        report = run_report(ledger, record)
    if json:
        print_json(report.as_json())
    else:
        out.print(f"cancelled run {record.id}\n")
        show_report(report, out)
    drop_of(opened, record, open_warehouse)


@app.command("pause")
def pause_run(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Pause a run: what is in the air is finished, nobody new is written to until it is resumed."""
    from connect.cli.opening import ledger_of, open_project
    from connect.cli.tables import show_runs
    from connect.reports.counts import run_as_json
    from connect.schedule.by_hand import found, pause_run

    with ledger_of(open_project(project, target)) as ledger:
        record = pause_run(ledger, found(ledger, run))
    if json:
        print_json(run_as_json(record))
        return
    show_runs([record], out)
    out.print(f"\n`connect runs resume {record.id}{typed(target)}` goes on", markup=False)


@app.command("resume")
def resume_run(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    project: ProjectFolder = Path(),
    target: Target = None,
    yes: Yes = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Go on with a run that was paused, stopped or interrupted."""
    from connect.cli.opening import ledger_of, open_project
    from connect.cli.running import run_campaign
    from connect.project.campaigns import load_campaign
    from connect.schedule.by_hand import found, must_go_on

    opened = open_project(project, target)
    with ledger_of(opened) as ledger:
        record = found(ledger, run)
    must_go_on(record)
    in_its_mode = open_project(project, target, record.mode)
    loaded, goes_on = load_campaign(opened, record.campaign), f"connect runs resume {record.id}{typed(target)}"
    # Not `again`: if the run ends before this one looks, nobody asked for another.
    raise typer.Exit(run_campaign(in_its_mode, loaded, yes=yes, again=False, json=json, goes_on=goes_on))


@app.command("prune")
def prune_runs(
    older_than: Annotated[str, typer.Option(help="Only runs that ended longer ago than this: 30d, 12h.")] = "90d",
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Forget old runs and their counts, except the newest of each campaign, which says that it has run.

    Copies of audiences that runs have left behind are dropped, of whatever age: those of runs that have ended.
    """
    from connect.cli.opening import ledger_of, open_project
    from connect.pipeline.snapshot import drop_all
    from connect.wiring import open_warehouse

    age, opened = _age(older_than), open_project(project, target)
    with ledger_of(opened) as ledger:
        drop_all(opened, ledger.runs(limit=_ALL), open_warehouse)
        removed = ledger.prune(age)
    if json:
        print_json({"removed": removed})
    else:
        out.print(f"removed {removed} run{'' if removed == 1 else 's'} that ended more than {older_than} ago")


def _age(text: str) -> timedelta:
    from pydantic_core import PydanticCustomError

    from connect.errors import UserError
    from connect.project.nodes import Scalar
    from connect.project.types import duration

    try:
        return duration(Scalar(text))
    except PydanticCustomError:
        said = f"`--older-than {text}` is not a duration"
        raise UserError.of("bad-duration", said, "a number and s, m, h or d, such as 90d") from None
