"""Reads that are held open: one pass of the audience, and nobody lost when one has to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect.errors import OutsideError, Problem
from connect.pipeline import audience
from connect.pipeline.audience import Rows, Sweep
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Query, Source, WarehouseLost
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=1000)
PEOPLE = "select range as id, 'person' || range || '@x.example' as email from range(5000)"


class HandClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Holding(DuckDB):
    """DuckDB as a server would be, whose connection may be lost: `breaks` says so for (read, batch)."""

    capabilities = replace(DuckDB.capabilities, holds_reads=True, longest_read=timedelta(minutes=10))
    breaks: Callable[[int, int], bool] = staticmethod(lambda read, batch: False)

    def __init__(self, folder: Path) -> None:
        super().__init__(Source("shop", DuckDBSettings(path="shop.duckdb"), folder))
        self._count, self.open = 0, 0

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[Any]]:
        self._count += 1
        number = self._count
        with super().read(query, timeout, 100) as stream:
            self.open += 1
            try:
                yield self._breaking(number, stream)
            finally:
                self.open -= 1

    def _breaking(self, read: int, stream: Iterator[Any]) -> Iterator[Any]:
        for number, batch in enumerate(stream):
            if self.breaks(read, number):
                raise WarehouseLost(Problem("warehouse-lost", "the connection was lost"))
            yield batch


@pytest.fixture
def warehouse(tmp_path: Path) -> Holding:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("create table nothing (id integer)")
    return Holding(tmp_path)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "_PAUSES", (0.0, 0.0))


def sweep(warehouse: Holding, clock: HandClock, **keywords: Any) -> Sweep:
    columns = tuple(warehouse.columns(Query(PEOPLE, {}), T))
    wrapping = Wrapping(warehouse.dialect, Audience(PEOPLE, {}, ("id",), columns), OptOuts(), "salt")
    given = {"rows": 5000, "after": None, "timeout": T, "clock": clock, "budget_bytes": 100_000, "batch_rows": 100}
    return Sweep(warehouse, wrapping, **{**given, **keywords})


def everybody(batches: Iterator[Rows]) -> None:
    positions = [position for rows in batches for position in rows.positions]
    assert positions == sorted(set(positions))
    assert len(positions) == 5000


def test_many_parts_are_one_pass(warehouse: Holding) -> None:
    swept = sweep(warehouse, HandClock())
    everybody(swept.batches())
    assert swept.reads == 1
    assert warehouse.open == 0


def test_it_ends_at_its_bound(warehouse: Holding) -> None:
    whole = [position for rows in sweep(warehouse, HandClock()).batches() for position in rows.positions]
    part = sweep(warehouse, HandClock(), after=whole[10], upto=whole[3000])
    assert [position for rows in part.batches() for position in rows.positions] == whole[11:3001]


def test_leaving_early_lets_go(warehouse: Holding) -> None:
    batches = sweep(warehouse, HandClock()).batches()
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert warehouse.open == 0


def test_closing_from_another_thread_lets_go(warehouse: Holding) -> None:
    swept = sweep(warehouse, HandClock())
    batches = swept.batches()
    next(batches)
    thread = threading.Thread(target=swept.close)
    thread.start()
    thread.join()
    assert warehouse.open == 0
    with pytest.raises(OutsideError, match="query-stopped"):
        list(batches)


@pytest.mark.parametrize("seconds", [5, 50, 400, 2000])
def test_a_slow_consumer_gets_everybody_by_few_passes(warehouse: Holding, seconds: int) -> None:
    """Held for ten minutes at most; where few parts are taken meanwhile, the next reads are small ones."""
    clock = HandClock()

    def slowly(batches: Iterator[Rows]) -> Iterator[Rows]:
        for rows in batches:
            clock.seconds += seconds
            yield rows

    swept = sweep(warehouse, clock)
    everybody(slowly(swept.batches()))
    assert swept.reads == 1 if seconds == 5 else swept.reads > 1
    assert warehouse.open == 0


@pytest.mark.parametrize("at", [(1, 0), (1, 1), (1, 7), (2, 0)])
def test_a_lost_connection_is_opened_again_behind_what_came(warehouse: Holding, at: tuple[int, int]) -> None:
    warehouse.breaks = lambda read, batch: (read, batch) == at or (read, batch) == (1, 9)
    swept = sweep(warehouse, HandClock())
    everybody(swept.batches())
    assert swept.reads > 1
    assert warehouse.open == 0


def test_a_warehouse_that_stays_away_is_said(warehouse: Holding) -> None:
    warehouse.breaks = lambda read, batch: read > 1 or batch == 3
    with pytest.raises(WarehouseLost):
        list(sweep(warehouse, HandClock()).batches())
    assert warehouse.open == 0
