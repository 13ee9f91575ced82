"""A window of events given by hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status
from tests.stories.answering_to_events.test_before_it_runs import ORDERS, TABLE
from tests.stories.conftest import LIVE

NOON = datetime(2026, 3, 10, 1, tzinfo=UTC)
"""12:00 in Sydney."""
BOUGHT = [NOON - timedelta(hours=1), NOON - timedelta(microseconds=1), NOON, NOON + timedelta(microseconds=1)]


@pytest.fixture
def shop(shop: Any) -> Any:
    shop.configure(more=LIVE)
    # One person, several orders: nobody's second order is a duplicate.
    rows = [(1, "ada@mail.example", "Adalein", 100 + number, "Teapots", at) for number, at in enumerate(BOUGHT)]
    shop.table("orders", TABLE, rows)
    shop.cells -= {str(at) for at in BOUGHT}  # they are what is typed
    shop.campaign(ORDERS)
    return shop


def orders(shop: Any) -> list[int]:
    """The orders that were answered, in no order."""
    found = [re.search(r"for order (\d+)", email.text or "") for email in shop.sent()]
    return sorted(int(match[1]) for match in found if match)


def test_without_a_window_the_command_to_type_is_told(shop: Any) -> None:
    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "window-needed")
    assert re.search(
        r"`connect run hello --since \d{4}-\d\d-\d\dT\d\d:\d\d --until \d{4}-\d\d-\d\dT\d\d:\d\d`", ended.error.hint
    )
    shop.nothing_happened()


def test_the_command_that_is_told_can_be_typed(shop: Any) -> None:
    command = re.search(r"`connect (.*)`", shop.run().error.hint)
    assert command

    ended = shop.connect(*command[1].split(), "--yes", "--json")

    assert (ended.code, ended.json["deliveries"]) == (0, 0)


WRONG = [
    (["--since", "2026-03-10"], "`--since` is given alone"),
    (["--until", "2026-03-10"], "`--until` is given alone"),
    (["--since", "2026-03-10T12:00", "--until", "2026-03-10T12:00"], "`--until` is not after `--since`"),
    (["--since", "2026-03-10T12:00", "--until", "2026-03-10T12:30+12:00"], "`--until` is not after `--since`"),
    (["--since", "2026-03-10", "--until", "2199-01-01"], "`--until` has not come yet"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_what_makes_no_window_is_refused(shop: Any, options: list[str], said: str) -> None:
    ended = shop.run("hello", *options)

    assert (ended.code, ended.error.code) == (2, "bad-window")
    assert ended.error.message.startswith(said)
    shop.nothing_happened()


def test_a_time_that_is_none_is_refused(shop: Any) -> None:
    ended = shop.run("hello", "--since", "yesterday", "--until", "2026-03-10")

    assert (ended.code, ended.error.code) == (2, "bad-time")
    assert "--since yesterday" in ended.error.message


def test_other_campaigns_have_no_windows(shop: Any) -> None:
    shop.campaign()
    shop.people(3)

    ended = shop.run("hello", "--since", "2026-03-10", "--until", "2026-03-11")

    assert (ended.code, ended.error.code) == (2, "bad-window")
    assert "event trigger" in ended.error.hint
    shop.nothing_happened()


def test_a_window_has_its_end_and_not_its_beginning(shop: Any) -> None:
    first = shop.run("hello", "--since", "2026-03-10T11:00", "--until", "2026-03-10T12:00")
    assert (first.code, orders(shop)) == (0, [101, 102])
    assert re.search(
        r"events +after Tue 2026-03-10 11:00 AEDT, up to Tue 2026-03-10 12:00 AEDT \(60 minutes\)", first.err
    )

    # The next window begins where this one ended: what is in the one is not in the other.
    second = shop.run("hello", "--since", "2026-03-10T01:00Z", "--until", "2026-03-11")
    assert (second.code, orders(shop)) == (0, [101, 102, 103])
    assert "(23 hours)" not in first.err
    assert "12 hours" in second.err
    assert [state for _, _, state in shop.ledger] == ["completed", "completed"]


def test_a_window_can_be_run_again(shop: Any) -> None:
    """Two windows are two runs, also where they are the same: it is asked for by hand."""
    window = ["--since", "2026-03-10T11:30", "--until", "2026-03-10T12:00"]
    for _ in range(2):
        assert shop.run("hello", *window).code == 0

    assert orders(shop) == [101, 101, 102, 102]
    assert len(shop.ledger) == 2


def test_limits_hold_for_a_window(shop: Any) -> None:
    shop.campaign(ORDERS, limits="limits: {max: 1}")

    ended = shop.run("hello", "--since", "2026-03-10T11:00", "--until", "2026-03-10T12:00")

    assert ended.code == 2
    assert orders(shop) == []


def test_a_run_that_was_interrupted_goes_on_with_its_own_window(shop: Any) -> None:
    window = ["--since", "2026-03-10T11:00", "--until", "2026-03-10T12:00"]
    memory.script("mail", lambda outgoing, attempt: Receipt(Status.config))
    assert shop.run("hello", *window).code == 3
    assert [state for _, _, state in shop.ledger] == ["paused"]
    memory.script("mail", None)

    other = shop.run("hello", "--since", "2026-03-10T12:00", "--until", "2026-03-10T13:00")
    assert (other.code, other.error.code) == (2, "window-unfinished")
    assert orders(shop) == []

    ended = shop.run("hello")
    assert (ended.code, orders(shop)) == (0, [101, 102])
    assert "up to Tue 2026-03-10 12:00 AEDT (60 minutes)" in ended.err
    assert [state for _, _, state in shop.ledger] == ["completed"]


def test_the_same_command_goes_on_with_it_too(shop: Any) -> None:
    window = ["--since", "2026-03-10T11:00", "--until", "2026-03-10T12:00"]
    memory.script("mail", lambda outgoing, attempt: Receipt(Status.config))
    shop.run("hello", *window)
    memory.script("mail", None)

    assert shop.run("hello", *window).code == 0
    assert orders(shop) == [101, 102]
    assert [state for _, _, state in shop.ledger] == ["completed"]
