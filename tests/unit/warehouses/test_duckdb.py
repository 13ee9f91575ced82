"""DuckDB files: what is read, what is refused, and what is said about it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from connect.errors import OutsideError, UserError
from connect.warehouses import duckdb_opening
from connect.warehouses.catalog import load, names
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Column, Query, Source
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=30)
PEOPLE = "create table people as select i as id, 'person' || i || '@x.example' as email from range(20000) t(i)"
ENDLESS = Query("select count(*) as n from range(1000000000) a, range(1000000000) b where a.range + b.range = 7", {})
Made = Callable[..., DuckDB]


def read(warehouse: DuckDB, sql: str, timeout: timedelta = T) -> int:
    with warehouse.read(Query(sql, {}), timeout, 2048) as batches:
        return sum(batch.num_rows for batch in batches)


def made(file: Path) -> DuckDB:
    return DuckDB(Source("shop", DuckDBSettings(path=file.name), file.parent))


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises((UserError, OutsideError)) as raised:
        call()
    return raised.value.problems[0].code


def test_the_catalog_finds_it_by_name() -> None:
    assert "duckdb" in names()
    assert load("duckdb") is DuckDB
    with pytest.raises(UserError, match="did you mean `duckdb`"):
        load("duckdv")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"url": "duckdb:///data/shop.duckdb"}, "/project/data/shop.duckdb"),
        ({"url": "duckdb:////data/shop.duckdb"}, "/data/shop.duckdb"),
        ({"path": "shop.duckdb"}, "/project/shop.duckdb"),
        ({"url": "duckdb://"}, None),
        ({"url": "duckdb:///:memory:"}, None),
    ],
)
def test_where_the_file_is(settings: dict[str, str], expected: str | None) -> None:
    file = DuckDBSettings(**settings).file(Path("/project"))
    assert (str(file) if file else None) == expected


@pytest.mark.parametrize("settings", [{}, {"url": "duckdb://", "path": "a"}, {"path": "a", "memory_limit": "much"}])
def test_settings_that_do_not_do(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        DuckDBSettings(**settings)


def test_columns_rows_and_batches(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    assert warehouse.columns(Query("from people", {}), T) == [Column("id", "BIGINT"), Column("email", "VARCHAR")]
    asked = Query("select id from people where id < $most order by id", {"most": 3, "unused": 1})
    assert warehouse.rows(asked, T) == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert read(warehouse, "from people") == 20000
    assert warehouse.check().endswith(", 1 table")


def test_two_reads_at_once_share_the_file(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    with warehouse.read(Query("from people", {}), T, 2048) as first:
        next(first)
        assert read(warehouse, "from people") == 20000
        assert sum(batch.num_rows for batch in first) == 20000 - 2048


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from glob('/*')",
    ],
)
def test_nothing_outside_the_file_can_be_read(shop: Made, sql: str) -> None:
    assert code_of(lambda: read(shop(PEOPLE), sql)) == "sql-error"


def test_nothing_can_be_written(shop: Made, tmp_path: Path) -> None:
    warehouse = shop(PEOPLE)
    for statement in (f"copy people to '{tmp_path}/out.csv'", "delete from people", "set memory_limit = '1GB'"):
        code_of(lambda statement=statement: warehouse.rows(Query(statement, {}), T))  # type: ignore[misc]
    assert read(warehouse, "from people") == 20000
    assert [path.name for path in tmp_path.iterdir()] == ["shop.duckdb"]


def test_a_change_of_data_in_a_cte_is_refused_by_the_engine_too(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    sql = "with gone as (delete from people returning *) select 1 as id"
    wrapping = Wrapping(warehouse.dialect, Audience(sql, {}, ("id",), (Column("id", "INTEGER"),)), OptOuts())
    with pytest.raises(UserError, match="top level"):
        warehouse.rows(wrapping.sweep_query(None, None), T)


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("select emial from people", "did you mean `email`?"),
        ("from peopel", "did you mean `people`?"),
        ("selec 1", "run it"),
    ],
)
def test_mistakes_are_told_in_duckdbs_words(shop: Made, sql: str, hint: str) -> None:
    with pytest.raises(UserError) as raised:
        shop(PEOPLE).columns(Query(sql, {}), T)
    (problem,) = raised.value.problems
    assert problem.code == "sql-error"
    assert hint in problem.hint
    assert "LINE" not in problem.message


@pytest.mark.parametrize(
    "sql",
    [
        "select cast(email as integer) from people",
        "select error('no: ' || email) from people",
        "select strptime(email, '%Y') from people",
        "select id, case when id = 15000 then cast(email as integer) else 1 end from people",
    ],
)
def test_an_error_about_data_quotes_none_of_it(shop: Made, sql: str) -> None:
    with pytest.raises(OutsideError) as raised:
        read(shop(PEOPLE), sql)
    assert raised.value.problems[0].code == "query-failed"
    error: BaseException | None = raised.value
    while error is not None:
        assert "@x.example" not in repr(error) + str(error)
        error = error.__cause__ or error.__context__


def test_a_missing_file(tmp_path: Path) -> None:
    warehouse = DuckDB(Source("shop", DuckDBSettings(path="none.duckdb"), tmp_path))
    assert code_of(warehouse.check) == "warehouse-missing"
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb").write_text("id,email\n" * 1000)
    warehouse = DuckDB(Source("shop", DuckDBSettings(path="a.duckdb"), tmp_path))
    assert code_of(warehouse.check) == "warehouse-unreadable"


_WRITER = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.readline(); c.close()"
)


@contextmanager
def writer(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open for writing until it is told to go."""
    command = [sys.executable, "-c", _WRITER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_locked_file_names_the_process_that_holds_it(
    shop: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = shop(PEOPLE)
    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=0.2))
    with writer(tmp_path / "shop.duckdb") as process, pytest.raises(OutsideError) as raised:
        warehouse.check()
    (problem,) = raised.value.problems
    assert problem.code == "warehouse-locked"
    assert f"process {process.pid}" in problem.message


def test_a_short_lock_is_waited_for(shop: Made, tmp_path: Path) -> None:
    warehouse = shop(PEOPLE)
    with writer(tmp_path / "shop.duckdb") as process:
        assert process.stdin is not None
        threading.Timer(0.1, lambda: (process.stdin.write("go\n"), process.stdin.flush())).start()
        assert read(warehouse, "from people") == 20000


def test_a_read_that_is_over_lets_writers_in(shop: Made, tmp_path: Path) -> None:
    warehouse = shop(PEOPLE)
    with warehouse.read(Query("from people", {}), T, 2048) as batches:
        next(batches)
    with writer(tmp_path / "shop.duckdb"):
        pass


def test_a_query_that_takes_too_long_is_stopped(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    short = timedelta(seconds=0.3)
    assert code_of(lambda: warehouse.rows(ENDLESS, short)) == "query-timeout"
    assert code_of(lambda: read(warehouse, ENDLESS.sql, short)) == "query-timeout"
    assert read(warehouse, "from people") == 20000


def test_close_stops_what_is_running(shop: Made) -> None:
    warehouse = shop(PEOPLE)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(code_of(lambda: warehouse.rows(ENDLESS, T))))
    thread.start()
    while thread.is_alive():
        warehouse.close()
        thread.join(0.05)
    assert found == ["query-stopped"]
    assert read(warehouse, "from people") == 20000


HEAVY = "select count(*) from (select distinct repeat(email, 500) from people where id < 10000)"


def test_a_heavy_query_gets_more_memory(shop: Made, tmp_path: Path) -> None:
    warehouse = shop(PEOPLE)
    assert read(warehouse, HEAVY) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shop.duckdb"]


def test_a_query_that_does_not_fit_says_so_and_spills_nothing(shop: Made, tmp_path: Path) -> None:
    warehouse = shop(PEOPLE, memory_limit="64MB")
    with pytest.raises(OutsideError) as raised:
        read(warehouse, HEAVY)
    (problem,) = raised.value.problems
    assert problem.code == "query-memory"
    assert "memory_limit" in problem.hint
    assert [path.name for path in tmp_path.iterdir()] == ["shop.duckdb"]


_INTERRUPTED = """
import signal, sys, threading
from datetime import timedelta
from pathlib import Path
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Query, Source
warehouse = DuckDB(Source("shop", DuckDBSettings(url="duckdb://"), Path(".")))


def interrupt_when_it_runs():
    while not warehouse._running:
        threading.Event().wait(0.01)
    threading.Event().wait(float(sys.argv[2]))
    signal.raise_signal(signal.SIGINT)


threading.Thread(target=interrupt_when_it_runs).start()
try:
    warehouse.rows(Query(sys.argv[1], {}), timedelta(seconds=60))
except KeyboardInterrupt:
    print("interrupted")
"""


STREAMING = "select a.range as n from range(1000000000) a, range(1000000000) b where a.range + b.range = -7"


@pytest.mark.parametrize("seconds", ["0", "0.2"])
@pytest.mark.parametrize("sql", [ENDLESS.sql, STREAMING])
def test_ctrl_c_stops_a_query(sql: str, seconds: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, sql, seconds],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "interrupted\n", done.stderr


def test_a_timestamp_with_a_zone_is_read_as_utc(shop: Made) -> None:
    sql = "select cast(timestamptz '2026-01-01 23:30:00+00' as varchar) as t"
    assert shop(PEOPLE).rows(Query(sql, {}), T) == [{"t": "2026-01-01 23:30:00+00"}]


def test_an_engine_stays_and_the_file_is_free_between(shop: Made, tmp_path: Path) -> None:
    warehouse = shop(PEOPLE)
    assert read(warehouse, "from people") == 20000
    engine = duckdb_opening._engines[tmp_path / "shop.duckdb"]
    writing = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('delete from people where id < 5')"
    subprocess.run([sys.executable, "-c", writing, str(tmp_path / "shop.duckdb")], check=True)
    assert read(warehouse, "from people") == 19995
    assert duckdb_opening._engines[tmp_path / "shop.duckdb"] is engine


def test_an_engine_that_failed_is_not_used_again(shop: Made, tmp_path: Path) -> None:
    warehouse = shop(PEOPLE)
    assert read(warehouse, "from people") == 20000
    assert code_of(lambda: read(warehouse, "select error(email) from people")) == "query-failed"
    assert tmp_path / "shop.duckdb" not in duckdb_opening._engines
    assert read(warehouse, "from people") == 20000


def test_a_worn_engine_is_replaced(shop: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_opening, "_TIMES", 3)
    warehouse = shop("create table t as select 7 as n")
    used = []
    for _ in range(7):
        assert warehouse.rows(Query("from t", {}), T) == [{"n": 7}]
        used.append(duckdb_opening._engines.get(tmp_path / "shop.duckdb"))
    assert used[0] is used[1] is not None
    assert used[2] is None
    assert used[3] is used[4] is not used[1]
    assert used[5] is None


def test_few_engines_are_kept(shop: Made, tmp_path: Path) -> None:
    before = shop(PEOPLE)
    for number in range(6):
        copy = tmp_path / f"{number}.duckdb"
        shutil.copy(tmp_path / "shop.duckdb", copy)
        assert read(made(copy), "from people") == 20000
    assert len(duckdb_opening._engines) == duckdb_opening._MOST
    assert read(before, "from people") == 20000


@pytest.mark.parametrize("name", ["memory.duckdb", "temp.duckdb", "my shop's.v2.duckdb", 'a "b".duckdb'])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    import duckdb

    with duckdb.connect(str(tmp_path / name)) as connection:
        connection.execute("create table people as select 1 as id")
    assert read(made(tmp_path / name), "from people") == 1


@pytest.mark.parametrize("statement", ["copy (select 1) to '{}'", "export database '{}'", "attach '{}' as again"])
def test_the_file_itself_can_not_be_written_over(shop: Made, tmp_path: Path, statement: str) -> None:
    warehouse = shop(PEOPLE)
    asked = Query(statement.format(tmp_path / "shop.duckdb"), {})
    assert code_of(lambda: warehouse.rows(asked, T)) == "sql-error"
    assert read(warehouse, "from people") == 20000
