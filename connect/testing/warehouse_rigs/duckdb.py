"""DuckDB, in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from connect.testing.warehouse_rigs.shared import EVERYWHERE, KEYS, MADE, MORE
from connect.testing.warehouses import StandardRig, WarehouseRig
from connect.warehouses import catalog
from connect.warehouses.interface import Source, Warehouse


@dataclass
class DuckDBRig(StandardRig):
    """A file in a folder, to which the rig writes between the reads."""

    file: Path
    warehouse: Warehouse

    uuid = "uuid"
    among = "list_contains(:values, {})"
    endless = "select count(*) as n from range(1000000000) a, range(1000000000) b where a.range + b.range = 7"
    writes: Sequence[str] = (
        "delete from kept",
        "insert into kept values (2)",
        "create table other (id integer)",
        "set memory_limit = '1GB'",
    )
    effects: Sequence[str] = ("select * from read_text('/etc/passwd')", "select nextval('counted')")
    refused_keys = KEYS

    @property
    def types(self) -> Mapping[str, object]:
        own = {
            "{'a': 1, 'b': date '2026-01-02'}": {"a": 1, "b": date(2026, 1, 2)},
            "map {'a': cast(1 as hugeint)}": {"a": 1},
            "[[1], [2]]": [[1], [2]],
            "cast('\\x01\\xff' as blob)": b"\x01\xff",
        }
        return {**EVERYWHERE, **MORE, **own}

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

    def reader(self) -> Warehouse | None:
        return None


@contextmanager
def duckdb(folder: Path) -> Iterator[WarehouseRig]:
    adapter = catalog.load("duckdb")
    settings = adapter.Settings.model_validate({"path": "contract.duckdb"})
    rig = DuckDBRig(folder / "contract.duckdb", adapter(Source("contract", settings, folder)))
    rig.execute(MADE, "create sequence counted")
    yield rig
