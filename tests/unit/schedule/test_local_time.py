"""A fire time's wall-clock time on other people's clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from connect.project.trigger import Api, Event, Immediate, Recurring, Scheduled
from connect.schedule.due import begins_at, fire_times, local_instant, next_fire_times, passed


def daily(cron: str = "30 2 * * *", zone: str = "UTC", **fields: object) -> Recurring:
    return Recurring(type="recurring", cron=cron, timezone=zone, **{"local_time": True, **fields})


def there(trigger: Recurring | Scheduled, fire_time: datetime, zone: str) -> str:
    """The clock of a zone at the instant that is said to be right for it."""
    local = local_instant(trigger, fire_time, zone).astimezone(ZoneInfo(zone))
    return local.strftime("%d %H:%M") + "*" * local.fold


@pytest.mark.parametrize(
    ("day", "zone", "shows"),
    [
        (datetime(2026, 7, 1), "Australia/Sydney", "01 02:30"),
        (datetime(2026, 10, 4), "Australia/Sydney", "04 03:00"),  # the clock goes from 2:00 to 3:00
        (datetime(2026, 4, 5), "Australia/Sydney", "05 02:30"),  # 2:30 comes twice: the first
        (datetime(2026, 3, 8), "America/New_York", "08 03:00"),
        (datetime(2026, 3, 29), "Europe/London", "29 02:30"),  # its gap is from 1:00 to 2:00
        (datetime(2026, 10, 4), "Pacific/Kiritimati", "04 02:30"),
        (datetime(2026, 10, 4), "Etc/GMT+12", "04 02:30"),
        (datetime(2011, 12, 30), "Pacific/Apia", "31 00:00"),  # a whole day that never was
    ],
)
def test_the_wall_time_comes_in_each_zone(day, zone, shows):
    assert there(daily(), day.replace(hour=2, minute=30, tzinfo=UTC), zone) == shows


def test_it_is_an_instant_in_utc():
    instant = local_instant(daily(), datetime(2026, 7, 1, 2, 30, tzinfo=UTC), "Pacific/Kiritimati")
    assert instant == datetime(2026, 6, 30, 12, 30, tzinfo=UTC)
    assert instant.utcoffset() == timedelta(0)


@pytest.mark.parametrize("zone", ["UTC", "Australia/Sydney", "America/Santiago", "Africa/Casablanca", "Asia/Beirut"])
def test_in_the_trigger_s_own_zone_it_is_the_fire_time(zone):
    trigger = daily("30 0,1,2 * * *", zone)
    for fire_time in fire_times(trigger, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)):
        assert local_instant(trigger, fire_time, zone) == fire_time


def test_a_time_that_the_trigger_s_clock_skips_comes_on_other_clocks():
    trigger = daily("30 2 * * *", "Australia/Sydney")
    (fire_time,) = fire_times(trigger, datetime(2026, 10, 3, 12, tzinfo=UTC), datetime(2026, 10, 4, 12, tzinfo=UTC))
    assert there(trigger, fire_time, "Australia/Sydney") == "04 03:00"
    assert there(trigger, fire_time, "Europe/London") == "04 02:30"
    assert begins_at(trigger, fire_time) == datetime(2026, 10, 3, 12, 30, tzinfo=UTC)


def test_a_time_that_the_trigger_s_clock_repeats_comes_once():
    start, end = datetime(2026, 4, 4, 12, tzinfo=UTC), datetime(2026, 4, 5, 12, tzinfo=UTC)
    hourly = daily("0 * * * *", "Australia/Sydney")
    walls = [there(hourly, time, "Australia/Sydney") for time in fire_times(hourly, start, end)]
    assert len(walls) == len(set(walls)) == 23
    assert len(fire_times(daily("0 * * * *", "Australia/Sydney", local_time=False), start, end)) == 24


def test_it_begins_when_the_time_first_comes_anywhere():
    nine = datetime(2026, 6, 1, 9, tzinfo=UTC)
    assert begins_at(daily("0 9 * * *"), nine) == nine - timedelta(hours=14)
    west = daily("0 9 * * *", "Etc/GMT+12")
    assert begins_at(west, nine + timedelta(hours=12)) == nine - timedelta(hours=14)
    east = daily("0 9 * * *", "Pacific/Kiritimati")
    assert begins_at(east, nine - timedelta(hours=14)) == nine - timedelta(hours=14)


def test_nobody_s_time_comes_before_it_begins():
    trigger = daily("0 9 * * *", "America/New_York")
    zones = ["Pacific/Kiritimati", "Etc/GMT+12", *sorted(available_timezones())[::11]]
    for fire_time in next_fire_times(trigger, datetime(2026, 3, 6, tzinfo=UTC), 4):
        begins = begins_at(trigger, fire_time)
        late = [local_instant(trigger, fire_time, zone) - begins for zone in zones]
        assert min(late) == timedelta(0)
        assert max(late) <= timedelta(hours=26)


def test_without_local_time_it_begins_at_its_fire_time():
    now = datetime(2026, 6, 1, 9, tzinfo=UTC)
    triggers = (
        daily(local_time=False),
        Scheduled(type="scheduled", at=now),
        Event(type="event", every=timedelta(minutes=5)),
        Immediate(type="immediate"),
        Api(type="api"),
    )
    assert [begins_at(trigger, now) for trigger in triggers] == [now] * 5


def test_a_scheduled_time_may_be_local_too():
    at = Scheduled(type="scheduled", timezone="Asia/Tokyo", at=datetime(2026, 6, 1, 9), local_time=True)
    assert begins_at(at, at.at) == datetime(2026, 5, 31, 19, tzinfo=UTC)
    assert there(at, at.at, "America/Los_Angeles") == "01 09:00"


def test_what_has_passed():
    now = datetime(2026, 6, 1, 9, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert passed(Scheduled(type="scheduled", at=now), now)
    assert not passed(Scheduled(type="scheduled", at=now + second), now)
    assert not passed(daily(), now)
    assert passed(daily(ends_at=now - second), now)
    assert passed(daily(ends_at=now + second), now)  # it has not ended, but there is no fire time left
    assert not passed(Immediate(type="immediate"), now)
    assert not passed(Api(type="api"), now)
    assert not passed(Event(type="event", every=timedelta(minutes=5)), now)
