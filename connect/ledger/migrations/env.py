"""Alembic's entry: migrates on the connection that `connect.ledger.schema` hands over, in its transaction."""

from alembic import context

from connect.ledger.schema import VERSION_TABLE
from connect.ledger.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    version_table_schema=context.config.attributes["schema"],
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
