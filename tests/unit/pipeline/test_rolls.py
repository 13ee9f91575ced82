"""Rolls: the same people as without them, in every kind of key, with positions made once for many reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest

from connect.errors import Problem
from connect.pipeline import audience
from connect.pipeline.audience import Rows, Sweep
from connect.pipeline.positions import unpacked
from connect.pipeline.roll import Roll, gathered
from connect.vocabulary import Across
from connect.warehouses.destination import deliveries_table
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.files import Files, FilesSettings
from connect.warehouses.history import Cap, History
from connect.warehouses.interface import Query, Source, Warehouse, WarehouseLost
from connect.warehouses.roll import PART, ROLL
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=60)
COUNT = 3000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class HandClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Watched(DuckDB):
    """A DuckDB file whose reads are noted; `before` is called with the number of each."""

    before: Callable[[int, Query], None] = staticmethod(lambda number, query: None)

    def __init__(self, folder: Path) -> None:
        super().__init__(Source("shop", DuckDBSettings(path="shop.duckdb"), folder))
        self.file = folder / "shop.duckdb"
        self.asked: list[Query] = []

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Iterator[Any]]:
        self.asked.append(query)
        self.before(len(self.asked), query)
        with super().read(query, timeout, batch_rows) as stream:
            yield stream

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.file)) as connection:
            for statement in statements:
                connection.execute(statement)

    @property
    def kinds(self) -> str:
        """R for each roll, n for a read of those on one, p for a plain one."""
        return "".join("n" if query.lent else "R" if PART in query.sql else "p" for query in self.asked)


@pytest.fixture
def shop(tmp_path: Path) -> Watched:
    warehouse = Watched(tmp_path)
    warehouse.execute(
        f"create table people as select range as id, 'p' || range || '@x.example' as email from range({COUNT})"
    )
    return warehouse


def wrapped(warehouse: Warehouse, sql: str, key: Sequence[str] = ("id",), **more: Any) -> Wrapping:
    columns = tuple(warehouse.columns(Query(sql, {}), T))
    return Wrapping(
        warehouse.dialect, Audience(sql, {}, tuple(key), columns), **{"optouts": OptOuts(), "salt": "salt", **more}
    )


def sweep(warehouse: Warehouse, wrapping: Wrapping, **keywords: Any) -> Sweep:
    given = {
        "rows": COUNT,
        "after": None,
        "timeout": T,
        "clock": HandClock(),
        "budget_bytes": 120_000,
        "batch_rows": 100,
    }
    return Sweep(warehouse, wrapping, **{**given, **keywords})


def as_rows(batches: Iterator[Rows]) -> list[tuple[object, ...]]:
    """Everything of everybody."""
    found: list[tuple[object, ...]] = []
    for rows in batches:
        history = rows.history
        heard = [history.people, history.once, history.flags] if history else []
        columns = [*rows.columns.values(), *rows.optouts.values(), *heard]
        found += zip(rows.positions, rows.keys, rows.duplicates, *columns, strict=True)
    return found


def the_old_way(warehouse: Warehouse, wrapping: Wrapping) -> list[tuple[object, ...]]:
    """In one read, whatever memory it needs."""
    return as_rows(sweep(warehouse, wrapping, rows=0, budget_bytes=1 << 30).batches())


KEYS = {
    "bigint": "cast(n as bigint)",
    "ubigint": "cast(n as ubigint) + 18446744073709541616::ubigint",
    "hugeint": "170141183460469231731687303715884105700::hugeint - n",
    "uuid": "cast(md5(n::varchar) as uuid)",
    "text": "'Größe ' || n",
    "awkward text": "case n % 5 when 0 then ' ' || n when 1 then n || ' ' when 2 then '' when 3 then 'é' || n "
    "else n || chr(0) end",
    "enum": "(' é' || n % 1500)::tag",
    "text of one case": "(case when n % 2 = 0 then 'Anna' else 'anna' end || n // 4) collate nocase",
}


@pytest.mark.parametrize("key", KEYS)
def test_the_same_people_whatever_the_key_is(shop: Watched, key: str) -> None:
    shop.execute(
        "create type tag as enum (select ' é' || range from range(1500))",
        f"create table guests as select case when n % 11 > 0 then {KEYS[key]} end as id, n as number, 'p' || n as name"
        f" from range({COUNT}) as t(n)",
        "insert into guests select id, number + 1, 'twin' from guests where number % 3 = 0",
        "create table gone as select id from guests where number % 7 = 0",
    )
    optouts = OptOuts("select id from gone", {}, tuple(shop.columns(Query("select id from gone", {}), T)))
    wrapping = wrapped(shop, "select * from guests", optouts=optouts)
    whole = the_old_way(shop, wrapping)
    shop.asked.clear()
    assert as_rows(sweep(shop, wrapping, rows=2 * COUNT).batches()) == whole
    assert "n" in shop.kinds
    assert "p" not in shop.kinds[: shop.kinds.rindex("n")]


def test_addresses_as_keys_and_keys_of_several_columns(shop: Watched) -> None:
    """Of one address there are several cells: all of them are on the roll."""
    shop.execute(
        "create table guests as select case n % 3 when 0 then ' P' when 1 then 'p' else '\tp' end || n // 3 || '@x '"
        f" as email, n // 3 as id, nullif(n % 3, 2) as invoice, n as number from range({COUNT}) as t(n)",
        "insert into guests select email, id, invoice, number % 2 from guests where number % 5 = 0",
    )
    for key in (["email"], ["id", "invoice"], ["email", "id"]):
        wrapping = wrapped(shop, "select * from guests", key)
        whole = the_old_way(shop, wrapping)
        assert len(whole) > 900
        shop.asked.clear()
        assert as_rows(sweep(shop, wrapping).batches()) == whole
        assert "n" in shop.kinds


def test_history_goes_by_everybodys_rows(shop: Watched) -> None:
    """Which of a person's messages a row is, depends on rows that are not on the roll."""
    shop.execute(
        f"create table invoices as select n // 3 as id, n as invoice from range({COUNT}) as t(n)",
        *shop.dialect.create_table(deliveries_table("connect_deliveries")),
        "insert into connect_deliveries by name select 'before' as run, 'k' || range as message_key, 't' as target, "
        "'news' as campaign, range::varchar as id, length(range::varchar) || ':' || range as audience_key, "
        "'email' as channel, 'sent' as outcome, 1 as deliveries, now() as written_at from range(0, 900, 2)",
    )
    asked = History("connect_deliveries", "t", "news", "now", cap=Cap(2, NOW, Across.all, None))
    for history in (asked, replace(asked, once=("id",), waves=True)):
        wrapping = wrapped(shop, "select * from invoices", ["id", "invoice"], history=history)
        whole = the_old_way(shop, wrapping)
        assert len({row[-1] for row in whole}) > 1
        assert as_rows(sweep(shop, wrapping).batches()) == whole
    assert "Rn" in shop.kinds


def test_audiences_of_files(tmp_path: Path) -> None:
    lines = [f"{number},00{number % 700}" for number in range(COUNT)]
    (tmp_path / "people.csv").write_text("\n".join(["name,id", *lines]))
    files = Files(Source("files", FilesSettings(kind="csv", name="people.csv"), tmp_path))
    wrapping = wrapped(files, "select * from connect_audience")
    swept = sweep(files, wrapping)
    assert as_rows(swept.batches()) == the_old_way(files, wrapping)
    assert swept.rolls


def test_positions_are_made_once_for_many_reads(shop: Watched) -> None:
    swept = sweep(shop, wrapped(shop, "select * from people"))
    assert len(as_rows(swept.batches())) == COUNT
    assert shop.kinds.startswith("Rnnn")
    assert swept.rolls == shop.kinds.count("R") == 1
    assert swept.reads == len(shop.kinds)


def test_what_two_reads_give_needs_no_roll(shop: Watched) -> None:
    wrapping = wrapped(shop, "select * from people")
    assert len(as_rows(sweep(shop, wrapping, budget_bytes=3_000_000).batches())) == COUNT
    assert set(shop.kinds) == {"p"}


def test_several_rolls_where_one_does_not_hold_all(shop: Watched) -> None:
    wrapping = wrapped(shop, "select * from people")
    swept = sweep(shop, wrapping, budget_bytes=20_000, batch_rows=20)
    assert as_rows(swept.batches()) == the_old_way(shop, wrapping)
    assert 1 < swept.rolls < len(shop.kinds) / 3


def test_it_goes_on_and_ends_anywhere(shop: Watched) -> None:
    wrapping = wrapped(shop, "select * from people")
    whole = the_old_way(shop, wrapping)
    for first, last in ((0, COUNT), (1, 2999), (777, 2500), (1500, 1501), (2990, COUNT)):
        after, upto = (str(whole[place - 1][0]) if place else None for place in (first, last))
        assert as_rows(sweep(shop, wrapping, after=after, upto=upto).batches()) == whole[first:last]
    assert "R" in shop.kinds


def test_who_comes_and_goes_between_roll_and_read(shop: Watched) -> None:
    """Who joins behind the roll is not in this run, as who joins behind the cursor; who has left is not read."""

    def change(number: int, query: Query) -> None:
        if number == 2:
            shop.execute(
                "insert into people select id + 100000, email from people",
                "insert into people select id, 'again' from people where id % 100 = 1",
                "delete from people where id % 10 = 0",
                "update people set email = 'new' where id % 10 = 5",
            )

    shop.before = change  # type: ignore[method-assign]
    found = as_rows(sweep(shop, wrapped(shop, "select * from people")).batches())
    assert shop.kinds.startswith("Rn")
    assert sorted(row[3] for row in found) == [number for number in range(COUNT) if number % 10]
    assert {row[4] for row in found if row[3] % 10 == 5} == {"new"}  # type: ignore[operator]
    assert sum(int(str(row[2])) for row in found) == COUNT // 100


def test_when_all_have_left_there_is_nobody(shop: Watched) -> None:
    shop.before = lambda number, query: shop.execute("delete from people") if number == 2 else None  # type: ignore[method-assign]
    assert as_rows(sweep(shop, wrapped(shop, "select * from people")).batches()) == []


def test_a_roll_is_made_anew_when_it_is_old(shop: Watched) -> None:
    clock = HandClock()
    swept = sweep(shop, wrapped(shop, "select * from people"), clock=clock, budget_bytes=60_000)
    found = 0
    for rows in swept.batches():
        found += len(rows)
        clock.seconds += 100
    assert found == COUNT
    assert shop.kinds.count("R") > 1


def test_who_takes_a_quarter_of_an_hour_for_a_read_gets_no_roll(shop: Watched) -> None:
    clock = HandClock()
    swept = sweep(shop, wrapped(shop, "select * from people"), clock=clock)
    found = 0
    for rows in swept.batches():
        found += len(rows)
        clock.seconds += 1000
    assert found == COUNT
    assert shop.kinds.startswith("R")
    assert shop.kinds.count("R") <= 2  # what was read ahead


def test_a_connection_that_is_lost_in_a_roll_is_opened_again(shop: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(number: int, query: Query) -> None:
        if number in (1, 3):
            raise WarehouseLost(Problem("warehouse-lost", "the connection was lost"))

    monkeypatch.setattr(audience, "_PAUSES", (0.0, 0.0))
    shop.before = lose  # type: ignore[method-assign]
    assert len(as_rows(sweep(shop, wrapped(shop, "select * from people")).batches())) == COUNT
    assert shop.kinds.startswith("RRn")


def test_nothing_shows_who_is_on_a_roll(shop: Watched) -> None:
    sql = "select email as id from people"
    as_rows(sweep(shop, wrapped(shop, sql)).batches())
    lent = next(query for query in shop.asked if query.lent)
    assert lent.lent[ROLL].num_rows
    assert "@x.example" not in repr(lent)
    assert "@x.example" not in repr(gathered(batches_of([("0a", number) for number in range(9)]), None, None, 2, 1000))


# What a roll holds


def batches_of(people: Sequence[tuple[str | None, int]], at_once: int = 100) -> Iterator[pyarrow.RecordBatch]:
    for first in range(0, len(people), at_once):
        parts, cells = zip(*people[first : first + at_once], strict=True)
        yield pyarrow.record_batch(
            [pyarrow.array(parts, pyarrow.string()), pyarrow.array(cells, pyarrow.int64())], [PART, "connect_cell_0"]
        )


def on(roll: Roll, after: str | None, people: int) -> tuple[str | None, list[int]]:
    upto, cells = roll.next(after, people)
    return upto, [] if cells is None else sorted(cells.column("connect_cell_0").to_pylist())


def _ends(roll: Roll, people: int) -> Iterator[str | None]:
    """Where reads of so many people begin."""
    after: str | None = None
    while after != roll.upto or after is None:
        yield after
        after = roll.next(after, people)[0]


def test_a_roll_is_handed_out_in_whole_parts() -> None:
    roll = gathered(
        batches_of([("00", 1), ("0f", 2), ("0f", 3), (None, 9), ("a0", 4), ("ff", 5)]), None, None, 2, 10_000
    )
    assert on(roll, None, 3) == ("0f" + "f" * 30, [1, 2, 3])
    assert on(roll, None, 2) == ("00" + "f" * 30, [1])
    assert on(roll, "00" + "f" * 30, 1) == ("0f" + "f" * 30, [2, 3])
    assert on(roll, "0f" + "5" * 30, 3) == ("a0" + "f" * 30, [2, 3, 4])
    assert on(roll, "0f" + "f" * 30, 9) == (None, [4, 5])
    assert on(roll, None, 99) == (None, [1, 2, 3, 4, 5])


def test_a_roll_of_nobody() -> None:
    assert on(gathered(iter([]), "0" * 32, "9" * 32, 2, 1000), "0" * 32, 5) == ("9" * 32, [])
    assert on(gathered(batches_of([(None, 1)]), None, None, 2, 1000), None, 5) == (None, [])


def test_what_does_not_fit_is_left_for_the_next_roll() -> None:
    people = [(f"{number * 7919 % 4096:03x}", number) for number in range(20_000)]
    roll = gathered(batches_of(people), None, None, 3, 50_000)
    assert sum(run.cells.nbytes for run in roll.runs) <= 50_000
    assert roll.ends[-1] > 1500
    upto, cells = on(roll, None, 20_000)
    assert upto is not None
    assert cells == [number for part, number in people if part <= upto[:3]]
    assert sum(len(on(roll, after, 300)[1]) for after in _ends(roll, 300)) == len(cells), "read by read, each once"


def test_a_giant_tie_is_on_it_a_few_times_only() -> None:
    people = [
        ("00" if number % 50 else f"{number // 50 % 256:02x}", 0 if number % 50 else number) for number in range(50_000)
    ]
    roll = gathered(batches_of(people, 5000), None, None, 2, 40_000)
    assert sum(run.cells.nbytes for run in roll.runs) <= 40_000
    assert roll.upto is None
    assert set(on(roll, None, 10**6)[1]) == {number for _, number in people}


# Rows that are alone with their key


def test_rows_that_come_in_any_order_are_put_in_ours_unless_two_have_one_key() -> None:
    def of(*letters: str | None) -> pyarrow.RecordBatch:
        positions = [letter and letter * 32 for letter in letters]
        return pyarrow.record_batch([pyarrow.array(positions, pyarrow.string())], ["connect_position"])

    def given(*batches: pyarrow.RecordBatch, after: str = "", upto: str = "") -> list[str]:
        ordered = audience._sorted(deque(batches), after * 32 or None, upto * 32 or None)
        return [position[0] for batch in ordered for position in unpacked(batch.column("connect_position"))]

    assert given(of("d", "a"), of(), of("c"), of("b")) == ["a", "b", "c", "d"]
    assert given(of("d", "a"), of("c"), of("b"), after="a", upto="c") == ["b", "c"]
    assert given(of("d", "a"), after="d") == given(of()) == given() == []
    for together in ([of("a", "b"), of("b", "c")], [of("b", "c", "b")], [of("a", None), of("b")]):
        with pytest.raises(audience._NotAlone):
            given(*together)


def test_one_who_has_two_rows_costs_one_read_more(shop: Watched) -> None:
    shop.execute("insert into people select id, 'twin' from people where id in (5, 1700, 2900)")
    wrapping = wrapped(shop, "select * from people")
    whole = the_old_way(shop, wrapping)
    shop.asked.clear()
    swept = sweep(shop, wrapping)
    assert as_rows(swept.batches()) == whole
    assert [query for query in shop.asked if query.lent and "arg_min" in query.sql]
    assert sum(bool(query.lent) and "arg_min" not in query.sql for query in shop.asked) < shop.kinds.count("n")
