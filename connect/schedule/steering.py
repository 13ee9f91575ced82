"""Changing how a campaign's trigger is followed: its schedule row, by compare-and-set, adopted where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from connect.errors import UserError, raise_errors
from connect.ledger.records import NewRun, Schedule
from connect.project import suggest
from connect.project.campaign import Campaign
from connect.project.campaigns import campaign_names, load_campaign
from connect.project.types import name_problem
from connect.schedule import claims
from connect.schedule.standing import CampaignStanding

if TYPE_CHECKING:
    from connect.ledger.store import Ledger
    from connect.project.project import Project

Change = Callable[[Campaign | None, Schedule, datetime], tuple[Schedule, Sequence[NewRun]]]
"""What becomes of a schedule now, and the runs that this gives. No campaign: its file is broken, or gone."""


@dataclass(frozen=True)
class Steered:
    """A campaign after a change."""

    name: str
    campaign: Campaign | None
    schedule: Schedule
    runs: tuple[NewRun, ...]
    now: datetime

    @property
    def standing(self) -> CampaignStanding | None:
        return CampaignStanding(self.campaign, self.schedule, False, self.now) if self.campaign else None

    def as_json(self) -> dict[str, object]:
        shown = self.standing
        known: dict[str, object] = {"paused": self.schedule.paused, "skip_next": self.schedule.skip_next}
        told = shown.as_json() if shown else {"name": self.name, **known}
        return {**told, "mode": self.schedule.mode.value, "runs": [run.id for run in self.runs]}


def steer(project: Project, ledger: Ledger, name: str, now: datetime, change: Change) -> Steered:
    """Change the schedule of one campaign in the project's mode, whoever else changes it meanwhile.

    A broken file does not matter where the ledger knows the campaign: a daemon goes on with its last good version,
    and that is what is steered. Raises UserError: `unknown-campaign`, or what is wrong with a file that is needed.
    """
    while True:
        schedules = ledger.schedules(project.mode)
        campaign = _campaign(project, name, schedules)
        before = schedules.get(name) or _adopted(project, campaign, schedules, now)
        changed, runs = change(campaign, before, now)
        if changed == schedules.get(name) and not runs:
            return Steered(name, campaign, changed, (), now)
        written = ledger.put_schedule(changed, runs)
        if written is not None:
            return Steered(name, campaign, written, tuple(runs), now)


def _campaign(project: Project, name: str, schedules: Mapping[str, Schedule]) -> Campaign | None:
    """The campaign by its name; None where the ledger knows it, and its file is broken or gone."""
    names = campaign_names(project)
    if name in names:
        loaded = load_campaign(project, name)
        if loaded.campaign is None and name not in schedules:
            raise_errors(loaded.problems)
        return loaded.campaign
    if name in schedules and not name_problem(name):  # there is a mark among them that is no campaign's
        return None
    hint = suggest.hint(name, names) or "campaigns are the .yml files in campaigns/"
    raise UserError.of("unknown-campaign", f"there is no campaign `{name}`", hint)


def _adopted(project: Project, campaign: Campaign | None, schedules: Mapping[str, Schedule], now: datetime) -> Schedule:
    assert campaign is not None  # what the ledger does not know can be read, or was refused
    return found_or_adopted(project, campaign, schedules, now)


def found_or_adopted(
    project: Project, campaign: Campaign, schedules: Mapping[str, Schedule], now: datetime
) -> Schedule:
    """The campaign's schedule; else what a daemon would begin with. Writes nothing.

    On a ledger that no daemon has seen, only this campaign gets one: it stays for the first daemon to find out which
    of the others were live before it came.
    """
    names = campaign_names(project)
    vanished = {name: known for name, known in schedules.items() if name not in names}
    fresh = claims.is_fresh(schedules)
    adopted = schedules.get(campaign.name)
    return adopted or claims.adopt(campaign, project.mode, now, fresh=fresh, vanished=vanished)
