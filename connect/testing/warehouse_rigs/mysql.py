"""MySQL's adapter, on a MariaDB server: no package has one of MySQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

from connect.testing.mariadb import MariaDBServer, shared_server
from connect.testing.warehouses import StandardRig
from connect.warehouses import catalog
from connect.warehouses.interface import Source, Warehouse

_COMPUTED: Mapping[str, object] = {
    "cast(12.50 as decimal(10, 2))": Decimal("12.50"),
    "cast(5 as decimal(10, 0))": 5,
    "sum(cast(5 as signed))": 5,
    "cast(1.5 as float)": 1.5,
    "cast(0.1 as double)": 0.1,
    "7": 7,
    "1 = 1": True,
    "not (2 in (1, 2)) or null is null": True,
    "case when 1 = 1 then false else true end": False,
    "if(1 = 2, 1, 0)": 0,
    "'text'": "text",
    '"text"': "text",
    "cast('short' as char(20))": "short",
    "date '2026-01-02'": date(2026, 1, 2),
    "timestamp '2026-01-02 03:04:05.678'": datetime(2026, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - it has none
    "time '03:04:05.5'": time(3, 4, 5, 500000),
    "json_object('a', json_array(1, 'é'))": {"a": [1, "é"]},
    "unhex('01ff')": b"\x01\xff",
}


@dataclass
class MySQLRig(StandardRig):
    """A database of its own on the server that this process shares."""

    server: MariaDBServer
    database: str
    warehouse: Warehouse
    refused_keys: Mapping[str, str]
    types: Mapping[str, object]

    among = "{} in :values"
    uuid = "uuid"
    endless = "select count(*) as n from seq_1_to_1000000000 as a, seq_1_to_1000000000 as b where a.seq + b.seq = 7"
    days_later = "{} + interval 3 day"
    keeps_zones = False
    undoes_tables = False
    faulty = "extractvalue('<a/>', concat('/', email, '('))"
    writes: Sequence[str] = (
        "delete from kept",
        "insert into kept values (2)",
        "create table other (id integer)",
        "truncate table kept",
        "set session transaction read write",
        "start transaction read write",
        "commit",
        "create temporary table other (id integer)",
        "do sleep(0)",
    )
    effects: Sequence[str] = ("select nextval(counted)", "select id from kept for update", "select added()")

    def execute(self, *statements: str) -> None:
        self.server.sql(*statements, database=self.database)

    def reader(self) -> Warehouse | None:
        name = f"reader_of_{self.database}"
        self.server.sql(f"create or replace user {name}", f"grant select on {self.database}.* to {name}")
        return self.as_user(name)

    def as_user(self, name: str) -> Warehouse:
        """The same database, as another user."""
        settings = type(self.warehouse).Settings.model_validate({"url": self.url.replace("root", name)})
        return type(self.warehouse)(Source("contract", settings, Path()))

    @property
    def url(self) -> str:
        """Where it is, for a project's `sources`."""
        return f"mariadb://root@/{self.database}?unix_socket={self.server.socket}"

    def numbers(self, count: int) -> str:
        # A view: a subquery would need a name.
        self.execute(f"create or replace view numbers_{count} as select seq as n from seq_1_to_{count}")
        return f"numbers_{count}"

    def cut(self) -> bool:
        self.server.cut(self.database)
        return True

    def busy(self) -> int:
        return self.server.busy(self.database)


_KEYS: Mapping[str, str] = {
    "cast(1.5 as double)": "signed",
    "cast(1.5 as decimal(4, 1))": "signed",
    "1 = 1": "char",
    "date '2026-01-02'": "char",
    "timestamp '2026-01-02 03:04:05'": "char",
}
_ADDED = "create function added() returns integer modifies sql data begin insert into kept values (3); return 1; end"


@contextmanager
def mysql(folder: Path) -> Iterator[MySQLRig]:
    server = shared_server()
    database = server.create()
    try:
        adapter = catalog.load("mysql")
        settings = adapter.Settings.model_validate({"url": f"mariadb://root@/{database}?unix_socket={server.socket}"})
        rig = MySQLRig(server, database, adapter(Source("contract", settings, folder)), _KEYS, _COMPUTED)
        rig.execute("create sequence counted", _ADDED)
        yield rig
    finally:
        server.drop(database)
