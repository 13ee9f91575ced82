"""Runs, their states, slices, intents and tallies."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_UNFINISHED = sa.text("state IN ('running', 'paused', 'stopped')")


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    _runs()
    _states()
    _slices()
    _intents()
    _tallies()


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("fire_time", sa.BigInteger, nullable=False),
        sa.Column("manual", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("campaign_json", sa.Text, nullable=False),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("audience_rows", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("recoveries", sa.Integer, nullable=False),
        sa.UniqueConstraint("target", "mode", "campaign", "fire_time", name="one_run_per_fire_time"),
    )
    op.create_index(
        "one_unfinished_run",
        "runs",
        ["target", "mode", "campaign"],
        unique=True,
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.create_index("runs_by_start", "runs", ["started_at"])


def _states() -> None:
    op.create_table(
        "states",
        sa.Column("run_id", sa.String(16), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )


def _slices() -> None:
    op.create_table(
        "slices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.String(16), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("low", sa.String(32), nullable=False),
        sa.Column("high", sa.String(32)),
        sa.Column("cursor", sa.String(32)),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_slices_run_id", "slices", ["run_id"])


def _intents() -> None:
    op.create_table(
        "intents",
        sa.Column("slice_id", sa.Integer, sa.ForeignKey("slices.id"), primary_key=True),
        sa.Column("key", sa.LargeBinary(16), primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.String(8), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("call", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("released_at", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String(8)),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _tallies() -> None:
    op.create_table(
        "tallies",
        sa.Column("run_id", sa.String(16), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("channel", sa.String(8), primary_key=True),
        sa.Column("arm", sa.String(64), primary_key=True),
        sa.Column("outcome", sa.String(8), primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
