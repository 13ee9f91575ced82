"""Intents: deliveries that are near the air. Written before a send, deleted as the cursor passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    delete,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import TypeEngine

from connect.ledger.bundles import Bundle
from connect.ledger.many import Given, Insert, ManyRows
from connect.ledger.records import Intent, Tally
from connect.ledger.tables import INTENTS
from connect.vocabulary import Channel, Outcome, Reason

Settled = tuple[bytes, Outcome, str]

_BITS = 32
"""Of a row's id, for its number within the slice: rows of a slice are neighbours, and need no other index."""


def first_id(slice_id: int) -> int:
    """The lowest id of a bundle in this slice."""
    return slice_id << _BITS


def _inserting(given: Given) -> Insert:
    return given.insert_into(INTENTS)


def _updating(given: Given) -> Update:
    change = {"states": given["new_states"], "endings": given["new_endings"]}
    return update(INTENTS).where(INTENTS.c.id == given["of_id"]).values(change)


def _deleting(given: Given) -> Delete:
    return delete(INTENTS).where(INTENTS.c.id == given["of_id"])


_ID: dict[str, TypeEngine[Any]] = {"of_id": BigInteger()}
_INSERT = ManyRows(
    {
        "id": BigInteger(),
        "slice_id": Integer(),
        "channel": Text(),
        "account": Text(),
        "released_at": BigInteger(),
        "keys": LargeBinary(),
        "sequences": LargeBinary(),
        "calls": LargeBinary(),
        "call_sizes": LargeBinary(),
        "states": LargeBinary(),
        "endings": Text(),
    },
    _inserting,
)
_UPDATE = ManyRows({**_ID, "new_states": LargeBinary(), "new_endings": Text()}, _updating)
_DELETE = ManyRows(_ID, _deleting)
_ROW = [type_coerce(INTENTS.c[name], kind) for name, kind in _INSERT.columns.items()]


def insert_rows(connection: Connection, slice_id: int, bundles: Sequence[Bundle]) -> None:
    _INSERT.run(connection, [bundle.row(slice_id) for bundle in bundles])


def update_rows(connection: Connection, bundles: Sequence[Bundle]) -> None:
    _UPDATE.run(connection, [(bundle.id, *bundle.change()) for bundle in bundles])


def delete_rows(connection: Connection, bundles: Sequence[Bundle]) -> None:
    _DELETE.run(connection, [(bundle.id,) for bundle in bundles])


def bundles(connection: Connection, slice_id: int) -> list[Bundle]:
    """What is near the air in a slice."""
    rows = connection.execute(select(*_ROW).where(_of_slice(slice_id)).order_by(INTENTS.c.id))
    return [Bundle.read(row) for row in rows]


def read(connection: Connection, slice_id: int) -> list[Intent]:
    """In the order of their sequence."""
    found = [intent for bundle in bundles(connection, slice_id) for intent in bundle.intents()]
    return sorted(found, key=lambda intent: (intent.sequence, intent.key))


def left_over(connection: Connection, slice_ids: Sequence[int]) -> list[Tally]:
    """What slices that end leave near the air, counted: by outcome, or as in doubt."""
    counts: Counter[tuple[Channel, Outcome, str]] = Counter()
    for bundle in [bundle for slice_id in slice_ids for bundle in bundles(connection, slice_id)]:
        for left in bundle.intents():
            ended = (left.outcome, left.reason) if left.outcome else (Outcome.unknown, Reason.in_doubt)
            counts[left.channel, *ended] += 1
    return [Tally(channel, "", outcome, reason, count) for (channel, outcome, reason), count in counts.items()]


def erase(connection: Connection, slice_ids: Sequence[int]) -> None:
    for slice_id in slice_ids:
        connection.execute(delete(INTENTS).where(_of_slice(slice_id)))


def are_there(connection: Connection, slice_id: int) -> bool:
    """Whether a slice has deliveries that its cursor has not passed."""
    return connection.execute(select(INTENTS.c.id).where(_of_slice(slice_id)).limit(1)).first() is not None


def _of_slice(slice_id: int) -> ColumnElement[bool]:
    return INTENTS.c.id.between(first_id(slice_id), first_id(slice_id + 1) - 1)
