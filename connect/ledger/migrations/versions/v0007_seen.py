"""What has been counted is forgotten without an index, which made counting twice as dear; opt-outs that the warehouse
has stay for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.drop_index("ix_seen_day", "seen")
    op.add_column("optouts", sa.Column("gone_at", sa.BigInteger))
