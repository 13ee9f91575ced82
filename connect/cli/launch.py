"""`connect launch`: a campaign that fires once fires now. A daemon works off the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from connect.cli.control import Name
from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target, typed
from connect.cli.run import Again, Yes
from connect.cli.terminal import out, print_json

if TYPE_CHECKING:
    from datetime import datetime

    from connect.ledger.records import NewRun, Schedule
    from connect.ledger.store import Ledger
    from connect.project.campaign import Campaign
    from connect.project.campaigns import Loaded
    from connect.project.project import Project
    from connect.schedule.steering import Steered


def launch(
    name: Name,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    yes: Yes = False,
    again: Again = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Fire a campaign that fires once, now; a daemon works off the run. Asks first."""
    from connect.cli.opening import ledger_of, open_project
    from connect.errors import raise_errors
    from connect.project.campaigns import load_campaign
    from connect.schedule.standing import alive, daemons_of

    opened = open_project(project, target, mode)
    loaded = load_campaign(opened, name)
    raise_errors(loaded.problems)
    with ledger_of(opened) as ledger:
        now = ledger.now()
        _look(opened, ledger, loaded, now, again=again, yes=yes)
        steered = _fire(opened, ledger, name, now, again)
        is_alive = bool(alive(daemons_of(ledger), opened.mode))
    if json:
        print_json({**steered.as_json(), "daemon_alive": is_alive})
        return
    (run,) = steered.runs
    out.print(f"run {run.id} of {name} is queued", markup=False)
    told = "a daemon takes it up within seconds" if is_alive else "no daemon is running: `connect daemon{}` takes it up"
    out.print(told.format(typed(target, mode)), markup=False)


def _look(project: Project, ledger: Ledger, loaded: Loaded, now: datetime, *, again: bool, yes: bool) -> None:
    """Refuse what can not be launched; show what would be done, and ask."""
    from connect import wiring
    from connect.cli.running import announce, ask
    from connect.clock import SystemClock
    from connect.liquid.library import Library
    from connect.pipeline.accounts import providers_of, reaches_people
    from connect.pipeline.moment import Moment
    from connect.pipeline.plan import plan_run
    from connect.project.load import templates
    from connect.schedule import claims
    from connect.schedule.steering import found_or_adopted

    campaign = loaded.campaign
    assert campaign is not None
    _must_be_live(campaign)
    _must_be_free(project, ledger, campaign)
    schedule = found_or_adopted(project, campaign, ledger.schedules(project.mode), now)
    claims.launch(schedule, campaign, now, ran=_has_run(project, ledger, campaign), again=again)
    texts = templates(project.root)
    accounts = wiring.open_accounts(project, providers_of(campaign))
    warehouse = wiring.open_audience(project, campaign.audience)
    try:
        reaches = reaches_people(accounts)
        library, clock = Library(texts), SystemClock()
        plan = plan_run(project, loaded, library, texts, warehouse, ledger, clock, reaches_people=reaches, again=True)
    finally:
        warehouse.close()
    announce(replace(plan, moment=Moment(now), manual=True), accounts)
    ask(plan, accounts, yes)


def _must_be_live(campaign: Campaign) -> None:
    """In every mode: a daemon starts nothing else."""
    from connect.errors import UserError
    from connect.schedule.calendar import is_live

    if not is_live(campaign):
        said = f"{campaign.name} is {campaign.status}, and a daemon runs only what is live"
        hint = f"set `status: live` in {campaign.file}; `connect run {campaign.name} --mode test` tries it as it is"
        raise UserError.of("campaign-not-live", said, hint)


def _must_be_free(project: Project, ledger: Ledger, campaign: Campaign) -> None:
    """One run at a time of what fires once: two in a row are more likely a mistake than meant."""
    from connect.ledger.refusals import RunExists

    before = ledger.unfinished(project.mode, campaign.name)
    waiting = [before] if before else ledger.queued(project.mode, campaign.name)
    if waiting:
        raise RunExists(waiting[0])


def _has_run(project: Project, ledger: Ledger, campaign: Campaign) -> bool:
    from connect.vocabulary import Mode

    return project.mode is Mode.live and ledger.has_run_live(campaign.name) is not None


def _fire(project: Project, ledger: Ledger, name: str, now: datetime, again: bool) -> Steered:
    from connect.schedule import claims
    from connect.schedule.steering import steer
    from connect.schedule.work import make_run

    def change(campaign: Campaign | None, schedule: Schedule, now: datetime) -> tuple[Schedule, Sequence[NewRun]]:
        assert campaign is not None
        _must_be_free(project, ledger, campaign)  # asked again: somebody may have launched it while this one waited
        decision = claims.launch(schedule, campaign, now, ran=_has_run(project, ledger, campaign), again=again)
        return decision.schedule_after, [make_run(project, campaign, fire, manual=True) for fire in decision.fires]

    return steer(project, ledger, name, now, change)
