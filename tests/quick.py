"""What a process does once is done once here, however many commands and ledgers there are in one process of pytest."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
import typer.testing
from sqlalchemy import Connection, event, inspect

from connect.executors import loops
from connect.ledger import schema

Migrate = Callable[[Connection], None]
Statements = list[tuple[str, Any]]


def in_one_process(patch: pytest.MonkeyPatch) -> None:
    # A run ends with all that there is in sight of the garbage collector: here also what pytest has and tests imported.
    kept = {"get_threshold": gc.get_threshold, "set_threshold": gc.set_threshold}
    patch.setattr(loops, "gc", SimpleNamespace(**kept, **dict.fromkeys(("freeze", "unfreeze"), _nothing)))
    # Typer looks at every function of every command again for each that is called.
    made = functools.cache(typer.main.get_command)
    patch.setattr(typer.main, "get_command", made)
    patch.setattr(typer.testing, "_get_command", made)
    patch.setattr(schema, "_upgrade", _once(schema._upgrade))


def _nothing() -> None: ...


def _once(migrate: Migrate) -> Migrate:
    """The first empty database of an engine is migrated; the next are told the same. One with tables is migrated."""
    told: dict[tuple[str, str | None], Statements] = {}

    def upgrade(connection: Connection) -> None:
        found = inspect(connection)
        if found.get_table_names(schema=found.default_schema_name):
            return migrate(connection)
        engine = connection.dialect.name, found.default_schema_name
        if engine in told:
            for statement, parameters in told[engine]:
                connection.exec_driver_sql(statement, parameters or None)
            return None
        with _heard(connection) as statements:
            migrate(connection)
        told[engine] = statements
        return None

    return upgrade


@contextmanager
def _heard(connection: Connection) -> Iterator[Statements]:
    """Everything that is executed meanwhile."""
    statements: Statements = []

    def hear(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            statements.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(connection, "before_cursor_execute", hear)
