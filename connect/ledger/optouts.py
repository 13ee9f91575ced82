"""Opt-outs that wait for the warehouse, sealed, inside a transaction of the caller."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, LargeBinary, bindparam, delete, func, select, update

from connect.ledger.many import ManyRows, insert_on
from connect.ledger.records import Held, HeldOptOut
from connect.ledger.runs import is_running
from connect.ledger.scope import Scope
from connect.ledger.tables import OPTOUTS, RUNS, SLICES, microseconds

KEPT = timedelta(minutes=30)
"""How long those are kept that the warehouse has: longer than a run goes by what it has read, which is the ten minutes
that a read takes at most (unless `audience.timeout` says more) and the fifteen for which its rows are fresh."""
LONGEST = timedelta(days=1)
"""While a run is at work that began before: its read may take as long as `audience.timeout` says. None takes longer."""


def add(
    connection: Connection, scope: Scope, sealed: Mapping[bytes, bytes], now: datetime, gone_at: datetime | None = None
) -> None:
    """Hold these by name, or say that the warehouse has them; one that is here already stays as it is."""
    # Their ids become visible in their order: who reads on behind one must not miss one that commits later.
    scope.one_at_a_time(connection)
    rows = [{"name": name, "sealed": each, "at": now, "gone_at": gone_at} for name, each in sealed.items()]
    if rows:
        connection.execute(insert_on(connection, OPTOUTS).on_conflict_do_nothing(index_elements=["name"]), rows)


_HELD = OPTOUTS.c.gone_at.is_(None)


def after(connection: Connection, id: int, limit: int, *, gone: bool = False) -> list[HeldOptOut]:
    """Those held behind an id, in the order in which they came; with those that are gone, or without."""
    query = select(OPTOUTS).where(OPTOUTS.c.id > id).order_by(OPTOUTS.c.id).limit(limit)
    found = connection.execute(query if gone else query.where(_HELD))
    return [HeldOptOut(row.id, row.name, row.sealed, row.at, row.gone_at is not None) for row in found]


def ids(connection: Connection) -> list[int]:
    """All that are held."""
    return list(connection.execute(select(OPTOUTS.c.id).where(_HELD)).scalars())


def count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(OPTOUTS).where(_HELD)).scalar_one())


def waiting(connection: Connection) -> Held:
    """How many are held, and since when the oldest of them."""
    row = connection.execute(select(func.count(), func.min(OPTOUTS.c.at)).where(_HELD)).one()
    return Held(int(row[0]), row[1])


_MARK = ManyRows(
    {"name": LargeBinary(16), "gone_at": BigInteger()},
    lambda given: update(OPTOUTS).where(OPTOUTS.c.name == given["name"], _HELD).values(gone_at=given["gone_at"]),
)


def let_go(connection: Connection, names: Collection[bytes], now: datetime) -> None:
    """The warehouse has these; those that are not held any more are no mistake."""
    _MARK.run(connection, [(name, microseconds(now)) for name in names])


def is_any_past(connection: Connection, now: datetime) -> bool:
    past = OPTOUTS.c.gone_at < _limit(connection, now)
    return connection.execute(select(OPTOUTS.c.id).where(past).limit(1)).first() is not None


def remove_past(connection: Connection, now: datetime) -> None:
    """Those that have been gone for so long that nobody goes by what was read before."""
    connection.execute(delete(OPTOUTS).where(OPTOUTS.c.gone_at < _limit(connection, now)))


def _limit(connection: Connection, now: datetime) -> datetime:
    """Those that were gone before this are of no use to anybody."""
    began = connection.execute(_AT_WORK, {"now": now}).scalar_one()
    # Less another half hour: when a run began is told by its own machine's clock.
    return max(min(now, began or now) - KEPT, now - LONGEST)


_AT_WORK = (
    select(func.min(RUNS.c.started_at))
    .join(SLICES, SLICES.c.run_id == RUNS.c.id)
    .where(is_running(RUNS), SLICES.c.lease_until > bindparam("now", type_=SLICES.c.lease_until.type))
)
"""When the run began that is at work for longest."""
