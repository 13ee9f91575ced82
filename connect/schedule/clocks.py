"""How a zone's clock runs: real time in stretches of one offset, and a cron's wall times as instants.

As Vixie cron does it (man cron(8), "daylight saving"): a fixed time that the clock skips fires once, right after the
gap, and one that repeats fires once; an expression with `*` in its minute or hour follows real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from connect.project.cron import Cron

_MARGIN = timedelta(days=2)
"""No clock was ever put back or forward by more than a day: Apia skipped the 30th of December 2011."""


def in_real_time(cron: Cron, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Every match in [start, end) while real time passes: repeated times count twice, skipped ones never."""
    for stretch in _stretches(zone, start, end):
        for wall in cron.walls(stretch.first, stretch.last):
            yield stretch.instant(wall)


def once_each(cron: Cron, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Every match in [start, end) once: the first of a repeated time, and the end of the gap for a skipped one."""
    shown = None  # every wall time before this was on the clock or was skipped
    for stretch in _stretches(zone, start - _MARGIN, end):
        if shown and start <= stretch.start and any(True for _ in cron.walls(shown, stretch.first)):
            yield stretch.start
        if start < stretch.end:
            first = max(stretch.first, start.replace(tzinfo=None) + stretch.offset)
            for wall in cron.walls(max(first, shown or first), stretch.last):
                yield stretch.instant(wall)
        shown = max(stretch.last, shown or stretch.last)


def instant(wall: datetime, zone: str) -> datetime:
    """When a clock shows a wall time: the first of two instants, the end of the gap for a time that it skips."""
    about = wall.replace(tzinfo=UTC)
    stretches = _stretches(zone, about - _MARGIN, about + _MARGIN)
    stretch = next(stretch for stretch in stretches if wall < stretch.last)
    return max(stretch.start, stretch.instant(wall))


def meant(cron: Cron, zone: str, fire_time: datetime) -> datetime:
    """The wall time for which a fire time stands: its own, or at the end of a gap the first that the clock skipped."""
    local = ZoneInfo(zone)
    wall = fire_time.astimezone(local).replace(tzinfo=None)
    if cron.fits(wall):
        return wall
    before = _offset(local, fire_time - timedelta(microseconds=1))
    return next(cron.walls(fire_time.replace(tzinfo=None) + before, wall), wall)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Real time [start, end) with one offset from UTC."""

    start: datetime
    end: datetime
    offset: timedelta

    @property
    def first(self) -> datetime:
        return self.start.replace(tzinfo=None) + self.offset

    @property
    def last(self) -> datetime:
        return self.end.replace(tzinfo=None) + self.offset

    def instant(self, wall: datetime) -> datetime:
        return wall.replace(tzinfo=UTC) - self.offset


def _stretches(zone: str, start: datetime, end: datetime) -> Iterator[_Stretch]:
    """The stretches that make up [start, end). One offset may go on in the next stretch."""
    for year in range(start.year, end.year + 1):
        for stretch in _year(zone, year):
            if start < stretch.end and stretch.start < end:
                yield _Stretch(max(start, stretch.start), min(end, stretch.end), stretch.offset)


@lru_cache(maxsize=8192)
def _year(zone: str, year: int) -> tuple[_Stretch, ...]:
    """The stretches of a year (UTC), found once: a daemon asks every few seconds."""
    local, start, end = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    edges = (start, *_changes(local, start, end), end)
    return tuple(_Stretch(first, last, _offset(local, first)) for first, last in pairwise(edges))


def _changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants in (start, end) at which the offset changes. Zones never change twice within six hours."""
    step, before = timedelta(hours=6), start
    while before < end:
        after = before + step
        if _offset(zone, before) != _offset(zone, after):
            change = _bisect(zone, before, after)
            if change < end:
                yield change
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
