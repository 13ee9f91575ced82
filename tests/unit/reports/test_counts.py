"""A report's numbers: the parts of text messages beside them, and never instead of them."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect.ledger.records import Tally
from connect.reports.counts import Report, merged
from connect.vocabulary import Channel, Outcome, segments_reason


def report(*tallies: tuple[Channel, Outcome, str, int]) -> Report:
    return Report(
        "hello", (), tuple(Tally(channel, "", outcome, reason, count) for channel, outcome, reason, count in tallies)
    )


LONG = report(
    (Channel.sms, Outcome.sent, "", 1000),
    (Channel.sms, Outcome.sent, "2_segments", 150),
    (Channel.sms, Outcome.sent, "3_segments", 50),
    (Channel.sms, Outcome.failed, "landline", 7),
    (Channel.sms, Outcome.unknown, "in_doubt", 5),
    (Channel.email, Outcome.sent, "", 40),
)


def test_segments_are_of_what_was_sent() -> None:
    assert LONG.segments(Channel.sms) == 1000 + 300 + 150
    assert LONG.total(Outcome.sent, Channel.sms) == 1200
    assert LONG.as_json()["segments"] == {"sms": 1450}


def test_tallies_stay_what_they_are() -> None:
    found = LONG.as_json()
    tallies = found["tallies"]
    assert isinstance(tallies, list)
    assert found["deliveries"] == sum(tally["count"] for tally in tallies) == 1252
    assert {"channel": "sms", "outcome": "sent", "reason": "3_segments", "count": 50} in tallies


def test_what_was_sent_has_no_reason_to_be_shown() -> None:
    assert LONG.reasons(Outcome.sent) == [("", {Channel.sms: 1200, Channel.email: 40})]
    assert LONG.reasons(Outcome.failed) == [("landline", {Channel.sms: 7})]


def test_without_texts_there_are_no_segments() -> None:
    assert report((Channel.email, Outcome.sent, "", 3)).as_json()["segments"] == {}
    assert report((Channel.sms, Outcome.refused, "too_many_segments", 3)).as_json()["segments"] == {"sms": 0}


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(st.dictionaries(st.integers(1, 300), st.integers(1, 10**6), max_size=8), st.integers(1, 4))
def test_runs_are_added_up(counts: dict[int, int], runs: int) -> None:
    tallies = [
        Tally(Channel.sms, "", Outcome.sent, segments_reason(parts), count)
        for _ in range(runs)
        for parts, count in counts.items()
    ]
    added = Report("hello", (), merged(tallies))
    assert added.segments(Channel.sms) == runs * sum(parts * count for parts, count in counts.items())
    assert added.total(Outcome.sent) == runs * sum(counts.values())
