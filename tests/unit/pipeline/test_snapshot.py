"""The copy of an audience: made once, whoever is quicker, and never a second time for a run that has begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from connect.errors import OutsideError
from connect.ledger.records import Slice
from connect.pipeline.snapshot import Snapshot
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Column, Query, Source
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=30)
AUDIENCE = Audience("select * from people", {}, ("id",), (Column("id", "VARCHAR"),))
FRESH = Slice(1, "run", "", None, None, "", 1, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDB:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("create table people as select 'a' as id, 'a@x.example' as email")
    return DuckDB(Source("shop", DuckDBSettings(path="shop.duckdb"), tmp_path))


def people(warehouse: DuckDB, snapshot: Snapshot) -> list[dict[str, object]]:
    wrapping = snapshot.over(Wrapping(warehouse.dialect, AUDIENCE, OptOuts()))
    return warehouse.rows(Query(wrapping.audience.sql, wrapping.audience.parameters), T)


def test_it_is_made_once(warehouse: DuckDB) -> None:
    snapshot = Snapshot(warehouse, "connect_audience_run", T)
    snapshot.make(AUDIENCE, [FRESH])
    warehouse.write([Query("delete from people", {})], T)
    for again in (snapshot, Snapshot(warehouse, "connect_audience_run", T)):
        again.make(AUDIENCE, [FRESH])
        assert people(warehouse, again) == [{"id": "a", "email": "a@x.example"}]


@pytest.mark.parametrize("begun", [replace(FRESH, cursor="8" * 32), replace(FRESH, ended=True)])
def test_a_run_that_has_begun_gets_no_second_one(warehouse: DuckDB, begun: Slice) -> None:
    snapshot = Snapshot(warehouse, "connect_audience_run", T)
    with pytest.raises(OutsideError) as raised:
        snapshot.make(AUDIENCE, [FRESH, begun])
    assert raised.value.problems[0].code == "snapshot-missing"
    assert not snapshot.exists()


class QuickerOther(DuckDB):
    """Another process makes the copy between the look and the statement."""

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        super().write(statements, timeout)
        super().write(statements, timeout)


def test_another_process_was_quicker(warehouse: DuckDB, tmp_path: Path) -> None:
    quick = QuickerOther(Source("shop", DuckDBSettings(path="shop.duckdb"), tmp_path))
    snapshot = Snapshot(quick, "connect_audience_run", T)
    snapshot.make(AUDIENCE, [FRESH])
    assert len(people(warehouse, snapshot)) == 1


def test_it_is_dropped_twice(warehouse: DuckDB) -> None:
    snapshot = Snapshot(warehouse, "connect_audience_run", T)
    snapshot.make(AUDIENCE, [FRESH])
    snapshot.drop()
    snapshot.drop()
    assert not snapshot.exists()
