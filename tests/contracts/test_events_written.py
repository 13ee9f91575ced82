"""Events in every warehouse that is written to: added once, and joined with the deliveries that they are about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow
import pytest

from connect.ledger.records import Reported
from connect.pipeline.event_rows import add_rows, event_key
from connect.pipeline.noticed import Noticed
from connect.pipeline.soft_bounces import SoftBounces
from connect.project.destination import Destination
from connect.providers.events import Bounce, Event, EventType
from connect.testing.warehouses import WarehouseRig
from connect.vocabulary import Channel, Personal
from connect.warehouses.destination import deliveries_table, events_table
from connect.warehouses.interface import Query, Warehouse

T = timedelta(seconds=60)
NOW = datetime(2026, 11, 20, 12, 0, 0, 654321, tzinfo=UTC)
RUN = "01lg030gehin6t3j"


@pytest.fixture
def warehouse(written_to: WarehouseRig) -> Warehouse:
    made = written_to.warehouse
    for table in (deliveries_table("connect_deliveries"), events_table("connect_events")):
        made.write([Query(statement, {}) for statement in made.dialect.create_table(table)], T)
    return made


def noticed(number: int, type: EventType, bounce: Bounce | None = None, **more: object) -> Noticed:
    event = Event(
        type,
        NOW,
        f"event {number}",
        Channel.email,
        RUN,
        number.to_bytes(16, "big"),
        "ada@mail.example",
        bounce,
        "mailbox_full" if bounce else "",
        **more,  # type: ignore[arg-type]
    )
    key = event_key("mail", event.id)
    return Noticed("mail", event, NOW, key, True, None, Reported((key.encode()[:16],), NOW, NOW.date()), False, "")


def test_events_are_written_once_and_ten_soft_bounces_are_found(warehouse: Warehouse) -> None:
    bounces = [noticed(number, EventType.bounced, Bounce.soft) for number in range(10)]
    odd = noticed(10, EventType.clicked, link="https://x.example/\0é\ud83d?q=it's", machine=True)
    recently = [(NOW - timedelta(hours=2), NOW - timedelta(hours=1)), (NOW - timedelta(minutes=1), None)]
    for some, written in ((bounces[:5], None), ([*bounces, odd], None), ([odd], None), ([*bounces, odd], recently)):
        add_rows(warehouse, "connect_events", some, NOW, written)
    asked = "select count(*) as many, count(distinct event_key) as known from connect_events where run = 'RUN'"
    ((many, keys),) = [tuple(row.values()) for row in warehouse.rows(Query(asked.replace("RUN", RUN), {}), T)]
    assert (many, keys) == (11, 11)

    written = {
        "run": [RUN] * 10,
        "message_key": [number.to_bytes(16, "big").hex() for number in range(10)],
        "id": ["7"] * 10,
        "channel": ["email"] * 10,
    }
    warehouse.add(deliveries_table("connect_deliveries"), pyarrow.table(written), T)
    soft = SoftBounces()
    soft.note([bounces[0], replace(bounces[1])])
    (change,) = soft.due(warehouse, Destination(include=(Personal.id,)), NOW)
    assert (change.address, change.reason) == ("ada@mail.example", "soft_bounces")
    assert soft.due(warehouse, Destination(include=(Personal.id,)), NOW) == [change]  # until it is durable
    soft.let_go()
    assert not soft
    soft.note(bounces)
    assert soft.due(warehouse, Destination(include=(Personal.id,)), NOW + timedelta(days=31)) == []
