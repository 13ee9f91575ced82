"""`connect schedule`: what fires when, from the files alone."""

from __future__ import annotations

import pytest

RANGE = ("--from", "2026-11-23", "--until", "2026-11-27T23:00")


@pytest.fixture
def club(club):
    club.campaign("sydney", '{type: recurring, cron: "0 9 * * mon", timezone: Australia/Sydney}')
    club.campaign("black_friday", "{type: scheduled, at: 2026-11-27T09:00, timezone: America/New_York}")
    club.campaign("orders", "{type: event, every: 5m}")
    club.campaign("hello", "{type: immediate}")
    club.campaign("later", '{type: recurring, cron: "0 9 * * *"}', status="draft")
    return club


def lines(ended):
    return [" ".join(line.split()) for line in ended.out.splitlines()]


def test_each_fire_time_stands_in_utc_and_in_its_own_zone(club):
    club.campaign("sydney", '{type: recurring, cron: "0 9 * * tue", timezone: Australia/Sydney}')

    ended = club.connect("schedule", *RANGE)

    assert ended.code == 0
    assert lines(ended)[1:] == [
        "2026-11-23 22:00 sydney Tue 2026-11-24 09:00 AEDT",
        "2026-11-27 14:00 black_friday Fri 2026-11-27 09:00 EST",
        "",
        "hello once, when it becomes live",
        "orders polls every 5m",
    ]
    assert "2 fire times" in ended.err


def test_machines_read_instants(club):
    found = club.connect("schedule", *RANGE, "--json").json

    assert (found["from"], found["until"]) == ("2026-11-23T00:00:00+00:00", "2026-11-27T23:00:00+00:00")
    assert found["fires"] == [
        {
            "campaign": "black_friday",
            "status": "live",
            "at": "2026-11-27T14:00:00+00:00",
            "local": "Fri 2026-11-27 09:00 EST",
            "timezone": "America/New_York",
            "local_time": False,
            "begins_at": "2026-11-27T14:00:00+00:00",
        }
    ]
    assert found["polls"] == [{"campaign": "orders", "every": "5m", "lag": "1m"}]


def test_both_ends_of_the_range_belong_to_it(club):
    for since, until, count in (
        ("2026-11-27T14:00Z", "2026-11-27T14:00Z", 1),
        ("2026-11-27T14:00:01Z", "2026-11-28", 0),
        ("2026-11-26", "2026-11-27T13:59:59Z", 0),
    ):
        assert len(club.connect("schedule", "--from", since, "--until", until, "--json").json["fires"]) == count


def test_a_time_without_an_offset_is_local_to_the_project(club):
    found = club.connect("schedule", "--from", "2026-07-01T00:00", "--until", "2026-07-02", "--json").json

    assert (found["from"], found["until"]) == ("2026-06-30T23:00:00+00:00", "2026-07-01T23:00:00+00:00")


def test_local_time_says_when_the_first_are_written_to(club):
    club.campaign("weekly", '{type: recurring, cron: "0 9 * * tue", local_time: true}')

    found = club.connect("schedule", *RANGE, "--campaign", "weekly", "--json").json
    shown = club.connect("schedule", *RANGE, "--campaign", "weekly")

    (fire,) = found["fires"]
    assert (fire["at"], fire["begins_at"]) == ("2026-11-24T09:00:00+00:00", "2026-11-23T19:00:00+00:00")
    assert fire["local_time"]
    assert "2026-11-24 09:00 weekly Tue 2026-11-24 09:00 GMT local time" in lines(shown)


def test_a_draft_is_listed_only_when_it_is_asked_for(club):
    everything = club.connect("schedule", *RANGE)
    one = club.connect("schedule", *RANGE, "--campaign", "later")

    assert "later" not in everything.out
    assert one.out.count("later") == 5
    assert "later is draft" in one.err


def test_one_that_fires_all_the_time_is_one_line_unless_it_is_asked_for(club):
    club.campaign("busy", '{type: recurring, cron: "*/10 * * * *"}')

    everything = club.connect("schedule", *RANGE)
    one = club.connect("schedule", *RANGE, "--campaign", "busy")

    assert [line for line in lines(everything) if "busy" in line] == [
        "2026-11-23 00:00 busy Mon 2026-11-23 00:00 GMT and 714 more"
    ]
    assert "black_friday" in everything.out
    assert one.out.count("busy") == 715


def test_a_broken_file_is_shown_beside_the_others(club):
    (club.root / "campaigns" / "broken.yml").write_text("trigger: {type: sometimes}\n")

    ended, for_machines = club.connect("schedule", *RANGE), club.connect("schedule", *RANGE, "--json")

    assert (ended.code, for_machines.code) == (0, 0)
    assert "campaigns/broken.yml:1" in ended.err
    assert "black_friday" in ended.out
    assert {problem["file"] for problem in for_machines.json["problems"]} == {"campaigns/broken.yml"}


def test_it_makes_no_ledger(club):
    assert club.connect("schedule").code == 0
    assert not (club.root / ".connect").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--campaign", "orderz"), "unknown-campaign"),
        (("--from", "tomorrow"), "bad-time"),
        (("--until", "9999-12-31"), "bad-time"),
        (("--from", "0001-01-01"), "bad-time"),
        (("--from", "2026-11-02", "--until", "2026-11-01"), "bad-range"),
        (("--from", "2026-11-02", "--until", "2036-12-01"), "bad-range"),
    ],
)
def test_what_can_not_be_listed_says_why(club, arguments, code):
    ended = club.connect("schedule", *arguments)

    assert ended.code == 2
    assert f"error[{code}]" in ended.err
