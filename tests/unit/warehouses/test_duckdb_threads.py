"""DuckDB's threads: one is enough for what is quick, and what is not gets all of them, with the same answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import duckdb
import pytest

from connect.errors import OutsideError
from connect.warehouses.duckdb import DuckDB
from connect.warehouses.duckdb_threads import Threads
from connect.warehouses.interface import Query

T = timedelta(seconds=60)
PEOPLE = "create table people as select i as id from range(20000) t(i)"
# Long beside a hundredth of a second, on any machine.
LONG = "select sum(a.range * b.range % 7) as n from range(20000) as a, range(2000) as b"
Made = Callable[..., DuckDB]


@pytest.fixture(autouse=True)
def _a_hundredth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Threads, "patience", timedelta(seconds=0.01))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests where nothing may be stopped, however busy the machine is."""
    monkeypatch.setattr(Threads, "patience", T)


def threads(warehouse: DuckDB) -> object:
    return warehouse.rows(Query("select current_setting('threads') as n", {}), T)[0]["n"]


def all_threads() -> object:
    with duckdb.connect() as connection:
        return connection.execute("select current_setting('threads')").fetchall()[0][0]


def read(warehouse: DuckDB, sql: str) -> int:
    with warehouse.read(Query(sql, {}), T, 2048) as batches:
        return sum(batch.num_rows for batch in batches)


@pytest.mark.usefixtures("patient")
def test_what_is_quick_gets_one(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    assert read(warehouse, "from people") == 20000
    assert threads(warehouse) == 1


@pytest.mark.usefixtures("patient")
def test_what_the_settings_say_is_what_it_gets(shop: Made) -> None:
    assert threads(shop(PEOPLE, threads=3)) == 3


def test_what_is_not_there_soon_is_asked_again_with_all(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    with duckdb.connect() as connection:
        expected = connection.execute(LONG).fetchall()[0][0]
    assert warehouse.rows(Query(LONG, {}), T) == [{"n": expected}]
    assert warehouse._threads.number is None
    assert threads(warehouse) == all_threads()


def test_a_change_that_is_slow_is_made_once(shop: Made) -> None:
    warehouse = shop(PEOPLE, "create table sums (n hugeint)")
    warehouse.write([Query("insert into sums select 1", {}), Query(f"insert into sums {LONG}", {})], T)
    assert warehouse._threads.number is None
    assert warehouse.rows(Query("select count(*) as n from sums", {}), T) == [{"n": 2}]


@pytest.mark.usefixtures("patient")
def test_behind_a_read_that_lasted_all_are_taken(shop: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = shop(PEOPLE)
    monkeypatch.setattr(Threads, "longest", timedelta(0))
    assert read(warehouse, "from people") == 20000
    assert threads(warehouse) == all_threads()


@pytest.mark.usefixtures("patient")
def test_what_has_answered_is_not_stopped_for_being_slow(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    with warehouse.read(Query("from people", {}), T, 2048) as batches:
        count = next(batches).num_rows
        (running,) = warehouse._running
        running.interrupt("slow")
        assert count + sum(batch.num_rows for batch in batches) == 20000
    assert warehouse._threads.number == 1


@pytest.mark.usefixtures("patient")
def test_who_closes_is_heard_where_it_is_slow_too(shop: Made) -> None:
    warehouse = shop(PEOPLE)

    def both(running: object) -> None:
        (one,) = warehouse._running
        one.interrupt("slow")
        one.interrupt("closed")
        one.sql(Query("from people", {}))

    with pytest.raises(OutsideError, match="was stopped"), warehouse._run(T, both):
        pass


@pytest.mark.usefixtures("patient")
def test_readers_with_other_threads_share_the_file(shop: Made) -> None:
    one, other = shop(PEOPLE), shop(threads=2)
    with one.read(Query("from people", {}), T, 2048) as batches:
        next(batches)
        assert read(other, "from people") == 20000
