"""Schedules, rates and daemons; runs that wait for their turn, and slices that open and close."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_UNFINISHED = "state IN ('running', 'paused', 'stopped')"
_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    _runs()
    _slices()
    _schedules()
    _buckets()
    _daemons()


def _runs() -> None:
    op.add_column("runs", sa.Column("since", sa.BigInteger))
    op.add_column("runs", sa.Column("until", sa.BigInteger))
    op.add_column("runs", sa.Column("beside", sa.Boolean, nullable=False, server_default=sa.false()))
    _unfinished()
    op.create_index(
        "queued_runs",
        "runs",
        ["target", "mode", "campaign", "fire_time"],
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )


def _unfinished() -> None:
    """Some runs may overlap from now on. What is unfinished is still found fast, whether it may or not."""
    place = ["target", "mode", "campaign"]
    sqlite, postgresql = sa.text(f"{_UNFINISHED} AND beside = 0"), sa.text(f"{_UNFINISHED} AND NOT beside")
    op.drop_index("one_unfinished_run", table_name="runs")
    op.create_index("one_unfinished_run", "runs", place, unique=True, sqlite_where=sqlite, postgresql_where=postgresql)
    all_of_them = sa.text(_UNFINISHED)
    op.create_index("unfinished_runs", "runs", place, sqlite_where=all_of_them, postgresql_where=all_of_them)


def _slices() -> None:
    op.add_column("slices", sa.Column("wave", sa.Text, nullable=False, server_default=""))
    op.add_column("slices", sa.Column("opens_at", sa.BigInteger))
    op.add_column("slices", sa.Column("closes_at", sa.BigInteger))
    op.add_column("slices", sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("slices", sa.Column("recoveries", sa.Integer, nullable=False, server_default="0"))
    # Until now a run had one slice, and its recoveries were those of that slice.
    op.execute("UPDATE slices SET recoveries = (SELECT runs.recoveries FROM runs WHERE runs.id = slices.run_id)")
    op.execute("UPDATE slices SET ended = (SELECT runs.state = 'completed' FROM runs WHERE runs.id = slices.run_id)")


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("mode", sa.String(16), primary_key=True),
        sa.Column("campaign", sa.Text, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("live_since", sa.BigInteger),
        sa.Column("fired", sa.Boolean, nullable=False),
        sa.Column("watermark", sa.BigInteger),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("skip_next", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )


def _buckets() -> None:
    op.create_table(
        "buckets",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("free_at", sa.BigInteger, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
    )


def _daemons() -> None:
    op.create_table(
        "daemons",
        sa.Column("owner", sa.String(255), primary_key=True),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("beat_at", sa.BigInteger, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
    )
