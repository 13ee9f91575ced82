"""Intents: deliveries that are near the air. Written before a send, deleted as the cursor passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, or_, select, update

from connect.ledger.engine import ManyRows, upsert
from connect.ledger.records import Intent, Slice, Tally
from connect.ledger.refusals import Unaccounted
from connect.ledger.tables import INTENTS, SLICES, microseconds
from connect.vocabulary import Channel, Outcome, Reason

Settled = tuple[bytes, Outcome, str]

_mine = (INTENTS.c.slice_id == bindparam("of_slice"), INTENTS.c.key == bindparam("of_key"))
_unsettled = INTENTS.c.outcome.is_(None)
_settled_like_this = and_(INTENTS.c.outcome == bindparam("as_outcome"), INTENTS.c.reason == bindparam("as_reason"))

_released = ("sequence", "channel", "account", "call", "epoch", "released_at")
_insert = upsert(INTENTS)
# A delivery whose fate was in doubt may be released again; one that is settled never.
_INTEND = ManyRows(
    _insert.on_conflict_do_update(
        index_elements=INTENTS.primary_key,
        set_={name: _insert.excluded[name] for name in _released},
        where=_unsettled,
    ),
    ("slice_id", "key", *_released, "reason"),
)
_SETTLE = ManyRows(
    update(INTENTS)
    .where(*_mine, or_(_unsettled, _settled_like_this))
    .values(outcome=bindparam("as_outcome"), reason=bindparam("as_reason")),
    ("of_slice", "of_key", "as_outcome", "as_reason"),
)
_WITHDRAW = ManyRows(delete(INTENTS).where(*_mine, _unsettled), ("of_slice", "of_key"))
_PASS = ManyRows(delete(INTENTS).where(*_mine), ("of_slice", "of_key"))


def intend(connection: Connection, slice: Slice, intents: Sequence[Intent], now: datetime) -> None:
    own, epoch, released_at = slice.id, slice.epoch, microseconds(now)
    rows = [
        (own, item.key, item.sequence, str(item.channel), item.account, item.call, epoch, released_at, "")
        for item in intents
    ]
    _all_of(connection, _INTEND, rows, "a settled delivery was to be sent again")


def settle(connection: Connection, slice: Slice, outcomes: Sequence[Settled]) -> None:
    rows = [(slice.id, key, str(outcome), str(reason)) for key, outcome, reason in outcomes]
    _all_of(connection, _SETTLE, rows, "a delivery was settled twice, or without having been released")


def withdraw(connection: Connection, slice: Slice, keys: Sequence[bytes]) -> None:
    rows = [(slice.id, key) for key in keys]
    _all_of(connection, _WITHDRAW, rows, "a delivery was withdrawn that is settled or was never released")


def pass_by(connection: Connection, slice: Slice, keys: Sequence[bytes]) -> None:
    """Delete the intents that the cursor passes. Keys that never had one (skipped deliveries) are fine."""
    _PASS.run(connection, [(slice.id, key) for key in keys])


def read(connection: Connection, slice_id: int) -> list[Intent]:
    query = select(INTENTS).where(INTENTS.c.slice_id == slice_id).order_by(INTENTS.c.sequence, INTENTS.c.key)
    return [
        Intent(
            key=row.key,
            sequence=row.sequence,
            channel=Channel(row.channel),
            account=row.account,
            call=row.call,
            outcome=Outcome(row.outcome) if row.outcome else None,
            reason=row.reason,
            released_at=row.released_at,
        )
        for row in connection.execute(query)
    ]


def left_over(connection: Connection, run_id: str) -> list[Tally]:
    """What a run that ends leaves near the air, counted: by outcome, or as in doubt."""
    outcome = func.coalesce(INTENTS.c.outcome, Outcome.unknown.value)
    in_doubt = INTENTS.c.outcome.is_(None)
    grouped = (INTENTS.c.channel, outcome, in_doubt, INTENTS.c.reason)
    query = select(*grouped, func.count()).where(_of_run(run_id)).group_by(*grouped)
    return [
        Tally(Channel(channel), "", Outcome(outcome), Reason.in_doubt if unsettled else reason, count)
        for channel, outcome, unsettled, reason, count in connection.execute(query)
    ]


def erase(connection: Connection, run_id: str) -> None:
    connection.execute(delete(INTENTS).where(_of_run(run_id)))


def _of_run(run_id: str) -> ColumnElement[bool]:
    return INTENTS.c.slice_id.in_(select(SLICES.c.id).where(SLICES.c.run_id == run_id))


def _all_of(connection: Connection, statement: ManyRows, rows: Sequence[tuple[object, ...]], complaint: str) -> None:
    """Run a statement for each row; every one must have hit its delivery."""
    if statement.run(connection, rows) != len(rows):
        raise Unaccounted(complaint)
