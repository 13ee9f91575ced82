"""What every warehouse that can be written to must do: the section "Writing" of the contract suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow
import pytest

from connect.errors import OutsideError, UserError
from connect.warehouses.destination import lacking
from connect.warehouses.interface import Kind, Query, SqlError, Table, Warehouse

if TYPE_CHECKING:
    from connect.testing.warehouses import WarehouseRig

T = timedelta(seconds=60)

LETTERS = Table(
    "letters",
    {
        "run": Kind.text,
        "message_key": Kind.text,
        "id": Kind.text,
        "attempts": Kind.integer,
        "is_test": Kind.boolean,
        "at": Kind.instant,
    },
    ("run", "message_key"),
)
_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_AWKWARD = ("", " ", "é", "🤦🏼‍♂️", "it's", 'say "hi"', "a\tb", "a\nb\r\n", "\n\\.\n", "\\N", "\\", "%s", "$1", "null")


def _letters(run: str, keys: Sequence[str], **columns: Any) -> pyarrow.Table:
    return pyarrow.table({"message_key": list(keys), "run": [run] * len(keys), **columns})


def _numbered(run: str, first: int, last: int) -> pyarrow.Table:
    return _letters(run, [f"{number:032x}" for number in range(first, last)])


def _made(warehouse: Warehouse, table: Table = LETTERS) -> None:
    warehouse.write([Query(statement, {}) for statement in warehouse.dialect.create_table(table)], T)


def _rows(warehouse: Warehouse, table: str = "letters") -> list[dict[str, object]]:
    return warehouse.rows(Query(f"select * from {table} order by 1, 2", {}), T)


def _many(warehouse: Warehouse, table: str = "letters") -> object:
    return warehouse.rows(Query(f"select count(*) as many from {table}", {}), T)[0]["many"]


def _insert(warehouse: Warehouse, run: str, key: str) -> Query:
    bind = warehouse.dialect.parameter
    sql = f"insert into letters (run, message_key) values ({bind('run')}, {bind('key')})"
    return Query(sql, {"run": run, "key": key})


class WritingContract:
    """Part of `WarehouseContract`: skipped where `capabilities.writes` is False."""

    @pytest.fixture
    def written(self, rig: WarehouseRig) -> Warehouse:
        """The warehouse with an empty table `letters`."""
        if not rig.warehouse.capabilities.writes:
            pytest.skip("it is not written to")
        _made(rig.warehouse)
        return rig.warehouse

    def test_what_can_not_write_says_so(self, rig: WarehouseRig) -> None:
        if rig.warehouse.capabilities.writes:
            pytest.skip("it can")
        with pytest.raises(UserError):
            rig.warehouse.write([Query("create table other (id integer)", {})], T)
        with pytest.raises(UserError):
            rig.warehouse.add(LETTERS, _letters("r", ["a"]), T)

    def test_a_table_is_made_once_and_then_left_alone(self, written: Warehouse) -> None:
        columns = written.columns(Query("select * from letters", {}), T)
        assert [column.name for column in columns] == list(LETTERS.columns)
        written.add(LETTERS, _letters("r", ["a"]), T)
        _made(written)
        assert _many(written) == 1

    def test_every_kind_comes_back_as_it_was(self, written: Warehouse) -> None:
        given: dict[str, list[Any]] = {
            "attempts": [1, -(2**40), None],
            "is_test": [True, False, None],
            "at": [_AT, None, datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)],
            "id": ["x", None, ""],
        }
        written.add(LETTERS, _letters("r", ["a", "b", "c"], **given), T)
        found = _rows(written)
        assert {name: [row[name] for row in found] for name in given} == given
        assert all(row["at"] is None or str(row["at"]).endswith("+00:00") for row in found)

    def test_columns_that_do_not_take_a_kind_are_told_of(self, written: Warehouse) -> None:
        """By their names and types, before anything is written to them."""
        takes = written.dialect.takes
        for made in Kind:
            table = Table(f"all_{made.value}", {"k": Kind.text, "c": made}, ("k",))
            _made(written, table)
            found = written.columns(Query(f"select * from {table.name}", {}), T)
            assert lacking(table, found, takes) is None
            for kind in set(takes) - {made}:
                problem = lacking(replace(table, columns={"k": Kind.text, "c": kind}), found, takes)
                assert problem
                assert problem.code == "destination-types"
                assert problem.message.endswith(f"and has to be {takes[kind][0]}")
                assert "`c` is " in problem.message
                assert "`k`" not in problem.message

    def test_columns_that_take_a_kind_give_back_what_they_were_given(self, written: Warehouse) -> None:
        given = {Kind.text: "x", Kind.integer: 70_000, Kind.boolean: True, Kind.instant: _AT.replace(microsecond=0)}
        types = [(kind, name) for kind, names in written.dialect.takes.items() for name in names]
        for number, (kind, name) in enumerate(types):
            length = "(99)" if kind is Kind.text and "char" in name else ""
            text = written.dialect.takes[Kind.text][0]
            written.write([Query(f"create table t{number} (k {text}, c {name}{length})", {})], T)
            table = Table(f"t{number}", {"k": Kind.text, "c": kind}, ("k",))
            found = written.columns(Query(f"select * from {table.name}", {}), T)
            assert lacking(table, found, written.dialect.takes) is None, name
            written.add(table, pyarrow.table({"k": ["a"], "c": [given[kind]]}), T)
            (row,) = _rows(written, table.name)
            assert row["c"] == given[kind], name

    def test_texts_come_back_as_they_were(self, written: Warehouse) -> None:
        keys = [f"{number:02}" for number in range(len(_AWKWARD))]
        written.add(LETTERS, _letters("it's", keys, id=list(_AWKWARD)), T)
        assert [row["id"] for row in _rows(written)] == list(_AWKWARD)
        written.add(LETTERS, _letters("it's", keys), T)
        written.add(LETTERS, _letters("keys", _AWKWARD), T)
        written.add(LETTERS, _letters("keys", _AWKWARD), T)
        assert _many(written) == 2 * len(_AWKWARD)

    def test_columns_that_are_not_given_are_null(self, written: Warehouse) -> None:
        written.add(LETTERS, _letters("r", ["a"], is_test=[True]), T)
        (row,) = _rows(written)
        assert row == {"run": "r", "message_key": "a", "id": None, "attempts": None, "is_test": True, "at": None}

    def test_added_again_it_adds_nothing_and_changes_nothing(self, written: Warehouse) -> None:
        written.add(LETTERS, _letters("r", ["a", "b"], id=["1", "2"]), T)
        written.add(LETTERS, _letters("r", ["a", "b"], id=["3", "4"]), T)
        written.add(LETTERS, _letters("r", ["b", "c"], id=["5", "6"]), T)
        written.add(LETTERS, _letters("s", ["a"], id=["7"]), T)
        assert [(row["run"], row["message_key"], row["id"]) for row in _rows(written)] == [
            ("r", "a", "1"),
            ("r", "b", "2"),
            ("r", "c", "6"),
            ("s", "a", "7"),
        ]

    def test_many_runs_at_once_and_none(self, written: Warehouse) -> None:
        runs = [f"run {number}" for number in range(50)]
        rows = pyarrow.table({"run": runs, "message_key": ["a"] * 50})
        for _ in range(2):
            written.add(LETTERS, rows, T)
            written.add(LETTERS, rows.slice(0, 0), T)
        assert _many(written) == 50

    def test_as_many_as_it_takes_at_once(self, written: Warehouse) -> None:
        most = max(10_000, written.capabilities.most_added)
        rows = _numbered("r", 0, most).append_column("at", [[_AT] * most])
        for _ in range(2):
            written.add(LETTERS, rows, T)
        assert _many(written) == most

    def test_a_table_that_somebody_else_made(self, rig: WarehouseRig, written: Warehouse) -> None:
        """Without a key that the engine would keep unique, and with more columns."""
        rig.execute("create table theirs (note varchar(9), email varchar(99), reason varchar(9), at_last varchar(9))")
        table = Table("theirs", {"email": Kind.text, "reason": Kind.text}, ("email", "reason"))
        rows = pyarrow.table({"email": ["a@x.example", "b@x.example"], "reason": ["bounced", "bounced"]})
        for _ in range(2):
            written.add(table, rows, T)
        assert _many(written, "theirs") == 2

    def test_two_that_add_the_same_rows_at_once(self, written: Warehouse) -> None:
        """Some of them have to wait for others, and all of them end."""
        parts = [_numbered("r", first, first + 2000) for first in (0, 1000, 0, 500)]
        parts[2] = parts[2].take(list(range(1999, -1, -1)))
        with ThreadPoolExecutor(len(parts)) as pool:
            for added in [pool.submit(written.add, LETTERS, rows, T) for rows in parts]:
                added.result()
        assert _many(written) == 3000

    def test_reads_go_on_between_what_is_added(self, written: Warehouse) -> None:
        written.add(LETTERS, _numbered("r", 0, 5000), T)
        with written.read(Query("select * from letters", {}), T, 1000) as batches:
            assert sum(batch.num_rows for batch in batches) == 5000
        written.add(LETTERS, _numbered("r", 4000, 6000), T)
        assert _many(written) == 6000

    def test_all_or_none(self, written: Warehouse) -> None:
        good = _insert(written, "r", "a")
        with pytest.raises(SqlError):
            written.write([good, Query("insert into letters (no_such_column) values (1)", {})], T)
        assert _many(written) == 0
        written.write([good, _insert(written, "r", "b")], T)
        assert [row["message_key"] for row in _rows(written)] == ["a", "b"]

    def test_a_text_with_two_statements_is_refused(self, written: Warehouse) -> None:
        written.add(LETTERS, _letters("r", ["a"]), T)
        with pytest.raises((SqlError, OutsideError)):
            written.write([Query("select 1; delete from letters", {})], T)
        assert _many(written) == 1

    def test_a_table_that_is_not_there(self, written: Warehouse) -> None:
        nowhere = Table("nowhere", LETTERS.columns, LETTERS.key)
        with pytest.raises(SqlError) as raised:
            written.add(nowhere, _letters("r", ["a"]), T)
        assert "nowhere" in raised.value.problems[0].message.lower()

    def test_an_error_about_what_is_added_quotes_none_of_it(self, rig: WarehouseRig, written: Warehouse) -> None:
        rig.execute("create table numbers_only (id integer, name varchar(9))")
        table = Table("numbers_only", {"id": Kind.text, "name": Kind.text}, ("id",))
        with pytest.raises((SqlError, OutsideError)) as raised:
            written.add(table, pyarrow.table({"id": ["ann@x.example"], "name": ["Ann of X"]}), T)
        error: BaseException | None = raised.value
        while error is not None:
            assert "@x.example" not in repr(error) + str(error)
            assert "Ann of X" not in repr(error) + str(error)
            error = error.__cause__ or error.__context__

    def test_who_may_only_read_is_told_what_to_grant(self, rig: WarehouseRig, written: Warehouse) -> None:
        reader = rig.reader()
        if reader is None:
            pytest.skip("there are no users, or nobody who may only read")
        assert _many(reader) == 0
        other = Query("create table other (id integer)", {})
        calls: list[Callable[[], None]] = [
            lambda: reader.add(LETTERS, _letters("r", ["a"]), T),
            lambda: reader.write([_insert(written, "r", "a")], T),
            lambda: reader.write([other], T),
        ]
        for call in calls:
            with pytest.raises(UserError) as raised:
                call()
            (problem,) = raised.value.problems
            assert problem.code == "warehouse-privilege"
            assert problem.hint
        assert _many(written) == 0

    def test_the_rows_of_a_query_are_copied_once(self, written: Warehouse) -> None:
        written.add(LETTERS, _letters("r", ["a", "b"]), T)
        bind = written.dialect.parameter
        select = f"with those as (select * from letters) select * from those where message_key <> {bind('key')} -- all"
        copied = Query(written.dialect.copied("kept_letters", select), {"key": "b"})
        written.write([copied], T)
        assert [row["message_key"] for row in _rows(written, "kept_letters")] == ["a"]
        assert written.columns(Query("select * from kept_letters", {}), T) == written.columns(
            Query("select * from letters", {}), T
        )
        with pytest.raises((SqlError, OutsideError)):
            written.write([copied], T)
        for _ in range(2):
            written.write([Query("drop table if exists kept_letters", {})], T)
        with pytest.raises(UserError):
            written.columns(Query("select * from kept_letters", {}), T)

    def test_a_query_that_is_copied_changes_nothing(self, written: Warehouse) -> None:
        written.add(LETTERS, _letters("r", ["a"]), T)
        sql = "with gone as (delete from letters returning *) select message_key from gone"
        with pytest.raises((SqlError, OutsideError)):
            written.write([Query(written.dialect.copied("kept_letters", sql), {})], T)
        assert _many(written) == 1

    def test_what_takes_too_long_is_stopped_and_undone(self, rig: WarehouseRig, written: Warehouse) -> None:
        endless = Query(written.dialect.copied("never", rig.endless), {})
        before = [_insert(written, "r", "a")] if rig.undoes_tables else []
        with pytest.raises(OutsideError) as raised:
            written.write([*before, endless], timedelta(seconds=0.5))
        assert raised.value.problems[0].code == "query-timeout"
        assert _many(written) == 0
        written.add(LETTERS, _letters("r", ["a"]), T)
        assert _many(written) == 1
