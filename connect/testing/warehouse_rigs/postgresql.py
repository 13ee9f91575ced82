"""PostgreSQL, and what speaks like it: Redshift's dialect on the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from connect.testing.postgres import PostgresServer, shared_server
from connect.testing.warehouse_rigs.shared import EVERYWHERE, KEYS, MADE, MORE
from connect.testing.warehouses import StandardRig
from connect.warehouses import catalog
from connect.warehouses.interface import Source, Warehouse


@dataclass
class PostgreSQLRig(StandardRig):
    """A database of its own on the server that this process shares."""

    server: PostgresServer
    database: str
    as_user: Callable[[str], Warehouse]
    types: Mapping[str, object]
    refused_keys: Mapping[str, str]
    among: str = ""
    uuid: str = ""

    @cached_property
    def warehouse(self) -> Warehouse:
        return self.as_user("postgres")

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

    def reader(self) -> Warehouse | None:
        self.server.sql("do $$ begin create user a_reader; exception when duplicate_object then null; end $$")
        self.execute("grant select on all tables in schema public to a_reader")
        return self.as_user("a_reader")

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
    MADE,
    "create sequence counted",
    "create domain postcode as text",
    "create type address as (street text, number integer, since date, tags text[], paid numeric)",
)


@contextmanager
def postgresql(folder: Path) -> Iterator[PostgreSQLRig]:
    keys = {**KEYS, "cast('a' as char(3))": "varchar", "cast(1 as numeric)": "bigint"}
    with _on_the_server("postgresql", folder, {**EVERYWHERE, **MORE, **_POSTGRESQL}, keys) as rig:
        rig.execute(*_PREPARED)
        rig.among = "{} = any(:values)"
        rig.uuid = "uuid"
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
def redshift(folder: Path) -> Iterator[PostgreSQLRig]:
    keys = {**KEYS, "cast('a' as char(3))": "varchar"}
    more = {"search_path": "public, pg_catalog"}
    with _on_the_server("redshift", folder, EVERYWHERE, keys, **more) as rig:
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
        more = "&sslmode=disable&port=5432" if name == "redshift" else ""

        def as_user(user: str) -> Warehouse:
            url = server.url(database).replace("postgresql+psycopg://postgres@", f"{name}://{user}@") + more
            return adapter(Source("contract", adapter.Settings.model_validate({"url": url}), folder))

        yield PostgreSQLRig(server, database, as_user, types, keys)
    finally:
        server.drop(database)
