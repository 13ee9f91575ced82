"""Tallies: how many deliveries of a run ended how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import BigInteger, Connection, Text, select

from connect.ledger.many import Given, Insert, ManyRows, Row
from connect.ledger.records import Tally
from connect.ledger.tables import TALLIES
from connect.vocabulary import Channel, Outcome

TallyKey = tuple[Channel, str, Outcome, str]
"""Channel, arm, outcome, reason."""

_KEYS = ("run_id", "channel", "arm", "outcome", "reason")


def _adding(given: Given) -> Insert:
    insert = given.insert_into(TALLIES)
    total = TALLIES.c.count + insert.excluded.count
    return insert.on_conflict_do_update(index_elements=TALLIES.primary_key, set_={"count": total})


_ADD = ManyRows({**{name: Text() for name in _KEYS}, "count": BigInteger()}, _adding)


def add(connection: Connection, run_id: str, tallies: Iterable[Tally]) -> None:
    counts: Counter[TallyKey] = Counter()
    for tally in tallies:
        counts[tally.channel, tally.arm, tally.outcome, tally.reason] += tally.count
    count(connection, run_id, counts)


def count(connection: Connection, run_id: str, counts: Mapping[TallyKey, int]) -> None:
    """So many more deliveries ended so."""
    rows: list[Row] = []
    # Sorted: two who count for one run then wait for each other's rows, and never both for both.
    for (channel, arm, outcome, reason), number in sorted(counts.items()):
        if number < 0:
            raise ValueError("a delivery that was counted stays counted")
        if number:
            rows.append((run_id, str(channel), arm, str(outcome), str(reason), number))
    _ADD.run(connection, rows)


def read(connection: Connection, run_id: str) -> list[Tally]:
    keys = (TALLIES.c.channel, TALLIES.c.arm, TALLIES.c.outcome, TALLIES.c.reason)
    rows = connection.execute(select(*keys, TALLIES.c.count).where(TALLIES.c.run_id == run_id))
    # Sorted here: databases differ in how they sort text.
    return [
        Tally(Channel(channel), arm, Outcome(outcome), reason, count)
        for channel, arm, outcome, reason, count in sorted(tuple(row) for row in rows)
    ]
