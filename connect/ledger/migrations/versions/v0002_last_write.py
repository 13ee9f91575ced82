"""A slice remembers its last write, so that a commit without an answer is known again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Intents come and go by the thousand: their space is given back after so many, not after a fifth of the table. Each is
# updated once, with its outcome: where its page has room for that, the index need not change.
_VACUUM = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0"
_ROOM = "fillfactor = 50"


def upgrade() -> None:
    op.add_column("slices", sa.Column("last_write", sa.BigInteger, nullable=False, server_default="0"))
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE intents SET ({_VACUUM}, {_ROOM})")
