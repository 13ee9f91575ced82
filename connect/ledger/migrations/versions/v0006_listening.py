"""What comes back: events, counted; opt-outs that wait for the warehouse; calls of the API."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("runs", sa.Column("parameters", sa.LargeBinary))
    op.add_column("runs", sa.Column("fleeting", sa.Boolean, nullable=False, server_default=sa.false()))
    _events()
    _seen()
    _optouts()
    _calls()


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("run_id", sa.String(16), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("channel", sa.String(8), primary_key=True),
        sa.Column("arm", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(16), primary_key=True),
        sa.Column("bounce", sa.String(8), primary_key=True),
        sa.Column("machine", sa.Boolean, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("link", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("firsts", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _seen() -> None:
    op.create_table(
        "seen",
        sa.Column("name", sa.LargeBinary(16), primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_seen_day", "seen", ["day"])


def _optouts() -> None:
    op.create_table(
        "optouts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("name", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("name", sa.LargeBinary(16), primary_key=True),
        sa.Column("request", sa.LargeBinary(16), nullable=False),
        sa.Column("run_id", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_calls_at", "calls", ["at"])
