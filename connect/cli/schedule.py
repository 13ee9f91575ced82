"""`connect schedule`: what fires when. Nothing is asked but the files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import err, out, plural, print_json, problem_as_json, show_problems

if TYPE_CHECKING:
    from connect.errors import Problem
    from connect.project.campaign import Campaign
    from connect.project.project import Project
    from connect.schedule.calendar import Entry

_RANGE = timedelta(days=7)
_LONGEST = timedelta(days=3660)
_WIDE = 400
"""Long names make long lines; nothing is cut."""
_MANY = 50
"""More fire times than this of one campaign are one line, so that the others are seen."""


def schedule(
    since: Annotated[str, typer.Option("--from", help="The first instant: ISO 8601. [default: now]")] = "",
    until: Annotated[str, typer.Option(help="The last instant: ISO 8601. [default: 7 days later]")] = "",
    campaign: Annotated[str | None, typer.Option(help="Only this one, also while it is a draft.")] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List when live campaigns fire, in each one's own zone."""
    from connect.cli.opening import open_project
    from connect.schedule.calendar import entries_between

    opened = open_project(project, target)
    start, end = _range(since, until, opened.timezone)
    campaigns, problems = _campaigns(opened, campaign)
    entries = entries_between(campaigns, start, end)
    if json:
        print_json(_as_json(opened, start, end, campaigns, entries, problems))
        return
    show_problems(problems)
    _show(campaigns, entries, start, end, whole=campaign is not None)


def _range(since: str, until: str, zone: str) -> tuple[datetime, datetime]:
    from connect.clock import SystemClock
    from connect.errors import UserError
    from connect.schedule.times import given

    start = given(since, zone, "--from") if since else SystemClock().now()
    end = given(until, zone, "--until") if until else start + _RANGE
    if not start <= end <= start + _LONGEST:
        said = "`--until` is before `--from`" if end < start else "this range is longer than ten years"
        raise UserError.of("bad-range", said, "`--from 2026-11-01 --until 2026-12-01`")
    return start, end


def _campaigns(project: Project, name: str | None) -> tuple[list[Campaign], list[Problem]]:
    """The one that is asked for, or all that are live, with what is wrong in the files."""
    from connect.errors import raise_errors
    from connect.project.campaigns import load_campaign, load_campaigns
    from connect.schedule.calendar import is_live

    if name is not None:
        loaded = load_campaign(project, name)
        raise_errors(loaded.problems)
        assert loaded.campaign is not None
        return [loaded.campaign], []
    found = load_campaigns(project).values()
    problems = [problem for one in found if one.campaign is None for problem in one.problems]
    return [one.campaign for one in found if one.campaign and is_live(one.campaign)], problems


def _as_json(
    project: Project,
    start: datetime,
    end: datetime,
    campaigns: Sequence[Campaign],
    entries: Sequence[Entry],
    problems: Sequence[Problem],
) -> dict[str, object]:
    from connect.project.trigger import Event
    from connect.project.types import written_duration

    return {
        "target": project.target,
        "from": start.isoformat(),
        "until": end.isoformat(),
        "fires": [entry.as_json() for entry in entries],
        "polls": [
            {
                "campaign": campaign.name,
                "every": written_duration(campaign.trigger.every),
                "lag": written_duration(campaign.trigger.lag),
            }
            for campaign in campaigns
            if isinstance(campaign.trigger, Event)
        ],
        "problems": [problem_as_json(problem) for problem in problems],
    }


def _show(
    campaigns: Sequence[Campaign], entries: Sequence[Entry], start: datetime, end: datetime, *, whole: bool
) -> None:
    from rich.markup import escape

    from connect.schedule.calendar import is_live, rule
    from connect.schedule.times import utc

    lines = _lines(entries, whole)
    if lines:
        _table(lines)
    shown = {entry.campaign.name for entry in entries}
    others = [campaign for campaign in campaigns if campaign.name not in shown]
    if lines and others:
        out.print()
    for campaign in others:
        out.print(f"{escape(campaign.name)}  [dim]{escape(rule(campaign))}[/]")
    for campaign in campaigns:
        if not is_live(campaign):
            err.print(f"{campaign.name} is {campaign.status}: it fires once its file says `status: live`", markup=False)
    if any(remark == _LOCAL for *_, remark in lines):
        err.print(f"[dim]{_LOCAL}: each person at this time of their own zone, so the first up to 26 hours earlier[/]")
    err.print(f"[dim]{plural(len(entries), 'fire time')} from {utc(start)} until {utc(end)}[/]")


_LOCAL = "local time"

_Line = tuple[datetime, str, str, str]
"""(UTC, campaign, in its zone, remark)"""


def _lines(entries: Sequence[Entry], whole: bool) -> list[_Line]:
    by_campaign: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_campaign[entry.campaign.name].append(entry)
    lines: list[_Line] = []
    for name, times in by_campaign.items():
        if whole or len(times) <= _MANY:
            lines += [(entry.at, name, entry.local, _remark(entry)) for entry in times]
        else:
            lines.append((times[0].at, name, times[0].local, f"and {len(times) - 1:,} more"))
    return sorted(lines)


def _remark(entry: Entry) -> str:
    from connect.schedule.calendar import is_local

    return _LOCAL if is_local(entry.campaign) else ""


def _table(lines: Sequence[_Line]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("UTC", "campaign", "in its own zone", ""):
        table.add_column(column, no_wrap=True)
    for at, name, local, remark in lines:
        table.add_row(f"{at:%Y-%m-%d %H:%M}", escape(name), local, f"[dim]{remark}[/]")
    out.print(table, width=_WIDE)
