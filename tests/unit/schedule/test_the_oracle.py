"""Fire times against an oracle: a scan of every minute that reads the clock on the wall, and knows no other way.

It shares nothing with the product: it has a parser of its own and finds out about daylight saving by looking. For a
window of time it writes down every minute, and every wall time that the clock jumps over, as one bit in a row of
bits for each minute, hour, day, month and weekday; an expression is then a few ANDs and ORs of such rows.

Usually every expression meets two windows, so that all transitions have their turn. CONNECT_ORACLE=all lets every
expression meet every transition of every zone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

import pytest

from connect.project.trigger import Recurring
from connect.schedule.due import fire_times, next_fire_times

ZONES = (
    "Australia/Sydney",
    "Australia/Lord_Howe",  # half an hour
    "America/New_York",
    "Europe/London",
    "Africa/Cairo",  # at midnight
    "Asia/Tehran",  # at midnight, until 2022
    "America/Santiago",  # at midnight, on a Saturday
    "Africa/Casablanca",  # four times a year
    "Asia/Beirut",
    "America/Havana",
    "UTC",
)
YEARS = range(2019, 2029)
EXPRESSIONS = 5000
EVERYTHING = os.environ.get("CONNECT_ORACLE") == "all"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEK = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


# An expression, as its author meant it


def numbers(field: str, bounds: tuple[int, int], names: dict[str, int]) -> set[int]:
    """`*`, values, ranges, steps and lists; a range whose end is before its start goes on from the other side."""
    low, high = bounds
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = (names.get(word, word) for word in span.partition("-"))
        if first == "*":
            first, last = low, high
        elif not dash:
            last = high if step else first
        size, start, end = high - low + 1, int(first), int(last)
        end += size if end < start else 0
        found |= {(number - low) % size + low for number in range(start, end + 1, int(step or 1))}
    return found


@dataclass(frozen=True)
class Window:
    """Every minute of (start, end] on a zone's clock, and what it jumps over; one bit each."""

    instants: list[datetime]
    shown: int
    """Bits of the minutes that the clock shows."""
    again: int
    """Bits of those that it has shown already."""
    rows: dict[str, dict[int, int]]

    def row(self, unit: str, values: set[int]) -> int:
        bits = 0
        for value in values:
            bits |= self.rows[unit].get(value, 0)
        return bits

    def fires(self, cron: str) -> list[datetime]:
        minute, hour, day, month, weekday = cron.split()
        month_names = {name: number for number, name in enumerate(MONTHS, 1)}
        times = self.row("minute", numbers(minute, BOUNDS[0], {})) & self.row("hour", numbers(hour, BOUNDS[1], {}))
        of_month, of_week = self._days(day), self._weekdays(weekday)
        starred = day.startswith("*") or weekday.startswith("*")
        days = of_month & of_week if starred else of_month | of_week
        fits = times & days & self.row("month", numbers(month, BOUNDS[3], month_names))
        fits &= self.shown if minute.startswith("*") or hour.startswith("*") else ~self.again
        return sorted({self.instants[bit] for bit in set_bits(fits)})

    def _days(self, field: str) -> int:
        last = self.row("last", {1}) if "l" in field.lower().split(",") else 0
        others = ",".join(part for part in field.split(",") if part.lower() != "l")
        return last | (self.row("day", numbers(others, BOUNDS[2], {})) if others else 0)

    def _weekdays(self, field: str) -> int:
        names = {name: number for number, name in enumerate(WEEK)}
        bits = 0
        for part in field.lower().split(","):
            day, hash_, nth = part.partition("#")
            if part.startswith("l"):
                bits |= self.row("weekday", {int(part[1:]) % 7}) & self.row("week from the end", {1})
            elif hash_:
                bits |= self.row("weekday", {int(names.get(day, day)) % 7}) & self.row("week", {int(nth)})
            else:
                bits |= self.row("weekday", numbers(part, BOUNDS[4], names))
        return bits


def set_bits(bits: int) -> Iterator[int]:
    for at, byte in enumerate(bits.to_bytes((bits.bit_length() + 7) // 8, "little")):
        for bit in range(8) if byte else ():
            if byte >> bit & 1:
                yield at * 8 + bit


@cache
def of_day(day: date) -> tuple[tuple[str, int], ...]:
    return (
        ("day", day.day),
        ("month", day.month),
        ("weekday", day.isoweekday() % 7),
        ("last", int((day + DAY).month != day.month)),
        ("week", (day.day - 1) // 7 + 1),
        ("week from the end", 1 if (day + 7 * DAY).month != day.month else 2),
    )


def scan(zone: str, start: datetime, end: datetime) -> Window:
    """Both are whole minutes; what the clock showed in the three hours before is remembered."""
    local, ticks, seen = ZoneInfo(zone), [], set()
    now = start - 3 * HOUR
    before = now.astimezone(local).replace(tzinfo=None)
    while now < end:
        now += MINUTE
        wall = now.astimezone(local).replace(tzinfo=None)
        jumped = [before + MINUTE * number for number in range(1, (wall - before) // MINUTE)]
        if now > start:
            ticks += [(now, missing, False, False) for missing in jumped]
            ticks.append((now, wall, True, wall in seen))
        seen.add(wall)
        before = wall
    return window_of(ticks)


def window_of(ticks: list[tuple[datetime, datetime, bool, bool]]) -> Window:
    size = len(ticks) // 8 + 1
    rows: dict[str, dict[int, bytearray]] = {}
    shown, again = bytearray(size), bytearray(size)
    for at, (_, wall, is_shown, is_again) in enumerate(ticks):
        byte, bit = at // 8, 1 << at % 8
        shown[byte] |= bit * is_shown
        again[byte] |= bit * is_again
        for unit, value in (("minute", wall.minute), ("hour", wall.hour), *of_day(wall.date())):
            rows.setdefault(unit, {}).setdefault(value, bytearray(size))[byte] |= bit
    whole = {unit: {value: as_bits(row) for value, row in found.items()} for unit, found in rows.items()}
    return Window([tick[0] for tick in ticks], as_bits(shown), as_bits(again), whole)


def as_bits(row: bytearray) -> int:
    return int.from_bytes(row, "little")


# Random expressions, mostly about the hours in which clocks are changed


def a_number(random: Random, at: int) -> int:
    likely = ([0, 15, 30, 45, 59], [0, 1, 2, 3, 23], [1, 28, 29, 31], [3, 4, 9, 10], [0, 6])[at]
    return random.choice(likely) if random.random() < 0.5 else random.randint(*BOUNDS[at])


def a_word(random: Random, at: int) -> str:
    """A number, or its name."""
    number = a_number(random, at)
    if random.random() < 0.5 and at == 3:
        return random.choice([str.lower, str.upper, str.title])(MONTHS[number - 1])
    if random.random() < 0.5 and at == 4:
        return random.choice([str.lower, str.upper, str.title])(WEEK[number])
    return "7" if at == 4 and number == 0 and random.random() < 0.5 else str(number)


def a_part(random: Random, at: int) -> str:
    kind = random.random()
    if kind < 0.5:
        return a_word(random, at)
    step = f"/{random.randint(1, 9)}" if random.random() < 0.4 else ""
    if kind < 0.6 and at != 4:
        return f"{a_number(random, at)}{step}"
    return f"{a_range(random, at)}{step}"


def a_range(random: Random, at: int) -> str:
    low, high = BOUNDS[at]
    first, last = sorted(random.choices(range(low, high + 1), k=2))
    if at == 4 and random.random() < 0.2:
        last = 7
    if random.random() < 0.1 and at != 2:
        first, last = last, first
    if (first, last) == (7, 0):
        first = 6
    names = MONTHS if at == 3 else WEEK if at == 4 and max(first, last) < 7 else None
    if names and random.random() < 0.4:
        return f"{names[first - low]}-{names[last - low]}"
    return f"{first}-{last}"


def a_field(random: Random, at: int, stars: float) -> str:
    kind = random.random()
    if kind < stars:
        return "*"
    if kind < stars + 0.1:
        return f"*/{random.randint(1, 12)}"
    if at == 2 and kind > 0.93:
        return random.choice(["L", "l", "15,L", "L,1-3"])
    if at == 4 and kind > 0.85:
        nths = [f"{a_word(random, 4)}#{random.randint(1, 5)}" for _ in range(random.randint(1, 2))]
        return random.choice([",".join(nths), f"L{random.randint(0, 7)}"])
    return ",".join(a_part(random, at) for _ in range(random.choice([1, 1, 1, 2, 3])))


def an_expression(random: Random) -> str:
    return " ".join(a_field(random, at, stars) for at, stars in enumerate((0.15, 0.2, 0.6, 0.8, 0.6)))


def expressions(seed: str, count: int) -> list[str]:
    random = Random(seed)
    return [an_expression(random) for _ in range(count)]


# Windows around every change of every clock


def changes(zone: str) -> list[datetime]:
    """The first whole hours after a change; for a zone without any, the ends of February."""
    local, found = ZoneInfo(zone), []
    first, last = datetime(YEARS[0], 1, 1, tzinfo=UTC), datetime(YEARS[-1] + 1, 1, 1, tzinfo=UTC)
    for day in (first + DAY * number for number in range((last - first).days)):
        if day.astimezone(local).utcoffset() != (day + DAY).astimezone(local).utcoffset():
            hours = [day + HOUR * number for number in range(1, 25)]
            offset = day.astimezone(local).utcoffset()
            found.append(next(hour for hour in hours if hour.astimezone(local).utcoffset() != offset))
    return found or [datetime(year, 3, 1, tzinfo=UTC) for year in YEARS]


@dataclass(frozen=True)
class Around:
    zone: str
    change: datetime

    @property
    def start(self) -> datetime:
        return self.change - 20 * HOUR - 7 * MINUTE

    @property
    def end(self) -> datetime:
        return self.change + 20 * HOUR

    @cache  # noqa: B019 - one for each change, wanted until the tests end
    def window(self) -> Window:
        return scan(self.zone, self.start, self.end)

    def both(self, cron: str, start: datetime) -> tuple[list[datetime], list[datetime]]:
        """What we say of (start, end], and what the scan says."""
        trigger = Recurring(type="recurring", cron=cron, timezone=self.zone)
        return fire_times(trigger, start, self.end), [time for time in self.window().fires(cron) if time > start]


def everywhere() -> list[Around]:
    return [Around(zone, change) for zone in ZONES for change in changes(zone)]


def test_five_thousand_expressions_around_the_changes_of_every_zone():
    places, random = everywhere(), Random("rotation")
    assert {place.zone for place in places} == set(ZONES)
    random.shuffle(places)
    wrong, fired = [], 0
    for number, cron in enumerate(expressions("five thousand", EXPRESSIONS)):
        turn = [places[(2 * number + more) % len(places)] for more in (0, 1)]
        for place in places if EVERYTHING else turn:
            about = place.change + random.randint(-90, 90) * MINUTE
            ours, scanned = place.both(cron, random.choice([place.start, about]))
            fired += bool(scanned)
            if ours != scanned:
                wrong.append((cron, place.zone, [str(time) for time in sorted({*ours} ^ {*scanned})[:3]]))
    assert not wrong, f"{len(wrong)} differ, such as {wrong[:5]}"
    assert fired > EXPRESSIONS // 2


def test_nine_years_of_days():
    """Leap years, last days, nth weekdays: about days, so at one time of each."""
    start, random = datetime(2023, 6, 1, tzinfo=UTC), Random("days")
    times = [start + DAY * number + 1439 * MINUTE for number in range(9 * 365)]
    window = window_of([(time, time.replace(tzinfo=None), True, False) for time in times])
    for _ in range(400):
        cron = " ".join(["59 23", *(a_field(random, at, stars) for at, stars in ((2, 0.3), (3, 0.6), (4, 0.3)))])
        ours = fire_times(Recurring(type="recurring", cron=cron), start, times[-1])
        assert ours == window.fires(cron), cron


@pytest.mark.parametrize("zone", ZONES)
def test_one_after_the_other_is_the_same_as_all_at_once(zone):
    random = Random(f"steps in {zone}")
    change = random.choice(changes(zone))
    for cron in expressions(f"steps in {zone}", 20):
        trigger = Recurring(type="recurring", cron=cron, timezone=zone)
        whole = fire_times(trigger, change - 31 * HOUR, change + 31 * HOUR)
        at, found = change - 31 * HOUR, []
        while at < change + 31 * HOUR:
            later = at + timedelta(seconds=random.randint(1, 5 * 3600))
            found += fire_times(trigger, at, min(later, change + 31 * HOUR))
            at = later
        assert found == whole, cron
        assert next_fire_times(trigger, change - 31 * HOUR, len(whole)) == whole, cron
