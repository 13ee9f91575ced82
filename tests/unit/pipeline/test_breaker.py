"""When a run stops to ask a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from connect.errors import Disposition
from connect.ledger.records import RunRecord
from connect.pipeline.breaker import Breaker, crash_trouble, doubt_trouble
from connect.vocabulary import Mode, RunState

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RUN = RunRecord(
    id="0" * 16,
    target="dev",
    mode=Mode.live,
    campaign="hello",
    fire_time=NOW,
    manual=True,
    state=RunState.running,
    reason="",
    digest="",
    campaign_json="{}",
    salt=None,
    secret=None,
    audience_rows=10,
    started_at=NOW,
    ended_at=None,
    recoveries=0,
)


def trips_at(breaker: Breaker, wrongs: list[bool]) -> int | None:
    return next((number for number, wrong in enumerate(wrongs, 1) if breaker.trips(wrong)), None)


def test_it_trips_when_more_than_a_fifth_of_the_last_500_are_wrong():
    assert trips_at(Breaker(), [True] * 100 + [False] * 400) is None
    assert trips_at(Breaker(), [True] * 101 + [False] * 399) == 500


def test_it_forgets_what_is_long_ago():
    breaker = Breaker()
    assert trips_at(breaker, [True] * 100 + [False] * 900) is None
    assert trips_at(breaker, [True] * 101) == 101


def test_a_small_audience_never_trips_it():
    assert trips_at(Breaker(), [True] * 499) is None


def test_it_is_off_when_somebody_has_looked():
    assert trips_at(Breaker(off=True), [True] * 5000) is None


def test_three_deaths_in_a_row_are_a_crash_loop():
    assert crash_trouble(replace(RUN, recoveries=2)) is None
    trouble = crash_trouble(replace(RUN, recoveries=3))
    assert trouble is not None
    assert trouble.disposition is Disposition.pause
    assert trouble.problems[0].code == "crash-loop"


def test_a_hundred_in_doubt_or_a_hundredth_of_the_audience_is_too_much():
    assert doubt_trouble(100, 50) is None
    assert doubt_trouble(101, 50) is not None
    assert doubt_trouble(9_999, 1_000_000) is None
    trouble = doubt_trouble(10_001, 1_000_000)
    assert trouble is not None
    assert trouble.problems[0].code == "too-much-in-doubt"
