"""The generic engine: on PostgreSQL, through SQLAlchemy and psycopg."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from connect.testing.postgres import shared_server
from connect.testing.warehouse_rigs.postgresql import PostgreSQLRig
from connect.testing.warehouse_rigs.shared import EVERYWHERE, KEYS
from connect.testing.warehouses import UUID
from connect.warehouses import catalog
from connect.warehouses.interface import Source, Warehouse

_TYPES: Mapping[str, object] = {
    **EVERYWHERE,
    f"cast('{UUID}' as uuid)": UUID,
    """cast('{"a": [1, 2.5, null], "b": "é"}' as json)""": {"a": [1, 2.5, None], "b": "é"},
    "array['a', null]": ["a", None],
    "array[cast(1.5 as numeric(4, 2))]": [Decimal("1.50")],
    "array['2026-01-02 03:04:05+02'::timestamptz]": [datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)],
    "cast('\\x01ff' as bytea)": b"\x01\xff",
}


@dataclass
class GenericRig(PostgreSQLRig):
    """PostgreSQL without what its own adapter does for it: nothing is read-only but what one SELECT is."""

    writes: Sequence[str] = (
        "delete from kept",
        "insert into kept values (2)",
        "create table other (id integer)",
        "set transaction read write",
        "copy kept to program 'true'",
    )
    effects: Sequence[str] = ()

    def reader(self) -> Warehouse | None:
        return None


@contextmanager
def sqlalchemy(folder: Path) -> Iterator[GenericRig]:
    server = shared_server()
    database = server.create_in_unicode()
    try:
        adapter = catalog.load("sqlalchemy")
        settings = adapter.Settings.model_validate({"url": server.url(database)})

        def as_user(_: str) -> Warehouse:
            return adapter(Source("contract", settings, folder))

        yield GenericRig(server, database, as_user, _TYPES, KEYS, "{} = any(:values)", "uuid")
    finally:
        server.drop(database)
