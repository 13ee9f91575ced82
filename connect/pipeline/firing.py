"""What is wrong with when a campaign fires, and what somebody should know who looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from connect.errors import Location, Problem, Severity
from connect.pipeline import parameters
from connect.pipeline.moment import Moment
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded
from connect.project.trigger import Api, Event, Recurring, Scheduled
from connect.project.types import written_duration
from connect.schedule.due import next_fire_times, passed
from connect.vocabulary import QuietAction, QuietZone

LOOKED_AT = timedelta(hours=1)
"""The window in which an event campaign is looked at before it runs."""


def moment_of_a_look(campaign: Campaign, now: datetime) -> Moment:
    """What the queries of a campaign bind where it is looked at, and not run: of events, those of the last hour; of
    calls, their schema's examples."""
    if isinstance(campaign.trigger, Event):
        return Moment(now, now - LOOKED_AT, now)
    return Moment(now, parameters=parameters.of_a_look(campaign))


def next_fires(campaign: Campaign, now: datetime) -> tuple[datetime, ...]:
    """The next few times by the clock; none of a trigger that polls, or that waits for something else."""
    return () if isinstance(campaign.trigger, Event) else tuple(next_fire_times(campaign.trigger, now, 5))


def event_problems(loaded: Loaded) -> Iterator[Problem]:
    """Why a campaign can not answer to events."""
    campaign = loaded.campaign
    if campaign is None or not isinstance(campaign.trigger, Event):
        return
    if campaign.audience.sql is None:
        said, hint = "an event trigger asks a query for events, and this audience is none", "write `sql` in its place"
        yield Problem("event-people", said, hint, loaded.at("audience.people", "audience"))
    elif {column.casefold() for column in campaign.audience.key} <= _OF_A_PERSON:
        key = ", ".join(campaign.audience.key)
        yield Problem(
            "event-key",
            f"one person can have several events, and the key ({key}) is the person's: all but one would be lost",
            "add the column that tells the events apart, such as `key: [id, order_id]`",
            loaded.at("audience.key", "audience"),
        )


def call_problems(loaded: Loaded) -> Iterator[Problem]:
    """Why a campaign can not be called."""
    campaign = loaded.campaign
    if campaign is None or not isinstance(campaign.trigger, Api):
        return
    from connect.warehouses.query import KNOWN  # with it comes the grammar of SQL, which few need here

    place = loaded.at("trigger.parameters", "trigger")
    wrong = parameters.schema_problem(campaign.trigger.parameters)
    if wrong:
        yield Problem("bad-value", f"`parameters` is no JSON Schema: {wrong}", "json-schema.org explains them", place)
    for name in KNOWN:
        if name in parameters.names(campaign.trigger):
            said = f"`{name}` is what every query may bind already, and no parameter can be called so"
            yield Problem("bad-value", said, "give it another name", place)


_OF_A_PERSON = {"id", "email", "phone_number"}
"""Columns that tell people apart, but not what happened to them."""


def warnings(loaded: Loaded, now: datetime, *, kept_apart: bool = False) -> Iterator[Problem]:
    """What somebody should know who looks at the campaign, and need not be told at every run.

    `kept_apart`: whoever moves from one wave to another is known there (see `connect.pipeline.history.keeps_apart`).
    """
    campaign = loaded.campaign
    if campaign is None:
        return
    trigger = campaign.trigger
    if isinstance(trigger, Scheduled | Recurring) and passed(trigger, now):
        yield _passed(loaded, trigger, now)
    place = _of_waves(loaded, campaign)
    if place is not None and not kept_apart:
        yield Problem(
            "waves-unsettled",
            "everybody is met in the time of their own zone, one zone after the other: somebody whose zone changes "
            "in your data while the run goes on can be met twice, or not at all",
            _FROZEN if campaign.audience.sql is not None else "let zones change between runs",
            place,
            Severity.warning,
        )


_FROZEN = (
    "`audience: {snapshot: true}` keeps zones as they are when the run begins; "
    "a `destination` in the audience's warehouse keeps anybody from being met twice"
)


def _passed(loaded: Loaded, trigger: Scheduled | Recurring, now: datetime) -> Problem:
    key, said, hint = _why_no_more(trigger, now)
    place = loaded.at(f"trigger.{key}", "trigger")
    return Problem("at-passed", said, hint, place, Severity.warning)


def _why_no_more(trigger: Scheduled | Recurring, now: datetime) -> tuple[str, str, str]:
    """(key, what is said of it, hint)."""
    if isinstance(trigger, Scheduled):
        grace, hint = written_duration(trigger.grace), "nothing is to do if it has run; else give it a time to come"
        if now - trigger.at > trigger.grace:
            return "at", f"`at` has passed by more than its grace of {grace}: it fires no more", hint
        return "at", f"`at` has passed: it only fires if it was missed, within its grace of {grace}", hint
    if trigger.ends_at is None:
        return "cron", "`cron` has no time left: it fires no more", "give it one that comes"
    said = "has passed" if trigger.ends_at <= now else "comes before the next time"
    return "ends_at", f"`ends_at` {said}: it fires no more", "give it a time to come, or remove it"


def _of_waves(loaded: Loaded, campaign: Campaign) -> Location | None:
    """Where a campaign says that people are met by their own clocks; None where it does not."""
    trigger = campaign.trigger
    if isinstance(trigger, Scheduled | Recurring) and trigger.local_time:
        return loaded.at("trigger.local_time", "trigger")
    return loaded.at("policy.quiet_hours", "policy") if _defers_by_zone(campaign) else None


def _defers_by_zone(campaign: Campaign) -> bool:
    """Whether somebody may wait for the end of the quiet hours where they are."""
    quiet = campaign.policy.quiet_hours
    if quiet is None or campaign.message.transactional:
        return False
    channels = {content.channel for content in campaign.message.content}
    held = channels if quiet.channels is None else channels & set(quiet.channels)
    return bool(held) and quiet.action is QuietAction.defer and quiet.timezone is QuietZone.user
