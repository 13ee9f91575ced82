"""What the tables of the destination say of some runs of a campaign: the same that the ledger has counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connect.warehouses.interface import Dialect, Query


@dataclass(frozen=True, slots=True)
class Told:
    """Where deliveries and events are written, and of which runs."""

    deliveries: str
    events: str
    target: str
    campaign: str
    runs: tuple[str, ...]


def outcomes_query(told: Told, dialect: Dialect) -> Query:
    """`run`, `channel`, `arm`, `outcome`, `reason`, and how many deliveries ended so."""
    names = _columns("d", ("run", "channel", "arm", "outcome", "reason"), dialect)
    count = f"sum(d.{dialect.quote('deliveries')})"
    chosen = _chosen(told, dialect)
    sql = f"select {names}, {count} as times\nfrom {told.deliveries} as d\nwhere {chosen}\ngroup by {names}"
    return Query(sql, _values(told))


_OF_DELIVERIES = ("run", "message_key", "channel", "arm")
_OF_EVENTS = ("type", "bounce", "machine", "link", "happened_at")
_ORDER = ("written_at", "happened_at", "event_key")


def events_query(told: Told, dialect: Dialect) -> Query:
    """Every event of these runs beside its delivery: each delivery's together, and in the order in which they came."""
    quote = dialect.quote
    names = f"{_columns('d', _OF_DELIVERIES, dialect)}, {_columns('e', _OF_EVENTS, dialect)}"
    same = " and ".join(f"e.{quote(name)} = d.{quote(name)}" for name in ("run", "message_key"))
    order = f"{_columns('d', ('run', 'message_key'), dialect)}, {_columns('e', _ORDER, dialect)}"
    joined = f"from {told.events} as e\njoin {told.deliveries} as d on {same}"
    return Query(f"select {names}\n{joined}\nwhere {_chosen(told, dialect)}\norder by {order}", _values(told))


def _columns(relation: str, names: Sequence[str], dialect: Dialect) -> str:
    return ", ".join(f"{relation}.{dialect.quote(name)}" for name in names)


def _chosen(told: Told, dialect: Dialect) -> str:
    quote, bind = dialect.quote, dialect.parameter
    runs = ", ".join(bind(f"connect_run_{number}") for number in range(len(told.runs)))
    same = [f"d.{quote(name)} = {bind(f'connect_{name}')}" for name in ("target", "campaign")]
    return " and ".join([*same, f"d.{quote('run')} in ({runs})"])


def _values(told: Told) -> dict[str, object]:
    runs = {f"connect_run_{number}": run for number, run in enumerate(told.runs)}
    return {"connect_target": told.target, "connect_campaign": told.campaign, **runs}
