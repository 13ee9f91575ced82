"""`connect status`: which daemons are alive, what fires next, and what every run that has not ended waits for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target, typed
from connect.cli.terminal import err, out, plural, print_json, problem_as_json
from connect.vocabulary import Mode, RunState

if TYPE_CHECKING:
    from rich.console import Console

    from connect.schedule.standing import CampaignStanding, DaemonStanding, RunStanding, Standing

Check = Annotated[
    bool, typer.Option("--check", help="Look for daemons only, and exit with 3 unless one is alive on this machine.")
]


def status(
    check: Check = False,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show daemons, what fires next, and the runs that have not ended, with what they wait for."""
    from connect.cli.opening import ledger_of, open_project
    from connect.schedule.standing import alive, daemons_of, standing

    opened, options = open_project(project, target, mode), typed(target, mode)
    with ledger_of(opened) as ledger:
        if check:
            daemons = daemons_of(ledger)
            raise typer.Exit(_checked(daemons, alive(daemons, opened.mode), options, json))
        found = standing(opened, ledger, ledger.now())
    if json:
        print_json(as_json(found))
    else:
        _show(found, options)


def _checked(daemons: Sequence[DaemonStanding], living: Sequence[DaemonStanding], options: str, json: bool) -> int:
    """The exit code of a health check, which is asked often and reads no campaigns."""
    from connect.ledger.owner import Owner

    if json:
        print_json({"alive": len(living), "daemons": [daemon.as_json() for daemon in daemons]})
    else:
        _show_daemons(daemons, living, options)
    return 0 if any(daemon.owner.host == Owner.here().host for daemon in living) else 3


def as_json(found: Standing) -> dict[str, object]:
    """Everything for machines. Instants are ISO 8601 in UTC."""
    return {
        "project": found.project.name,
        "target": found.project.target,
        "mode": found.project.mode.value,
        "now": found.now.isoformat(),
        "alive": len(found.alive),
        "daemons": [daemon.as_json() for daemon in found.daemons],
        "campaigns": [campaign.as_json() for campaign in found.campaigns],
        "drafts": found.drafts,
        "runs": [run.as_json() for run in found.runs],
        "broken": [
            {"file": file, "problems": [problem_as_json(problem) for problem in problems]}
            for file, problems in found.broken.items()
        ],
        "optouts_held": {
            "count": found.held.count,
            "since": found.held.since.isoformat() if found.held.since else None,
        },
    }


def _show(found: Standing, options: str) -> None:
    from rich.markup import escape

    from connect.schedule.times import utc

    project = found.project
    err.print(f"[dim]{escape(project.name)}, target {escape(project.target)}, mode {project.mode}, {utc(found.now)}[/]")
    _show_daemons(found.daemons, found.alive, options)
    show_campaigns(found, options, out)
    if found.runs:
        out.print("\n[bold]runs[/]")
    for run in found.runs:
        _show_run(run, found)
    if found.held.since:
        out.print("\n[bold]opt-outs[/]")
        out.print(
            f"  [yellow]{plural(found.held.count, 'waits', 'wait')} for the warehouse[/] since {utc(found.held.since)}"
        )
        err.print(f"  [dim]runs heed them; `connect doctor{options}` says what is in the way[/]")


def _show_daemons(daemons: Sequence[DaemonStanding], living: Sequence[DaemonStanding], options: str) -> None:
    out.print("[bold]daemons[/]")
    for daemon in daemons:
        out.print(f"  {_daemon(daemon)}")
    if not living:
        out.print(f"  [yellow]none is running:[/] `connect daemon{options}` starts one")


def _daemon(daemon: DaemonStanding) -> str:
    from rich.markup import escape

    from connect.schedule.times import lasted

    record, heard = daemon.record, f"{lasted(max(daemon.silent, timedelta(0)))} ago"
    who = f"{escape(daemon.owner.hostname)} pid {daemon.owner.pid}"
    who += "" if record.mode is Mode.live else f", mode {record.mode}"
    if daemon.late:
        return f"[red]✗[/] {who}: [red]late, last heard of {heard}[/]"
    runs = f", works on {plural(record.runs, 'run')}" if record.runs else ""
    if record.dropped:
        runs += f", [yellow]has dropped {plural(record.dropped, 'outgoing webhook')}[/]"
    return f"[green]✓[/] {who}, up {lasted(record.beat_at - record.started_at + daemon.silent)}, heard of {heard}{runs}"


def show_campaigns(found: Standing, options: str, console: Console, most: int = 10_000) -> None:
    """A line for each campaign that is live or paused, and each file that is broken."""
    from rich.markup import escape

    shown = found.campaigns[:most]
    if shown or found.broken:
        console.print("\n[bold]campaigns[/]")
    width = max((len(campaign.name) for campaign in shown), default=0)
    for campaign in shown:
        console.print(f"  {escape(campaign.name):<{width}}  {_campaign(campaign, options)}")
    for file in found.broken:
        console.print(f"  [red]✗[/] {escape(file)} is broken: a daemon goes on with its last good version")
    if len(found.campaigns) > most:
        console.print(f"  and {len(found.campaigns) - most:,} more")
    if found.drafts:
        err.print(f"  [dim]and {plural(found.drafts, 'draft')}[/]")


def _campaign(campaign: CampaignStanding, options: str) -> str:
    from rich.markup import escape

    from connect.schedule.calendar import is_local

    words = escape(campaign.words(options))
    if campaign.held:
        return f"[yellow]{words}[/]"
    return words + (", local time" if is_local(campaign.campaign) else "")


def _show_run(run: RunStanding, found: Standing) -> None:
    from rich.markup import escape

    from connect.cli.tables import instant, state_text
    from connect.schedule.times import utc

    record = run.record
    waits = f", goes on at {utc(run.opens_at)}" if run.opens_at else ""
    waits += f": {_turn(run, found)}" if record.state is RunState.queued else ""
    parts = f", {sum(part.ended for part in run.slices)} of {len(run.slices)} parts done" if len(run.slices) > 1 else ""
    out.print(f"  {record.id} {escape(record.campaign)} for {instant(record.fire_time)}")
    out.print(f"    {state_text(record)}{parts}{waits}")


def _turn(run: RunStanding, found: Standing) -> str:
    """What a queued run waits for."""
    for other in found.runs:
        if other.record.campaign == run.record.campaign and other.record.state is not RunState.queued:
            return f"waits for run {other.record.id} to end"
    return "waits for its turn" if found.alive else "waits for a daemon"
