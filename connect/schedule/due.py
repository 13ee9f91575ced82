"""When a trigger fires: a pure function of the trigger and two instants."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from connect.project.cron import read
from connect.project.trigger import Api, Event, Immediate, Recurring, Scheduled
from connect.schedule import clocks

Trigger = Immediate | Scheduled | Recurring | Event | Api

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = timedelta(hours=14)
"""The largest offset from UTC that a zone has (Pacific/Kiritimati): every wall-clock time comes there first."""
_MOMENT = timedelta(microseconds=1)
_FAR = timedelta(days=365 * 50)


def fire_times(trigger: Trigger, start: datetime, end: datetime) -> list[datetime]:
    """The instants (aware, UTC, ascending) in (start, end] at which a trigger fires."""
    return list(_fire_times(trigger, start.astimezone(UTC), end.astimezone(UTC)))


def next_fire_times(trigger: Trigger, after: datetime, count: int) -> list[datetime]:
    """The next instants at which a trigger fires; fewer when there are not so many within fifty years."""
    after = after.astimezone(UTC)
    return list(islice(_fire_times(trigger, after, after + _FAR), count))


def latest_due(trigger: Trigger, now: datetime) -> datetime | None:
    """The latest fire time that is due and not older than the trigger's grace."""
    window = min(trigger.grace, timedelta(hours=1))
    while not (times := fire_times(trigger, now - window, now)) and window < trigger.grace:
        window = min(trigger.grace, window * 4)
    return times[-1] if times else None


def passed(trigger: Trigger, now: datetime) -> bool:
    """Whether no clock will make it fire again; False for triggers that wait for something else than a clock."""
    return isinstance(trigger, Scheduled | Recurring) and not next_fire_times(trigger, now, 1)


def begins_at(trigger: Trigger, fire_time: datetime) -> datetime:
    """From when one may work on a fire time: with `local_time`, when its wall time first comes anywhere on earth."""
    if not (isinstance(trigger, Scheduled | Recurring) and trigger.local_time):
        return fire_time
    return min(fire_time, _wall_time(trigger, fire_time).replace(tzinfo=UTC) - _EARLIEST)


def local_instant(trigger: Trigger, fire_time: datetime, zone: str) -> datetime:
    """The instant (UTC) at which a zone's clock shows a fire time's wall time: the first of two, the end of a gap."""
    return clocks.instant(_wall_time(trigger, fire_time), zone)


def _fire_times(trigger: Trigger, start: datetime, end: datetime) -> Iterator[datetime]:
    match trigger:
        case Immediate() | Api():
            return iter(())  # it fires when the campaign becomes live, or when it is called, which no clock knows
        case Event(every=every):
            return _on_grid(every, start, end)
        case Scheduled(at=at):
            return iter([at.astimezone(UTC)] if start < at <= end else [])
        case Recurring():
            return _recurring(trigger, start, end)


def _on_grid(every: timedelta, start: datetime, end: datetime) -> Iterator[datetime]:
    """Whole multiples of `every` since 1970, so that nobody has to remember when polling began."""
    first, last = (start - _EPOCH) // every + 1, (end - _EPOCH) // every
    return (_EPOCH + number * every for number in range(first, last + 1))


def _recurring(trigger: Recurring, start: datetime, end: datetime) -> Iterator[datetime]:
    first = max(start + _MOMENT, trigger.starts_at or start)
    last = min(end, trigger.ends_at or end) + _MOMENT
    cron = read(trigger.cron)
    # With local_time a clock that is put back must not bring a whole world's wall time twice.
    find = clocks.in_real_time if cron.follows_the_clock and not trigger.local_time else clocks.once_each
    before = None
    for time in find(cron, trigger.timezone, first, last) if first < last else ():
        if time != before:  # the end of a gap may be a match itself
            yield time
        before = time


def _wall_time(trigger: Trigger, fire_time: datetime) -> datetime:
    if isinstance(trigger, Recurring):
        return clocks.meant(read(trigger.cron), trigger.timezone, fire_time)
    return fire_time.astimezone(ZoneInfo(trigger.timezone)).replace(tzinfo=None)
