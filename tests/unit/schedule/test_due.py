"""When triggers fire: over daylight saving as Vixie cron has it, held against a scan of every minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from connect.project.trigger import Immediate, Recurring, Scheduled
from connect.schedule.due import fire_times, latest_due, next_fire_times

SYDNEY, NEW_YORK, LONDON, LORD_HOWE = "Australia/Sydney", "America/New_York", "Europe/London", "Australia/Lord_Howe"
CHANGES = {  # zone: the days of 2026 on which its clock changes
    SYDNEY: (date(2026, 10, 4), date(2026, 4, 5)),
    NEW_YORK: (date(2026, 3, 8), date(2026, 11, 1)),
    LONDON: (date(2026, 3, 29), date(2026, 10, 25)),
    LORD_HOWE: (date(2026, 10, 4), date(2026, 4, 5)),
}


def every(cron: str, zone: str = "UTC", **fields: object) -> Recurring:
    return Recurring(type="recurring", cron=cron, timezone=zone, **fields)


def on(day: date, trigger: Recurring) -> list[str]:
    """Wall times of a day at which it fires, in order; * marks the second pass of a repeated time."""
    zone = ZoneInfo(trigger.timezone)
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    after = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
    second = timedelta(seconds=1)
    walls = [time.astimezone(zone) for time in fire_times(trigger, start - second, after - second)]
    return [wall.strftime("%H:%M") + "*" * wall.fold for wall in walls]


@pytest.mark.parametrize(
    ("zone", "day", "cron", "fires"),
    [
        (SYDNEY, date(2026, 10, 4), "30 2 * * *", ["03:00"]),
        (SYDNEY, date(2026, 4, 5), "30 2 * * *", ["02:30"]),
        (NEW_YORK, date(2026, 3, 8), "30 2 * * *", ["03:00"]),
        (NEW_YORK, date(2026, 11, 1), "30 2 * * *", ["02:30"]),
        (NEW_YORK, date(2026, 11, 1), "30 1 * * *", ["01:30"]),
        (LONDON, date(2026, 3, 29), "30 2 * * *", ["02:30"]),
        (LONDON, date(2026, 3, 29), "30 1 * * *", ["02:00"]),
        (LONDON, date(2026, 10, 25), "30 1 * * *", ["01:30"]),
        (LORD_HOWE, date(2026, 10, 4), "15 2 * * *", ["02:30"]),
        (LORD_HOWE, date(2026, 4, 5), "45 1 * * *", ["01:45"]),
        (SYDNEY, date(2026, 10, 4), "0,30 2 * * *", ["03:00"]),  # several skipped times are one
        (SYDNEY, date(2026, 10, 4), "30 2,3 * * *", ["03:00", "03:30"]),
        (
            SYDNEY,
            date(2026, 4, 5),
            "*/30 1-3 * * *",
            ["01:00", "01:30", "02:00", "02:30", "02:00*", "02:30*", "03:00", "03:30"],
        ),
        (LORD_HOWE, date(2026, 4, 5), "*/15 1 * * *", ["01:00", "01:15", "01:30", "01:45", "01:30*", "01:45*"]),
        (LORD_HOWE, date(2026, 10, 4), "*/15 2 * * *", ["02:30", "02:45"]),
    ],
)
def test_on_the_day_of_a_change(zone, day, cron, fires):
    assert on(day, every(cron, zone)) == fires


@pytest.mark.parametrize(
    ("zone", "spring", "autumn"), [(SYDNEY, 23, 25), (NEW_YORK, 23, 25), (LONDON, 23, 25), (LORD_HOWE, 23, 24)]
)
def test_every_hour_follows_real_time(zone, spring, autumn):
    days = CHANGES[zone]
    assert [len(on(day, every("0 * * * *", zone))) for day in days] == [spring, autumn]


@pytest.mark.parametrize("zone", CHANGES)
def test_monday_is_monday_also_where_it_is_still_sunday_in_utc(zone):
    times = next_fire_times(every("0 9 * * 1", zone), datetime(2026, 1, 1, tzinfo=UTC), 60)
    assert {time.astimezone(ZoneInfo(zone)).strftime("%a %H:%M") for time in times} == {"Mon 09:00"}
    assert len(times) == 60


def test_sunday_is_0_and_7():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert next_fire_times(every("0 9 * * 0"), start, 5) == next_fire_times(every("0 9 * * 7"), start, 5)


def test_a_range_of_one_is_one():
    start = datetime(2026, 6, 1, tzinfo=UTC)
    assert next_fire_times(every("0 9-9 * * *"), start, 3) == next_fire_times(every("0 9 * * *"), start, 3)


def test_the_31st_skips_short_months():
    found = next_fire_times(every("0 0 31 * *"), datetime(2026, 1, 31, 1, tzinfo=UTC), 3)
    assert [time.month for time in found] == [3, 5, 7]


def test_days_of_month_and_week_are_either_unless_one_begins_with_a_star():
    start = datetime(2026, 11, 1, tzinfo=UTC)
    either = next_fire_times(every("0 9 13 * 5"), start, 4)
    assert [time.day for time in either] == [6, 13, 20, 27]
    both = next_fire_times(every("0 9 */2 * 5"), start, 2)
    assert [(time.day, time.strftime("%a")) for time in both] == [(13, "Fri"), (27, "Fri")]


def test_bounds_and_the_interval_is_open_at_its_start():
    nine = datetime(2026, 6, 1, 9, tzinfo=UTC)
    daily = every("0 9 * * *")
    assert fire_times(daily, nine - timedelta(seconds=1), nine) == [nine]
    assert fire_times(daily, nine, nine + timedelta(hours=23)) == []
    bounded = every("0 9 * * *", starts_at=nine, ends_at=nine + timedelta(days=2))
    assert fire_times(bounded, nine - timedelta(days=9), nine + timedelta(days=9)) == [
        nine + timedelta(days=day) for day in range(3)
    ]


def test_times_are_utc_and_ascend_and_windows_add_up():
    trigger = every("17 */3 * * *", SYDNEY)
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
    whole = fire_times(trigger, start, end)
    assert whole == sorted(set(whole))
    assert {time.utcoffset() for time in whole} == {timedelta(0)}
    pieces, at = [], start
    while at < end:
        pieces += fire_times(trigger, at, at + timedelta(hours=7))
        at += timedelta(hours=7)
    assert [time for time in pieces if time <= end] == whole


def test_immediate_has_no_fire_times_and_scheduled_has_one():
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert fire_times(Immediate(type="immediate"), now - timedelta(days=999), now) == []
    once = Scheduled(type="scheduled", at=now)
    assert fire_times(once, now - timedelta(days=1), now) == [now]
    assert next_fire_times(once, now, 5) == []


def test_what_is_due_is_the_latest_within_the_grace():
    daily = every("0 9 * * *", grace=timedelta(hours=6))
    nine = datetime(2026, 6, 1, 9, tzinfo=UTC)
    assert latest_due(daily, nine) == nine
    assert latest_due(daily, nine + timedelta(hours=5, minutes=59)) == nine
    assert latest_due(daily, nine + timedelta(hours=6)) is None
    assert latest_due(every("0 * * * *"), nine + timedelta(minutes=30)) == nine


# The oracle: every minute of real time, read off the wall


class Scan:
    """A cron that only knows whether a wall time fits."""

    RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))

    def __init__(self, cron: str) -> None:
        fields = cron.split()
        self.minute, self.hour, self.day, self.month, week = map(self._read, fields, self.RANGES)
        self.weekday = {number % 7 for number in week}
        self.both = fields[2].startswith("*") or fields[4].startswith("*")
        self.follows_the_clock = fields[0].startswith("*") or fields[1].startswith("*")

    @staticmethod
    def _read(field: str, bounds: tuple[int, int]) -> set[int]:
        found: set[int] = set()
        for part in field.split(","):
            span, _, step = part.partition("/")
            low, _, high = span.partition("-")
            first, last = bounds if low == "*" else (int(low), int(high or low))
            found |= set(range(first, last + 1, int(step or 1)))
        return found

    def fits(self, wall: datetime) -> bool:
        if wall.minute not in self.minute or wall.hour not in self.hour or wall.month not in self.month:
            return False
        days = wall.day in self.day, wall.isoweekday() % 7 in self.weekday
        return all(days) if self.both else any(days)

    def fires(self, zone: str, start: datetime, end: datetime) -> list[datetime]:
        """In (start, end], both whole minutes."""
        local, minute = ZoneInfo(zone), timedelta(minutes=1)
        found, seen, now = [], set(), start - timedelta(hours=3)
        before = now.astimezone(local).replace(tzinfo=None)
        while now < end:
            now += minute
            wall = now.astimezone(local).replace(tzinfo=None)
            skipped = [before + minute * n for n in range(1, (wall - before) // minute)]
            fits = self.fits(wall) and (self.follows_the_clock or wall not in seen)
            if fits or (not self.follows_the_clock and any(map(self.fits, skipped))):
                found.append(now)
            seen.add(wall)
            before = wall
        return [time for time in found if start < time <= end]


def a_field(random: Random, low: int, high: int) -> str:
    kind = random.random()
    if kind < 0.3:
        return "*"
    if kind < 0.45:
        return f"*/{random.randint(2, 7)}"
    if kind < 0.6:
        first = random.randint(low, high - 1)
        return f"{first}-{random.randint(first + 1, high)}"
    return ",".join(map(str, sorted({random.randint(low, high) for _ in range(random.randint(1, 3))})))


def an_expression(random: Random) -> str:
    """Mostly about the hours in which clocks change."""
    minute = random.choice(["0", "15", "30", "45", "0,30", a_field(random, 0, 59)])
    hour = random.choice(["1", "2", "3", "1-3", "*", "0,2", a_field(random, 0, 23)])
    return f"{minute} {hour} {random.choice(['*', '*', a_field(random, 1, 28)])} * " + random.choice(
        ["*", "*", a_field(random, 0, 6)]
    )


MORE_ZONES = ("Africa/Cairo", "America/Santiago", "Africa/Casablanca", "Asia/Beirut", "America/Havana", "UTC")


def days_of_change(zone: str) -> list[date]:
    local, days = ZoneInfo(zone), []
    for day in range(365):
        noon = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        if noon.astimezone(local).utcoffset() != (noon + timedelta(days=1)).astimezone(local).utcoffset():
            days.append(noon.date())
    return days or [date(2026, 6, 1)]


@pytest.mark.parametrize("zone", [*CHANGES, *MORE_ZONES])
def test_against_a_scan_of_every_minute_around_each_change(zone):
    random = Random(f"minutes of {zone}")
    for day in days_of_change(zone):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=12)
        end = start + timedelta(days=3)
        for _ in range(12):
            cron = an_expression(random)
            assert fire_times(every(cron, zone), start, end) == Scan(cron).fires(zone, start, end), (cron, zone, day)
