"""A warehouse whose cursor dies while people are being read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from connect.errors import OutsideError
from connect.warehouses.duckdb import DuckDB
from connect.warehouses.interface import Query


class Dying:
    """The real DuckDB, whose streams break off: OutsideError, as an adapter raises when its connection is gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
        self.died, self.well = 0, False
        read = DuckDB.read

        @contextmanager
        def breaks(warehouse: DuckDB, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[Any]]:
            with read(warehouse, query, timeout, 500) as stream:
                yield stream if self.well else self._break(stream, after)

        monkeypatch.setattr(DuckDB, "read", breaks)

    def _break(self, stream: Iterator[Any], after: int) -> Iterator[Any]:
        for _ in range(after):
            batch = next(stream, None)
            if batch is None:
                return
            yield batch
        if next(stream, None) is not None:
            self.died += 1
            raise OutsideError.of(
                "query-failed", "the query on `shop` broke off: the connection was lost", "run it again"
            )


def test_one_that_dies_in_the_middle_is_read_on_from_where_it_was(
    shop: Any, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = Dying(monkeypatch, after=2)

    ended = shop.run("hello", "--json")

    assert dying.died >= 2
    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): crowd}
    assert set(Counter(shop.addresses()).values()) == {1}


def test_one_that_gives_nothing_any_more_pauses_the_run(
    shop: Any, crowd: int, monkeypatch: pytest.MonkeyPatch, shows: Any, goes_on: Any
) -> None:
    dying = Dying(monkeypatch, after=0)

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "query-failed")
    shows(shop, "paused", "the connection was lost")
    dying.well = True
    goes_on(shop, lambda: Counter(shop.addresses()))
