"""What fires when, of the campaigns of a project, in the words of each one's zone. Asks no ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connect.project.campaign import Campaign
from connect.project.trigger import Api, Event, Immediate, Recurring, Scheduled
from connect.project.types import written_duration
from connect.schedule.due import fire_times, next_fire_times
from connect.schedule.times import in_zone
from connect.vocabulary import CampaignStatus


@dataclass(frozen=True)
class Entry:
    """One time at which a campaign fires."""

    campaign: Campaign
    at: datetime

    @property
    def local(self) -> str:
        return in_zone(self.at, self.campaign.trigger.timezone)

    @property
    def begins_at(self) -> datetime:
        """When the first people are written to: with `local_time`, where this wall-clock time comes first."""
        from connect.schedule.due import begins_at

        return begins_at(self.campaign.trigger, self.at)

    def as_json(self) -> dict[str, object]:
        return {
            "campaign": self.campaign.name,
            "status": self.campaign.status.value,
            "at": self.at.isoformat(),
            "local": self.local,
            "timezone": self.campaign.trigger.timezone,
            "local_time": is_local(self.campaign),
            "begins_at": self.begins_at.isoformat(),
        }


def is_local(campaign: Campaign) -> bool:
    """Whether everybody is written to at the wall-clock time of their own zone."""
    return isinstance(campaign.trigger, Scheduled | Recurring) and campaign.trigger.local_time


def is_live(campaign: Campaign) -> bool:
    return campaign.status is CampaignStatus.live


def entries_between(campaigns: Iterable[Campaign], start: datetime, end: datetime) -> list[Entry]:
    """Every time from start to end, both included, in their order. Polls of event triggers are not among them."""
    before = start - timedelta(microseconds=1)
    found = [
        Entry(campaign, at)
        for campaign in campaigns
        if not isinstance(campaign.trigger, Event)
        for at in fire_times(campaign.trigger, before, end)
    ]
    return sorted(found, key=lambda entry: (entry.at, entry.campaign.name))


def next_entry(campaign: Campaign, after: datetime) -> Entry | None:
    """The next time by the clock; None where there is none, or no clock knows it."""
    times = next_fire_times(campaign.trigger, after, 1)
    return Entry(campaign, times[0]) if times else None


def rule(campaign: Campaign) -> str:
    """When it fires, in a few words."""
    match campaign.trigger:
        case Immediate():
            return "once, when it becomes live"
        case Api():
            return "when it is called"
        case Event(every=every):
            return f"polls every {written_duration(every)}"
        case Scheduled(at=at):
            return f"once, at {in_zone(at, campaign.trigger.timezone)}"
        case Recurring(cron=cron, timezone=timezone):
            return f"{cron}  ({timezone})"
