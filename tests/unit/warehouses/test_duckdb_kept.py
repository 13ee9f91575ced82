"""What a DuckDB file is asked once for many reads: opt-outs, until somebody writes to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow
import pytest

from connect.vocabulary import Channel
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.duckdb_kept import Keep, marked
from connect.warehouses.interface import Kept, Query, Source
from connect.warehouses.roll import ROLL
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=60)


class Counted(DuckDB):
    """A file that holds twenty people, of whom the fifth has opted out, and knows how often parts were made of it."""

    made = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(Source("shop", DuckDBSettings(path="shop.duckdb"), folder))
        self.file = folder / "shop.duckdb"
        self._keep = Keep()
        rows, own = self._keep._rows, self

        def counted(kept: Kept, ask: object) -> Mapping[str, pyarrow.Table] | None:
            own.made += 1
            return rows(kept, ask)  # type: ignore[arg-type]

        self._keep._rows = counted  # type: ignore[method-assign]

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.file)) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture
def shop(tmp_path: Path) -> Counted:
    shop = Counted(tmp_path)
    shop.execute(
        "create table people as select range as id, 'p' || range || '@x.example' as email from range(20)",
        "create table stops as select '5' as id, '' as address, 'unsubscribed' as status",
    )
    return shop


def asked(shop: Counted) -> Query:
    people, stops = "select * from people", "select * from stops"
    columns, of = (tuple(shop.columns(Query(sql, {}), T)) for sql in (people, stops))
    audience = Audience(people, {}, ("id",), columns)
    optouts = OptOuts(stops, {}, of, addresses={Channel.email: "email"}, channels=(Channel.email,))
    everybody = pyarrow.table({"connect_cell_0": pyarrow.array(range(20), pyarrow.int64())})
    query = Wrapping(shop.dialect, audience, optouts, salt="salt").sweep_query(None, None, everybody, alone=True)
    assert query.lent[ROLL] is everybody
    assert query.kept is not None
    return query


def opted_out(shop: Counted, query: Query) -> list[int]:
    with shop.read(query, T, 2048) as batches:
        rows = [row for batch in batches for row in batch.to_pylist()]
    assert len(rows) == 20
    return sorted(row["id"] for row in rows if row["connect_optout_email"])


def test_opt_outs_are_made_once_and_again_as_soon_as_anybody_has_written(shop: Counted) -> None:
    query = asked(shop)
    assert [opted_out(shop, query) for _ in range(3)] == [[5], [5], [5]]
    assert shop.made == 1
    shop.execute("insert into stops values ('7', '', 'unsubscribed')")
    assert opted_out(shop, query) == [5, 7]
    shop.execute("update stops set status = 'subscribed' where id = '5'")
    assert opted_out(shop, query) == opted_out(shop, query) == [7]
    assert shop.made == 3


def test_a_change_that_is_only_in_the_log_beside_the_file_counts(shop: Counted) -> None:
    query = asked(shop)
    assert opted_out(shop, query) == [5]
    killed = f"""
import duckdb, os, signal
connection = duckdb.connect({str(shop.file)!r})
connection.execute("insert into stops values (null, 'p9@x.example ', 'unsubscribed')")
os.kill(os.getpid(), signal.SIGKILL)
"""
    before = shop.file.stat().st_mtime_ns
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert shop.file.with_name("shop.duckdb.wal").exists()
    assert opted_out(shop, query) == [5, 9]
    assert shop.file.stat().st_mtime_ns >= before


def test_a_file_that_was_put_in_its_place_is_another_one(shop: Counted, tmp_path: Path) -> None:
    query = asked(shop)
    assert opted_out(shop, query) == [5]
    other = shop.file.with_name("other.duckdb")
    other.write_bytes(shop.file.read_bytes())
    with duckdb.connect(str(other)) as connection:
        connection.execute("update stops set id = '6'")
    other.replace(shop.file)
    assert opted_out(shop, query) == [6]


def test_what_is_too_large_or_old_is_not_kept(shop: Counted) -> None:
    query = asked(shop)
    shop._keep.most_rows = 0
    assert [opted_out(shop, query) for _ in range(2)] == [[5], [5]]
    shop._keep.clear()
    shop._keep.most_rows, shop._keep.most = 10, 8
    assert [opted_out(shop, query) for _ in range(2)] == [[5], [5]]
    assert shop.made == 2  # it is not tried with every read
    shop._keep.clear()
    shop._keep.most, shop._keep.fresh_for = 1 << 20, timedelta(0)
    assert [opted_out(shop, query) for _ in range(2)] == [[5], [5]]
    assert shop.made == 4


def test_parts_of_several_campaigns_are_kept_and_the_oldest_is_forgotten(shop: Counted) -> None:
    mark, table = marked(shop.file), pyarrow.table({"n": list(range(100))})
    keep = Keep(most=int(table.nbytes * 2.5))
    with duckdb.connect(str(shop.file), read_only=True) as connection:
        connection.register("numbers", table)

        def rows(number: int) -> object:
            part = Query("select n from numbers", {"of": number})
            kept = Kept(Query("select 1", {}), {"part": part}, Query("", {}))
            return keep.tables(kept, mark, lambda query: connection.sql(query.sql))

        first, second = rows(1), rows(2)
        assert rows(1) is first
        assert rows(2) is second
        third = rows(3)
        assert rows(3) is third
        assert rows(1) is not first
