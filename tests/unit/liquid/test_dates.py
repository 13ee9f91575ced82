"""Dates: read from what warehouses give, written without the machine's clock, zone or language."""

from __future__ import annotations

import locale
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.liquid import Refusal, Template
from connect.liquid.dates import strftime
from connect.liquid.zones import RAILS

Compile = Callable[..., Template]
Render = Callable[..., str]


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 3, 14, 9, 30),
        datetime(2026, 3, 14, 9, 30, tzinfo=UTC),
        "2026-03-14T09:30:00Z",
        "2026-03-14T09:30",
        "2026-03-14 09:30:00",
        "2026-03-14 09:30:00 UTC",
        "2026-03-14 09:30:00 +0000",
        "2026-03-14 09:30:00.123456+00:00",
        "Sat, 14 Mar 2026 09:30:00 +0000",
        1773480600,
        "1773480600",
        1773480600.0,
    ],
)
def test_a_time_is_read(rendered: Render, value: object) -> None:
    assert rendered("{{ user.a | date: '%F %R' }}", user={"a": value}) == "2026-03-14 09:30"


@pytest.mark.parametrize("value", [date(2026, 3, 14), "2026-03-14", "20260314", datetime(2026, 3, 14)])
def test_a_day_is_read(rendered: Render, value: object) -> None:
    assert rendered("{{ user.a | date: '%F %R' }}", user={"a": value}) == "2026-03-14 00:00"


def test_a_time_that_was_printed_is_read_again(rendered: Render) -> None:
    at = datetime(2026, 3, 14, 9, 30, tzinfo=timezone(timedelta(hours=11)))
    source = "{% capture x %}{{ user.a }}{% endcapture %}{{ x | date: '%F %T %z' }}"
    assert rendered(source, user={"a": at}) == "2026-03-14 09:30:00 +1100"


@pytest.mark.parametrize("value", ["soon", "March", "Friday", "09:30", "14/03/2026", True, ["x"], 10**30, "9" * 30])
def test_what_is_not_a_date_is_refused(compiled: Compile, value: object) -> None:
    with pytest.raises(Refusal, match="not a date"):
        compiled("{{ user.a | date: '%F' }}").render({"user": {"a": value}})


@pytest.mark.parametrize("value", [None, "", " "])
def test_blank_stays_blank(rendered: Render, value: object) -> None:
    assert (
        rendered("[{{ user.a | date: '%F' }}{{ user.a | time_zone: 'UTC' | date: '%F' }}]", user={"a": value}) == "[]"
    )


def test_now_is_the_runs_and_not_the_machines(rendered: Render) -> None:
    source = "{{ 'now' | date: '%F' }} {{ 'today' | date: '%F' }} {{ now | date: '%F' }}"
    now = datetime(1999, 12, 31, 23, tzinfo=UTC)
    assert rendered(source, scope={"now": now}) == "1999-12-31 1999-12-31 1999-12-31"
    with pytest.raises(Refusal):
        rendered("{{ now }}")


def test_the_machines_zone_does_not_matter(rendered: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "{{ 0 | date: '%c %s' }} {{ user.a | date: '%s %Z' }}"
    user = {"a": datetime(2026, 1, 1)}
    here = rendered(source, user=user)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert rendered(source, user=user) == here == "Thu Jan  1 00:00:00 1970 0 1767225600 UTC"
    finally:
        monkeypatch.undo()
        time.tzset()


SAME_IN_C = "%Y %y %C %m %d %e %j %H %I %M %S %p %A %a %B %b %h %U %W %V %G %u %w %D %F %T %R %k %l %P %n%t%%"


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)))
def test_directives_are_those_of_the_c_library(at: datetime) -> None:
    assert locale.setlocale(locale.LC_TIME) == "C"
    assert strftime(at, SAME_IN_C) == at.strftime(SAME_IN_C)


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("%-d %-m %-I", "5 3 9"),
        ("%_d|%03d|%10A", " 5|005|  Thursday"),
        ("%^a %#p", "THU am"),
        ("%L %N", "007 007000000"),
        ("%z %:z", "-0330 -03:30"),
        ("%r %v %x %X", "09:04:06 AM  5-MAR-2026 03/05/26 09:04:06"),
    ],
)
def test_flags_are_rubys(pattern: str, written: str) -> None:
    zone = timezone(-timedelta(hours=3, minutes=30))
    assert strftime(datetime(2026, 3, 5, 9, 4, 6, 7000, zone), pattern) == written


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("'Australia/Sydney'", "20:30 AEDT"),
        ("'Sydney'", "20:30 AEDT"),
        ("'Eastern Time (US & Canada)'", "05:30 EDT"),
        ("-7", "02:30 UTC-07:00"),
        ("'+05:30'", "15:00 UTC+05:30"),
        ("5.5", "15:00 UTC+05:30"),
        ("'+0545'", "15:15 UTC+05:45"),
        ("0", "09:30 UTC"),
    ],
)
def test_time_zone_takes_names_and_offsets(rendered: Render, zone: str, written: str) -> None:
    source = "{{ user.a | time_zone: " + zone + " | date: '%R %Z' }}"
    assert rendered(source, user={"a": datetime(2026, 3, 14, 9, 30)}) == written


def test_a_day_is_the_same_day_everywhere(rendered: Render) -> None:
    assert rendered("{{ user.a | time_zone: -7 }}", user={"a": date(2026, 3, 14)}) == "2026-03-14"


@pytest.mark.parametrize("zone", ["Sidney", "+15:00", "", "../etc/passwd", None])
def test_a_zone_from_the_data_that_is_none_is_refused(compiled: Compile, zone: object) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled("{{ now | time_zone: user.zone | date: '%R' }}").render(
            {"user": {"zone": zone}, "now": datetime(2026, 1, 1)}
        )
    assert "Sidney" not in str(refusal.value)


def test_every_rails_name_is_a_zone() -> None:
    assert set(RAILS.values()) <= available_timezones()
    assert all(ZoneInfo(name) for name in RAILS.values())
