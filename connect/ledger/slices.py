"""Slices of a run: who works on which, proven by an epoch that every write checks (a fence)."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Text,
    Update,
    and_,
    func,
    insert,
    select,
    update,
)

from connect.ledger.many import Given, ManyRows
from connect.ledger.owner import Owner
from connect.ledger.records import START, Slice
from connect.ledger.refusals import LeaseLost, SliceHeld
from connect.ledger.tables import SLICES

_NOBODY = ""
_FIELDS = [SLICES.c[field.name] for field in fields(Slice)]


def insert_whole(connection: Connection, run_id: str, now: datetime) -> None:
    """The one slice of a run on one machine: the whole hash space."""
    row = {"run_id": run_id, "low": START, "owner": _NOBODY, "epoch": 0, "lease_until": now}
    connection.execute(insert(SLICES), row)


def of_run(connection: Connection, run_id: str) -> list[Slice]:
    query = select(*_FIELDS).where(SLICES.c.run_id == run_id).order_by(SLICES.c.low)
    return [_record_of(row) for row in connection.execute(query)]


def hold(connection: Connection, run_id: str) -> None:
    """Nobody writes to a slice of this run until the transaction ends. Slices are always locked before their run.

    SQLite has the write lock already. Without KEY: rows that refer to a slice or a run do not wait.
    """
    connection.execute(select(SLICES.c.id).where(SLICES.c.run_id == run_id).with_for_update(key_share=True))


def claim(connection: Connection, run_id: str, owner: Owner, now: datetime, lease: timedelta) -> tuple[Slice, bool]:
    """Of slices that are held: one with the next epoch, and whether its worker had never let go. Raises SliceHeld."""
    slices = of_run(connection, run_id)
    free = [slice for slice in slices if _is_free(slice, now)]
    if not free:
        raise SliceHeld(run_id, Owner.read(slices[0].owner), slices[0].lease_until)
    found = free[0]
    changes: dict[str, Any] = {"owner": str(owner), "epoch": found.epoch + 1, "lease_until": now + lease}
    connection.execute(update(SLICES).where(_is(found)).values(**changes))
    return _get(connection, found.id), found.owner != _NOBODY


def _is_free(slice: Slice, now: datetime) -> bool:
    return slice.owner == _NOBODY or slice.lease_until <= now or Owner.read(slice.owner).is_gone()


def renew(connection: Connection, slice: Slice, until: datetime) -> Slice:
    connection.execute(update(SLICES).where(_is(slice)).values(lease_until=until))
    return _get(connection, slice.id)


def release(connection: Connection, slice: Slice) -> None:
    connection.execute(update(SLICES).where(_is(slice)).values(owner=_NOBODY))


def end(connection: Connection, run_id: str) -> None:
    """Nobody works on this run any more: whoever thought so meets the fence."""
    ended = {"owner": _NOBODY, "epoch": SLICES.c.epoch + 1}
    connection.execute(update(SLICES).where(SLICES.c.run_id == run_id).values(**ended))


def fence(connection: Connection, slice: Slice) -> None:
    """Every write of a worker begins here: raises LeaseLost unless the slice is still its own, and holds it."""
    query = select(SLICES.c.id).where(_is(slice)).with_for_update(key_share=True)
    if connection.execute(query).first() is None:
        raise LeaseLost(slice.run_id)


def _noting(given: Given) -> Update:
    mine = (SLICES.c.id == given["of_id"], SLICES.c.owner == given["by_owner"], SLICES.c.epoch == given["in_epoch"])
    cursor = func.coalesce(given["new_cursor"], SLICES.c.cursor)
    changes = {"last_write": given["number"], "cursor": cursor}
    return update(SLICES).where(*mine, SLICES.c.last_write == given["after"]).values(changes)


_NOTE = ManyRows(
    {
        "number": BigInteger(),
        "new_cursor": Text(),
        "of_id": Integer(),
        "by_owner": Text(),
        "in_epoch": Integer(),
        "after": BigInteger(),
    },
    _noting,
)


def note_write(connection: Connection, slice: Slice, number: int, *, after: int, cursor: str | None) -> bool:
    """A fence that also remembers which write this is, and moves the cursor, unless it is None.

    False if the slice is not its own any more, or `after` was not the last write: somebody else has written.
    """
    return _NOTE.run(connection, [(number, cursor, slice.id, slice.owner, slice.epoch, after)]) == 1


def standing(connection: Connection, slice: Slice) -> tuple[int, str | None]:
    """Which write was the last, and the cursor. It holds the slice; raises LeaseLost."""
    query = select(SLICES.c.last_write, SLICES.c.cursor).where(_is(slice)).with_for_update(key_share=True)
    found = connection.execute(query).first()
    if found is None:
        raise LeaseLost(slice.run_id)
    return found[0], found[1]


def last_write(connection: Connection, slice: Slice) -> int:
    """Which write was the last. It waits for one that is under way."""
    query = select(SLICES.c.last_write).where(SLICES.c.id == slice.id).with_for_update(key_share=True)
    return int(connection.execute(query).scalar_one())


def _is(slice: Slice) -> ColumnElement[bool]:
    return and_(SLICES.c.id == slice.id, SLICES.c.owner == slice.owner, SLICES.c.epoch == slice.epoch)


def _get(connection: Connection, slice_id: int) -> Slice:
    return _record_of(connection.execute(select(*_FIELDS).where(SLICES.c.id == slice_id)).one())


def _record_of(row: Row[*tuple[object, ...]]) -> Slice:
    return Slice(**dict(row._mapping))
