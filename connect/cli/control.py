"""`connect pause`, `connect resume`, `connect skip-next`: what a campaign's trigger may do, by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target, typed
from connect.cli.terminal import err, out, print_json

if TYPE_CHECKING:
    from datetime import datetime

    from connect.cli.steering import Change, Steered
    from connect.ledger.records import NewRun, RunRecord, Schedule
    from connect.ledger.store import Ledger
    from connect.project.campaign import Campaign
    from connect.project.project import Project
    from connect.vocabulary import Mode

Name = Annotated[str, typer.Argument(help="The campaign.")]


def pause(
    name: Name,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Skip what comes due for a campaign, until it is resumed. Runs that have begun go on."""
    opened = _open(project, target, mode)
    steered, going_on = _steer(opened, name, lambda _: _paused)
    if json:
        print_json(steered.as_json())
        return
    out.print(f"{name} is paused: what comes due is skipped", markup=False)
    _say_would_be_next(steered, typed(target, mode))
    out.print(f"`connect resume {name}{typed(target, mode)}` lets it fire again", markup=False)
    if going_on:
        pausing = f"`connect runs pause {going_on.id}{typed(target)}`"
        out.print(f"run {going_on.id} is not touched: {pausing} pauses it", markup=False)


def resume(
    name: Name,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let a campaign fire again, from its next time on. What came due meanwhile stays skipped."""
    opened = _open(project, target, mode)
    steered, _ = _steer(opened, name, lambda ledger: _resumed(opened, ledger))
    if json:
        print_json(steered.as_json())
        return
    out.print(f"{name} is not paused by hand", markup=False)
    _say_next(steered, typed(target, mode))


def skip_next(
    name: Name,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Skip a campaign's next fire time, and only that one."""
    opened = _open(project, target, mode)
    steered, _ = _steer(opened, name, lambda ledger: _skipping(opened, ledger))
    if json:
        print_json(steered.as_json())
        return
    out.print(f"{name} skips its next fire time", markup=False)
    _say_next(steered, typed(target, mode))


def _open(folder: Path, target: str | None, mode: Mode | None) -> Project:
    from connect.cli.opening import open_project

    return open_project(folder, target, mode)


def _steer(project: Project, name: str, making: Callable[[Ledger], Change]) -> tuple[Steered, RunRecord | None]:
    """(the campaign after the change, its run that has not ended)"""
    from connect.cli.opening import ledger_of
    from connect.cli.steering import steer

    with ledger_of(project) as ledger:
        return steer(project, ledger, name, ledger.now(), making(ledger)), ledger.unfinished(project.mode, name)


def _paused(campaign: Campaign | None, schedule: Schedule, now: datetime) -> tuple[Schedule, Sequence[NewRun]]:
    return replace(schedule, paused=True), ()


def _resumed(project: Project, ledger: Ledger) -> Change:
    """What came due while it was paused is skipped first: perhaps no daemon was there to do so."""

    def change(campaign: Campaign | None, schedule: Schedule, now: datetime) -> tuple[Schedule, Sequence[NewRun]]:
        from connect.schedule.claims import is_ahead, set_back

        if campaign and is_ahead(schedule, now):
            return replace(set_back(campaign, schedule, now), paused=False), ()
        if schedule.paused:
            schedule, runs = _decided(project, ledger, campaign, schedule, now)
            return replace(schedule, paused=False), runs
        return schedule, ()

    return change


def _skipping(project: Project, ledger: Ledger) -> Change:
    """What has come due already is not the next time: it gets its run, or not, as if a daemon had looked just now."""

    def change(campaign: Campaign | None, schedule: Schedule, now: datetime) -> tuple[Schedule, Sequence[NewRun]]:
        _must_have_a_next_time(schedule)
        if campaign is None or _fires_once(campaign):  # of which the time that is due is the only one
            return replace(schedule, skip_next=True), ()
        schedule, runs = _decided(project, ledger, campaign, schedule, now)
        return replace(schedule, skip_next=True), runs

    return change


def _decided(
    project: Project, ledger: Ledger, campaign: Campaign | None, schedule: Schedule, now: datetime
) -> tuple[Schedule, Sequence[NewRun]]:
    """What a daemon would write now. Nothing where only it has the campaign's last good version."""
    from connect.schedule.claims import decide
    from connect.schedule.history import busy, ran
    from connect.schedule.work import make_run

    if campaign is None:
        return schedule, ()
    before, going_on = ran(ledger, campaign, schedule), busy(ledger, campaign, schedule)
    decision = decide(campaign, schedule, now, ran=before, busy=going_on)
    if decision is None:
        return schedule, ()
    return decision.schedule_after, [make_run(project, campaign, fire) for fire in decision.fires]


def _must_have_a_next_time(schedule: Schedule) -> None:
    from connect.errors import UserError

    if schedule.fired:
        said = f"{schedule.campaign} fires once, and has: there is no next time"
        raise UserError.of("nothing-to-skip", said, f"`connect launch {schedule.campaign}` fires it by hand")


def _fires_once(campaign: Campaign) -> bool:
    from connect.project.trigger import Immediate, Scheduled

    return isinstance(campaign.trigger, Immediate | Scheduled)


def _say_next(steered: Steered, options: str) -> None:
    """What happens next, if the file can be read; else nobody knows."""
    shown = steered.standing
    if shown is None:
        err.print(f"the file of {steered.name} is broken or gone: `connect validate` tells more", markup=False)
    else:
        out.print(shown.words(options), markup=False)


def _say_would_be_next(steered: Steered, options: str) -> None:
    """What a pause is about to skip; of a campaign that fires once, that is all of it."""
    from connect.cli.calendar import next_entry

    if steered.campaign is None or steered.schedule.fired:
        return
    following = next_entry(steered.campaign, steered.now)
    if following:
        out.print(f"the next would be {following.local}", markup=False)
    if _fires_once(steered.campaign):
        said = "it fires once: skipped, it fires no more, only by"
        out.print(f"{said} `connect launch {steered.name}{options}`", markup=False)
