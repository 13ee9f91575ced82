from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.duckdb_threads import Threads
from connect.warehouses.interface import Source

Made = Callable[..., DuckDB]


@pytest.fixture(autouse=True)
def _however_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No quick query is asked again because the machine is slow."""
    monkeypatch.setattr(Threads, "patience", timedelta(minutes=1))


@pytest.fixture
def shop(tmp_path: Path) -> Made:
    """Make a DuckDB file from statements, and the warehouse that reads it."""

    def make(*statements: str, **settings: object) -> DuckDB:
        with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)
        return DuckDB(Source("shop", DuckDBSettings(path="shop.duckdb", **settings), tmp_path))

    return make
