"""When triggers fire: over daylight saving as Vixie cron has it. The oracle beside it asks more often."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from connect.project.trigger import Api, Event, Immediate, Recurring, Scheduled
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


@pytest.mark.parametrize(
    ("cron", "same"),
    [
        ("0 9-9 * * *", "0 9 * * *"),
        ("0 9-9/2 * * *", "0 9 * * *"),
        ("0 9 * * mon-1", "0 9 * * 1"),
        ("0 9 * * 7-0", "0 9 * * 0"),
        ("0 9 * * 0-7", "0 9 * * *"),
        ("0 9 * * 5-7", "0 9 * * 0,5,6"),
        ("0 9 * * Fri-MON", "0 9 * * 5,6,0,1"),
        ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
        ("0 22-5/3 * * *", "0 22,1,4 * * *"),
        ("0 9 1 nov-feb *", "0 9 1 11,12,1,2 *"),
        ("5/20 9 * * *", "5,25,45 9 * * *"),
        ("0 9 L * *", "0 9 l * *"),
    ],
)
def test_two_ways_to_say_the_same(cron, same):
    start = datetime(2026, 6, 1, tzinfo=UTC)
    assert next_fire_times(every(cron), start, 40) == next_fire_times(every(same), start, 40)


def test_every_day_in_numbers_is_a_restriction_and_a_star_is_none():
    start, end = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
    assert len(fire_times(every("0 9 1-31 * 5"), start, end)) == 30
    assert len(fire_times(every("0 9 13 * sun-sat"), start, end)) == 30
    assert len(fire_times(every("0 9 * * 5"), start, end)) == 4


def test_days_that_are_told_from_the_end_or_counted():
    start = datetime(2028, 1, 1, tzinfo=UTC)
    assert [time.day for time in next_fire_times(every("0 9 L * *"), start, 3)] == [31, 29, 31]
    assert [time.day for time in next_fire_times(every("0 9 * * fri#2"), start, 3)] == [14, 11, 10]
    assert [time.day for time in next_fire_times(every("0 9 * * L5"), start, 3)] == [28, 25, 31]


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


def test_times_that_are_far_apart():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    leap = next_fire_times(every("0 0 29 2 *"), start, 20)
    assert [time.year for time in leap] == list(range(2028, 2076, 4))  # no further than fifty years
    assert [time.year for time in next_fire_times(every("0 0 * 2 5#5"), start, 2)] == [2036, 2064]


def test_a_year_of_minutes():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    year = fire_times(every("* * * * *", SYDNEY), start, start + timedelta(days=365))
    assert year == [start + timedelta(minutes=minute) for minute in range(1, 365 * 1440 + 1)]


def test_polls_are_on_a_grid_that_nobody_has_to_remember():
    poll = Event(type="event", every=timedelta(minutes=25))
    start = datetime(2026, 6, 1, tzinfo=UTC)
    times = next_fire_times(poll, start, 60)
    assert {int(time.timestamp()) % 1500 for time in times} == {0}
    assert len(times) == 60
    assert times[0] > start
    assert fire_times(poll, times[0], times[2]) == times[1:3]
    assert fire_times(poll, times[0], times[0] + timedelta(minutes=24)) == []


def test_immediate_and_api_have_no_fire_times_and_scheduled_has_one():
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert fire_times(Immediate(type="immediate"), now - timedelta(days=999), now) == []
    assert next_fire_times(Api(type="api"), now, 3) == []
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
    yearly = every("0 9 1 6 *", grace=timedelta(days=366))
    assert latest_due(yearly, nine + timedelta(days=364)) == nine
    assert latest_due(Immediate(type="immediate"), nine) is None
