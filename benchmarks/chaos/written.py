"""A warehouse that is a server, and holds the run's ledger and its deliveries as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connect.ledger.records import Tally
from connect.vocabulary import Outcome
from connect.warehouses import catalog
from connect.warehouses.destination import deliveries_table, events_table

TABLE, EVENTS = "connect_deliveries", "connect_events"
APART = "&options=-csearch_path%3Dledger"
"""At the end of the ledger's URL."""
Ended = tuple[int | None, str, str, int]
"""(person, outcome, reason, deliveries) of a row that was written back."""


@dataclass(frozen=True)
class Written:
    url: str

    @classmethod
    def beside(cls, ledger: str) -> Written:
        """In the database of a ledger."""
        return cls(ledger.partition("&options=")[0].replace("+psycopg", ""))

    def settle(self, count: int) -> None:
        """So many people, the tables, and a schema for the ledger, which shares none with tables of anybody else."""
        with self._connected() as server:
            server.execute("create schema ledger")
            server.execute(
                "create table people as select i as id, 'person-' || i || '@mail.example' as email, "
                f"true as subscribed from generate_series(1, {count}) as people(i)"
            )
            for table in (deliveries_table(TABLE), events_table(EVENTS)):
                for statement in catalog.load("postgresql").dialect.create_table(table):
                    server.execute(statement)

    def rows(self) -> list[Ended]:
        with self._connected() as server:
            return [
                (int(id) if id else None, outcome, reason or "", times)
                for id, outcome, reason, times in server.execute(
                    f"select id, outcome, reason, deliveries from {TABLE}"
                ).fetchall()
            ]

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        import psycopg

        with psycopg.connect(self.url) as server:
            yield server


def violations(rows: list[Ended], tallies: list[Tally]) -> Iterator[str]:
    """The table says what the report says, and nobody's message has two rows."""
    told, counted = _sums(rows), {(tally.outcome.value, tally.reason): tally.count for tally in tallies}
    if told != counted:
        yield f"the table has {told}, and the run counted {counted}"
    people = [person for person, *_ in rows if person is not None]
    if len(people) != len(set(people)):
        yield f"{len(people) - len(set(people))} messages have more than one row"
    if nobody := sum(person is None and outcome == Outcome.sent for person, outcome, *_ in rows):
        yield f"{nobody} rows say that nobody was sent something"


def _sums(rows: list[Ended]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for _, outcome, reason, times in rows:
        sums[outcome, reason] = sums.get((outcome, reason), 0) + times
    return sums
