"""Tallies: how many deliveries of a run ended how."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from connect.ledger.engine import upsert
from connect.ledger.records import Tally
from connect.ledger.tables import TALLIES
from connect.vocabulary import Channel, Outcome


def add(connection: Connection, run_id: str, tallies: Iterable[Tally]) -> None:
    rows = [_row(run_id, tally) for tally in tallies if tally.count]
    if not rows:
        return
    statement = upsert(TALLIES)
    total = TALLIES.c.count + statement.excluded.count
    connection.execute(statement.on_conflict_do_update(index_elements=TALLIES.primary_key, set_={"count": total}), rows)


def read(connection: Connection, run_id: str) -> list[Tally]:
    keys = (TALLIES.c.channel, TALLIES.c.arm, TALLIES.c.outcome, TALLIES.c.reason)
    query = select(*keys, TALLIES.c.count).where(TALLIES.c.run_id == run_id).order_by(*keys)
    return [
        Tally(Channel(channel), arm, Outcome(outcome), reason, count)
        for channel, arm, outcome, reason, count in connection.execute(query)
    ]


def _row(run_id: str, tally: Tally) -> dict[str, object]:
    if tally.count < 0:
        raise ValueError("a delivery that was counted stays counted")
    return {
        "run_id": run_id,
        "channel": tally.channel.value,
        "arm": tally.arm,
        "outcome": tally.outcome.value,
        "reason": str(tally.reason),
        "count": tally.count,
    }
