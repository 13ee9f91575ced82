"""The next times at which a campaign fires, in words: the same for `validate` and `show`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from connect.project.campaign import Campaign
from connect.project.trigger import Event, Recurring, Scheduled
from connect.schedule.calendar import is_local, rule
from connect.schedule.due import begins_at
from connect.schedule.times import in_zone


def in_words(campaign: Campaign, times: Sequence[datetime]) -> str:
    """When a campaign fires: its next times if a clock knows them, else what it waits for."""
    if isinstance(campaign.trigger, Event):
        return rule(campaign)
    if times and is_local(campaign):
        return f"fires {', '.join(_wall(campaign, at) for at in times)} {_everywhere(campaign, times[0])}"
    if times:
        return f"fires {', '.join(in_zone(at, campaign.trigger.timezone) for at in times)}"
    by_the_clock = isinstance(campaign.trigger, Scheduled | Recurring)
    return "fires no more" if by_the_clock else f"fires {rule(campaign)}"


def each(campaign: Campaign, times: Sequence[datetime]) -> list[str]:
    """Each of these times by itself."""
    if is_local(campaign):
        return [f"{_wall(campaign, at)} {_everywhere(campaign, at)}" for at in times]
    return [in_zone(at, campaign.trigger.timezone) for at in times]


def _wall(campaign: Campaign, at: datetime) -> str:
    """A time as every clock will show it, wherever it is."""
    return at.astimezone(ZoneInfo(campaign.trigger.timezone)).strftime("%a %Y-%m-%d %H:%M")


def _everywhere(campaign: Campaign, at: datetime) -> str:
    first = in_zone(begins_at(campaign.trigger, at), campaign.trigger.timezone)
    return f"in each person's zone, first at {first} (UTC+14)"
