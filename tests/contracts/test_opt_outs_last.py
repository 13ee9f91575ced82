"""Opt-outs stand over returns that are dated too late, in every warehouse that opt-outs are written to."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connect import wiring
from connect.clock import SystemClock
from connect.pipeline.lasting import AGAIN, Lasting
from connect.pipeline.lately import Lately
from connect.pipeline.sealing import note
from connect.pipeline.subscriptions import Change, create, record, writable
from connect.testing.warehouses import WarehouseRig
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses.interface import Query

CONNECT = """
name: shop
secret: ${CONNECT_SECRET}
sources: {shop: {url: "duckdb:///shop.duckdb"}}
subscriptions: {write: connect_opt_outs, subscribed_values: [subscribed, "back again"]}
"""


def test_a_return_whose_clock_was_ahead(written_to: WarehouseRig, tmp_path: Path) -> None:
    (tmp_path / "connect.yml").write_text(CONNECT)
    project = wiring.open_project(tmp_path, None, None, {"CONNECT_SECRET": "a secret of this test"})
    subscriptions, warehouse, now = writable(project), written_to.warehouse, datetime.now(UTC)
    ahead = now + timedelta(hours=1)
    create(warehouse, subscriptions)
    back = Change(SubscriptionStatus.subscribed, ahead, "command", "7", "ada@mail.example", Channel.email, "offers")
    others = [replace(back, at=now - timedelta(hours=1), id="8"), replace(back, id="9", channel=None, topic=None)]
    record(warehouse, subscriptions, [back, *others])
    left = [
        replace(back, status=SubscriptionStatus.unsubscribed, at=now, source="one_click", id=id)
        for id in ("7", "8", "9")
    ]
    with closing(wiring.open_ledger(project, SystemClock())) as ledger:
        record(warehouse, subscriptions, left)
        note(project, ledger, left)
        lasting = Lasting(project, ledger, SystemClock(), Lately(ledger, project.secret, SystemClock()))
        (again,) = lasting.look(lambda: warehouse)
    assert again == replace(left[0], at=ahead + timedelta(microseconds=1), reason=AGAIN)
    record(warehouse, subscriptions, [again])
    quote = warehouse.dialect.quote
    latest = f"select {quote('status')} from connect_opt_outs where {quote('id')} = '7' order by {quote('at')} desc"
    assert [*warehouse.rows(Query(latest, {}), timedelta(minutes=1))[0].values()] == ["unsubscribed"]
