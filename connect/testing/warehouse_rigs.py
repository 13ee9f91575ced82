"""A real database for each warehouse of the catalog, for the contract suite and for stories.

with warehouse_rig("postgresql", tmp_path) as rig:
    rig.execute("create table people (id integer)")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

from connect.testing.postgres import PostgresServer, shared_server
from connect.testing.warehouses import UUID, WarehouseRig
from connect.warehouses import catalog
from connect.warehouses.interface import Source, Warehouse

_EVERYWHERE: Mapping[str, object] = {
    "cast(12.50 as numeric(10, 2))": Decimal("12.50"),
    "cast(5 as numeric(10, 0))": 5,
    "sum(cast(5 as bigint))": 5,
    "cast(7 as smallint)": 7,
    "cast(1.5 as real)": 1.5,
    "cast(0.1 as double precision)": 0.1,
    "1 = 1": True,
    "'text'": "text",
    "cast('short' as varchar(20))": "short",
    "date '2026-01-02'": date(2026, 1, 2),
    "timestamp '2026-01-02 03:04:05.678'": datetime(2026, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - it has none
    "cast('2026-01-02 03:04:05+02' as timestamp with time zone)": datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC),
    "time '03:04:05.5'": time(3, 4, 5, 500000),
}
"""What DuckDB, PostgreSQL and Redshift write alike."""

_MORE: Mapping[str, object] = {
    "cast('03:04:05+02' as time with time zone)": time(3, 4, 5),
    f"cast('{UUID}' as uuid)": UUID,
    """cast('{"a": [1, 2.5, null], "b": "é"}' as json)""": {"a": [1, 2.5, None], "b": "é"},
    "array['a', null, 'it''s', 'x \"y\" {,} \\']": ["a", None, "it's", 'x "y" {,} \\'],
    "array[1, null]": [1, None],
    "array[cast(1.5 as numeric(4, 2))]": [Decimal("1.50")],
    "array[date '2026-01-02', null]": [date(2026, 1, 2), None],
    "array[true, null]": [True, None],
    "cast('ok' as mood)": "ok",
}
"""What DuckDB and PostgreSQL write alike, given the enum `mood`."""

_KEYS: Mapping[str, str] = {
    "cast(1.5 as double precision)": "bigint",
    "cast(1.5 as numeric(4, 1))": "bigint",
    "1 = 1": "varchar",
    "date '2026-01-02'": "varchar",
    "timestamp '2026-01-02 03:04:05'": "varchar",
}
_MADE = "create type mood as enum ('ok', 'bad')"


# DuckDB


@dataclass
class DuckDBRig:
    """A file in a folder, to which the rig writes between the reads."""

    file: Path
    warehouse: Warehouse

    among = "list_contains(:values, {})"
    endless = "select count(*) as n from range(1000000000) a, range(1000000000) b where a.range + b.range = 7"
    writes: Sequence[str] = (
        "delete from kept",
        "insert into kept values (2)",
        "create table other (id integer)",
        "set memory_limit = '1GB'",
    )
    effects: Sequence[str] = ("select * from read_text('/etc/passwd')", "select nextval('counted')")
    refused_keys = _KEYS

    @property
    def types(self) -> Mapping[str, object]:
        own = {
            "{'a': 1, 'b': date '2026-01-02'}": {"a": 1, "b": date(2026, 1, 2)},
            "map {'a': cast(1 as hugeint)}": {"a": 1},
            "[[1], [2]]": [[1], [2]],
            "cast('\\x01\\xff' as blob)": b"\x01\xff",
        }
        return {**_EVERYWHERE, **_MORE, **own}

    def execute(self, *statements: str) -> None:
        import duckdb

        with duckdb.connect(str(self.file)) as connection:
            for statement in statements:
                connection.execute(statement)

    def numbers(self, count: int) -> str:
        return f"(select range as n from range(1, {count + 1}))"

    def cut(self) -> bool:
        return False

    def busy(self) -> int:
        return 0


@contextmanager
def _duckdb(folder: Path) -> Iterator[WarehouseRig]:
    adapter = catalog.load("duckdb")
    settings = adapter.Settings.model_validate({"path": "contract.duckdb"})
    rig = DuckDBRig(folder / "contract.duckdb", adapter(Source("contract", settings, folder)))
    rig.execute(_MADE, "create sequence counted")
    yield rig


# PostgreSQL, and what speaks like it


@dataclass
class PostgreSQLRig:
    """A database of its own on the server that this process shares."""

    server: PostgresServer
    database: str
    warehouse: Warehouse
    types: Mapping[str, object]
    refused_keys: Mapping[str, str]
    among: str = ""

    endless = "select count(*) as n from generate_series(1, 1000000000) as a(n), pg_sleep(a.n % 2 * 0.0001)"
    writes: Sequence[str] = (
        "delete from kept",
        "insert into kept values (2)",
        "create table other (id integer)",
        "set transaction read write",
        "select set_config('transaction_read_only', 'off', true)",
        "copy kept to program 'true'",
    )
    effects: Sequence[str] = ("select nextval('counted')", "select id from kept for update")

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.server.sql(statement, self.database)

    def numbers(self, count: int) -> str:
        return f"(select n from generate_series(1, {count}) as g(n))"

    def cut(self) -> bool:
        self.server.cut(self.database)
        return True

    def busy(self) -> int:
        counted = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active'"
        return self.server.number(f"{counted} and pid <> pg_backend_pid()", self.database)

    @property
    def url(self) -> str:
        """Where it is, for a project's `sources`."""
        return self.server.url(self.database).replace("+psycopg", "")


_POSTGRESQL: Mapping[str, object] = {
    """cast('{"a": {"b": 1}}' as jsonb)""": {"a": {"b": 1}},
    "cast(2.50 as numeric)": Decimal("2.50"),
    "cast('10.0.0.1' as inet)": "10.0.0.1",
    "cast('AB1' as postcode)": "AB1",
    "cast('ab' as char(5))": "ab",
    "cast('\\x01ff' as bytea)": b"\x01\xff",
    "array['ok', null]::mood[]": ["ok", None],
    "array['ab']::postcode[]": ["ab"],
    "array[2.50]": [Decimal("2.50")],
    "array['2026-01-02 03:04:05+02'::timestamptz]": [datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)],
    "row('a \"b\" (,) \\', 5, '2026-01-02', array['x y', null], null)::address": {
        "street": 'a "b" (,) \\',
        "number": 5,
        "since": date(2026, 1, 2),
        "tags": ["x y", None],
        "paid": None,
    },
    "array[row('a', 1, null, null, 1.50)::address]": [
        {"street": "a", "number": 1, "since": None, "tags": None, "paid": Decimal("1.50")}
    ],
    "array[date 'infinity', date '2026-01-02']": [None, date(2026, 1, 2)],
}
_PREPARED = (
    _MADE,
    "create sequence counted",
    "create domain postcode as text",
    "create type address as (street text, number integer, since date, tags text[], paid numeric)",
)


@contextmanager
def _postgresql(folder: Path) -> Iterator[PostgreSQLRig]:
    keys = {**_KEYS, "cast('a' as char(3))": "varchar", "cast(1 as numeric)": "bigint"}
    with _on_the_server("postgresql", folder, {**_EVERYWHERE, **_MORE, **_POSTGRESQL}, keys) as rig:
        rig.execute(*_PREPARED)
        rig.among = "{} = any(:values)"
        yield rig


# Functions that Redshift has and PostgreSQL has not; and an aggregate of text is a varchar of any length on both.
_POLYFILL = (
    "create sequence counted",
    "create function getdate() returns timestamp language sql as 'select localtimestamp'",
    "create function strtol(text, integer) returns bigint language sql as"
    " $$select ('x' || lpad($1, 16, '0'))::bit(64)::bigint$$",
    # Redshift's regexp_replace replaces all matches.
    "create function public.regexp_replace(text, text, text) returns text language sql as"
    " $$select pg_catalog.regexp_replace($1, $2, $3, 'g')$$",
)


@contextmanager
def _redshift(folder: Path) -> Iterator[PostgreSQLRig]:
    keys = {**_KEYS, "cast('a' as char(3))": "varchar"}
    more = {"search_path": "public, pg_catalog"}
    with _on_the_server("redshift", folder, _EVERYWHERE, keys, **more) as rig:
        rig.execute(*_POLYFILL)
        yield rig


@contextmanager
def _on_the_server(
    name: str, folder: Path, types: Mapping[str, object], keys: Mapping[str, str], **settings: str
) -> Iterator[PostgreSQLRig]:
    server = shared_server()
    database = server.create_in_unicode()
    try:
        for setting, value in settings.items():
            server.sql(f"alter database {database} set {setting} = {value}")
        adapter = catalog.load(name)
        # A socket has neither a port of Redshift's nor TLS.
        url = server.url(database).replace("postgresql+psycopg", name)
        url += "&sslmode=disable&port=5432" if name == "redshift" else ""
        source = Source("contract", adapter.Settings.model_validate({"url": url}), folder)
        yield PostgreSQLRig(server, database, adapter(source), types, keys)
    finally:
        server.drop(database)


_RIGS: Mapping[str, Callable[[Path], AbstractContextManager[WarehouseRig]]] = {
    "duckdb": _duckdb,
    "postgresql": _postgresql,
    "redshift": _redshift,
}


def names() -> list[str]:
    return sorted(_RIGS)


def warehouse_rig(name: str, folder: Path) -> AbstractContextManager[WarehouseRig]:
    """An empty database of this engine; `folder` is for its files. Raises NoServer where there is none to be had."""
    return _RIGS[name](folder)
