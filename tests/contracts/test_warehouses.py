"""What every warehouse of the catalog promises: no adapter can opt out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlglot

from connect.errors import UserError
from connect.identity import key_text, position
from connect.project.text import Text
from connect.warehouses import catalog, query
from connect.warehouses.interface import Query, Source, Warehouse
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=30)

SETTINGS: dict[str, dict[str, object]] = {"duckdb": {"url": "duckdb://"}}
"""How each adapter is reached in this suite; an adapter without an entry fails."""


@pytest.fixture(params=catalog.ADAPTERS)
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    adapter = catalog.load(request.param)
    return adapter(Source("contract", adapter.Settings(**SETTINGS[request.param]), tmp_path))


def people(warehouse: Warehouse, *rows: dict[str, object]) -> Audience:
    asked = query.people(rows, warehouse.dialect)
    return Audience(asked.sql, asked.parameters, ("id",), tuple(warehouse.columns(asked, T)))


def test_the_dialect_is_one_that_sqlglot_knows(warehouse: Warehouse) -> None:
    assert sqlglot.Dialect.get_or_raise(warehouse.dialect.sqlglot)


def test_it_says_how_long_a_read_may_last(warehouse: Warehouse) -> None:
    assert warehouse.capabilities.longest_read > timedelta(0)


def test_positions_are_those_of_python(warehouse: Warehouse) -> None:
    ids = ["1", "0001", "é", "🤦🏼‍♂️", "it's"]
    wrapping = Wrapping(warehouse.dialect, people(warehouse, *({"id": text} for text in ids)), OptOuts(), "salt")
    rows = warehouse.rows(wrapping.sweep_query(None, None), T)
    expected = sorted((position("salt", key_text([text])), text) for text in ids)
    assert [(row["connect_position"], row["id"]) for row in rows] == expected


def test_reads_stream_what_rows_returns(warehouse: Warehouse) -> None:
    audience = people(warehouse, *({"id": number, "n": None} for number in range(50)))
    asked = Wrapping(warehouse.dialect, audience, OptOuts(), "salt").sweep_query(None, None)
    with warehouse.read(asked, T, 10) as batches:
        streamed = [row for batch in batches for row in batch.to_pylist()]
    assert streamed == warehouse.rows(asked, T)


def test_parameters_are_bound_and_never_pasted(warehouse: Warehouse) -> None:
    text = Text(source="select :value as value")
    asked = query.bound(text, warehouse.dialect, {"value": "x'; drop table y --", "unused": 1})
    assert warehouse.rows(asked, T) == [{"value": "x'; drop table y --"}]


def test_trimming_is_that_of_python(warehouse: Warehouse) -> None:
    texts = [" a ", "a b", "\ta\r\n", "\u00a0é\u3000", "", " ", "é"]
    trimmed = warehouse.dialect.trimmed(warehouse.dialect.parameter("value"))
    for text in texts:
        assert warehouse.rows(Query(f"select {trimmed} as value", {"value": text}), T) == [{"value": text.strip()}]


def test_a_mistake_is_the_users(warehouse: Warehouse) -> None:
    with pytest.raises(UserError):
        warehouse.columns(Query("select nothing from nowhere", {}), T)


def test_it_can_be_closed_twice_and_used_again(warehouse: Warehouse) -> None:
    warehouse.close()
    warehouse.close()
    assert warehouse.check()
