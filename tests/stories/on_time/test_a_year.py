"""A year of a campaign that comes to everybody in the morning, on a clock that a test moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect.providers import memory
from connect.vocabulary import RunState
from tests.stories.on_time.world import Message, Person, World, after_quiet, first_shown

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
    **{"Asia/Kathmandu": "+9779841234567", "Asia/Tokyo": "+819012345678", "Africa/Cairo": "+201001234567"},
    **{"Asia/Beirut": "+96171123456", "America/Havana": "+5351234567", "America/Asuncion": "+595961456789"},
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
    world = World(tmp_path, datetime(2026, 9, 2, tzinfo=UTC))
    yield world
    world.ledger.close()
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


async def test_everybody_hears_once_a_week_at_their_own_half_past_seven_and_is_never_woken(world: World) -> None:
    people = everybody()
    world.people(people)
    world.campaign('{type: recurring, cron: "30 7 * * mon", local_time: true}')
    world.start_daemon()
    weeks = 4
    await world.until(datetime(2026, 9, 2, tzinfo=UTC) + timedelta(weeks=weeks))
    mondays = [datetime(2026, 9, 7, 7, 30) + timedelta(weeks=week) for week in range(weeks)]
    assert Counter(world.came) == dict.fromkeys(expected(people, mondays), 1)
    runs = world.runs()
    assert [run.state for run in runs] == [RunState.completed] * weeks
    for run in runs:
        assert world.counted(run) == {"email sent": len(people), "sms sent": len(people)}
