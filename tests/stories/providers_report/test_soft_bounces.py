"""Ten soft bounces within thirty days count as a hard one; the warehouse knows them, and nobody else."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow
import pytest

from connect.identity import correlation_id
from connect.providers.events import Bounce, EventType
from connect.testing.messages import RUN_ID, an_email
from connect.testing.providers import Happened
from connect.warehouses.destination import deliveries_table, events_table
from tests.stories.providers_report.conftest import Shop

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _now() -> None:
    """What is signed minutes ago is not believed, and others may have been tested in this process meanwhile."""
    global NOW
    NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _asks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not once a minute."""
    monkeypatch.setattr("connect.pipeline.intake._UPKEEP", 0.05)


PATIENT = timedelta(seconds=30)


def _key(person: int, letter: int) -> bytes:
    return hashlib.blake2b(f"{person} {letter}".encode(), digest_size=16).digest()


def _wrote(shop: Shop, person: int, letters: int) -> None:
    """So many letters to one person, as runs write them."""
    told = shop.site.project.destination
    assert told is not None
    included = {one.value for one in told.include}
    rows = [
        {
            "run": RUN_ID,
            "message_key": _key(person, letter).hex(),
            "id": str(person) if "id" in included else None,
            "address": f"person-{person}@mail.example" if "address" in included else None,
            "channel": "email",
            "outcome": "sent",
        }
        for letter in range(letters)
    ]
    shop.site.warehouse("shop").add(deliveries_table("connect_deliveries"), pyarrow.Table.from_pylist(rows), PATIENT)


def _bounced_before(shop: Shop, person: int, letters: range, at: datetime) -> None:
    rows = [
        {
            "event_key": f"{person} {letter}",
            "run": RUN_ID,
            "message_key": _key(person, letter).hex(),
            "type": "bounced",
            "bounce": "soft",
            "happened_at": at,
        }
        for letter in letters
    ]
    shop.site.warehouse("shop").add(events_table("connect_events"), pyarrow.Table.from_pylist(rows), PATIENT)


def _bounces(shop: Shop, rig: Any, person: int, letter: int) -> None:
    outgoing = an_email(person)
    outgoing = type(outgoing)(
        _key(person, letter), correlation_id(RUN_ID, _key(person, letter)), outgoing.channel, outgoing.message
    )
    webhook = rig.webhook([Happened(EventType.bounced, outgoing, Bounce.soft)], NOW)
    assert shop.opt_outs() == []
    assert shop.post("sendgrid", webhook)[0] == 200
    while shop.site.intake.is_asking:
        time.sleep(0.01)


@pytest.mark.parametrize("include", ["[id]", "[address]", "[id, address]"])
def test_the_tenth_counts_as_a_hard_one(shop: tuple[Shop, Any], include: str) -> None:
    home, rig = shop
    home.configure("{include: [id, address]}", f"{{include: {include}}}")
    with home.listening():
        home.run()
        for person in (1, 2):
            _wrote(home, person, 10)
        _bounced_before(home, 1, range(8), NOW - timedelta(days=20))
        _bounces(home, rig, 1, 8)
        _bounces(home, rig, 2, 0)
        _bounces(home, rig, 1, 9)
        assert home.opt_outs() == [("person-1@mail.example", "email", "bounced", "webhook", "soft_bounces")]


def test_those_of_long_ago_do_not_count(shop: tuple[Shop, Any]) -> None:
    home, rig = shop
    with home.listening():
        home.run()
        _wrote(home, 1, 11)
        _bounced_before(home, 1, range(10), NOW - timedelta(days=31))
        _bounces(home, rig, 1, 10)
        assert home.opt_outs() == []


def test_where_the_deliveries_say_nobody_nobody_is_known_again(shop: tuple[Shop, Any]) -> None:
    home, rig = shop
    home.configure("{include: [id, address]}", "{include: []}")
    with home.listening():
        home.run()
        _wrote(home, 1, 10)
        _bounced_before(home, 1, range(9), NOW)
        _bounces(home, rig, 1, 9)
        assert home.opt_outs() == []
