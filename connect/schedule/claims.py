"""What a schedule decides: which fire times get a run, which are skipped, and what is remembered. Pure.

    adopt        a campaign that the ledger has not seen yet
    decide       everything that has come due since the schedule was last looked at
    retire       its file is gone
    launch       a one-off trigger fires by hand

The caller writes the schedule and the runs in one transaction, by compare-and-set; who is slower reads and decides
again. So nothing here needs to know how many daemons there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from connect.errors import UserError
from connect.ledger.records import Schedule
from connect.project.campaign import Campaign, digest
from connect.project.trigger import Event, Immediate, Recurring, Scheduled
from connect.schedule import due
from connect.schedule.fires import Decided, Decision, Fire, decided, polled
from connect.vocabulary import CampaignStatus, Mode, RunState

__all__ = [
    "Decision",
    "Fire",
    "adopt",
    "agrees",
    "content_of",
    "decide",
    "is_ahead",
    "is_fresh",
    "launch",
    "next_begin",
    "predecessor",
    "retire",
    "set_back",
    "settled",
    "spec_of",
]

_SPEC = {"type", "cron", "timezone", "starts_at", "ends_at", "at", "every", "lag", "local_time"}
_AHEAD = timedelta(hours=27)
"""A wall-clock time comes first at UTC+14, at most 26 hours before it comes in the trigger's own zone."""
_SETTLED = "all campaigns"
"""Stands in the ledger, once its first daemon has adopted everything. No campaign has a space in its name."""


def spec_of(campaign: Campaign) -> str:
    """The type of its trigger, and a digest of what decides when it fires."""
    trigger = campaign.trigger.model_dump(mode="json", include=_SPEC)
    decisive = {key: value for key, value in trigger.items() if value not in (None, False)}
    return f"{campaign.trigger.type} {hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]}"


def content_of(campaign: Campaign) -> str:
    """Digest of everything but its name and status: a file that was renamed is known again by it."""
    return digest(campaign.model_copy(update={"name": "", "description": "", "status": CampaignStatus.draft}))


def is_fresh(schedules: Mapping[str, Schedule]) -> bool:
    """Whether no daemon has yet adopted the campaigns that were live before this ledger."""
    return _SETTLED not in schedules


def settled(mode: Mode, now: datetime) -> Schedule:
    """What the ledger is given when everything was adopted: a daemon that dies before that has settled nothing."""
    return Schedule(mode=mode, campaign=_SETTLED, spec="", content="", cursor=now)


def predecessor(campaign: Campaign, mode: Mode, vanished: Mapping[str, Schedule]) -> Schedule | None:
    """The schedule under the name that a campaign had before, of those whose file is gone; None where it is new."""
    content = content_of(campaign)
    same = [old for old in vanished.values() if old.content == content and old.mode is mode]
    return max(same, key=lambda old: (old.live_since is not None, old.cursor), default=None)


def adopt(campaign: Campaign, mode: Mode, now: datetime, *, fresh: bool, vanished: Mapping[str, Schedule]) -> Schedule:
    """The schedule of a campaign that the ledger has none of.

    In a `fresh` ledger, what fires once and has been live before counts as fired: only `connect launch` fires it.
    `vanished` are schedules whose file is gone; one of the same content is this campaign under its old name.
    """
    before = predecessor(campaign, mode, vanished)
    if before is not None:
        return replace(before, campaign=campaign.name, version=0)
    return Schedule(
        mode=mode,
        campaign=campaign.name,
        spec=spec_of(campaign),
        content=content_of(campaign),
        cursor=_begins_anew(campaign, now),
        live_since=now if _is_live(campaign) else None,
        fired=fresh and campaign.status is not CampaignStatus.draft and _is_past(campaign, now),
    )


def agrees(campaign: Campaign, schedule: Schedule) -> bool:
    """Whether a schedule is of this campaign as it stands here: another daemon may have a newer checkout."""
    live = schedule.live_since is not None
    return schedule.spec == spec_of(campaign) and live == _is_live(campaign)


def retire(schedule: Schedule) -> Schedule | None:
    """The schedule of a campaign whose file is gone; None when that is known."""
    return replace(schedule, live_since=None) if schedule.live_since else None


def decide(
    campaign: Campaign, schedule: Schedule, now: datetime, *, ran: str = "", busy: bool = False
) -> Decision | None:
    """What comes of everything that is due; None when nothing changes.

    `ran`: the run by which it has run already, by hand. `busy`: a run of it is queued or has not ended, which matters
    to `overlap: skip`.
    """
    after = _brought_up(campaign, schedule, now)
    moved = after.spec != schedule.spec
    fires: tuple[Fire, ...] = ()
    if after.live_since is not None:
        after, fires = _due(campaign, after, now, ran=ran, busy=busy, moved=moved)
    return Decision(after, fires) if after != schedule or fires else None


def next_begin(campaign: Campaign, schedule: Schedule) -> datetime | None:
    """The instant at which `decide` will have something to decide; None where only a change of the file brings one."""
    trigger = campaign.trigger
    if schedule.live_since is None or not agrees(campaign, schedule):
        return None
    match trigger:
        case Immediate():
            return None if schedule.fired else schedule.live_since
        case Scheduled():
            return None if schedule.fired else due.begins_at(trigger, trigger.at)
        case Event():
            return due.fire_times(trigger, schedule.cursor, schedule.cursor + trigger.every)[0]
        case _:
            times = due.next_fire_times(trigger, schedule.cursor, 1)
            return due.begins_at(trigger, times[0]) if times else None


def is_ahead(schedule: Schedule, now: datetime) -> bool:
    """Whether it was followed by a clock that was far ahead: nothing fires until now is there, too."""
    return schedule.cursor > now + _AHEAD


def set_back(campaign: Campaign, schedule: Schedule, now: datetime) -> Schedule:
    """One that is ahead, as it fires from now on. A fire time that has its run keeps it, and gets no other."""
    live_since = min(schedule.live_since, now) if schedule.live_since else None
    watermark = min(schedule.watermark, now) if schedule.watermark else None
    return replace(schedule, cursor=_begins_anew(campaign, now), live_since=live_since, watermark=watermark)


def launch(
    schedule: Schedule, campaign: Campaign, now: datetime, *, ran: bool = False, again: bool = False
) -> Decision:
    """What `connect launch` does: a campaign that fires once fires now, by hand.

    Raises UserError `not-one-off`, `campaign-not-live`, or `already-ran` where it has run live and `again` is not said.
    """
    if not isinstance(campaign.trigger, Immediate | Scheduled):
        said = f"{campaign.name} does not fire only once: its trigger is {campaign.trigger.type}"
        raise UserError.of("not-one-off", said, f"`connect run {campaign.name}` runs it now")
    if schedule.mode is Mode.live and not _is_live(campaign):
        what = "a draft" if campaign.status is CampaignStatus.draft else "paused"
        said = f"{campaign.name} is {what}, and this target sends for real"
        raise UserError.of("campaign-not-live", said, "set `status: live` in the campaign when it has been reviewed")
    if ran and not again:
        said = f"{campaign.name} has already run {schedule.mode}"
        raise UserError.of("already-ran", said, "`--again` runs it once more, to everyone in its audience")
    after = replace(schedule, fired=True, cursor=max(schedule.cursor, now))
    return Decision(after, (Fire(now, RunState.queued),))


def _brought_up(campaign: Campaign, schedule: Schedule, now: datetime) -> Schedule:
    """The schedule of the campaign as its file has it now. What passed meanwhile does not fire."""
    after = replace(schedule, content=content_of(campaign))
    spec, before = spec_of(campaign), schedule.spec.partition(" ")[0]
    if schedule.spec != spec:
        # A trigger that was edited into `immediate` while it was live has not become live by that.
        by_editing = isinstance(campaign.trigger, Immediate) and schedule.live_since is not None
        cursor = max(schedule.cursor, _begins_anew(campaign, now))
        after = replace(after, spec=spec, fired=schedule.fired or by_editing, cursor=cursor)
        if isinstance(campaign.trigger, Event) and before != "event":  # polling at another pace loses no event
            after = replace(after, watermark=max(schedule.watermark or now, now))
    if not _is_live(campaign):
        return replace(after, live_since=None)
    return after if after.live_since else _live_again(campaign, after, now)


def _live_again(campaign: Campaign, schedule: Schedule, now: datetime) -> Schedule:
    """Nothing of the past counts. Cursor and watermark never go back."""
    watermark = max(schedule.watermark, now) if schedule.watermark else None
    cursor = max(schedule.cursor, _begins_anew(campaign, now))
    return replace(schedule, live_since=now, cursor=cursor, watermark=watermark)


def _begins_anew(campaign: Campaign, now: datetime) -> datetime:
    """The cursor of one that is followed by its trigger, as it is, from now on.

    With `local_time`, what has begun anywhere on earth counts as passed: of those in whose zone the time has come, and
    is over, nobody is to be written to late, or a second time.
    """
    trigger = campaign.trigger
    if not _is_live(campaign) or not isinstance(trigger, Scheduled | Recurring):
        return now
    begun = _begun(trigger, now, now)
    return begun[-1] if begun else now


def _due(campaign: Campaign, schedule: Schedule, now: datetime, *, ran: str, busy: bool, moved: bool) -> Decided:
    match campaign.trigger:
        case Immediate() as trigger if not schedule.fired and schedule.live_since:
            if ran:
                return replace(schedule, fired=True), ()
            return _once(trigger, schedule, now, schedule.live_since, busy)
        case Scheduled() as trigger if not schedule.fired and due.begins_at(trigger, trigger.at) <= now:
            if trigger.at > schedule.cursor and not ran:
                return _once(trigger, schedule, now, trigger.at, busy)
            why = f"it has run by hand: run {ran}" if ran else _too_late(campaign, now, moved)
            return replace(schedule, fired=True), (Fire(trigger.at, RunState.skipped, why),)
        case Recurring() as trigger:
            return decided(schedule, trigger, _begun(trigger, schedule.cursor, now), now, busy)
        case Event() as trigger:
            return polled(schedule, trigger, now)
        case _:
            return schedule, ()


def _too_late(campaign: Campaign, now: datetime, moved: bool) -> str:
    """Why a campaign does not fire at the time that it is scheduled for."""
    assert isinstance(campaign.trigger, Scheduled)
    if campaign.trigger.at <= now:
        return "`at` was moved to a time that has passed" if moved else "`at` had passed when it became live"
    when = "was moved" if moved else "became live"
    by_hand = f"`connect launch {campaign.name}` sends it"
    return f"its time had come in some zones when it {when}: {by_hand}"


def _once(trigger: Immediate | Scheduled, schedule: Schedule, now: datetime, at: datetime, busy: bool) -> Decided:
    after, fires = decided(schedule, trigger, [at], now, busy)
    return replace(after, fired=True), fires


def _begun(trigger: Scheduled | Recurring, cursor: datetime, now: datetime) -> list[datetime]:
    """The fire times behind the cursor that one may begin to work on."""
    if not trigger.local_time:
        return due.fire_times(trigger, cursor, now)
    coming = due.fire_times(trigger, cursor, now + _AHEAD)
    # Where a clock is set back, wall times do not ascend: who comes after one that has begun has its turn as well.
    begun = [number for number, time in enumerate(coming, 1) if due.begins_at(trigger, time) <= now]
    return coming[: begun[-1]] if begun else []


def _is_live(campaign: Campaign) -> bool:
    return campaign.status is CampaignStatus.live


def _is_past(campaign: Campaign, now: datetime) -> bool:
    """Whether a trigger that fires once would have fired already, had somebody looked."""
    match campaign.trigger:
        case Immediate():
            return True
        case Scheduled(at=at) as trigger:
            return due.begins_at(trigger, at) <= now
        case _:
            return False
