"""Intents: deliveries that are near the air. Written before a send, deleted as the cursor passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Delete,
    Integer,
    LargeBinary,
    Text,
    Update,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.types import TypeEngine

from connect.ledger.many import Given, Insert, ManyRows, Row
from connect.ledger.records import Intent, Slice, Tally
from connect.ledger.refusals import Unaccounted
from connect.ledger.tables import INTENTS, SLICES, microseconds
from connect.vocabulary import Channel, Outcome, Reason

Settled = tuple[bytes, Outcome, str]

_NOT_TO_SETTLE = "a delivery was settled twice, or without having been released"
_NOT_TO_WITHDRAW = "a delivery was withdrawn that is settled or was never released"

_unsettled = INTENTS.c.outcome.is_(None)
_released = ("sequence", "channel", "account", "call", "epoch", "released_at")


def _intending(given: Given) -> Insert:
    """A delivery whose fate was in doubt may be released again; one that is settled never."""
    insert = given.insert_into(INTENTS)
    anew = {name: insert.excluded[name] for name in _released}
    return insert.on_conflict_do_update(index_elements=INTENTS.primary_key, set_=anew, where=_unsettled)


def _settling(given: Given) -> Update:
    like_this = and_(INTENTS.c.outcome == given["as_outcome"], INTENTS.c.reason == given["as_reason"])
    outcome = {"outcome": given["as_outcome"], "reason": given["as_reason"]}
    return update(INTENTS).where(_mine(given), or_(_unsettled, like_this)).values(outcome)


def _withdrawing(given: Given) -> Delete:
    return delete(INTENTS).where(_mine(given), _unsettled)


def _passing(given: Given) -> Delete:
    return delete(INTENTS).where(_mine(given))


def _mine(given: Given) -> ColumnElement[bool]:
    return and_(INTENTS.c.slice_id == given["of_slice"], INTENTS.c.key == given["of_key"])


_KEY: dict[str, TypeEngine[Any]] = {"of_slice": Integer(), "of_key": LargeBinary()}
_INTEND = ManyRows(
    {
        "slice_id": Integer(),
        "key": LargeBinary(),
        "sequence": BigInteger(),
        "channel": Text(),
        "account": Text(),
        "call": BigInteger(),
        "epoch": Integer(),
        "released_at": BigInteger(),
        "reason": Text(),
    },
    _intending,
)
_SETTLE = ManyRows({**_KEY, "as_outcome": Text(), "as_reason": Text()}, _settling)
_WITHDRAW = ManyRows(_KEY, _withdrawing)
_PASS = ManyRows(_KEY, _passing)


def intend(connection: Connection, slice: Slice, intents: Sequence[Intent], now: datetime) -> None:
    own, epoch, released_at = slice.id, slice.epoch, microseconds(now)
    rows: dict[bytes, Row] = {  # the last one counts, where one is released twice in a transaction
        item.key: (own, item.key, item.sequence, str(item.channel), item.account, item.call, epoch, released_at, "")
        for item in intents
    }
    _all_of(connection, _INTEND, list(rows.values()), "a settled delivery was to be sent again")


def settle(connection: Connection, slice: Slice, outcomes: Sequence[Settled]) -> None:
    rows: dict[bytes, Row] = {}
    for key, outcome, reason in outcomes:
        row = (slice.id, key, str(outcome), str(reason))
        if rows.setdefault(key, row) != row:
            raise Unaccounted(_NOT_TO_SETTLE)
    _all_of(connection, _SETTLE, list(rows.values()), _NOT_TO_SETTLE)


def withdraw(connection: Connection, slice: Slice, keys: Sequence[bytes]) -> None:
    if len(set(keys)) != len(keys):
        raise Unaccounted(_NOT_TO_WITHDRAW)
    _all_of(connection, _WITHDRAW, [(slice.id, key) for key in keys], _NOT_TO_WITHDRAW)


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
    grouped = (INTENTS.c.channel, INTENTS.c.outcome, INTENTS.c.reason)
    query = select(*grouped, func.count()).where(_of_run(run_id)).group_by(*grouped)
    return [
        Tally(Channel(channel), "", Outcome(outcome or "unknown"), reason if outcome else Reason.in_doubt, count)
        for channel, outcome, reason, count in connection.execute(query)
    ]


def erase(connection: Connection, run_id: str) -> None:
    connection.execute(delete(INTENTS).where(_of_run(run_id)))


def _of_run(run_id: str) -> ColumnElement[bool]:
    return INTENTS.c.slice_id.in_(select(SLICES.c.id).where(SLICES.c.run_id == run_id))


def _all_of(connection: Connection, statement: ManyRows, rows: Sequence[Row], complaint: str) -> None:
    """Run a statement for each row; every one must have hit its delivery."""
    if statement.run(connection, rows) != len(rows):
        raise Unaccounted(complaint)
