"""The sweep: everybody once, in order, from any place, with memory that does not grow."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect.clock import SystemClock  # noqa: F401 - the program below takes it from here
from connect.errors import OutsideError, UserError
from connect.pipeline.audience import Rows, Sizes, Sweep, sizes
from connect.vocabulary import Channel
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Query, Source
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=60)
PEOPLE = "create table people as select i as id, 'person' || i || '@x.example' as email from range(5000) t(i)"


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Shop:
    """A DuckDB file that a test writes to, and sweeps over it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "shop.duckdb"
        self.clock = HandClock()
        self.warehouse = DuckDB(Source("shop", DuckDBSettings(path="shop.duckdb"), folder))

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.file)) as connection:
            for statement in statements:
                connection.execute(statement)

    def wrapping(self, sql: str = "select * from people", subscriptions: str | None = None) -> Wrapping:
        columns = tuple(self.warehouse.columns(Query(sql, {}), T))
        optouts = OptOuts()
        if subscriptions:
            optouts = OptOuts(subscriptions, {}, tuple(self.warehouse.columns(Query(subscriptions, {}), T)))
        return Wrapping(self.warehouse.dialect, Audience(sql, {}, ("id",), columns), optouts, "salt")

    def sweep(self, wrapping: Wrapping | None = None, rows: int = 5000, **keywords: Any) -> Sweep:
        given = {"after": None, "timeout": T, "clock": self.clock, "budget_bytes": 100_000, "batch_rows": 100}
        return Sweep(self.warehouse, wrapping or self.wrapping(), rows=rows, **{**given, **keywords})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.execute(PEOPLE)
    return made


def joined(batches: Iterator[Rows]) -> tuple[list[str], list[object]]:
    """Positions and ids of everybody, after checking that they ascend."""
    positions: list[str] = []
    ids: list[object] = []
    for rows in batches:
        assert len(rows) == len(rows.keys) == len(rows.duplicates) == len(rows.columns["id"])
        positions += rows.positions
        ids += rows.columns["id"]
    assert positions == sorted(set(positions))
    return positions, ids


def test_everybody_comes_once_in_the_order_of_positions(shop: Shop) -> None:
    sweep = shop.sweep()
    _, ids = joined(sweep.batches())
    assert sorted(ids) == list(range(5000))
    assert ids != list(range(5000))
    assert sweep.reads > 3


def test_a_small_audience_takes_one_read(shop: Shop) -> None:
    sweep = shop.sweep(budget_bytes=32 << 20)
    _, ids = joined(sweep.batches())
    assert (len(ids), sweep.reads) == (5000, 1)


@pytest.mark.parametrize("expected", [0, 10, 500_000])
def test_a_wrong_expectation_changes_the_reads_and_nothing_else(shop: Shop, expected: int) -> None:
    sweep = shop.sweep(rows=expected, budget_bytes=200_000)
    _, ids = joined(sweep.batches())
    assert sorted(ids) == list(range(5000))
    assert sweep.reads < 40


def test_an_empty_audience(shop: Shop) -> None:
    assert list(shop.sweep(shop.wrapping("select * from people where false"), rows=0).batches()) == []


def test_it_goes_on_from_any_position(shop: Shop) -> None:
    positions, ids = joined(shop.sweep().batches())
    for place in (0, 1, 99, 2500, 4998, 4999):
        rest = joined(shop.sweep(after=positions[place]).batches())
        assert rest == (positions[place + 1 :], ids[place + 1 :])


@pytest.mark.parametrize("upto", [None, "7" * 32])
def test_behind_everybody_there_is_nobody(shop: Shop, upto: str | None) -> None:
    """Where a cursor stands that has passed those, too, who have left the audience."""
    assert joined(shop.sweep(after="g", upto=upto).batches()) == ([], [])


def test_sizes(shop: Shop) -> None:
    shop.execute("insert into people values (null, 'x@x.example'), (7, 'again@x.example')")
    assert sizes(shop.warehouse, shop.wrapping(), T) == Sizes(rows=5002, keyed=5001, without_key=1)


def test_duplicates_are_counted_and_the_same_row_wins_on_resume(shop: Shop) -> None:
    shop.execute("insert into people select id, 'b' || email from people where id < 50", "checkpoint")
    shop.execute("insert into people select 9, 'c' || email from people where id = 9")
    first = [
        (p, d, e)
        for r in shop.sweep().batches()
        for p, d, e in zip(r.positions, r.duplicates, r.columns["email"], strict=True)
    ]
    assert sum(duplicates for _, duplicates, _ in first) == 52
    assert max(duplicates for _, duplicates, _ in first) == 3
    for place in (10, 1700):
        again = shop.sweep(after=first[place][0])
        rest = [
            (p, d, e)
            for r in again.batches()
            for p, d, e in zip(r.positions, r.duplicates, r.columns["email"], strict=True)
        ]
        assert rest == first[place + 1 :]


def test_a_giant_tie_is_one_row(shop: Shop) -> None:
    shop.execute("insert into people select 42, 'p' || i || '@x.example' from range(1000000) t(i)")
    sweep = shop.sweep(rows=1_005_000)
    duplicates = {i: d for rows in sweep.batches() for i, d in zip(rows.columns["id"], rows.duplicates, strict=True)}
    assert len(duplicates) == 5000
    assert duplicates.pop(42) == 1_000_000
    assert not any(duplicates.values())


def test_people_who_come_and_go_between_reads_cause_no_duplicate(shop: Shop) -> None:
    sweep = shop.sweep()
    seen: list[object] = []
    for number, rows in enumerate(sweep.batches()):
        seen += rows.columns["id"]
        if number % 10 == 0:
            shop_write(shop, f"insert into people values ({10_000 + number}, 'new@x.example')")
            shop_write(shop, f"delete from people where id = {number}")
    assert len(seen) == len(set(seen))
    assert set(range(100, 5000)) <= set(seen)


def shop_write(shop: Shop, statement: str) -> None:
    """Write as another process would: in between two reads."""
    command = [sys.executable, "-c", "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"]
    while subprocess.run([*command, str(shop.file), statement], check=False, capture_output=True).returncode:
        pass


def test_optouts_are_flags_and_nobody_is_lost(shop: Shop) -> None:
    shop.execute("create table gone as select id from people where id % 10 = 0 union all select null")
    wrapping = shop.wrapping(subscriptions="select id from gone union all select id from gone")
    flags = {
        i: f
        for r in shop.sweep(wrapping).batches()
        for i, f in zip(r.columns["id"], r.optouts[Channel.email], strict=True)
    }
    assert flags == {number: int(number % 10 == 0) for number in range(5000)}


def test_optouts_of_rows_that_waited_too_long_are_asked_again(shop: Shop) -> None:
    shop.execute("create table gone (id bigint)")
    sweep = shop.sweep(shop.wrapping(subscriptions="select id from gone"), budget_bytes=32 << 20)
    batches = sweep.batches()
    first = next(batches)
    shop.execute("insert into gone select id from people")
    shop.clock.seconds += 899
    second = next(batches)
    assert second.optouts[Channel.email] == [0] * 100
    shop.clock.seconds += 2
    rest = list(batches)
    assert sweep.reads == 2
    assert all(flag == 1 for rows in rest for flag in rows.optouts[Channel.email])
    assert rest[0].read_at == 901
    positions, _ = joined(iter([first, second, *rest]))
    assert len(positions) == 5000


@pytest.mark.parametrize("given", range(1, 7))
def test_rows_that_were_read_ahead_are_asked_again_too(shop: Shop, given: int) -> None:
    shop.execute("create table gone (id bigint)")
    wrapping = shop.wrapping("select * from people where id < 600", "select id from gone")
    batches = shop.sweep(wrapping, rows=600, budget_bytes=1).batches()
    before = [next(batches) for _ in range(given)]
    shop_write(shop, "insert into gone select id from people")
    shop.clock.seconds += 1000
    rest = list(batches)
    assert {flag for rows in rest for flag in rows.optouts[Channel.email]} == {1}
    assert len(joined(iter([*before, *rest]))[0]) == 600


def test_a_slow_consumer_gets_everybody_once(shop: Shop) -> None:
    def slowly(sweep: Sweep) -> Iterator[Rows]:
        for rows in sweep.batches():
            shop.clock.seconds += 400
            yield rows

    _, ids = joined(slowly(shop.sweep()))
    assert sorted(ids) == list(range(5000))


class Flaky:
    """A warehouse whose reads break after their first batch, or before it."""

    def __init__(self, warehouse: DuckDB, breaks: Callable[[int, int], bool]) -> None:
        self.capabilities, self.dialect, self.close = warehouse.capabilities, warehouse.dialect, warehouse.close
        self._warehouse, self._breaks, self._reads = warehouse, breaks, 0

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[Any]]:
        self._reads += 1
        with self._warehouse.read(query, timeout, batch_rows) as stream:
            yield self._stream(stream)

    def _stream(self, stream: Iterator[Any]) -> Iterator[Any]:
        for number, batch in enumerate(stream):
            if self._breaks(self._reads, number):
                raise OutsideError.of("query-failed", "the line went dead")
            yield batch


def test_a_read_that_breaks_in_its_middle_goes_on_behind_what_came(shop: Shop) -> None:
    flaky = Flaky(shop.warehouse, lambda _, batch: batch == 1)
    sweep = Sweep(flaky, shop.wrapping(), rows=5000, after=None, timeout=T, clock=shop.clock)  # type: ignore[arg-type]
    _, ids = joined(sweep.batches())
    assert (sorted(ids), sweep.reads) == (list(range(5000)), 2)


def test_a_read_that_gives_nothing_is_trouble(shop: Shop) -> None:
    flaky = Flaky(shop.warehouse, lambda read, _: read == 3)
    sweep = Sweep(flaky, shop.wrapping(), rows=5000, after=None, timeout=T, clock=shop.clock, budget_bytes=10**5)  # type: ignore[arg-type]
    seen: list[Rows] = []
    with pytest.raises(OutsideError, match="the line went dead"):
        seen.extend(sweep.batches())
    assert joined(iter(seen))[0]


def test_a_mistake_in_the_sql_reaches_the_consumer(shop: Shop) -> None:
    wrapping = shop.wrapping()
    shop.execute("drop table people")
    with pytest.raises(UserError, match="sql-error"):
        next(shop.sweep(wrapping).batches())


def test_closing_stops_a_read_that_is_under_way(shop: Shop) -> None:
    endless = "select a.range as id from range(1000000000) a, range(1000000000) b where a.range + b.range = -7"
    sweep = shop.sweep(shop.wrapping(endless))
    found: list[BaseException] = []

    def consume() -> None:
        try:
            next(sweep.batches())
        except OutsideError as error:
            found.append(error)

    thread = threading.Thread(target=consume)
    thread.start()
    while not sweep.reads:
        thread.join(0.01)
    sweep.close()
    thread.join()
    assert "query-stopped" in str(found[0])


def test_leaving_early_lets_go_of_the_warehouse(shop: Shop) -> None:
    batches = shop.sweep().batches()
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    shop.execute("drop table people")


def test_values_are_pythons(shop: Shop) -> None:
    sql = """select 1 as id, [1, 2] as list, {'a': 1, 'b': [true]} as struct, map {'k': 'v'} as map,
        1.50::decimal(10, 2) as money, sum(2) as total, timestamptz '2026-01-01 10:00:00+10' as zoned,
        timestamp_ns '2026-01-01 10:00:00.123456789' as fine, date '2026-01-02' as day, null as nothing,
        'a'::enum('a', 'b') as enum, uuid '12345678-1234-5678-1234-567812345678' as uuid"""
    (rows,) = shop.sweep(shop.wrapping(sql), rows=1).batches()
    values = {name: column[0] for name, column in rows.columns.items()}
    assert values == {
        "id": 1,
        "list": [1, 2],
        "struct": {"a": 1, "b": [True]},
        "map": {"k": "v"},
        "money": Decimal("1.50"),
        "total": 2,
        "zoned": datetime(2026, 1, 1, tzinfo=UTC),
        "fine": datetime(2026, 1, 1, 10, 0, 0, 123456),
        "day": date(2026, 1, 2),
        "nothing": None,
        "enum": "a",
        "uuid": "12345678-1234-5678-1234-567812345678",
    }
    assert isinstance(values["total"], int)
    assert values["zoned"].utcoffset() == timedelta(0)


def test_cells_of_megabytes(shop: Shop) -> None:
    sql = "select id, repeat('x', 1000000) as page from people where id < 60"
    wrapping = shop.wrapping(sql)
    sweep = shop.sweep(wrapping, rows=60, batch_rows=10, budget_bytes=8_000_000)
    assert [len(str(page)) for rows in sweep.batches() for page in rows.columns["page"]] == [1_000_000] * 60


_PEAK = """
import resource, sys
from tests_audience import Path, Shop, SystemClock
shop = Shop(Path(sys.argv[1]))
wide = shop.wrapping("select *, repeat(cast(id + 100000 as varchar), 100) as page from people")
sweep = shop.sweep(wide, rows=int(sys.argv[2]), clock=SystemClock(), budget_bytes=16 << 20)
print(sum(len(rows) for rows in sweep.batches()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_of(folder: Path, rows: int) -> int:
    """The peak memory, in MiB, of a process that sweeps so many rows of 600 bytes."""
    folder.mkdir()
    Shop(folder).execute(PEOPLE.replace("5000", str(rows)))
    (folder / "tests_audience.py").write_text(Path(__file__).read_text())
    command = [sys.executable, "-c", _PEAK, str(folder), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(folder)})
    count, peak = done.stdout.split()
    assert int(count) == rows
    return int(peak)


def test_memory_does_not_grow_with_the_audience(tmp_path: Path) -> None:
    small, large = peak_of(tmp_path / "small", 30_000), peak_of(tmp_path / "large", 200_000)
    assert large < small + 50  # the difference between the audiences is 100 MiB


# A part of the hash space


@pytest.mark.parametrize("parts", [2, 7, 30])
@pytest.mark.parametrize("budget", [100_000, 32 << 20])
def test_parts_of_the_hash_space_are_the_whole_audience_once(shop: Shop, parts: int, budget: int) -> None:
    shop.execute("create or replace table people as select i as id from range(1000) t(i)")
    whole = joined(shop.sweep(rows=1000).batches())
    bounds = ["", *(f"{(1 << 128) * n // parts:032x}" for n in range(1, parts)), None]
    positions: list[str] = []
    ids: list[object] = []
    wrapping = shop.wrapping()
    for low, high in itertools.pairwise(bounds):
        sweep = shop.sweep(wrapping, rows=1000, after=low, upto=high, budget_bytes=budget)
        some, whose = joined(sweep.batches())
        assert all((low or "") < position <= (high or "g") for position in some)
        positions += some
        ids += whose
    assert (positions, ids) == whole


def test_a_bound_is_the_last_position_of_a_part(shop: Shop) -> None:
    positions, ids = joined(shop.sweep().batches())
    low, high = positions[10], positions[20]
    assert joined(shop.sweep(after=low, upto=high).batches()) == (positions[11:21], ids[11:21])
    assert joined(shop.sweep(after=high, upto=high).batches()) == ([], [])


def test_a_read_that_is_cut_goes_on_inside_its_part(shop: Shop) -> None:
    shop.execute("create or replace table people as select i as id from range(20000) t(i)")
    positions, ids = joined(shop.sweep(budget_bytes=32 << 20).batches())
    sweep = shop.sweep(rows=10, after=positions[99], upto=positions[19_000])
    assert joined(sweep.batches()) == (positions[100:19_001], ids[100:19_001])
    assert sweep.reads > 1
