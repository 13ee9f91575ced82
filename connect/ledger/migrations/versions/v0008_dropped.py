"""A daemon says how much it could not tell the project's endpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("daemons", sa.Column("dropped", sa.Integer, nullable=False, server_default="0"))
