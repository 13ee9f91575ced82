"""Slices of a run: who works on which, proven by an epoch that every write checks (a fence)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
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
from connect.ledger.records import NewSlice, Slice
from connect.ledger.refusals import LeaseLost, SliceHeld, SlicesClosed
from connect.ledger.tables import EPOCH, SLICES

_NOBODY = ""
_FIELDS = [SLICES.c[field.name] for field in fields(Slice)]


def insert_new(connection: Connection, run_id: str, new: Sequence[NewSlice], now: datetime) -> None:
    if not new:
        raise ValueError("a run has one slice at least")
    nobodys = {"run_id": run_id, "owner": _NOBODY, "epoch": 0, "lease_until": now}
    connection.execute(insert(SLICES), [nobodys | asdict(slice) for slice in new])


def of_run(connection: Connection, run_id: str) -> list[Slice]:
    """In the order in which they were made."""
    return of_runs(connection, [run_id])


def of_runs(connection: Connection, run_ids: Sequence[str]) -> list[Slice]:
    query = select(*_FIELDS).where(SLICES.c.run_id.in_(run_ids)).order_by(SLICES.c.id)
    return [_record_of(row) for row in connection.execute(query)]


def hold(connection: Connection, run_id: str) -> None:
    """Nobody writes to a slice of this run until the transaction ends. Slices are always locked before their run.

    SQLite has the write lock already. Without KEY: rows that refer to a slice or a run do not wait.
    """
    mine = select(SLICES.c.id).where(SLICES.c.run_id == run_id)
    # In one order: two that hold all of them wait for each other, and never both for both.
    connection.execute(mine.order_by(SLICES.c.id).with_for_update(key_share=True))


def claim(connection: Connection, run_id: str, owner: Owner, now: datetime, lease: timedelta) -> tuple[Slice, bool]:
    """Of slices that are held: the first that is open and free, with the next epoch, and whether its worker had never
    let go. Raises SliceHeld or SlicesClosed."""
    left = sorted((slice for slice in of_run(connection, run_id) if not slice.ended), key=_turn)
    found = next((slice for slice in left if may_be_claimed(slice, now)), None)
    if found is None:
        raise _refusal(run_id, left, now)
    died = found.owner != _NOBODY
    changes: dict[str, Any] = {"owner": str(owner), "epoch": found.epoch + 1, "lease_until": now + lease}
    connection.execute(update(SLICES).where(_is(found)).values(**changes, recoveries=SLICES.c.recoveries + int(died)))
    return _get(connection, found.id), died


def _turn(slice: Slice) -> tuple[datetime, int]:
    return slice.opens_at or EPOCH, slice.id


def may_be_claimed(slice: Slice, now: datetime) -> bool:
    """Not ended, open and free."""
    return not slice.ended and _is_open(slice, now) and is_free(slice, now)


def _is_open(slice: Slice, now: datetime) -> bool:
    return slice.opens_at is None or slice.opens_at <= now


def is_free(slice: Slice, now: datetime) -> bool:
    """Nobody's, or nobody's any more."""
    return slice.owner == _NOBODY or slice.lease_until <= now or Owner.read(slice.owner).is_gone()


def _refusal(run_id: str, left: Sequence[Slice], now: datetime) -> SliceHeld | SlicesClosed:
    """Why none of these can be claimed, which are in the order of their turn."""
    held = [slice for slice in left if _is_open(slice, now)]
    if not held:
        return SlicesClosed(run_id, left[0].opens_at or now)
    first = min(held, key=lambda slice: slice.lease_until)
    return SliceHeld(run_id, Owner.read(first.owner), first.lease_until)


def renew(connection: Connection, slice: Slice, until: datetime) -> Slice:
    connection.execute(update(SLICES).where(_is(slice)).values(lease_until=until))
    return _get(connection, slice.id)


def release(connection: Connection, slice: Slice) -> None:
    connection.execute(update(SLICES).where(_is(slice)).values(owner=_NOBODY))


def park(connection: Connection, slice: Slice, opens_at: datetime | None, closes_at: datetime | None) -> Slice:
    """Nobody's until it opens."""
    changes = {"owner": _NOBODY, "opens_at": opens_at, "closes_at": closes_at}
    connection.execute(update(SLICES).where(_is(slice)).values(changes))
    return _get(connection, slice.id)


def mark_ended(connection: Connection, slice: Slice) -> None:
    connection.execute(update(SLICES).where(_is(slice)).values(owner=_NOBODY, ended=True))


def made_progress(connection: Connection, slice: Slice) -> bool:
    """It has got further; whether workers had died before it did."""
    died = (SLICES.c.id == slice.id, SLICES.c.recoveries > 0)
    return connection.execute(update(SLICES).where(*died).values(recoveries=0)).rowcount > 0


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
