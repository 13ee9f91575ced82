"""What a report says of what was sent: counts, rates and what they are of, and nothing that is not known."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect.providers.events import EventType
from connect.reports.counts import Report
from connect.reports.groups import By
from connect.reports.measures import Measure, Rate
from connect.reports.parts import Asking, ConversionCount, Part, Via
from connect.reports.words import no_events, percent, since_in_words
from connect.vocabulary import Outcome
from tests.unit.reports.some_parts import DAY, EMAIL, SMS, ended, event, one_run, report, run, sent


def rate(found: Report, measure: Measure) -> tuple[float, str, int] | None:
    told = found.figures[measure].rate
    return (round(told.share, 4), told.of, told.base) if told else None


def test_rates_are_of_what_was_delivered_and_that_of_what_was_sent() -> None:
    found = one_run(
        [sent(1000)],
        *(event("delivered", 900), event("opened", 500, 300), event("opened", 70, 60, machine=True)),
        *(event("bounced", 80, bounce="hard"), event("bounced", 25, 20, bounce="soft"), event("unsubscribed", 9)),
        event("complained", 3),
    )
    assert rate(found, Measure.delivered) == (0.9, "sent", 1000)
    assert rate(found, Measure.opened) == (0.3333, "delivered", 900)
    assert rate(found, Measure.hard_bounced) == (0.08, "sent", 1000)
    assert rate(found, Measure.soft_bounced) == (0.02, "sent", 1000)
    assert rate(found, Measure.unsubscribed) == (0.01, "delivered", 900)
    assert rate(found, Measure.complained) == (0.0033, "delivered", 900)
    assert (found.figures[Measure.opened].total, found.figures[Measure.opened].unique) == (500, 300)


def test_what_machines_open_is_apart_and_in_no_rate() -> None:
    found = one_run([sent(100)], event("delivered", 100), event("opened", 90, machine=True))
    assert Measure.opened not in found.figures
    assert found.figures[Measure.machine_opened].unique == 90
    assert rate(found, Measure.machine_opened) is None


def test_where_nobody_reports_deliveries_rates_are_of_what_was_sent() -> None:
    found = one_run([sent(1000)], event("opened", 300))
    assert rate(found, Measure.opened) == (0.3, "sent", 1000)
    assert Measure.delivered not in found.figures


def test_where_not_all_deliveries_are_reported_they_are_no_base() -> None:
    found = one_run([sent(1000)], event("delivered", 10), event("opened", 300))
    assert rate(found, Measure.opened) == (0.3, "sent", 1000)
    assert rate(found, Measure.delivered) == (0.01, "sent", 1000)


def test_a_channel_that_never_reports_something_is_in_no_base_of_it() -> None:
    found = one_run(
        [sent(1000), sent(500, SMS)],
        *(event("delivered", 900), event("delivered", 500, channel=SMS), event("opened", 90)),
    )
    assert rate(found, Measure.opened) == (0.1, "delivered", 900)
    assert rate(found, Measure.delivered) == (0.9333, "sent", 1500)


def test_over_channels_of_which_one_reports_deliveries_a_rate_says_so() -> None:
    found = one_run(
        [sent(1000), sent(500, SMS)],
        *(event("delivered", 900), event("unsubscribed", 9), event("unsubscribed", 5, channel=SMS)),
    )
    assert rate(found, Measure.unsubscribed) == (0.01, "delivered or sent", 1400)


def test_what_was_not_reported_is_not_nought() -> None:
    found = one_run([sent(1000)])
    assert list(found.figures) == [Measure.sent]
    assert found.as_json()["events_reported"] is False
    assert no_events(found) == "no events have been reported: see docs/webhooks.md"
    assert no_events(one_run([sent(10)], event("delivered", 1))) == ""
    assert no_events(one_run([ended(Outcome.skipped, 10)])) == ""


def test_a_run_of_which_nothing_was_reported_has_no_noughts_and_one_of_which_something_was_has() -> None:
    heard = Part(run("r2"), (sent(10),), (event("delivered", 10), event("opened", 5)))
    partly = Part(run("r3"), (sent(10),), (event("delivered", 10),))
    silent = Part(run("r1", datetime.fromisoformat("2026-08-01T09:00Z")), (sent(10),))
    found = report(heard, partly, silent)
    by_run = {group.name: group.figures for group in found.by(By.run)}
    assert list(by_run["r1"]) == [Measure.sent]
    assert by_run["r3"][Measure.opened].rate == Rate("delivered", 10, 0.0)
    assert since_in_words(found) == "the first event is of 2026-09-03: of 1 run before that nothing has been reported"


def test_no_rate_is_above_the_whole() -> None:
    """Such as of a run before anything was delivered that anybody told us of."""
    old = Part(run("r1"), (sent(10),), (event("opened", 4),))
    new = Part(run("r2"), (sent(100),), (event("delivered", 100), event("opened", 20)))
    groups = {group.name: group.figures for group in report(old, new).by(By.run)}
    assert groups["r1"][Measure.opened].rate is None
    assert groups["r2"][Measure.opened].rate == Rate("delivered", 100, 0.2)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(EventType)),
            st.sampled_from(["", "hard", "soft"]),
            st.booleans(),
            st.sampled_from([EMAIL, SMS]),
            st.integers(0, 50),
            st.integers(0, 50),
        ),
        max_size=12,
    ),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_no_rate_is_ever_above_the_whole_whatever_is_reported(
    events: list[tuple[str, str, bool, Any, int, int]], emails: int, texts: int
) -> None:
    counts = [
        event(type, count + firsts, firsts, bounce=bounce, machine=machine, channel=channel)
        for type, bounce, machine, channel, count, firsts in events
    ]
    found = one_run([sent(emails), sent(texts, SMS)], *counts)
    for figures in (found.figures, *(group.figures for by in By for group in found.by(by))):
        for figure in figures.values():
            assert figure.unique <= figure.total
            if figure.rate:
                assert 0 <= figure.rate.share <= 1
                assert figure.rate.base > 0


CLICKS = [
    event("clicked", 5, 4, link="https://shop.example/p/{{ user.id }}"),
    event("clicked", 3, 3, link="https://shop.example/sale"),
    event("clicked", 2, 6),  # two of no link that is known; six people in all
]


def test_who_clicks_two_links_is_one_of_all_and_one_of_each() -> None:
    found = one_run([sent(100)], event("delivered", 60), *CLICKS)
    assert (found.figures[Measure.clicked].total, found.figures[Measure.clicked].unique) == (10, 6)
    assert rate(found, Measure.clicked) == (0.1, "delivered", 60)
    told = [
        (group.name, group.figures[Measure.clicked].total, group.figures[Measure.clicked].unique)
        for group in found.by(By.link)
    ]
    assert told == [("https://shop.example/p/{{ user.id }}", 5, 4), ("https://shop.example/sale", 3, 3), ("", 2, 0)]
    assert found.by(By.link)[0].figures[Measure.clicked].rate == Rate("delivered", 60, 4 / 60)


def test_days_are_of_the_projects_zone_and_have_no_rates() -> None:
    found = one_run([sent(10)], event("delivered", 10), event("opened", 3, day=date(2026, 9, 4)), zone="Europe/Berlin")
    days = {group.name: group.figures for group in found.by(By.day)}
    assert list(days) == ["2026-09-03", "2026-09-04"]  # fired at 23:30 UTC, which is the next day in Berlin
    assert days["2026-09-03"][Measure.sent].total == 10
    assert days["2026-09-04"][Measure.opened].total == 3
    assert not any(figure.rate for figures in days.values() for figure in figures.values())


@pytest.mark.parametrize("by", [By.run, By.day, By.channel, By.arm])
def test_parts_add_up_to_the_whole(by: By) -> None:
    first = Part(
        run("r1"), (sent(100, arm="a"), sent(50, SMS), ended(Outcome.skipped, 7, "unsubscribed")), tuple(CLICKS)
    )
    later = Part(run("r2"), (sent(30, arm="b"),), (event("delivered", 20, day=date(2026, 9, 9)), *CLICKS))
    found = report(later, first)
    for measure, figure in found.figures.items():
        parts = [group.figures[measure] for group in found.by(by) if measure in group.figures]
        assert sum(part.total for part in parts) == figure.total
        assert sum(part.unique for part in parts) == figure.unique
    reasons = [one for group in found.by(by) for one in group.reasons]
    assert sum(one.count for one in reasons) == found.deliveries == 187
    assert [one.reason for one in reasons if one.outcome is Outcome.skipped] == ["unsubscribed"]


def converted(found: Report, asking: Asking, *counts: ConversionCount) -> Report:
    part = Part(found.parts[0].run, found.parts[0].tallies, found.parts[0].events, counts)
    return Report("hello", (part.run,), part.tallies, parts=(part,), asking=asking)


def test_who_converted_is_known_to_be_nobody_once_it_was_asked() -> None:

    week = timedelta(days=7)
    found = converted(one_run([sent(10)]), Asking(week))
    assert found.figures[Measure.converted].rate == Rate("sent", 10, 0.0)
    unasked = converted(one_run([sent(10)]), Asking(week, "the warehouse is locked"))
    assert Measure.converted not in unasked.figures
    some = converted(one_run([sent(10)]), Asking(week), ConversionCount(EMAIL, "", Via.opened, DAY, 3, 2, None))
    assert some.figures[Measure.converted].rate == Rate("sent", 10, 0.2)
    assert some.via() == {Via.clicked: 0, Via.opened: 2, Via.received: 0}


def test_it_can_be_read_by_programs() -> None:
    found = one_run([sent(100)], event("delivered", 60), *CLICKS).as_json()
    told = json.loads(json.dumps(found))
    assert told["figures"]["clicked"] == {"total": 10, "unique": 6, "rate": 0.1, "of": "delivered", "base": 60}
    assert [group["name"] for group in told["by"]["run"]] == ["r1"]
    assert set(told["by"]) == {"run", "day", "channel", "arm", "link"}
    assert told["zone"] == "UTC"
    assert told["from"] == "ledger"


def test_little_is_not_nothing() -> None:
    shares = [percent(Rate("sent", 1, share)) for share in (0, 0.00001, 0.0004, 0.306, 1)]
    assert shares == ["0.0 %", "< 0.01 %", "0.04 %", "30.6 %", "100.0 %"]
