"""What version the ledger's tables have, whose ledger it is, and how it becomes the version that we read."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, Engine, column, insert, inspect, select, table, update

from connect.errors import UserError
from connect.ledger.place import Place
from connect.ledger.tables import META

SCHEMA = "0009"
"""The newest revision in migrations/versions. Revisions are numbered, so that newer ones compare as greater."""

_ONE_MIGRATION = threading.Lock()
"""Alembic keeps the migration that is going on in globals of its modules: one at a time in a process."""

VERSION_TABLE = "connect_schema"
"""Alembic's table, under a name of ours: a user's database may hold an `alembic_version` already."""


def ensure(engine: Engine, place: Place, project: str, target: str) -> None:
    """Make or migrate the tables if that is due, and refuse a ledger that is not ours to write."""
    with engine.connect() as connection:
        connection.execution_options(**place.reads)
        version = _version(connection, place)
    if version < SCHEMA:
        with engine.begin() as connection:
            _migrate(connection, place, project, target)
    elif version > SCHEMA:
        raise _newer(place, version)
    with engine.connect() as connection:
        connection.execution_options(**place.reads)
        _refuse_others(connection, place, {"project": project, "target": target})


def _version(connection: Connection, place: Place) -> str:
    """The stored revision; empty for a database without tables."""
    # Of our own schema: PostgreSQL would list those of its whole search_path.
    names = inspect(connection).get_table_names(schema=_schema(connection))
    if not names:
        return ""
    if VERSION_TABLE not in names:
        raise place.not_a_ledger()
    return str(connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar_one())


def _migrate(connection: Connection, place: Place, project: str, target: str) -> None:
    """All migrations in one transaction, one process after the other: the second finds it done."""
    place.one_at_a_time(connection)
    version = _version(connection, place)
    if version < SCHEMA:
        _upgrade(connection)
    if not version:
        rows = [{"name": "project", "value": project}, {"name": "target", "value": target}]
        connection.execute(insert(META), rows)


def _upgrade(connection: Connection) -> None:
    from alembic import command  # a third of a second to import, and hardly ever needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["schema"] = _schema(connection)
    with _ONE_MIGRATION:
        command.upgrade(config, "head")


def _schema(connection: Connection) -> str | None:
    """Where tables are made."""
    return inspect(connection).default_schema_name


def _refuse_others(connection: Connection, place: Place, ours: Mapping[str, str]) -> None:
    stored = {row.name: row.value for row in connection.execute(select(META))}
    for name, value in ours.items():
        if stored.get(name) != value:
            raise UserError.of(
                "ledger-other-target",
                f"{place} belongs to {name} {stored.get(name)!r}, not to {value!r}",
                f"each target has a ledger of its own: give {value!r} its own `state` in connect.yml",
            )


def touch(connection: Connection) -> None:
    """Write what is there already: proof that writing works."""
    connection.execute(update(META).values(value=META.c.value))


def _newer(place: Place, version: str) -> UserError:
    return UserError.of(
        "ledger-newer",
        f"{place} has schema {version}, and this version of Connect knows schemas up to {SCHEMA}",
        "upgrade Connect: pip install --upgrade connect-campaigns",
    )
