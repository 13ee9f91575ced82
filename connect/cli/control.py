"""`connect pause`, `connect resume`, `connect skip-next`: what a campaign's trigger may do, by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target, typed
from connect.cli.terminal import err, out, print_json

if TYPE_CHECKING:
    from connect.ledger.records import RunRecord
    from connect.ledger.store import Ledger
    from connect.project.project import Project
    from connect.schedule.steering import Change, Steered
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
    from connect.schedule.by_hand import paused

    opened = _open(project, target, mode)
    steered, going_on = _steer(opened, name, lambda _: paused)
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
    from connect.schedule.by_hand import resumed

    opened = _open(project, target, mode)
    steered, _ = _steer(opened, name, lambda ledger: resumed(opened, ledger))
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
    from connect.schedule.by_hand import skipping

    opened = _open(project, target, mode)
    steered, _ = _steer(opened, name, lambda ledger: skipping(opened, ledger))
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
    from connect.schedule.steering import steer

    with ledger_of(project) as ledger:
        return steer(project, ledger, name, ledger.now(), making(ledger)), ledger.unfinished(project.mode, name)


def _say_next(steered: Steered, options: str) -> None:
    """What happens next, if the file can be read; else nobody knows."""
    shown = steered.standing
    if shown is None:
        err.print(f"the file of {steered.name} is broken or gone: `connect validate` tells more", markup=False)
    else:
        out.print(shown.words(options), markup=False)


def _say_would_be_next(steered: Steered, options: str) -> None:
    """What a pause is about to skip; of a campaign that fires once, that is all of it."""
    from connect.schedule.by_hand import fires_once
    from connect.schedule.calendar import next_entry

    if steered.campaign is None or steered.schedule.fired:
        return
    following = next_entry(steered.campaign, steered.now)
    if following:
        out.print(f"the next would be {following.local}", markup=False)
    if fires_once(steered.campaign):
        said = "it fires once: skipped, it fires no more, only by"
        out.print(f"{said} `connect launch {steered.name}{options}`", markup=False)
