"""Writing to a DuckDB file: alone with it, among readers of this process and of others."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest

from connect.errors import OutsideError, UserError
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Kind, Query, Range, Source, Table

T = timedelta(seconds=30)
SENT = Table("sent", {"run": Kind.text, "key": Kind.text}, ("run", "key"))
ROWS = pyarrow.table({"run": ["r"] * 3, "key": ["a", "b", "c"]})
MANY = Query("from range(200000) as r(n)", {})
Made = Callable[..., DuckDB]


def made(shop: Made) -> DuckDB:
    return shop(*DuckDB.dialect.create_table(SENT))


def many(warehouse: DuckDB) -> object:
    return warehouse.rows(Query("select count(*) as many from sent", {}), T)[0]["many"]


def test_a_writer_waits_for_the_readers_of_its_process(shop: Made) -> None:
    warehouse = made(shop)
    with ThreadPoolExecutor(1) as pool, warehouse.read(MANY, T, 1000) as batches:
        next(batches)
        added = pool.submit(warehouse.add, SENT, ROWS, T)
        assert sum(batch.num_rows for batch in batches) > 0
        assert not added.done()
    added.result()
    assert many(warehouse) == 3


def test_who_reads_already_may_read_more_while_a_writer_waits(shop: Made) -> None:
    warehouse = made(shop)
    with ThreadPoolExecutor(1) as pool, warehouse.read(MANY, T, 1000) as batches:
        next(batches)
        added = pool.submit(warehouse.add, SENT, ROWS, T)
        assert many(warehouse) == 0
    added.result()


def test_a_writer_that_waited_for_too_long_says_so(shop: Made) -> None:
    warehouse = made(shop)
    with warehouse.read(MANY, T, 1000) as batches:
        next(batches)
        with pytest.raises(OutsideError) as raised:
            warehouse.add(SENT, ROWS, timedelta(seconds=0.1))
    assert raised.value.problems[0].code == "query-timeout"
    assert many(warehouse) == 0


def test_readers_and_writers_of_one_process_take_turns(shop: Made) -> None:
    warehouse = made(shop)

    def work(number: int) -> None:
        for place in range(5):
            warehouse.add(SENT, pyarrow.table({"run": [str(number)], "key": [str(place)]}), T)
            many(warehouse)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, number) for number in range(4)]:
            done.result()
    assert many(warehouse) == 20


_HOLDING = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def read_by_another_process(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == b"held\n"
        yield holder
        if not holder.stdin.closed:
            holder.stdin.close()


def test_another_process_is_waited_for_and_then_named(
    shop: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = made(shop)
    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=0.1))
    with read_by_another_process(tmp_path / "shop.duckdb") as holder:
        with pytest.raises(OutsideError) as raised:
            warehouse.add(SENT, ROWS, T)
        (problem,) = raised.value.problems
        assert problem.code == "warehouse-locked"
        assert f"in use by process {holder.pid}" in problem.message
        monkeypatch.setattr(DuckDB, "patience", T)
        assert holder.stdin
        threading.Timer(0.2, holder.stdin.close).start()
        warehouse.add(SENT, ROWS, T)
    assert many(warehouse) == 3


def test_a_database_in_memory_keeps_nothing(tmp_path: Path) -> None:
    warehouse = DuckDB(Source("shop", DuckDBSettings(url="duckdb://"), tmp_path))
    with pytest.raises(UserError, match="keeps nothing"):
        warehouse.write([Query("create table t (id integer)", {})], T)


def test_a_writer_reaches_nothing_outside_the_file(shop: Made, tmp_path: Path) -> None:
    warehouse = made(shop)
    for sql in (f"copy sent to '{tmp_path}/out.csv'", "select * from read_text('/etc/passwd')", "install httpfs"):
        with pytest.raises((UserError, OutsideError)):
            warehouse.write([Query(sql, {})], T)
    assert [path.name for path in tmp_path.iterdir()] == ["shop.duckdb"]


def test_a_copy_that_needs_more_memory_gets_it(shop: Made, tmp_path: Path) -> None:
    warehouse = made(shop)
    heavy = "select i as id, repeat(md5(i::varchar), 16) as text from range(300000) as r(i) order by text"
    warehouse.write([Query(warehouse.dialect.copied("copy", heavy), {})], T)
    assert warehouse.rows(Query("select count(*) as many from copy", {}), T) == [{"many": 300_000}]
    assert [path.name for path in tmp_path.iterdir()] == ["shop.duckdb"]


WIDE = Table("told", {"key": Kind.text, "words": Kind.text}, ("key",))


def _told(first: int, many: int) -> pyarrow.Table:
    numbers = range(first, first + many)
    return pyarrow.table({"key": [str(n) for n in numbers], "words": [f"{n} " * 100 for n in numbers]})


@pytest.fixture
def cramped(shop: Made, monkeypatch: pytest.MonkeyPatch) -> DuckDB:
    """A table of which a part does not fit into the memory that an engine begins with: it fails to put it in order."""
    monkeypatch.setattr("connect.warehouses.duckdb._FIRST_MEMORY", 16 << 20)
    return shop(*DuckDB.dialect.create_table(WIDE))


def test_a_table_grows_beyond_the_memory_that_puts_it_in_order(cramped: DuckDB, tmp_path: Path) -> None:
    for first in range(0, 100_000, 5_000):
        cramped.add(WIDE, _told(first, 5_000), T)
    cramped.add(WIDE, _told(95_000, 5_001), T)
    assert cramped.rows(Query("select count(*) as many from told", {}), T) == [{"many": 100_001}]
    cramped.close()
    assert not [path for path in tmp_path.iterdir() if path.name != "shop.duckdb" and path.stat().st_size > 1 << 20]


def test_what_was_taken_is_there_though_there_is_never_enough_memory_to_put_it_in_order(
    shop: Made, tmp_path: Path
) -> None:
    warehouse = shop(*DuckDB.dialect.create_table(WIDE), memory_limit="16MB")
    taken = 0

    def add() -> None:
        nonlocal taken
        while taken < 1_000_000:
            warehouse.add(WIDE, _told(taken, 1_000), T)
            taken += 1_000

    with pytest.raises(OutsideError) as error:
        add()
    assert error.value.problems[0].code == "query-memory"
    warehouse.close()
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        ((many,),) = connection.sql("select count(*) from told").fetchall()
    assert taken > 0
    assert many in (taken, taken + 1_000)


class _Checkpointing:
    """A connection of DuckDB's that says what it says where it fails after a commit."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> object:
        return getattr(self._raw, name)

    def commit(self) -> None:
        self._raw.commit()
        raise duckdb.IOException(
            "IO Error: Transaction COMMIT succeeded and is durable, but the autocheckpoint failed. Original error: "
            "failed to pin block of size 256.0 KiB (47.8 MiB/48.0 MiB used)"
        )


def test_what_is_durable_is_not_done_again(shop: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = made(shop)
    connect = warehouse._connect

    def checkpointing(held: Any, until: float) -> Any:
        raw, close = connect(held, until)
        return _Checkpointing(raw), close

    monkeypatch.setattr(warehouse, "_connect", checkpointing)
    warehouse.write([Query("create table once as select 1 as one", {})], T)
    monkeypatch.undo()
    assert warehouse.rows(Query("select one from once", {}), T) == [{"one": 1}]


_LEAVING = """
import os, sys
import duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("set checkpoint_threshold = '1GB'")
connection.execute("create table left_behind as select repeat(md5(i::varchar), 20) as words from range(50000) as r(i)")
os._exit(0)
"""


@pytest.mark.parametrize("writes", [False, True], ids=["read", "written"])
def test_a_log_that_somebody_left_may_be_larger_than_the_first_memory(
    cramped: DuckDB, tmp_path: Path, writes: bool
) -> None:
    subprocess.run([sys.executable, "-c", _LEAVING, str(tmp_path / "shop.duckdb")], check=True)
    assert (tmp_path / "shop.duckdb.wal").stat().st_size > 16 << 20
    if writes:
        cramped.write([Query("create table more as select 1 as one", {})], T)
    assert cramped.rows(Query("select count(*) as many from left_behind", {}), T) == [{"many": 50_000}]


_ADDING = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import pyarrow
from connect.errors import ConnectError
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Kind, Source, Table
warehouse = DuckDB(Source("shop", DuckDBSettings(path=sys.argv[1]), Path(".")))
rows = pyarrow.table({"run": ["r"], "key": ["a"]})
try:
    warehouse.add(Table("sent", dict.fromkeys(("run", "key"), Kind.text), ("run", "key")), rows, timedelta(seconds=9))
except ConnectError as error:
    print(error.problems[0].code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs `unshare` of Linux")
def test_a_file_that_may_only_be_read(shop: Made, tmp_path: Path) -> None:
    made(shop)
    # Also for root, whom no mode of a file keeps out: a mount of its own that is read-only.
    mounted = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$1/shop.duckdb"'
    command = ["unshare", "-rm", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, _ADDING]
    try:
        subprocess.run(["unshare", "-rm", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no mounts can be made here")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "warehouse-privilege\n", done.stderr
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        assert connection.sql("select count(*) from sent").fetchall() == [(0,)]


def _day(number: int) -> datetime:
    return datetime(2026, 11, number, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("among", "found"),
    [
        (None, "abcd"),
        ([], ""),
        ([(_day(2), None)], "bcd"),
        ([(_day(2), _day(3))], "bc"),
        ([(_day(1), _day(1)), (_day(3), _day(3)), (_day(4), None)], "acd"),
    ],
)
def test_a_key_is_looked_for_where_its_row_may_be(shop: Made, among: Sequence[Range] | None, found: str) -> None:
    table = Table("told", {"key": Kind.text, "at": Kind.instant}, ("key",), None if among is None else ("at", among))
    warehouse = shop(*DuckDB.dialect.create_table(table))
    days = pyarrow.array([_day(number) for number in range(1, 5)], pyarrow.timestamp("us", "UTC"))
    warehouse.add(replace(table, among=None), pyarrow.table({"key": list("abcd"), "at": days}), T)
    today = pyarrow.array([_day(20)] * 4, pyarrow.timestamp("us", "UTC"))
    warehouse.add(table, pyarrow.table({"key": list("abcd"), "at": today}), T)
    again = warehouse.rows(Query("select key from told group by key having count(*) > 1 order by key", {}), T)
    assert set("abcd") - {row["key"] for row in again} == set(found)


def test_a_key_without_the_column_that_tells_where_is_looked_for_everywhere(shop: Made) -> None:
    table = Table("told", {"key": Kind.text, "at": Kind.instant}, ("key",), ("at", [(_day(2), None)]))
    warehouse = shop(*DuckDB.dialect.create_table(table))
    unknown = pyarrow.array([_day(5), None], pyarrow.timestamp("us", "UTC"))
    for _ in range(2):
        warehouse.add(table, pyarrow.table({"key": ["a"]}), T)
        warehouse.add(table, pyarrow.table({"key": ["b", "c"], "at": unknown}), T)
    assert [row["key"] for row in warehouse.rows(Query("select key from told order by key", {}), T)] == list("abc")
