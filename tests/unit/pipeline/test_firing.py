"""What is said of when a campaign fires: events and their keys, what has passed, and who moves between waves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect import wiring
from connect.cli.upcoming import each, in_words
from connect.errors import Problem, Severity
from connect.pipeline import firing
from connect.pipeline.moment import Moment
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded, load_campaign
from connect.project.load import load_project

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

CONNECT = """
name: shop
secret: ${CONNECT_SECRET}
timezone: Australia/Sydney
sources: {shop: {url: "duckdb:///shop.duckdb"}}
providers: {box: {type: outbox}}
channels: {email: box, sms: box}
"""
SMS = "message: {content: [{channel: sms, body: Hi}]}\n"
EMAIL = "message: {content: [{channel: email, from: a@shop.example, subject: Hi, text: Hi}]}\n"


@pytest.fixture
def loaded(tmp_path: Path):
    """loaded(yaml): a campaign of which this is a part."""

    def loaded(yaml: str) -> Loaded:
        (tmp_path / "campaigns").mkdir(exist_ok=True)
        (tmp_path / "connect.yml").write_text(CONNECT)
        text = yaml if "audience:" in yaml else yaml + "\naudience: {sql: select id from people}\n"
        (tmp_path / "campaigns/hello.yml").write_text(text if "message:" in text else text + "\n" + SMS)
        environment = {"CONNECT_SECRET": "a secret of many letters"}
        project = load_project(tmp_path, target=None, mode=None, environment=environment, adapters=wiring.adapters())
        found = load_campaign(project, "hello")
        assert found.problems == ()
        return found

    return loaded


def warned(found: Loaded, now: datetime = NOW) -> list[tuple[str, str]]:
    """(code, place) of each warning."""
    problems = list(firing.warnings(found, now))
    assert all(problem.severity is Severity.warning for problem in problems)
    return [(problem.code, str(problem.location)) for problem in problems]


def only(found: Loaded, now: datetime = NOW) -> Problem:
    (problem,) = firing.warnings(found, now)
    return problem


def campaign(found: Loaded) -> Campaign:
    assert found.campaign is not None
    return found.campaign


def under(problem: Problem) -> str:
    """What the caret stands under."""
    assert problem.location is not None
    return problem.location.text[problem.location.column - 1 :]


# Events


def test_events_are_looked_at_by_the_last_hour_and_others_by_now(loaded) -> None:
    events = loaded("trigger: {type: event, every: 5m}\naudience: {sql: select 1 as a, key: a}")
    assert firing.moment_of_a_look(campaign(events), NOW) == Moment(NOW, NOW - timedelta(hours=1), NOW)
    assert firing.moment_of_a_look(campaign(loaded("trigger: {type: immediate}")), NOW) == Moment(NOW)


@pytest.mark.parametrize(
    ("audience", "code", "place"),
    [
        ("{sql: select 1, key: [id, order_id]}", "", ""),
        ("{sql: select 1, key: order_id}", "", ""),
        ("{sql: select 1}", "event-key", "audience:"),
        ("{sql: select 1, key: id}", "event-key", "id}"),
        ("{sql: select 1, key: [Id]}", "event-key", "key: [Id]"),
        ("{sql: select 1, key: [id, email]}", "event-key", "key:"),
        # A line with people in it is never shown, so nothing stands above the caret.
        ("{people: [{id: 1}], key: [id, order_id]}", "event-people", ""),
        ("{people: [{id: 1}]}", "event-people", ""),
    ],
)
def test_the_key_names_the_event(loaded, audience: str, code: str, place: str) -> None:
    found = list(firing.event_problems(loaded(f"trigger: {{type: event, every: 5m}}\naudience: {audience}")))
    assert [problem.code for problem in found] == ([code] if code else [])
    assert all(under(problem).startswith(place) for problem in found)


def test_the_key_of_others_is_theirs(loaded) -> None:
    assert list(firing.event_problems(loaded("trigger: {type: immediate}"))) == []


def test_of_a_file_that_can_not_be_read_nothing_is_said() -> None:
    nothing = Loaded(None, (), ())
    assert [*firing.event_problems(nothing), *firing.warnings(nothing, NOW)] == []


# What has passed

DAILY = 'type: recurring, cron: "0 9 * * *"'


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ("type: scheduled, at: 2026-03-10T13:00+00:00", ""),
        (
            "type: scheduled, at: 2026-03-10T12:00+00:00",
            "`at` has passed: it only fires if it was missed, within its grace of 6h",
        ),
        (
            "type: scheduled, grace: 1m, at: 2026-03-10T22:59",
            "`at` has passed: it only fires if it was missed, within its grace of 1m",
        ),
        ("type: scheduled, at: 2026-03-10T16:59", "`at` has passed by more than its grace of 6h: it fires no more"),
        (f"{DAILY}, ends_at: 2026-03-12", ""),
        (f"{DAILY}, ends_at: 2026-03-10", "`ends_at` has passed: it fires no more"),
        (f"{DAILY}, ends_at: 2026-03-11", "`ends_at` comes before the next time: it fires no more"),
        ("type: immediate", ""),
        ("type: api", ""),
    ],
)
def test_what_has_passed_is_told_at_its_place(loaded, trigger: str, said: str) -> None:
    found = loaded(f"trigger: {{{trigger}}}")
    if not said:
        assert warned(found) == []
        return
    problem = only(found)
    assert (problem.code, problem.message) == ("at-passed", said)
    assert under(problem).startswith("2026-03-1")


# Waves

WAVES = "trigger: {type: immediate}\n"


@pytest.mark.parametrize(
    ("yaml", "place"),
    [
        ('trigger: {type: recurring, cron: "0 9 * * *", local_time: true}', "campaigns/hello.yml:1:59"),
        ("trigger: {type: scheduled, at: 2027-01-01, local_time: true}", "campaigns/hello.yml:1:56"),
        (WAVES + "policy: {quiet_hours: {from: 21:00, to: 08:00}}", "campaigns/hello.yml:2:10"),
        (WAVES + "policy: {quiet_hours: {from: 21:00, to: 08:00, channels: [sms]}}", "campaigns/hello.yml:2:10"),
        (WAVES + "policy: {quiet_hours: {countries: {US: {from: 21:00, to: 08:00}}}}", "campaigns/hello.yml:2:10"),
        (WAVES + "policy: {quiet_hours: {from: 21:00, to: 08:00, channels: [email]}}", ""),
        (WAVES + "policy: {quiet_hours: {from: 21:00, to: 08:00, timezone: project}}", ""),
        (WAVES + "policy: {quiet_hours: {from: 21:00, to: 08:00, action: skip}}", ""),
        (
            WAVES
            + "policy: {quiet_hours: {from: 21:00, to: 08:00}}\n"
            + SMS.replace("{content", "{transactional: true, content"),
            "",
        ),
        # Text messages have quiet hours without being told; nobody has to hear of it each time.
        (WAVES, ""),
        (WAVES + EMAIL, ""),
        ("trigger: {type: recurring, cron: '0 9 * * *', local_time: false}", ""),
    ],
)
def test_who_moves_between_waves_is_told_once(loaded, yaml: str, place: str) -> None:
    assert warned(loaded(yaml)) == ([("waves-unsettled", place)] if place else [])


def test_it_is_told_once_for_both(loaded) -> None:
    found = loaded(
        'trigger: {type: recurring, cron: "0 9 * * *", local_time: true}\n'
        "policy: {quiet_hours: {from: 21:00, to: 08:00}}"
    )
    assert "can be met twice, or not at all" in only(found).message
    assert list(firing.warnings(found, NOW, kept_apart=True)) == []


# The next times, in words


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("{type: immediate}", "fires once, when it becomes live"),
        ("{type: api}", "fires when it is called"),
        ("{type: event, every: 300s}", "polls every 5m"),
        ("{type: scheduled, at: 2026-03-27T09:00}", "fires Fri 2026-03-27 09:00 AEDT"),
        ("{type: scheduled, at: 2026-03-01T09:00}", "fires no more"),
        (
            '{type: recurring, cron: "0 9 * * sun"}',
            "fires Sun 2026-03-15 09:00 AEDT, Sun 2026-03-22 09:00 AEDT, Sun 2026-03-29 09:00 AEDT, "
            "Sun 2026-04-05 09:00 AEST, Sun 2026-04-12 09:00 AEST",
        ),
        (
            '{type: recurring, cron: "0 9 * * sun", ends_at: 2026-03-23, local_time: true}',
            "fires Sun 2026-03-15 09:00, Sun 2026-03-22 09:00 in each person's zone, "
            "first at Sun 2026-03-15 06:00 AEDT (UTC+14)",
        ),
    ],
)
def test_when_it_fires_is_told_in_words(loaded, trigger: str, words: str) -> None:
    found = campaign(loaded(f"trigger: {trigger}"))
    assert in_words(found, firing.next_fires(found, NOW)) == words


def test_each_time_of_a_local_trigger_says_where_it_comes_first(loaded) -> None:
    found = campaign(loaded("trigger: {type: scheduled, at: 2026-03-27T09:00, local_time: true}"))
    assert each(found, firing.next_fires(found, NOW)) == [
        "Fri 2026-03-27 09:00 in each person's zone, first at Fri 2026-03-27 06:00 AEDT (UTC+14)"
    ]


def test_nobody_counts_the_polls_of_an_event(loaded) -> None:
    found = campaign(loaded("trigger: {type: event, every: 10s}"))
    assert firing.next_fires(found, NOW) == ()
