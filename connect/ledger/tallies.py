"""Tallies: how many deliveries of a run ended how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import BigInteger, Connection, Text, select

from connect.ledger.many import Given, Insert, ManyRows, Row
from connect.ledger.records import Tally
from connect.ledger.tables import TALLIES
from connect.vocabulary import Channel, Outcome

_KEYS = ("run_id", "channel", "arm", "outcome", "reason")


def _adding(given: Given) -> Insert:
    insert = given.insert_into(TALLIES)
    total = TALLIES.c.count + insert.excluded.count
    return insert.on_conflict_do_update(index_elements=TALLIES.primary_key, set_={"count": total})


_ADD = ManyRows({**{name: Text() for name in _KEYS}, "count": BigInteger()}, _adding)


def add(connection: Connection, run_id: str, tallies: Iterable[Tally]) -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    for tally in tallies:
        if tally.count < 0:
            raise ValueError("a delivery that was counted stays counted")
        counts[tally.channel.value, tally.arm, tally.outcome.value, str(tally.reason)] += tally.count
    # Sorted: two who count for one run then wait for each other's rows, and never both for both.
    rows: list[Row] = [(run_id, *key, count) for key, count in sorted(counts.items()) if count]
    _ADD.run(connection, rows)


def read(connection: Connection, run_id: str) -> list[Tally]:
    keys = (TALLIES.c.channel, TALLIES.c.arm, TALLIES.c.outcome, TALLIES.c.reason)
    rows = connection.execute(select(*keys, TALLIES.c.count).where(TALLIES.c.run_id == run_id))
    # Sorted here: databases differ in how they sort text.
    return [
        Tally(Channel(channel), arm, Outcome(outcome), reason, count)
        for channel, arm, outcome, reason, count in sorted(tuple(row) for row in rows)
    ]
