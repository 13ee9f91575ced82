"""What history a run asks that others may be about to change."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("runs", sa.Column("cap", sa.Text, nullable=False, server_default=""))
