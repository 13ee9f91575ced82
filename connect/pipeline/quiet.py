"""Quiet hours: when a clock on the wall says that nobody is written to.

An instant is quiet when its wall-clock time is in the hours, whatever the clock did before: an hour that daylight
saving skips is never quiet, and one that comes twice is quiet twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from connect.project.policy import QuietHours
from connect.vocabulary import Channel, QuietAction, QuietZone

_LONGEST = timedelta(days=8)
"""What does not open within this does not open."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """The quiet hours that one delivery has to keep."""

    start: time
    end: time
    by_project: bool = False
    """They go by the project's clock instead of the person's."""
    skips: bool = False
    """A delivery in them is skipped instead of deferred."""

    def covers(self, wall: time) -> bool:
        if self.start < self.end:
            return self.start <= wall < self.end
        return wall >= self.start or wall < self.end


# Vero's, "SMS quiet hours": those of the United States, Canada and Mexico are everybody's. In people's own time.
_SMS = Quiet(time(20), time(8))
_SMS_BY_COUNTRY = {"BR": Quiet(time(21), time(8)), "KZ": Quiet(time(22), time(9))}


def quiet_hours(written: QuietHours | None, channel: Channel, country: str, *, sms_default: bool) -> Quiet | None:
    """The hours that hold for a channel and a country; None where there are none.

    What is written holds for its channels (all, where it names none): a country's own hours, else `from` and `to`.
    A text message for which nothing is written keeps the default hours of its country, if `sms_default`.
    """
    if written is not None and (written.channels is None or channel in written.channels):
        hours = written.countries.get(country, written)
        if hours.start is not None and hours.end is not None:
            by_project, skips = written.timezone is QuietZone.project, written.action is QuietAction.skip
            return Quiet(hours.start, hours.end, by_project, skips)
    if channel is Channel.sms and sms_default:
        return _SMS_BY_COUNTRY.get(country, _SMS)
    return None


def special_countries(written: QuietHours | None) -> set[str]:
    """The countries whose hours may differ from everybody's."""
    return {*_SMS_BY_COUNTRY, *(written.countries if written else ())}


@dataclass(frozen=True, slots=True)
class Clock:
    """Quiet hours in one zone."""

    quiet: Quiet
    zone: str

    def is_quiet(self, instant: datetime) -> bool:
        return self.quiet.covers(self._wall(instant))

    def _wall(self, instant: datetime) -> time:
        return instant.astimezone(ZoneInfo(self.zone)).time()

    def next_change(self, instant: datetime) -> datetime:
        """The first instant after this one at which it becomes quiet, or ends to be."""
        quiet, zone = self.is_quiet(instant), ZoneInfo(self.zone)
        boundary = self.quiet.end if quiet else self.quiet.start
        while True:
            change = instant + _until(self._wall(instant), boundary)
            moved = _first_move(zone, instant, change)
            if moved is None:
                return change
            if self.is_quiet(moved) != quiet:
                return moved
            instant = moved


def ends(clocks: Iterable[Clock], instant: datetime) -> datetime | None:
    """The first instant, from this one on, that is quiet by none of the clocks; None where there is none in days."""
    asked, last = list(clocks), instant + _LONGEST
    while instant <= last:
        waits = [clock.next_change(instant) for clock in asked if clock.is_quiet(instant)]
        if not waits:
            return instant
        instant = max(waits)
    return None


def begins(clocks: Iterable[Clock], instant: datetime) -> datetime | None:
    """The first instant, from this one on, that is quiet by any of the clocks; None where there is no clock."""
    found = (instant if clock.is_quiet(instant) else clock.next_change(instant) for clock in clocks)
    return min(found, default=None)


def _until(wall: time, boundary: time) -> timedelta:
    """From a time of day to the next such time, on a clock that nobody moves."""
    way = datetime.combine(date.min, boundary) - datetime.combine(date.min, wall)
    return way if way > timedelta(0) else way + timedelta(days=1)


def _first_move(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """The first instant in (start, end] with another offset than the one before it."""
    for low, high in _steps(start, end):
        if _offset(zone, low) != _offset(zone, high):
            return _bisected(zone, low, high)
    return None


def _steps(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """No zone moves its clocks twice within six hours."""
    while start < end:
        step = min(start + timedelta(hours=6), end)
        yield start, step
        start = step


def _bisected(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Clocks are moved at whole seconds."""
    offset = _offset(zone, high)
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) // 2
        if _offset(zone, middle) == offset:
            high = middle
        else:
            low = middle
    return high


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
