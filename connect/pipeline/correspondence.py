"""What was sent to one person, and what became of it: from the tables of the destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connect.pipeline.asking import Answer, first_rows
from connect.pipeline.subscriber import Person
from connect.pipeline.subscriptions import compared
from connect.project.project import Project
from connect.warehouses.interface import Column, Dialect, Query, Warehouse

LOOKED_BACK = timedelta(days=30)
MOST = 200
"""So many rows of each are shown."""

_DELIVERIES = ("written_at", "campaign", "channel", "outcome", "reason", "provider", "run")
_EVENTS = ("happened_at", "type", "bounce", "reason", "link", "machine")


@dataclass(frozen=True, slots=True)
class HistoryTables:
    """Where a project writes what it sent."""

    source: str
    deliveries: str
    events: str


def history_tables(project: Project) -> HistoryTables | None:
    """The tables of the project's destination; None where it has none."""
    found = project.destination
    return HistoryTables(found.source, found.deliveries, found.events) if found else None


def correspondence(
    target: str, tables: HistoryTables, warehouse: Warehouse, who: Person, now: datetime
) -> tuple[Answer, Answer]:
    """Deliveries and events of the last 30 days, the latest first. Raises UserError where there are no such tables."""
    dialect = warehouse.dialect
    values = {"connect_target": target, "connect_since": now - LOOKED_BACK}
    about, people = _about(who, dialect)
    sent = f"d.{dialect.quote('target')} = {dialect.parameter('connect_target')} and {about}"
    deliveries = Query(_deliveries(tables, sent, dialect), {**values, **people})
    events = Query(_events(tables, sent, dialect), {**values, **people})
    told = _DELIVERIES, (*_EVENTS, "campaign", "channel")
    return _answer(warehouse, deliveries, told[0]), _answer(warehouse, events, told[1])


def _deliveries(tables: HistoryTables, sent: str, dialect: Dialect) -> str:
    return _since(f"select {_selected('d', _DELIVERIES, dialect)}\nfrom {tables.deliveries} as d", sent, "d", dialect)


def _events(tables: HistoryTables, sent: str, dialect: Dialect) -> str:
    run, key = dialect.quote("run"), dialect.quote("message_key")
    same = f"e.{run} = d.{run} and e.{key} = d.{key}"
    columns = f"{_selected('e', _EVENTS, dialect)}, {_selected('d', ('campaign', 'channel'), dialect)}"
    joined = f"select {columns}\nfrom {tables.events} as e\njoin {tables.deliveries} as d on {same}"
    return _since(joined, sent, "e", dialect)


def _since(select: str, where: str, relation: str, dialect: Dialect) -> str:
    at = f"{relation}.{dialect.quote('written_at')}"
    return f"{select}\nwhere {where} and {at} > {dialect.parameter('connect_since')}\norder by {at} desc"


def _selected(relation: str, names: Sequence[str], dialect: Dialect) -> str:
    return ", ".join(f"{relation}.{dialect.quote(name)}" for name in names)


def _about(who: Person, dialect: Dialect) -> tuple[str, Mapping[str, object]]:
    """Whether a delivery is this person's: by the id or by an address, whichever is written; and what that binds."""
    addresses = sorted({form for address in who.addresses for form in (address, compared(address)) if form})
    values = {f"connect_address_{number}": address for number, address in enumerate(addresses)}
    same = [f"d.{dialect.quote('id')} = {dialect.parameter('connect_id')}"]
    same += [f"d.{dialect.quote('address')} = {dialect.parameter(name)}" for name in values]
    return f"({' or '.join(same)})", {"connect_id": who.id, **values}


def _answer(warehouse: Warehouse, asked: Query, names: Sequence[str]) -> Answer:
    rows = first_rows(warehouse, asked, MOST + 1)
    return Answer([Column(name, "") for name in names], rows[:MOST], len(rows) > MOST)
