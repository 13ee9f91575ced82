"""When a trigger fires: a pure function of the trigger and two instants.

Cron expressions are read on naive wall time (croniter knows the calendar) and wall time is mapped to instants here,
as Vixie cron does it (man cron(8), "daylight saving"): a fixed time that the clock skips fires once, right after the
gap, and one that repeats fires once; an expression with `*` in its minute or hour follows real time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from connect.project.trigger import Api, Event, Immediate, Recurring, Scheduled

Trigger = Immediate | Scheduled | Recurring | Event | Api


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = timedelta(hours=14)
"""The largest offset from UTC that a zone has (Pacific/Kiritimati): every wall-clock time comes there first."""


def fire_times(trigger: Trigger, start: datetime, end: datetime) -> list[datetime]:
    """The instants (aware, UTC, ascending) in (start, end] at which a trigger fires."""
    match trigger:
        case Immediate() | Api():
            return []  # it fires when the campaign becomes live, or when it is called, which no clock knows
        case Event(every=every):
            return _on_grid(every, start, end)
        case Scheduled(at=at):
            return [at.astimezone(UTC)] if start < at <= end else []
        case Recurring():
            return _recurring(trigger, start.astimezone(UTC), end.astimezone(UTC))


def next_fire_times(trigger: Trigger, after: datetime, count: int) -> list[datetime]:
    """The next instants at which a trigger fires; fewer when there are not so many within fifty years."""
    found: list[datetime] = []
    start, window = after, timedelta(days=35)
    while len(found) < count and start - after < timedelta(days=365 * 50):
        found += fire_times(trigger, start, start + window)
        start, window = start + window, window * 2
    return found[:count]


def latest_due(trigger: Trigger, now: datetime) -> datetime | None:
    """The latest fire time that is due and not older than the trigger's grace."""
    times = fire_times(trigger, now - trigger.grace, now)
    return times[-1] if times else None


def passed(trigger: Trigger, now: datetime) -> bool:
    """Whether no clock will make it fire again; False for triggers that wait for something else than a clock."""
    match trigger:
        case Scheduled(at=at):
            return at <= now
        case Recurring():
            return not next_fire_times(trigger, now, 1)
        case _:
            return False


def begins_at(trigger: Trigger, fire_time: datetime) -> datetime:
    """From when one may work on a fire time: with `local_time`, when its wall time first comes anywhere on earth."""
    if not _is_local(trigger):
        return fire_time
    return min(fire_time, _wall_time(trigger, fire_time).replace(tzinfo=UTC) - _EARLIEST)


def local_instant(trigger: Trigger, fire_time: datetime, zone: str) -> datetime:
    """The instant (UTC) at which a zone's clock shows a fire time's wall time: the first of two, the end of a gap."""
    return _instant(_wall_time(trigger, fire_time), ZoneInfo(zone))


def _is_local(trigger: Trigger) -> bool:
    return isinstance(trigger, Scheduled | Recurring) and trigger.local_time


def _wall_time(trigger: Trigger, fire_time: datetime) -> datetime:
    return fire_time.astimezone(ZoneInfo(trigger.timezone)).replace(tzinfo=None)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # The offset before the gap put the time just behind it; the one after it, just before.
    return _bisect(zone, wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant)


def _on_grid(every: timedelta, start: datetime, end: datetime) -> list[datetime]:
    """Whole multiples of `every` since 1970, so that nobody has to remember when polling began."""
    first, last = (start - _EPOCH) // every + 1, (end - _EPOCH) // every
    return [_EPOCH + number * every for number in range(first, last + 1)]


def _recurring(trigger: Recurring, start: datetime, end: datetime) -> list[datetime]:
    if trigger.starts_at:
        start = max(start, trigger.starts_at.astimezone(UTC) - timedelta(microseconds=1))
    if trigger.ends_at:
        end = min(end, trigger.ends_at.astimezone(UTC))
    if start >= end:
        return []
    segments = _segments(ZoneInfo(trigger.timezone), start - timedelta(days=1), end + timedelta(days=1))
    follows_the_clock = any(field.startswith("*") for field in trigger.cron.split()[:2])
    times = _by_real_time(trigger.cron, segments) if follows_the_clock else _by_wall_time(trigger, segments)
    return sorted({time for time in times if start < time <= end})


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of real time with one offset from UTC: [start, end)."""

    start: datetime
    end: datetime
    offset: timedelta


def _segments(zone: ZoneInfo, start: datetime, end: datetime) -> list[_Segment]:
    """The stretches of constant offset between two instants."""
    segments, opened = [], start
    for transition in _transitions(zone, start, end):
        segments.append(_Segment(opened, transition, _offset(zone, opened)))
        opened = transition
    return [*segments, _Segment(opened, end, _offset(zone, opened))]


def _transitions(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants at which the offset changes. Zones never change twice within six hours."""
    step, before = timedelta(hours=6), start
    while before < end:
        after = min(before + step, end)
        if _offset(zone, before) != _offset(zone, after):
            yield _bisect(zone, before, after)
        before = after


def _bisect(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first whole second in (low, high] that has high's offset."""
    offset = _offset(zone, high)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if _offset(zone, middle) == offset:
            high = middle
        else:
            low = middle
    return high.replace(microsecond=0)


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _by_real_time(cron: str, segments: list[_Segment]) -> Iterator[datetime]:
    """Every match on the wall clock while real time passes: repeated hours count twice, skipped ones never."""
    for segment in segments:
        for wall in _matches(cron, _wall(segment.start, segment), _wall(segment.end, segment)):
            yield wall.replace(tzinfo=UTC) - segment.offset


def _by_wall_time(trigger: Recurring, segments: list[_Segment]) -> Iterator[datetime]:
    """Every match once: the first of a repeated time, and the end of the gap for a skipped one."""
    zone, starts = ZoneInfo(trigger.timezone), [segment.start for segment in segments]
    first, last = segments[0], segments[-1]
    for wall in _matches(trigger.cron, _wall(first.start, first), _wall(last.end, last)):
        instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) != wall:  # the clock skips this time
            instant = starts[bisect_right(starts, instant) - 1]
        yield instant


def _wall(instant: datetime, segment: _Segment) -> datetime:
    return (instant + segment.offset).replace(tzinfo=None)


_RANGE_OF_ONE = re.compile(r"(?<![\w-])(\w+)-\1(?:/\d+)?(?![\w-])")
"""`9-9` is 9; croniter 7 reads it as the whole range."""


def _matches(cron: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Naive wall times in [start, end) that an expression names."""
    from croniter import CroniterBadDateError, croniter

    # implement_cron_bug: a day field that begins with `*` counts as unrestricted, as Vixie cron has it.
    expression = _RANGE_OF_ONE.sub(r"\1", cron)
    walls = croniter(expression, start - timedelta(seconds=1), ret_type=datetime, implement_cron_bug=True)
    while True:
        try:
            wall = walls.get_next()
        except CroniterBadDateError:
            return
        if wall >= end:
            return
        yield wall
