"""Slots: when what has a rate may send, inside a transaction of the caller.

The generic cell rate algorithm (GCRA): a bucket holds one instant, before which nothing more of it is sent.

A clock that goes back, by an hour say, does not stop anybody for that hour: what a bucket is ahead of the clock is kept
with what the clock said then, and never grows by a jump. So slots are in the future by at most what was handed out.
Who holds slots counts the time to them from `Slots.now`, without a clock that jumps; therefore rates hold across a jump
back. Across a jump forward, slots that were handed out and are not used yet, a second's worth, may come on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, update

from connect.ledger.many import insert_on
from connect.ledger.records import Bucket, Slots
from connect.ledger.scope import Scope
from connect.ledger.tables import BUCKETS, EPOCH

_Standing = tuple[datetime, datetime]
"""When a bucket is free, by a clock that said this."""

_LONG = timedelta(days=1)
_MOVE = (
    update(BUCKETS).where(BUCKETS.c.name == bindparam("of")).values(free_at=bindparam("free"), asked_at=bindparam("at"))
)


def take(connection: Connection, scope: Scope, buckets: Sequence[Bucket], count: int) -> Slots:
    """So many slots that all of these buckets have room for, as early as can be."""
    if count < 1 or not buckets:
        raise ValueError("slots are taken one at least, and from a bucket")
    before = _hold(connection, [bucket.name for bucket in buckets])
    now = scope.now(connection)  # only now: it may have taken a while until others let go
    first = max(now, *(_free_at(standing, now) for standing in before.values()))
    spacing = max(bucket.spacing for bucket in buckets)
    last = first + (count - 1) * spacing
    # Whole microseconds all through: nothing is rounded, so nothing gets faster.
    moves = [{"of": bucket.name, "free": last + bucket.spacing, "at": now} for bucket in buckets]
    connection.execute(_MOVE, moves)
    return Slots(now, first, spacing, count)


def forget(connection: Connection, now: datetime) -> None:
    """Those that have been free for long: one that nobody remembers is free, too."""
    connection.execute(delete(BUCKETS).where(BUCKETS.c.free_at < now - _LONG, BUCKETS.c.asked_at < now - _LONG))


def _free_at(standing: _Standing, now: datetime) -> datetime:
    free_at, asked_at = standing
    return free_at - max(asked_at - now, timedelta(0))


def _hold(connection: Connection, names: Sequence[str]) -> dict[str, _Standing]:
    """Where these stand. Nobody else takes from them until the transaction ends."""
    found = _read(connection, names)
    missing = [name for name in sorted(set(names)) if name not in found]
    if missing:
        new = insert_on(connection, BUCKETS).on_conflict_do_nothing()
        connection.execute(new, [{"name": name, "free_at": EPOCH, "asked_at": EPOCH} for name in missing])
        found = _read(connection, names)
    return found


def _read(connection: Connection, names: Sequence[str]) -> dict[str, _Standing]:
    # In one order: two that take from several wait for each other, and never both for both.
    query = select(BUCKETS).where(BUCKETS.c.name.in_(names)).order_by(BUCKETS.c.name).with_for_update()
    return {row.name: (row.free_at, row.asked_at) for row in connection.execute(query)}
