"""A small siege: two daemons as processes, killed at random instants; and whether the timetable finds what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.chaos.daemons import Siege, besieged
from benchmarks.chaos.timetable import Evidence, Ran, timetable
from connect.testing.clock import FastClock, Jump
from connect.vocabulary import Outcome, RunState

SEED = 7
"""Always the same, so that nobody's change is refused for another one's luck; `make chaos` takes another each time."""
SMALL = Siege("sqlite", kills=3, drained=1, outages=(timedelta(minutes=4),), daemons=2, jump=None, speed=40.0)


@pytest.fixture(scope="module")
def testimony(tmp_path_factory) -> Evidence:
    return besieged(SMALL, SEED, tmp_path_factory.mktemp("siege"))


def told(testimony: Evidence, **changes) -> list[str]:
    return timetable(replace(testimony, **changes)).problems


def one_that_ran(testimony: Evidence, *names: str) -> Ran:
    """A run of a campaign that has these names, of which nothing is in doubt."""
    rows = (row for row in testimony.rows if row.run.campaign in names and row.run.fire_time <= testimony.end)
    return next(row for row in rows if row.counted(Outcome.sent) and not row.counted(Outcome.unknown))


def changed(testimony: Evidence, row: Ran, **changes) -> list[Ran]:
    return [replace(each, **changes) if each is row else each for each in testimony.rows]


def address(testimony: Evidence, row: Ran) -> str:
    """Of somebody who heard of this run."""
    instant = (row.run.fire_time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    suffix = f".{instant}.{row.run.campaign}@mail.example"
    return next(each for each in testimony.received.people if each.endswith(suffix))


def test_every_fire_time_has_one_run_and_nobody_hears_twice(testimony: Evidence) -> None:
    found = timetable(testimony)
    assert found.problems == [], f"seed {SEED}: {testimony.diary}"
    assert found.kills == SMALL.kills
    assert found.completed > 10
    assert found.skipped
    assert found.events


def test_a_fire_time_without_a_row_is_found(testimony: Evidence) -> None:
    row = one_that_ran(testimony, "minutely")
    rows = [each for each in testimony.rows if each is not row]
    assert f"minutely: no row for {row.run.fire_time:%H:%M}" in told(testimony, rows=rows)


def test_a_fire_time_that_ran_twice_is_found(testimony: Evidence) -> None:
    row = one_that_ran(testimony, "renamed_before", "renamed_after")
    other = {"renamed_before": "renamed_after", "renamed_after": "renamed_before"}[row.run.campaign]
    again = replace(row, run=replace(row.run, id="another", campaign=other))
    at = f"{row.run.fire_time:%H:%M}"
    assert f"renamed_before: 2 rows for {at}" in told(testimony, rows=[*testimony.rows, again])
    twice = changed(testimony, row, states=[*row.states, row.states[-1]])
    assert f"renamed_before: {at} is completed twice" in told(testimony, rows=twice)


def test_a_message_that_came_twice_is_found(testimony: Evidence) -> None:
    someone = address(testimony, one_that_ran(testimony, "all"))
    received = replace(testimony.received, people={**testimony.received.people, someone: 2})
    assert told(testimony, received=received) == ["1 messages came twice"]


def test_what_does_not_add_up_is_found(testimony: Evidence) -> None:
    row = one_that_ran(testimony, "minutely")
    problems = told(testimony, rows=changed(testimony, row, tallies=[]))
    assert f"minutely: {row.run.fire_time:%H:%M} counts 0 deliveries, and 20 people are there" in problems


def test_a_skip_that_no_policy_gives_is_found(testimony: Evidence) -> None:
    row = one_that_ran(testimony, "all")
    for reason in ("missed: a later one has come", "missed: older than 20m", "overlap: an earlier run has not ended"):
        skipped = replace(row.run, state=RunState.skipped, reason=reason)
        problems = told(testimony, rows=changed(testimony, row, run=skipped))
        assert any(f"is skipped: {reason}" in problem for problem in problems)
    failed = changed(testimony, row, run=replace(row.run, state=RunState.failed))
    assert any("is failed" in problem for problem in told(testimony, rows=failed))


def test_an_event_that_nobody_answered_is_found(testimony: Evidence) -> None:
    row = one_that_ran(testimony, "orders")
    someone = address(testimony, row)
    left = {who: count for who, count in testimony.received.people.items() if who != someone}
    happened = [replace(event, there=event.at) for event in testimony.happened]  # all of them in time
    problems = told(testimony, received=replace(testimony.received, people=left), happened=happened)
    assert f"orders: {row.run.fire_time:%H:%M} has lost 1 events" in problems


def test_a_gap_between_windows_is_found(testimony: Evidence) -> None:
    row = one_that_ran(testimony, "orders")
    rows = changed(testimony, row, run=replace(row.run, since=row.run.since + timedelta(seconds=1)))
    assert any("the window of" in problem for problem in told(testimony, rows=rows))


def test_a_fast_clock_is_wrong_and_jumps_as_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    start, hour = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
    clock = FastClock(1000.0, start, 60.0, timedelta(seconds=3), (Jump(hour, -hour), Jump(2 * hour, hour)))
    for real, shown in [(1000, 0), (1030, 30), (1059, 59), (1060, 0), (1061, 1), (1120, 120)]:
        monkeypatch.setattr("connect.testing.clock.time.time", lambda real=real: float(real))
        assert clock.now() == start + timedelta(minutes=shown, seconds=3)
