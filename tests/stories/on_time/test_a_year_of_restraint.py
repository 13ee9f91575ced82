"""A year of campaigns that are held back, spaced out, paused or missed, on a clock that a test moves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect.providers import memory
from connect.vocabulary import Mode, RunState
from tests.stories.on_time.world import Message, Person, World, after_quiet, first_shown, wall

START = datetime(2026, 9, 2, tzinfo=UTC)
YEAR = timedelta(days=365)
MONTHS = [datetime(2026 + (month > 12), (month - 1) % 12 + 1, 15) for month in range(9, 21)]
"""The middle of each; daylight saving begins and ends between them."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    memory.reset()
    world = World(tmp_path, START)
    yield world
    world.close()
    memory.reset()


def each_month(hour: int, minute: int, zone: str = "Europe/London") -> list[datetime]:
    """Instants at which a zone's clock shows this time, in the middle of each month."""
    return [first_shown(day.replace(hour=hour, minute=minute), zone) for day in MONTHS]


def in_each(*zones: str) -> list[Person]:
    return [Person(zone.rpartition("/")[2], zone, f"+1212555010{number}") for number, zone in enumerate(zones)]


def some(count: int, zone: str) -> list[Person]:
    return [Person(f"p{number}", zone, f"+12125552{number:03}") for number in range(count)]


def monthly(hour: int, minute: int) -> str:
    return f'{{type: recurring, cron: "{minute} {hour} 15 * *", timezone: Europe/London}}'


def states(world: World) -> list[tuple[datetime, RunState, str]]:
    return [(run.fire_time, run.state, run.reason) for run in world.runs()]


async def test_one_moment_for_all(world: World) -> None:
    """Half past three in the afternoon of London, which nobody here sleeps through, in summer and in winter."""
    people = in_each("Europe/London", "America/New_York", "America/Sao_Paulo")
    world.people(people)
    world.campaign(monthly(15, 30))
    world.campaign("{type: scheduled, at: 2026-12-24T15:30, timezone: Europe/London}", name="christmas")
    world.start_daemon()
    await world.until(START + YEAR)
    moments = [*each_month(15, 30), datetime(2026, 12, 24, 15, 30, tzinfo=UTC)]
    assert Counter(world.came) == {
        Message(channel, person.name, at): 1 for channel in ("email", "sms") for person in people for at in moments
    }
    assert {wall(at, "UTC").hour for at in moments} == {14, 15}
    assert [(fire_time, state) for fire_time, state, _ in states(world)] == [
        (at, RunState.completed) for at in sorted(moments)
    ]


async def test_parts_of_the_audience_one_hour_after_the_other(world: World) -> None:
    people = some(24, "Europe/London")
    world.people(people)
    world.campaign(monthly(10, 0), "{batches: {count: 3, every: 1h}}")
    world.start_daemon()
    await world.until(START + YEAR)
    moments = each_month(10, 0)
    parts: dict[tuple[str, datetime], list[int]] = defaultdict(list)
    for message in world.came:
        begun = max(moment for moment in moments if moment <= message.at)
        part, rest = divmod(message.at - begun, HOUR)
        assert not rest
        parts[message.name, begun].append(part)
    assert parts.keys() == {(person.name, moment) for person in people for moment in moments}
    assert all(len(both) == 2 and both[0] == both[1] < 3 for both in parts.values())
    for person in people:  # a part is drawn by lot, for each run anew
        assert len({parts[person.name, moment][0] for moment in moments}) > 1


async def test_text_messages_that_would_come_too_late_are_not_sent(world: World) -> None:
    """At 21:30 of London it is five and a half hours until Karachi wakes, or six and a half: it has no summer time."""
    people = in_each("Europe/London", "Asia/Karachi", "Asia/Tokyo", "America/New_York")
    world.people(people)
    world.campaign(monthly(21, 30), "{expires_after: 6h}")
    world.start_daemon()
    await world.until(START + YEAR)
    moments = each_month(21, 30)
    awake = {(one, moment): after_quiet(moment, one.zone, 20, 8) for one in people for moment in moments}
    assert world.came_to("email") == {Message("email", one.name, moment): 1 for one in people for moment in moments}
    assert world.came_to("sms") == {
        Message("sms", one.name, at): 1 for (one, moment), at in awake.items() if at - moment <= 6 * HOUR
    }
    expired = [sum(awake[one, moment] - moment > 6 * HOUR for one in people) for moment in moments]
    assert [world.counted(run)["sms skipped expired"] for run in world.runs()] == expired
    assert set(expired) == {1, 2}


async def test_quiet_hours_by_the_clock_of_the_project(world: World) -> None:
    """Who is wide awake waits as well, and who is asleep is written to."""
    people = in_each("Europe/London", "America/Los_Angeles", "Australia/Lord_Howe")
    world.people(people)
    world.campaign(monthly(22, 0), "{quiet_hours: {from: 21:00, to: 08:00, timezone: project}}")
    world.start_daemon()
    await world.until(START + YEAR)
    mornings = [first_shown(day.replace(hour=8) + DAY, "Europe/London") for day in MONTHS]
    assert Counter(world.came) == {
        Message(channel, person.name, at): 1 for channel in ("email", "sms") for person in people for at in mornings
    }


def change(world: World, **fields: bool) -> None:
    """As `connect pause`, `resume` and `skip-next` do."""
    assert world.ledger.put_schedule(replace(world.ledger.schedules(Mode.live)["morning"], **fields))


async def test_a_campaign_that_is_paused_goes_on_where_the_year_is_then(world: World) -> None:
    world.people(some(2, "Europe/London"))
    world.campaign(monthly(9, 0))
    world.start_daemon()
    moments = each_month(9, 0)
    for moment, fields in (
        (moments[1], {"skip_next": True}),
        (moments[4], {"paused": True}),
        (moments[7], {"paused": False}),
        (moments[9], {"paused": True}),
        (moments[10], {"paused": False, "skip_next": True}),
    ):
        await world.until(moment - HOUR)
        change(world, **fields)
    await world.until(START + YEAR)
    by_hand = {1: "skipped by hand", 4: "paused by hand", 5: "paused by hand", 6: "paused by hand"}
    by_hand |= {9: "paused by hand", 10: "skipped by hand"}
    assert states(world) == [
        (moment, RunState.skipped if number in by_hand else RunState.completed, by_hand.get(number, ""))
        for number, moment in enumerate(moments)
    ]
    came = [moment for number, moment in enumerate(moments) if number not in by_hand]
    assert Counter(message.at for message in world.came) == dict.fromkeys(came, 4)


async def test_a_campaign_that_is_paused_while_a_run_of_it_waits_for_the_morning(world: World) -> None:
    """What has begun goes on: pausing is about fire times that come."""
    people = some(3, "Europe/London")
    world.people(people)
    world.campaign(monthly(21, 30))
    world.start_daemon()
    begun, skipped = each_month(21, 30)[:2]
    await world.until(begun + HOUR)
    assert world.came_to("sms") == {}
    change(world, paused=True)
    await world.until(skipped + DAY)
    morning = first_shown(MONTHS[0].replace(hour=8) + DAY, "Europe/London")
    assert world.came_to("sms") == {Message("sms", one.name, morning): 1 for one in people}
    assert states(world) == [
        (begun, RunState.completed, ""),
        (skipped, RunState.skipped, "paused by hand"),
    ]


@pytest.mark.parametrize(
    ("missed", "caught_up", "reasons"),
    [
        ("grace: 4h", [], {"missed: older than 4h": 7}),
        ("grace: 6h", [6], {"missed: older than 6h": 6}),
        ("grace: 3d", [6], {"missed: older than 3d": 4, "missed: a later one has come": 2}),
        ("grace: 3d, missed: all", [4, 5, 6], {"missed: older than 3d": 4}),
        ("grace: 3d, missed: skip", [], {"missed: older than 3d": 4, "missed: more than a minute late": 3}),
    ],
)
async def test_a_week_without_a_daemon(
    world: World, missed: str, caught_up: list[int], reasons: dict[str, int]
) -> None:
    """It comes back at five in the afternoon of the seventh day, when every day's noon has passed."""
    world.people(some(2, "Europe/London"))
    world.campaign(f'{{type: recurring, cron: "0 12 * * *", timezone: Europe/London, {missed}}}')
    last = datetime(2026, 10, 21, 11, tzinfo=UTC)  # noon of summer time, which ends within the week
    world.clock.set(last - 6 * HOUR)
    world.start_daemon()
    await world.until(last + HOUR)
    noons = [first_shown(datetime(2026, 10, day, 12), "Europe/London") for day in range(22, 29)]
    world.clock.advance((noons[-1] + 5 * HOUR - world.clock.now()).total_seconds())
    back = world.clock.now()
    world.start_daemon()
    await world.until(back + DAY)
    tomorrow = noons[-1] + DAY
    runs = [run for run in world.runs() if run.fire_time > last]
    assert [run.fire_time for run in runs] == [*noons, tomorrow]
    assert Counter(run.reason for run in runs if run.state is RunState.skipped) == reasons
    assert [run.fire_time for run in runs if run.state is RunState.completed] == [
        *(noons[number] for number in caught_up),
        tomorrow,
    ]
    came = Counter(message.at for message in world.came if message.at >= back)
    assert came == {at: count for at, count in ((back, 4 * len(caught_up)), (tomorrow, 4)) if count}
