"""What was sent to one person lately, by the id or the address that was written, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connect.errors import UserError
from connect.pipeline.correspondence import HistoryTables, correspondence
from connect.pipeline.subscriber import Person
from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
TABLES = HistoryTables("shop", "sent_to", "heard_of")
WHO = Person("7", "Ada@Example.com", "+61 400 000 001")

COLUMNS = "run, message_key, target, campaign, id, address, channel, provider, outcome, reason, written_at"
SENT = [
    "'r1', 'k1', 'prod', 'hello', '7', null, 'email', 'mail', 'sent', null, '2026-09-20 08:00+00'",
    "'r1', 'k2', 'prod', 'hello', null, 'ada@example.com', 'email', 'mail', 'failed', 'bounced', '2026-09-21 08:00+00'",
    "'r1', 'k3', 'prod', 'hello', null, '+61400000001', 'sms', 'texts', 'sent', null, '2026-09-22 08:00+00'",
    "'r0', 'k4', 'prod', 'older', '7', null, 'email', 'mail', 'sent', null, '2026-08-30 08:00+00'",
    "'r2', 'k5', 'test', 'hello', '7', null, 'email', 'mail', 'sent', null, '2026-09-23 08:00+00'",
    "'r2', 'k6', 'prod', 'hello', '70', null, 'email', 'mail', 'sent', null, '2026-09-23 08:00+00'",
]
HEARD = [
    "'r1', 'k1', 'clicked', null, null, 'https://shop.example', false, '2026-09-20 09:00+00', '2026-09-20 09:00:01+00'",
    "'r0', 'k4', 'opened', null, null, null, true, '2026-09-25 09:00+00', '2026-09-25 09:00:01+00'",
    "'r0', 'k4', 'opened', null, null, null, true, '2026-08-30 09:00+00', '2026-08-30 09:00:01+00'",
    "'r2', 'k6', 'opened', null, null, null, true, '2026-09-25 09:00+00', '2026-09-25 09:00:01+00'",
]


@pytest.fixture(params=["duckdb", "postgresql"])
def rig(request: Any, tmp_path: Path) -> Iterator[Any]:
    try:
        with warehouse_rig(request.param, tmp_path) as rig:
            yield rig
    except NoServer as missing:
        pytest.skip(str(missing))


def test_it_is_found_by_id_and_by_address_and_is_not_older_than_a_month(rig: Any) -> None:
    described = COLUMNS.replace("written_at", "").replace(",", " text,") + " written_at timestamp with time zone"
    rig.execute(
        f"create table sent_to ({described})",
        "create table heard_of (run text, message_key text, type text, bounce text, reason text, link text,"
        " machine boolean, happened_at timestamp with time zone, written_at timestamp with time zone)",
        *(f"insert into sent_to ({COLUMNS}) values ({row})" for row in SENT),
        *(f"insert into heard_of values ({row})" for row in HEARD),
    )

    deliveries, events = correspondence("prod", TABLES, rig.warehouse, WHO, NOW)

    named = [dict(zip((column.name for column in deliveries.columns), row, strict=True)) for row in deliveries.rows]
    assert [(row["channel"], row["outcome"], row["reason"]) for row in named] == [
        ("sms", "sent", None),
        ("email", "failed", "bounced"),
        ("email", "sent", None),
    ]
    assert named[0]["written_at"] == datetime(2026, 9, 22, 8, tzinfo=UTC)
    heard = [dict(zip((column.name for column in events.columns), row, strict=True)) for row in events.rows]
    assert [(row["type"], row["campaign"], row["link"]) for row in heard] == [
        ("opened", "older", None),
        ("clicked", "hello", "https://shop.example"),
    ]
    assert not deliveries.more
    assert "Ada" not in repr(WHO) + repr(deliveries)


def test_tables_that_are_not_there_are_the_users_mistake(rig: Any) -> None:
    with pytest.raises(UserError):
        correspondence("prod", TABLES, rig.warehouse, WHO, NOW)
