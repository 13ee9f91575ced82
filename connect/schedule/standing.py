"""How things stand: the daemons, the campaigns that they follow, and the runs that have not ended.

Read from the files and the ledger; nothing is written, and no daemon is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connect.ledger.owner import Owner
from connect.ledger.records import DaemonRecord, Held, RunRecord, Schedule, Slice
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded, load_campaigns
from connect.project.trigger import Api, Event, Immediate, Scheduled
from connect.reports.counts import run_as_json
from connect.schedule import claims
from connect.schedule.calendar import Entry, is_live, next_entry, rule
from connect.schedule.times import in_zone, utc
from connect.vocabulary import CampaignStatus, Mode

if TYPE_CHECKING:
    from connect.errors import Problem
    from connect.ledger.store import Ledger
    from connect.project.project import Project

LATE = timedelta(seconds=45)
"""A daemon says every 15 seconds that it is alive; one that has missed three of them is late."""


@dataclass(frozen=True)
class DaemonStanding:
    record: DaemonRecord
    owner: Owner
    silent: timedelta
    """For how long it has said nothing, by the ledger's clock."""
    late: bool
    """It has not been heard of for a while, or its process is gone."""

    def as_json(self) -> dict[str, object]:
        return {
            "host": self.owner.hostname,
            "pid": self.owner.pid,
            "mode": self.record.mode.value,
            "version": self.record.version,
            "started_at": self.record.started_at.isoformat(),
            "beat_at": self.record.beat_at.isoformat(),
            "late": self.late,
            "runs": self.record.runs,
            "dropped": self.record.dropped,
        }


@dataclass(frozen=True)
class CampaignStanding:
    """One campaign that is live or paused in its file."""

    campaign: Campaign
    schedule: Schedule | None
    """None: no daemon has seen it yet."""
    fresh: bool
    """No daemon has yet seen the project in this mode."""
    now: datetime

    @property
    def name(self) -> str:
        return self.campaign.name

    @property
    def next(self) -> Entry | None:
        """The next time by the clock at which it fires or is skipped; what was decided already is not among them."""
        if not is_live(self.campaign) or (self.schedule and self.schedule.fired):
            return None
        return next_entry(self.campaign, max(self.now, self.schedule.cursor) if self.schedule else self.now)

    @property
    def due(self) -> datetime | None:
        """Since when something has been due that no daemon has looked at yet."""
        begins = claims.next_begin(self.campaign, self.schedule) if self.schedule else None
        return begins if begins and begins <= self.now else None

    @property
    def ahead(self) -> bool:
        """A clock that was far ahead has had it followed up to a time that is yet to come."""
        waits = self.schedule is not None and not self.schedule.fired and is_live(self.campaign)
        by_clock = not isinstance(self.campaign.trigger, Immediate | Api)
        return bool(self.schedule and waits and by_clock and claims.is_ahead(self.schedule, self.now))

    @property
    def held(self) -> bool:
        """It is paused, in its file or by hand, or a clock was ahead."""
        return not is_live(self.campaign) or bool(self.schedule and self.schedule.paused) or self.ahead

    def words(self, options: str = "") -> str:
        """What happens next. `options` stand behind the commands that are suggested, so that they mean this target."""
        if self.campaign.status is CampaignStatus.paused:
            return f"paused in {self.campaign.file}"
        if self.schedule and self.schedule.paused:
            return f"paused by hand: what comes due is skipped until `connect resume {self.name}{options}`"
        return self._waiting(options) or self._was_ahead(options) or self._fires()

    def _was_ahead(self, options: str) -> str:
        if not self.ahead or self.schedule is None:
            return ""
        until = in_zone(self.schedule.cursor, self.campaign.trigger.timezone)
        resuming = f"`connect resume {self.name}{options}`"
        return f"the clock was ahead once: nothing fires until {until}; {resuming} lets it fire from now on"

    def _waiting(self, options: str) -> str:
        """Why one that fires once does not fire by itself, or has not yet."""
        trigger, schedule = self.campaign.trigger, self.schedule
        by_hand = f"`connect launch {self.name}{options}`"
        if not isinstance(trigger, Immediate | Scheduled):
            return ""
        if schedule is not None and schedule.fired:
            return f"fires once, and not again by itself: {by_hand}"
        past = isinstance(trigger, Immediate) or trigger.at <= self.now
        if schedule is None and past and self.fresh:
            return f"live before any daemon came: it fires only by {by_hand}"
        if schedule is None and past and isinstance(trigger, Scheduled):
            return f"its time had passed before it was live: it fires only by {by_hand}"
        return "fires as soon as a daemon looks" if isinstance(trigger, Immediate) else ""

    def _fires(self) -> str:
        following = self.next
        if isinstance(self.campaign.trigger, Event):
            until = self.schedule.watermark if self.schedule else None
            skipped = "; the next poll is skipped by hand" if self.schedule and self.schedule.skip_next else ""
            return rule(self.campaign) + (f", done up to {utc(until)}" if until else "") + skipped
        due = f"due since {in_zone(self.due, self.campaign.trigger.timezone)}; " if self.due else ""
        if following is None:
            return due + rule(self.campaign)
        if self.schedule and self.schedule.skip_next:
            after = next_entry(self.campaign, following.at)
            return f"{due}{following.local} is skipped by hand" + (f", then {after.local}" if after else "")
        return f"{due}next {following.local}"

    def as_json(self) -> dict[str, object]:
        following, schedule = self.next, self.schedule
        return {
            "name": self.name,
            "status": self.campaign.status.value,
            "trigger": self.campaign.trigger.type,
            "timezone": self.campaign.trigger.timezone,
            "rule": rule(self.campaign),
            "next": following.as_json() if following else None,
            "ahead": self.ahead,
            "due": self.due.isoformat() if self.due else None,
            "paused": bool(schedule and schedule.paused),
            "skip_next": bool(schedule and schedule.skip_next),
            "fired": bool(schedule and schedule.fired),
            "followed_until": schedule.cursor.isoformat() if schedule else None,
            "watermark": schedule.watermark.isoformat() if schedule and schedule.watermark else None,
            "words": self.words(),
        }


@dataclass(frozen=True)
class RunStanding:
    """A run that has not ended."""

    record: RunRecord
    slices: tuple[Slice, ...]
    now: datetime

    @property
    def opens_at(self) -> datetime | None:
        """When its next part opens, if none is open now."""
        left = [slice.opens_at for slice in self.slices if not slice.ended]
        later = [opens for opens in left if opens and opens > self.now]
        return min(later) if later and len(later) == len(left) else None

    def as_json(self) -> dict[str, object]:
        return {
            **run_as_json(self.record),
            "parts": len(self.slices),
            "parts_ended": sum(slice.ended for slice in self.slices),
            "opens_at": self.opens_at.isoformat() if self.opens_at else None,
        }


@dataclass(frozen=True)
class Standing:
    """Everything that `connect status` tells."""

    project: Project
    now: datetime
    daemons: tuple[DaemonStanding, ...]
    campaigns: tuple[CampaignStanding, ...]
    runs: tuple[RunStanding, ...]
    broken: Mapping[str, tuple[Problem, ...]]
    """By file: what is wrong in it."""
    drafts: int
    held: Held
    """Opt-outs that wait for the warehouse."""

    @property
    def alive(self) -> list[DaemonStanding]:
        return alive(self.daemons, self.project.mode)


def alive(daemons: Iterable[DaemonStanding], mode: Mode) -> list[DaemonStanding]:
    """Those that are there, and work in this mode."""
    return [daemon for daemon in daemons if not daemon.late and daemon.record.mode is mode]


def daemons_of(ledger: Ledger) -> tuple[DaemonStanding, ...]:
    """Every daemon that has said something within a day, by the ledger's clock."""
    now = ledger.now()
    return tuple(_daemon(record, now) for record in ledger.daemons())


def standing(project: Project, ledger: Ledger, now: datetime) -> Standing:
    loaded = load_campaigns(project)
    schedules = ledger.schedules(project.mode)
    campaigns = [one.campaign for one in loaded.values() if one.campaign]
    return Standing(
        project=project,
        now=now,
        daemons=daemons_of(ledger),
        campaigns=tuple(
            CampaignStanding(campaign, schedules.get(campaign.name), claims.is_fresh(schedules), now)
            for campaign in campaigns
            if campaign.status is not CampaignStatus.draft
        ),
        runs=tuple(_runs(project, ledger, {*schedules, *(campaign.name for campaign in campaigns)}, now)),
        broken=_broken(loaded),
        drafts=sum(campaign.status is CampaignStatus.draft for campaign in campaigns),
        held=ledger.waiting(),
    )


def _daemon(record: DaemonRecord, now: datetime) -> DaemonStanding:
    owner, silent = Owner.read(record.owner), now - record.beat_at
    return DaemonStanding(record, owner, silent, silent > LATE or owner.is_gone())


def _broken(loaded: Mapping[str, Loaded]) -> dict[str, tuple[Problem, ...]]:
    return {one.file: one.problems for one in loaded.values() if one.campaign is None}


def _runs(project: Project, ledger: Ledger, names: set[str], now: datetime) -> list[RunStanding]:
    """Runs of this mode that have not ended, oldest fire time first."""
    found: dict[str, RunRecord] = {}
    for name in sorted(names):
        unfinished = ledger.unfinished(project.mode, name)
        found |= {run.id: run for run in [*([unfinished] if unfinished else []), *ledger.queued(project.mode, name)]}
    ordered = sorted(found.values(), key=lambda run: (run.fire_time, run.id))
    return [RunStanding(run, tuple(ledger.slices(run.id)), now) for run in ordered]
