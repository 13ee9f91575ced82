"""Snowflake's driver and wire protocol, with fakesnow at the other end; `tests/services` makes its environment.

What the real thing has and the emulator has not, and is therefore not tried here: `array_contains`,
numbers of more than 18 digits, privileges, and the refusal of several statements in one request. DDL
there commits the transaction it stands in; here it is rolled back with it.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from connect.testing.services import Service, shared_service
from connect.testing.warehouse_rigs.shared import EVERYWHERE, KEYS
from connect.testing.warehouses import StandardRig, WarehouseRig
from connect.warehouses import catalog
from connect.warehouses.interface import Source, Warehouse

_NUMBERS = count(1)
USER, PASSWORD = "CONNECT_READER", "a-password-of-tests"


@dataclass
class SnowflakeRig(StandardRig):
    """A database of its own on the server that this process shares."""

    service: Service
    database: str
    warehouse: Warehouse

    among = "to_varchar({}) in (select f.value::varchar from table(flatten(input => parse_json(:values))) as f)"
    endless = (
        "select count(*) as n from (select seq8() as a from table(generator(rowcount => 1000000000))) as x"
        " cross join (select seq8() as b from table(generator(rowcount => 1000000000))) as y where x.a + y.b = 7"
    )
    writes: Sequence[str] = (
        "delete from kept",
        "insert into kept values (2)",
        "merge into kept using kept as k on kept.id = k.id when matched then update set id = 3",
        "create table other (id integer)",
        "truncate table kept",
        "alter session set timezone = 'UTC'",
        "call system$wait(1)",
    )
    effects: Sequence[str] = ()
    plenty = "select seq8() as id, repeat('x', 500) as letter from table(generator(rowcount => 30000))"

    @property
    def refused_keys(self) -> Mapping[str, str]:
        return KEYS

    @property
    def types(self) -> Mapping[str, object]:
        own = {
            """parse_json('{"a": [1, 2.5, null], "b": "é"}')""": {"a": [1, 2.5, None], "b": "é"},
            "object_construct('k', 1)": {"k": 1},
            "parse_json('[[1], [\"undefined\"]]')": [[1], ["undefined"]],
            "to_binary('01ff', 'hex')": b"\x01\xff",
            "array_construct(1, null)": [1, None],
            "array_construct('a', 'it''s \"b\"')": ["a", 'it\'s "b"'],
        }
        return {**EVERYWHERE, **own}

    def execute(self, *statements: str) -> None:
        # In a literal of Snowflake's a backslash escapes.
        escaped = [statement.replace("\\", "\\\\") for statement in statements]
        control(self.service, "execute", database=self.database, statements=escaped)

    def numbers(self, count: int) -> str:
        return f"(select row_number() over (order by seq8()) as n from table(generator(rowcount => {count})))"

    def cut(self) -> bool:
        control(self.service, "cut", database=self.database)
        return True

    def reader(self) -> Warehouse | None:
        return None

    def busy(self) -> int:
        return int(control(self.service, "told")["busy"])

    @property
    def url(self) -> str:
        return f"snowflake://{USER}:{PASSWORD}@acme/{self.database}/public?warehouse=compute&role=reader"


def control(service: Service, what: str, **asked: Any) -> dict[str, Any]:
    """Ask something of the server that only tests ask."""
    url = f"http://127.0.0.1:{service.port}/control/{what}"
    body = json.dumps(asked).encode() if asked else None
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
        return dict(json.load(answer))


def line(service: Service) -> dict[str, object]:
    """The settings of a source that lead to the server."""
    return {"host": "127.0.0.1", "port": service.port, "protocol": "http"}


@contextmanager
def snowflake(folder: Path) -> Iterator[WarehouseRig]:
    service = shared_service("fakesnow")
    control(service, "users", name=USER, password=PASSWORD)
    database = f"TEST_{next(_NUMBERS)}"
    adapter = catalog.load("snowflake")
    given = {"account": "acme", "user": USER, "password": PASSWORD, "warehouse": "compute", **line(service)}
    settings = adapter.Settings.model_validate({**given, "database": database, "schema": "public"})
    yield SnowflakeRig(service, database, adapter(Source("contract", settings, folder)))
