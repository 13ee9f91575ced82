"""What becomes of fire times that are due: which run, which are skipped, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connect.ledger.records import Schedule
from connect.project.trigger import Event, Immediate, Recurring, Scheduled
from connect.project.types import written_duration
from connect.schedule import due
from connect.vocabulary import Missed, Overlap, RunState

ON_TIME = timedelta(minutes=1)
"""Nothing that is less late than this was missed."""
MOST_SKIPPED = 500
"""More fire times than this, skipped at once, are summed up in the row of the oldest that has one."""

_PAUSED = "paused by hand"
_BY_HAND = "skipped by hand"
_LATE = "missed: more than a minute late"
_NOT_LATEST = "missed: a later one has come"
_OVERLAP = "overlap: an earlier run has not ended"


@dataclass(frozen=True, slots=True)
class Fire:
    """A fire time, and whether it gets a run. Fire times are aware, in UTC."""

    fire_time: datetime
    state: RunState
    """`queued` or `skipped`."""
    reason: str = ""
    since: datetime | None = None
    """The window of an event trigger: events after `since` up to `until`."""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be written in one transaction."""

    schedule_after: Schedule
    """With the version that was read: it is compared when it is put."""
    fires: tuple[Fire, ...]
    """Oldest first."""


Decided = tuple[Schedule, tuple[Fire, ...]]
Timed = Immediate | Scheduled | Recurring


def decided(schedule: Schedule, trigger: Timed, times: Sequence[datetime], now: datetime, busy: bool) -> Decided:
    """The schedule after these fire times, ascending, and what becomes of each of them."""
    if not times:
        return schedule, ()
    reasons = _reasons(schedule, trigger, times, now, busy)
    fires = [_fire(time, reason) for time, reason in zip(times, reasons, strict=True)]
    after = replace(schedule, cursor=max(schedule.cursor, times[-1]), skip_next=schedule.skip_next and schedule.paused)
    return after, tuple(_summed_up(fires))


def polled(schedule: Schedule, trigger: Event, now: datetime) -> Decided:
    """The schedule after the polls that are due, and their windows: each begins where the one before it ended."""
    polls = _polls(schedule, trigger, now)
    if not polls:
        return schedule, ()
    since = schedule.watermark or schedule.live_since or schedule.cursor
    fires = tuple(_joined(_windows(polls, trigger.lag, since)))
    skipped = any(reason == _BY_HAND for _, reason in polls)
    after = replace(schedule, cursor=polls[-1][0], skip_next=schedule.skip_next and not skipped)
    return (replace(after, watermark=fires[-1].until) if fires else after), fires


def _fire(time: datetime, reason: str) -> Fire:
    return Fire(time, RunState.skipped if reason else RunState.queued, reason)


def _reasons(schedule: Schedule, trigger: Timed, times: Sequence[datetime], now: datetime, busy: bool) -> list[str]:
    """Why each of these is skipped; blank where it runs."""
    if schedule.paused:
        return [_PAUSED] * len(times)
    reasons = [_missed(trigger, time, now) for time in times]
    if schedule.skip_next:
        reasons[0] = _BY_HAND
    if trigger.missed is Missed.latest:
        come = sum(time <= now for time in times)  # with local_time, the others lie ahead for most people
        reasons[: max(0, come - 1)] = [reason or _NOT_LATEST for reason in reasons[: max(0, come - 1)]]
    if trigger.overlap is Overlap.skip:
        running = [number for number, reason in enumerate(reasons) if not reason]
        for number in running if busy else running[1:]:
            reasons[number] = _OVERLAP
    return reasons


def _missed(trigger: Timed, time: datetime, now: datetime) -> str:
    if now - time > max(trigger.grace, ON_TIME):
        return f"missed: older than {written_duration(trigger.grace)}"
    if trigger.missed is Missed.skip and now - due.begins_at(trigger, time) >= ON_TIME:
        return _LATE
    return ""


def _summed_up(fires: Sequence[Fire]) -> Iterator[Fire]:
    """Without the oldest of very many that are skipped; the oldest that is left says how many those are."""
    skipped = sum(fire.state is RunState.skipped for fire in fires)
    too_many = left_out = max(0, skipped - MOST_SKIPPED)
    for fire in fires:
        if fire.state is RunState.queued:
            yield fire
        elif left_out:
            left_out -= 1
        elif too_many:
            yield replace(fire, reason=f"{fire.reason}, and {too_many:,} before it")
            too_many = 0
        else:
            yield fire


_Poll = tuple[datetime, str]
"""A poll, and why what it would have found is skipped; blank where it runs."""


def _polls(schedule: Schedule, trigger: Event, now: datetime) -> list[_Poll]:
    """The polls that are due, those left out whose window another one's covers."""
    stale = _stale(schedule, trigger, now)
    fresh = due.fire_times(trigger, stale or schedule.cursor, now)
    if schedule.paused:
        return [(poll, _PAUSED) for poll in (fresh or ([stale] if stale else []))[-1:]]
    polls = [(stale, f"missed: events older than {written_duration(trigger.grace)}")] if stale else []
    if schedule.skip_next and fresh:
        polls, fresh = [*polls, (fresh[0], _BY_HAND)], fresh[1:]
    return polls + _fresh(trigger, fresh, now)


def _stale(schedule: Schedule, trigger: Event, now: datetime) -> datetime | None:
    """The latest poll that is too old to run. The grid is regular, so nobody has to walk along a year of it."""
    oldest = now - max(trigger.grace, ON_TIME) - timedelta(microseconds=1)
    polls = (
        due.fire_times(trigger, max(schedule.cursor, oldest - trigger.every), oldest)
        if oldest > schedule.cursor
        else []
    )
    return polls[-1] if polls else None


def _fresh(trigger: Event, polls: Sequence[datetime], now: datetime) -> list[_Poll]:
    match trigger.missed:
        case Missed.all:
            return [(poll, "") for poll in polls]
        case Missed.latest:
            return [(poll, "") for poll in polls[-1:]]
        case Missed.skip:
            late = [poll for poll in polls if now - poll >= ON_TIME]
            return [(poll, _LATE) for poll in late[-1:]] + [(poll, "") for poll in polls[len(late) :][-1:]]


def _windows(polls: Sequence[_Poll], lag: timedelta, since: datetime) -> Iterator[Fire]:
    for poll, reason in polls:
        until = poll - lag
        if until > since:
            yield replace(_fire(poll, reason), since=since, until=until)
            since = until


def _joined(fires: Iterator[Fire]) -> Iterator[Fire]:
    """Neighbours that are skipped for the same reason are one."""
    held: Fire | None = None
    for fire in fires:
        if held and held.reason and held.reason == fire.reason:
            held = replace(fire, since=held.since)
            continue
        if held:
            yield held
        held = fire
    if held:
        yield held
