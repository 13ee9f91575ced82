"""A year of a campaign that comes to everybody at their own time, on a clock that a test moves."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from connect.providers import memory
from connect.vocabulary import RunState
from tests.stories.on_time.world import Message, Person, World, after_quiet, first_shown, wall

START = datetime(2026, 9, 2, tzinfo=UTC)
ZONES = [
    *("Pacific/Kiritimati", "Pacific/Apia", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Norfolk"),
    *("Australia/Lord_Howe", "Australia/Sydney", "Australia/Adelaide", "Australia/Eucla", "Asia/Tokyo"),
    *("Asia/Almaty", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Kabul", "Asia/Tehran", "Asia/Beirut", "Africa/Cairo"),
    *("Africa/Casablanca", "Europe/Dublin", "Europe/London", "Atlantic/Azores", "America/Sao_Paulo"),
    *("America/St_Johns", "America/Santiago", "America/Asuncion", "America/Havana", "America/New_York"),
    *("America/Los_Angeles", "Pacific/Marquesas", "Pacific/Pago_Pago"),
]
NUMBERS = {"Asia/Almaty": "+7701234567", "America/Sao_Paulo": "+551196123456"}
"""All but a digit; elsewhere people have numbers of New York, and a `timezone` that says where they are."""
ONLY_A_NUMBER = {
    "Asia/Kathmandu": "+9779841234567",
    "Asia/Tokyo": "+819012345678",
    "Africa/Cairo": "+201001234567",
    "Asia/Beirut": "+96171123456",
    "America/Havana": "+5351234567",
    "America/Asuncion": "+595961456789",
}
"""People whose number alone tells where they are."""
QUIET = {"Asia/Almaty": (22, 9), "America/Sao_Paulo": (21, 8)}
"""When nobody is sent a text message by default, where it is not from 20 to 8."""


def everybody() -> list[Person]:
    """Two for each zone, and those of whom there is only a number."""
    found = []
    for number, zone in enumerate(ZONES):
        start = NUMBERS.get(zone, f"+1212555{number:03}")
        found += [Person(f"{number}-{one}", zone, f"{start}{one}") for one in range(2)]
    return found + [
        Person(f"number-{number}", zone, phone, zone_is_written=False)
        for number, (zone, phone) in enumerate(ONLY_A_NUMBER.items())
    ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    memory.reset()
    world = World(tmp_path, START)
    yield world
    world.close()
    memory.reset()


def expected(people: list[Person], moments: list[datetime]) -> list[Message]:
    """E-mail at the moment of everybody's own clock; the text message when nobody is woken by it."""
    found = []
    for person in people:
        for moment in moments:
            shown = first_shown(moment, person.zone)
            awake = after_quiet(shown, person.zone, *QUIET.get(person.zone, (20, 8)))
            found += [Message("email", person.name, shown), Message("sms", person.name, awake)]
    return found


async def test_on_first_sundays_everybody_hears_once_at_their_own_half_past_two_and_nobody_is_woken(
    world: World,
) -> None:
    """On some of them clocks are moved: half past two does not come in Sydney, and comes twice in Auckland.

    They are moved in Santiago in September, in Sydney in October, in New York in November and back in Sydney in April;
    in July they are all as far from that as they come.
    """
    months = (4, 7, 9, 10, 11)
    days = [day for day in sundays() if day.day <= 7 and day.month in months]
    await let_a_year_pass(world, f"30 2 * {','.join(map(str, months))} sun#1", days)


@pytest.mark.skipif("CONNECT_WHOLE_YEAR" not in os.environ, reason="takes minutes: CONNECT_WHOLE_YEAR=1 runs it")
async def test_on_every_sunday_of_the_year(world: World) -> None:
    """On all of those on which clocks are moved."""
    await let_a_year_pass(world, "30 2 * * sun", sundays())


def sundays() -> list[date]:
    """Of the year."""
    found = [(START + timedelta(days=number)).date() for number in range(365)]
    return [day for day in found if day.weekday() == 6]


async def let_a_year_pass(world: World, cron: str, expected_on: list[date]) -> None:
    people = everybody()
    world.people(people)
    world.campaign(f'{{type: recurring, cron: "{cron}", local_time: true}}')
    world.start_daemon()
    await world.until(START + timedelta(days=365))
    must_have_come(world, people, [datetime.combine(day, time(2, 30)) for day in expected_on])


def must_have_come(world: World, people: list[Person], moments: list[datetime]) -> None:
    """Each of these, to everybody, once; and nothing else."""
    assert Counter(world.came) == dict.fromkeys(expected(people, moments), 1)
    for message in world.came:
        if message.channel == "sms":
            must_be_awake(message)
    runs = world.runs()
    assert [(run.state, run.manual) for run in runs] == [(RunState.completed, False)] * len(moments)
    for run in runs:
        assert world.counted(run) == {"email sent": len(people), "sms sent 2_segments": len(people)}
        assert run.audience_rows == len(people)
    assert world.counts == len(moments)


def must_be_awake(message: Message) -> None:
    zone = next(person.zone for person in everybody() if person.name == message.name)
    begin, end = QUIET.get(zone, (20, 8))
    assert end <= wall(message.at, zone).hour < begin
