"""Intents that were released together share a row: a hundred times fewer rows to write and delete."""

import json
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_MOST = 100
_FIRST_ENDING = 2

# Bundles come and go, and each is changed a few times: their space is given back often. They are too big to be
# compressed for nothing, and small enough for a page.
_VACUUM = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0"
_PLAIN = ("keys", "sequences", "calls", "call_sizes", "states")


def upgrade() -> None:
    before = _intents_before()
    op.drop_table("intents")
    table = _make()
    rows = list(_bundles(before))
    if rows:
        op.bulk_insert(table, rows)


def _make() -> sa.Table:
    table = op.create_table(
        "intents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("slice_id", sa.Integer, sa.ForeignKey("slices.id"), nullable=False),
        sa.Column("channel", sa.String(8), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("released_at", sa.BigInteger, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
        sa.Column("sequences", sa.LargeBinary, nullable=False),
        sa.Column("calls", sa.LargeBinary, nullable=False),
        sa.Column("call_sizes", sa.LargeBinary, nullable=False),
        sa.Column("states", sa.LargeBinary, nullable=False),
        sa.Column("endings", sa.Text, nullable=False),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE intents SET ({_VACUUM})")
        for name in _PLAIN:
            op.execute(f"ALTER TABLE intents ALTER COLUMN {name} SET STORAGE PLAIN")
    return table


def _intents_before() -> Sequence[Any]:
    """What runs that wait to go on had near the air, those that belong together next to each other."""
    names = ("slice_id", "channel", "account", "released_at", "key", "sequence", "call", "outcome", "reason")
    old = sa.table("intents", *(sa.column(name) for name in names))
    order = (old.c.slice_id, old.c.channel, old.c.account, old.c.released_at, old.c.sequence, old.c.key)
    return op.get_bind().execute(sa.select(old).order_by(*order)).all()


def _bundles(intents: Sequence[Any]) -> Iterator[dict[str, object]]:
    numbers: Counter[int] = Counter()
    for same, group in groupby(intents, lambda row: tuple(row[:4])):
        members, slice_id = list(group), same[0]
        for start in range(0, len(members), _MOST):
            shared = dict(zip(("slice_id", "channel", "account", "released_at"), same, strict=True))
            yield {"id": (slice_id << 32) + numbers[slice_id], **shared, **_columns(members[start : start + _MOST])}
            numbers[slice_id] += 1


def _columns(members: Sequence[Any]) -> dict[str, object]:
    endings = list(dict.fromkeys((each.outcome, each.reason) for each in members if each.outcome))
    states = [endings.index((each.outcome, each.reason)) + _FIRST_ENDING if each.outcome else 0 for each in members]
    return {
        "keys": b"".join(bytes(each.key) for each in members),
        "sequences": struct.pack(f"<{len(members)}q", *(each.sequence for each in members)),
        "calls": struct.pack(f"<{len(members)}q", *(each.call for each in members)),
        "call_sizes": bytes(4 * len(members)),  # how big a call was, nobody had noted
        "states": bytes(states),
        "endings": json.dumps(endings) if endings else "",
    }
