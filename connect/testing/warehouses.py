"""What every warehouse must do: a suite of tests for whoever writes an adapter.

    class TestMyWarehouse(WarehouseContract):
        @pytest.fixture
        def rig(self, tmp_path):
            with MyRig(tmp_path) as rig:
                yield rig

A rig is a real database, empty at first, and says how the engine writes the little SQL that the suite needs.
What an engine can not do is declared by leaving the rig's field blank; the capabilities that speak of it are checked.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pytest
import sqlglot

from connect.clock import SystemClock
from connect.errors import OutsideError, UserError
from connect.identity import key_text, position
from connect.pipeline.asking import tables
from connect.pipeline.audience import Sweep
from connect.pipeline.subscriptions import Change, check_table, create, record
from connect.project.project import Subscriptions
from connect.project.text import Text
from connect.testing.warehouse_history import HistoryContract
from connect.testing.warehouse_writing import WritingContract
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses import query, tokens
from connect.warehouses.interface import Access, Query, Warehouse
from connect.warehouses.looking import named
from connect.warehouses.membership import Members, Membership, counted, members, narrowed
from connect.warehouses.wrapping import BOUNCED, COMPLAINED, UNSUBSCRIBED, Audience, OptOuts, Wrapping

T = timedelta(seconds=60)
_MEBIBYTE = 1 << 20

AWKWARD = (
    "1",
    "0001",
    "00012",
    "é",
    "e\u0301",
    "🤦🏼‍♂️",
    "it's",
    'say "hi"',
    "a|b",
    "ß",
    "  x ",
    "1:a",
    "日本語",
    "\\",
    "%s",
    "0a1b2c3d-4e5f-6789-abcd-ef0123456789",
    "0A1B2C3D-4E5F-6789-ABCD-EF0123456789",
)
UUID = "12345678-1234-5678-1234-567812345678"
UUIDS = ("00000000-0000-0000-0000-000000000001", "0a1b2c3d-4e5f-6789-abcd-ef0123456789", UUID)


class WarehouseRig(Protocol):
    """One adapter's database."""

    warehouse: Warehouse
    among: str
    """How a cell, `{}`, is looked for in the list `:values`; blank where the engine has no lists."""
    endless: str
    """A query that gives one row, after years."""
    writes: Sequence[str]
    """Statements that change data, the schema or the table `kept`, which has one row with `id` 1."""
    effects: Sequence[str]
    """Queries whose functions do something, which the engine stops."""
    days_later: str
    """How a date is counted on by three days."""
    keeps_zones: bool
    """Whether an instant that is bound comes back as one; else without its zone, in UTC."""
    undoes_tables: bool
    """Whether a statement that makes a table can be undone, with what was done before it."""
    tells_tables: bool
    """Whether what stands in for the engine has an information_schema."""
    faulty: str
    """What fails at an address in the column `email`."""
    plenty: str
    """A query of which rows are still to come when the first are there; blank for a hundred million rows."""
    uuid: str
    """The engine's own type of column for UUIDs; blank where it has none."""

    @property
    def types(self) -> Mapping[str, object]:
        """An expression of the engine → what Liquid is given for it."""

    @property
    def refused_keys(self) -> Mapping[str, str]:
        """An expression whose type differs between engines → the type that the hint casts to."""

    def execute(self, *statements: str) -> None:
        """Make tables, as somebody who may."""

    def numbers(self, count: int) -> str:
        """What stands behind `from` and gives a column `n`, from 1 on."""

    def cut(self) -> bool:
        """End every connection, as a fail-over does; False where there are none to end."""

    def busy(self) -> int:
        """How many queries of the adapter the engine is working on."""

    def reader(self) -> Warehouse | None:
        """The same database as a user who may read what there is by now, and write nothing; None where it has none."""


class StandardRig:
    """What is so on most engines. A rig inherits it and overrides the rest."""

    days_later = "{} + 3"
    keeps_zones = True
    undoes_tables = True
    tells_tables = True
    faulty = "cast(email as integer)"
    plenty = ""
    uuid = ""


def _resident() -> int:
    """The memory of this process, in bytes."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _table(name: str, columns: str, rows: Sequence[Sequence[object]]) -> list[str]:
    """Statements that make a table of texts, numbers and nulls."""
    cells = ", ".join("(" + ", ".join(_literal(cell) for cell in row) + ")" for row in rows)
    return [f"create table {name} ({columns})", *([f"insert into {name} values {cells}"] if rows else [])]


def _literal(cell: object) -> str:
    if cell is None:
        return "null"
    return "'" + cell.replace("'", "''") + "'" if isinstance(cell, str) else str(cell)


def _written(rig: WarehouseRig, cell: str | int) -> str:
    """A cell as this engine writes it."""
    return sqlglot.exp.convert(cell).sql(dialect=rig.warehouse.dialect.sqlglot)


def _audience(warehouse: Warehouse, sql: str, *key: str) -> Audience:
    return Audience(sql, {}, key or ("id",), tuple(warehouse.columns(Query(sql, {}), T)))


def _wrapped(rig: WarehouseRig, audience: str, /, *key: str, **optouts: Any) -> Wrapping:
    return Wrapping(rig.warehouse.dialect, _audience(rig.warehouse, audience, *key), OptOuts(**optouts), "salt")


def _plenty(rig: WarehouseRig) -> str:
    crossed = f"{rig.numbers(100_000)} as a cross join {rig.numbers(1000)} as b"
    return rig.plenty or f"select a.n as id from {crossed}"


def _swept(rig: WarehouseRig, wrapping: Wrapping) -> list[dict[str, object]]:
    return rig.warehouse.rows(wrapping.sweep_query(None, None), T)


def _members(warehouse: Warehouse, sql: str) -> Members:
    asked = Query(sql, {})
    return members(asked, warehouse.columns(asked, T), warehouse.dialect)


def _code(call: Callable[[], object]) -> str:
    with pytest.raises((UserError, OutsideError)) as raised:
        call()
    return raised.value.problems[0].code


def _count(warehouse: Warehouse, sql: str, timeout: timedelta = T) -> int:
    with warehouse.read(Query(sql, {}), timeout, 2048) as batches:
        return sum(batch.num_rows for batch in batches)


class WarehouseContract(WritingContract, HistoryContract):
    """Give it a fixture `rig`."""

    # The dialect and the capabilities

    def test_the_dialect_is_one_that_sqlglot_knows(self, rig: WarehouseRig) -> None:
        assert sqlglot.Dialect.get_or_raise(rig.warehouse.dialect.sqlglot)

    def test_it_says_how_long_a_read_may_last(self, rig: WarehouseRig) -> None:
        assert rig.warehouse.capabilities.longest_read > timedelta(0)

    def test_trimming_is_that_of_python(self, rig: WarehouseRig) -> None:
        dialect = rig.warehouse.dialect
        trimmed = dialect.trimmed(dialect.text(dialect.parameter("value")))
        for text in (" a ", "a b", "\ta\r\n", "\u00a0é\u3000", "", " ", "é"):
            asked = Query(f"select {trimmed} as value", {"value": text})
            assert rig.warehouse.rows(asked, T) == [{"value": text.strip()}]

    def test_it_says_the_least_privilege_for_reading_and_for_writing(self, rig: WarehouseRig) -> None:
        reading = rig.warehouse.grants(Access(reads=("people", "sales.orders")))
        adding = rig.warehouse.grants(Access(adds=("connect_subscriptions",)))
        making = rig.warehouse.grants(Access(makes=("scratch",)))
        assert all((reading, adding, making))
        assert not rig.warehouse.grants(Access())
        for statements in (reading, adding, making):
            assert not [statement for statement in statements if ";" in statement or not statement.strip()]
        assert "insert" not in "".join(reading).lower()

    # Columns and values

    def test_columns_are_told_without_running_the_query(self, rig: WarehouseRig) -> None:
        (column,) = rig.warehouse.columns(Query(rig.endless, {}), timedelta(seconds=20))
        assert column.type

    def test_its_tables_are_told_with_their_columns(self, rig: WarehouseRig) -> None:
        if not rig.tells_tables:
            pytest.skip("what stands in for this engine has no information_schema")
        rig.execute(*_table("people", "id integer, first_name varchar(10)", [(1, "a")]))
        (found,) = named(tables(rig.warehouse, "contract"), "people")
        assert [column.name.lower() for column in found.columns] == ["id", "first_name"]
        assert all(column.type for column in found.columns)

    def test_types_arrive_as_liquid_expects(self, rig: WarehouseRig) -> None:
        found, again = {}, {}
        for expression in rig.types:
            asked = Query(f"select {expression} as value", {})
            (found[expression],) = (row["value"] for row in rig.warehouse.rows(asked, T))
            both = Query(f"select {expression} as value union all select null as value", {})
            values = [row["value"] for row in rig.warehouse.rows(both, T)]
            # BigQuery has no null arrays: they are empty ones.
            (again[expression],) = (value for value in values if value is not None and value != [])
        assert found == dict(rig.types)
        assert again == found
        assert {key: type(value) for key, value in found.items()} == {
            key: type(value) for key, value in rig.types.items()
        }

    @pytest.mark.parametrize(
        "value",
        [
            "x'; drop table y --",
            "100 % :of %(it)s $1",
            7,
            -(2**40),
            Decimal("12.50"),
            date(2026, 1, 2),
            datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
            True,
            None,
        ],
    )
    def test_parameters_are_bound_and_never_pasted(self, rig: WarehouseRig, value: object) -> None:
        others = rig.warehouse.dialect.joined("'a%b'", "'%%'", "'%(other)s'")
        text = Text(source=f"select :value as value, {others} as others, ':value' as more")
        asked = query.bound(text, rig.warehouse.dialect, {"value": value, "unused": 1})
        (row,) = rig.warehouse.rows(asked, T)
        if isinstance(value, datetime) and not rig.keeps_zones:
            value = value.replace(tzinfo=None)
        assert row == {"value": value, "others": "a%b%%%(other)s", "more": ":value"}

    def test_lists_are_parameters_too(self, rig: WarehouseRig) -> None:
        if not rig.among:
            pytest.skip("the engine has no lists")
        for values, cell, others in ((["a", "it's"], "it's", "b"), ([1, 2], 2, 3)):
            written = [rig.among.format(_written(rig, one)) for one in (cell, others)]
            text = Text(source=f"select {written[0]} as yes, {written[1]} as no")
            asked = query.bound(text, rig.warehouse.dialect, {"values": values})
            assert rig.warehouse.rows(asked, T) == [{"yes": True, "no": False}]

    def test_dates_and_numbers_can_be_reckoned_with(self, rig: WarehouseRig) -> None:
        later = rig.days_later.format(":fire_date")
        text = Text(source=f"select {later} as later, :days * 2 as twice where :fire_date < {later}")
        values = {"fire_date": date(2026, 1, 30), "days": 4}
        (row,) = rig.warehouse.rows(query.bound(text, rig.warehouse.dialect, values), T)
        assert str(row["later"]).startswith("2026-02-02")
        assert row["twice"] == 8

    def test_a_list_of_people_is_a_query(self, rig: WarehouseRig) -> None:
        people: list[dict[str, object]] = [
            {"id": None, "n": None, "name": None},
            {"id": 1, "n": None, "name": "Ann"},
            {"id": 2, "n": 2.5, "name": "it's", "new": True},
        ]
        rows = rig.warehouse.rows(query.people(people, rig.warehouse.dialect), T)
        assert rows == [{"id": None, "n": None, "name": None, "new": None, **person} for person in people]

    # Positions

    def test_positions_of_texts_are_those_of_python(self, rig: WarehouseRig) -> None:
        rig.execute(*_table("people", "id varchar(100)", [[text] for text in AWKWARD]))
        rows = _swept(rig, _wrapped(rig, "select id from people"))
        expected = sorted((position("salt", key_text([text])), key_text([text]), text) for text in AWKWARD)
        assert [(row["connect_position"], row["connect_key"], row["id"]) for row in rows] == expected

    def test_positions_of_integers_are_those_of_python(self, rig: WarehouseRig) -> None:
        for kind, numbers in {"smallint": (0, -7), "integer": (1, 70000), "bigint": (2**40, -(2**50))}.items():
            rig.execute(*_table(f"of_{kind}", f"id {kind}", [[number] for number in numbers]))
            rows = _swept(rig, _wrapped(rig, f"select id from of_{kind}"))
            assert {(row["connect_position"], row["id"]) for row in rows} == {
                (position("salt", key_text([str(number)])), number) for number in numbers
            }

    def test_positions_of_uuids_are_those_of_python(self, rig: WarehouseRig) -> None:
        """Whichever case they were written in."""
        if not rig.uuid:
            pytest.skip("the engine has no type for UUIDs")
        cells = [[one.upper() if number % 2 else one] for number, one in enumerate(UUIDS)]
        rig.execute(*_table("people", f"id {rig.uuid}", cells))
        rows = _swept(rig, _wrapped(rig, "select id from people"))
        expected = sorted((position("salt", key_text([one])), key_text([one]), one) for one in UUIDS)
        assert [(row["connect_position"], row["connect_key"], str(row["id"])) for row in rows] == expected

    def test_composite_keys_that_concatenate_alike_differ(self, rig: WarehouseRig) -> None:
        sql = "select 'a' as a, 'bc' as b union all select 'ab' as a, 'c' as b"
        rows = _swept(rig, _wrapped(rig, sql, "a", "b"))
        assert {row["connect_key"] for row in rows} == {"1:a2:bc", "2:ab1:c"}

    def test_an_email_key_is_trimmed_and_lowered(self, rig: WarehouseRig) -> None:
        rig.execute(*_table("people", "email varchar(100)", [[" Ann@X.example\n"], ["ann@x.example"], ["É@x.example"]]))
        rows = _swept(rig, _wrapped(rig, "select email from people", "email"))
        assert {(row["connect_key"], row["connect_duplicates"]) for row in rows} == {
            (key_text(["ann@x.example"]), 1),
            (key_text(["é@x.example"]), 0),
        }

    def test_keys_that_differ_between_engines_are_refused_with_the_cast(self, rig: WarehouseRig) -> None:
        for expression, cast in rig.refused_keys.items():
            with pytest.raises(UserError) as raised:
                _wrapped(rig, f"select {expression} as id")
            (problem,) = raised.value.problems
            assert (problem.code, f"cast(id as {cast})" in problem.hint) == ("key-type", True), expression
            sql = f"select cast(id as {cast}) as id from (select {expression} as id) as t"
            assert len(_swept(rig, _wrapped(rig, sql))) == 1

    # The sweep's query

    def test_rows_without_a_key_are_counted_and_left_out(self, rig: WarehouseRig) -> None:
        cells: list[list[object]] = [[None, 1], ["", 2], [" \t", 3], ["a", 4], ["a", 5]]
        rig.execute(*_table("people", "id varchar(9), n integer", cells))
        wrapping = _wrapped(rig, "select * from people")
        assert rig.warehouse.rows(wrapping.size_query(), T) == [{"rows": 5, "keyed": 2, "without_key": 3}]
        assert [row["id"] for row in _swept(rig, wrapping)] == ["a"]

    def test_of_rows_with_one_key_the_same_one_wins(self, rig: WarehouseRig) -> None:
        names = ["a", "b", "c", None, "e", "f"]
        winners = []
        for number, order in enumerate((names, names[::-1], names[3:] + names[:3])):
            rig.execute(*_table(f"people_{number}", "id integer, name varchar(9)", [[1, name] for name in order]))
            winners += _swept(rig, _wrapped(rig, f"select * from people_{number}"))
        assert winners[0] == winners[1] == winners[2]
        assert len(winners) == 3
        assert winners[0]["connect_duplicates"] == len(names) - 1

    def test_the_row_of_one_person_is_that_of_a_sweep(self, rig: WarehouseRig) -> None:
        cells: list[list[object]] = [[text, n] for n, text in enumerate([*AWKWARD, "a", "a", "b"])]
        rig.execute(*_table("people", "id varchar(100), n integer", [*cells, [None, 99]]))
        rig.execute(*_table("of_numbers", "id bigint, n integer", [[2**40, 1], [-7, 2], [0, 3]]))
        for sql, key in (("select * from people", "id"), ("select * from of_numbers", "id")):
            wrapping = _wrapped(rig, sql, key)
            for row in _swept(rig, wrapping):
                (found,) = rig.warehouse.rows(wrapping.person_query(str(row["connect_key"])), T)
                assert found == {name: row[name] for name in found}
                assert set(found) == {"id", "n"}
            for nobody in (key_text(["nobody"]), key_text(["8"]), "8", "", "9:a"):
                assert rig.warehouse.rows(wrapping.person_query(nobody), T) == []

    def test_the_row_of_one_person_by_a_key_of_several_columns_or_an_address(self, rig: WarehouseRig) -> None:
        rig.execute(*_table("people", "email varchar(99), n integer", [[" Ann@X.example", 1], ["b@x.example", 2]]))
        by_email = _wrapped(rig, "select * from people", "email").person_query(key_text(["ann@x.example"]))
        assert [row["n"] for row in rig.warehouse.rows(by_email, T)] == [1]
        by_both = _wrapped(rig, "select * from people", "email", "n").person_query(key_text(["b@x.example", "2"]))
        assert [row["n"] for row in rig.warehouse.rows(by_both, T)] == [2]

    def test_a_read_goes_on_from_any_position(self, rig: WarehouseRig) -> None:
        wrapping = _wrapped(rig, f"select n as id from {rig.numbers(200)}")
        whole = [str(row["connect_position"]) for row in _swept(rig, wrapping)]
        assert whole == sorted(whole)
        assert len(whole) == 200
        cuts = [None, whole[0], whole[57], "80" + "0" * 30, whole[-1], None]
        parts = [rig.warehouse.rows(wrapping.sweep_query(low, high), T) for low, high in pairwise(cuts)]
        assert [row["connect_position"] for part in parts for row in part] == whole
        assert (len(parts[0]), parts[-1]) == (1, [])

    def test_queries_that_end_in_a_comment_and_odd_names(self, rig: WarehouseRig) -> None:
        odd, order = map(rig.warehouse.dialect.quote, ('it\'s "odd"', "order"))
        sql = f"with x as (select 1 as id) select id, 'x' as {odd}, 2 as {order} from x -- the end"
        (row,) = _swept(rig, _wrapped(rig, sql))
        assert (row['it\'s "odd"'], row["order"]) == ("x", 2)

    def test_reads_stream_what_rows_returns(self, rig: WarehouseRig) -> None:
        asked = _wrapped(rig, f"select n as id, null as n from {rig.numbers(50)}").sweep_query(None, None)
        with rig.warehouse.read(asked, T, 10) as batches:
            streamed = [row for batch in batches for row in batch.to_pylist()]
        assert streamed == rig.warehouse.rows(asked, T)

    def test_where_people_are_is_asked_in_one_query(self, rig: WarehouseRig) -> None:
        cells: list[list[object]] = [["+61 400 000 001", "UTC"], ["+61 499", "UTC"], [None, None]]
        rig.execute(*_table("people", "phone varchar(20), timezone varchar(20)", cells))
        asked = _wrapped(rig, "select 'x' as id, p.* from people as p").zones_query("phone")
        assert asked is not None
        found = {(row["connect_timezone"], row["connect_phone"]) for row in rig.warehouse.rows(asked, T)}
        assert found == {("UTC", "+6140"), ("UTC", "+6149"), (None, None)}

    # Opt-outs

    _PEOPLE = (
        (1, " Ann@X.example", "+61 400 000 001"),
        (2, "bob@x.example\t", "61400000002"),
        (3, None, None),
        (4, "dan@x.example", "+61400000004"),
        (5, "", "n/a"),
    )

    def _flags(self, rig: WarehouseRig, listed: Sequence[Sequence[object]], **optouts: Any) -> dict[object, object]:
        """id → the flags of e-mail and SMS; everybody must be there, once."""
        rig.execute(*_table("people", "id integer, email varchar(50), phone varchar(50)", self._PEOPLE))
        named = ("id", "address", "channel", "topic", "status", "at")
        rig.execute(
            *_table("listed", ", ".join(f"{rig.warehouse.dialect.quote(name)} varchar(50)" for name in named), listed)
        )
        sql = "select * from listed"
        given = {
            "sql": sql,
            "columns": tuple(rig.warehouse.columns(Query(sql, {}), T)),
            "addresses": {Channel.email: "email", Channel.sms: "phone"},
            "channels": (Channel.email, Channel.sms),
            "subscribed_values": ("active",),
            **optouts,
        }
        rows = _swept(rig, _wrapped(rig, "select * from people", **given))
        assert sorted(str(row["id"]) for row in rows) == ["1", "2", "3", "4", "5"]
        return {row["id"]: (row["connect_optout_email"], row["connect_optout_sms"]) for row in rows}

    def test_nulls_match_nobody_and_remove_nobody(self, rig: WarehouseRig) -> None:
        empty: list[object] = [None, "", None, None, None, None]
        listed: list[list[object]] = [[None] * 6, empty, ["", None, *[None] * 4], [" ", " \t", *[None] * 4]]
        assert self._flags(rig, listed) == dict.fromkeys(range(1, 6), (0, 0))

    def test_optouts_are_found_by_id_and_by_address_however_written(self, rig: WarehouseRig) -> None:
        listed = [
            ["4", None, "SMS", None, "no", None],
            [None, " ann@x.EXAMPLE", None, None, "bounced", None],
            [None, "BOB@x.example\n", "email", None, "Complained", None],
            [None, "+61-400-000-001", None, None, None, None],
            ["3", None, None, None, "active", None],
        ]
        assert self._flags(rig, listed) == {1: (2, 1), 2: (3, 0), 3: (0, 0), 4: (0, 1), 5: (0, 0)}

    def test_the_latest_row_of_a_scope_decides(self, rig: WarehouseRig) -> None:
        listed = [
            ["1", None, None, None, "no", "2026-01-01"],
            ["1", None, None, None, "active", "2026-02-01"],
            ["2", None, None, None, "active", "2026-01-01"],
            ["2", None, None, None, "no", "2026-02-01"],
            ["3", None, None, None, "active", None],
            ["3", None, None, None, "no", "2026-01-01"],
            ["4", None, None, "news", "no", "2026-01-01"],
            ["5", None, None, "news", "bounced", "2026-01-01"],
        ]
        expected = {1: (0, 0), 2: (1, 1), 3: (1, 1), 4: (0, 0), 5: (2, 2)}
        assert self._flags(rig, listed) == expected

    def test_a_bounce_stands_until_it_is_taken_back(self, rig: WarehouseRig) -> None:
        listed = [
            ["1", None, None, None, "complained", "2026-01-01"],
            ["1", None, None, None, "no", "2026-02-01"],
            ["2", None, None, None, "bounced", None],
            ["2", None, None, None, "no", "2026-02-01"],
            ["3", None, None, None, "bounced", "2026-01-01"],
            ["3", None, None, None, "active", "2026-02-01"],
            ["3", None, None, None, "no", "2026-03-01"],
            ["4", None, None, None, "active", "2026-01-01"],
            ["4", None, None, None, "bounced", None],
        ]
        assert self._flags(rig, listed) == {1: (3, 3), 2: (2, 2), 3: (1, 1), 4: (0, 0), 5: (0, 0)}

    def test_what_is_on_record_about_somebody(self, rig: WarehouseRig) -> None:
        listed = [
            ["1", None, None, None, "no", "2026-01-01"],
            ["1", None, None, None, "active", "2026-02-01"],
            [None, " ann@x.EXAMPLE", "EMAIL", "news", "bounced", "2026-03-01"],
            ["2", None, None, None, "no", "2026-01-01"],
        ]
        self._flags(rig, listed)
        optouts = {
            "sql": "select * from listed",
            "columns": tuple(rig.warehouse.columns(Query("select * from listed", {}), T)),
            "addresses": {Channel.email: "email"},
            "subscribed_values": ("active",),
        }
        asked = _wrapped(rig, "select 1 as id, 'Ann@x.example' as email", **optouts).optouts_query()
        assert asked is not None
        names = ("id", "address", "channel", "topic", "flag", "stands")
        assert [tuple(row[name] for name in names) for row in rig.warehouse.rows(asked, T)] == [
            (None, "ann@x.example", "email", "news", 2, 1),
            ("1", None, None, None, 0, 0),
            ("1", None, None, None, 1, 0),
        ]

    def test_opt_outs_that_are_written_are_read(self, rig: WarehouseRig) -> None:
        if not rig.warehouse.capabilities.writes:
            pytest.skip("it is not written to")
        subscriptions = Subscriptions(sql=Text(source="select * from connect_opt_outs"), write="connect_opt_outs")
        create(rig.warehouse, subscriptions)
        left, back = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2))
        changes = [
            Change(SubscriptionStatus.unsubscribed, left, "test", id="1"),
            Change(SubscriptionStatus.unsubscribed, left, "test", id="2"),
            Change(SubscriptionStatus.subscribed, back, "test", id="2"),
            Change(SubscriptionStatus.complained, left, "test", address="+61 400 000 003", channel=Channel.sms),
        ]
        for _ in range(2):
            record(rig.warehouse, subscriptions, changes)
        check_table(rig.warehouse, subscriptions)
        people = "\nunion all ".join(f"select {n} as id, '+6140000000{n}' as phone" for n in (1, 2, 3))
        columns = tuple(rig.warehouse.columns(Query(subscriptions.sql.source, {}), T))
        wrapping = _wrapped(
            rig, people, sql=subscriptions.sql.source, columns=columns, addresses={Channel.sms: "phone"}
        )
        assert {row["id"]: row["connect_optout_sms"] for row in _swept(rig, wrapping)} == {1: 1, 2: 0, 3: 3}
        assert _count(rig.warehouse, subscriptions.sql.source) == len(changes)

    def test_device_tokens_are_told_apart_by_case(self, rig: WarehouseRig) -> None:
        listed = [
            [None, "dead:A_b-1", "push", None, "bounced", "2026-01-01"],
            [None, " back ", "PUSH", None, "Bounced", "2026-01-01"],
            [None, "back", "push", None, "active", "2026-02-01"],
            [None, "dead-again", "push", None, "active", "2026-02-01"],
            [None, "dead-again", "push", None, "bounced", "2026-03-01"],
            [None, "no-channel", None, None, "no", "2026-01-01"],
            [None, "of-a-topic", "push", "news", "no", "2026-01-01"],
            [None, "elsewhere", "email", None, "bounced", "2026-01-01"],
            [None, "o'brien;--", "push", None, "complained", None],
        ]
        named = ("id", "address", "channel", "topic", "status", "at")
        columns = ", ".join(f"{rig.warehouse.dialect.quote(name)} varchar(50)" for name in named)
        rig.execute(*_table("listed", columns, listed))
        sql = "select * from listed"
        optouts = OptOuts(
            sql=sql, columns=tuple(rig.warehouse.columns(Query(sql, {}), T)), subscribed_values=("active",)
        )
        asked = ["dead:A_b-1", "DEAD:A_B-1", "back", "dead-again", "no-channel", "of-a-topic", "elsewhere", "alive"]
        asked += ["o'brien;--", *(f"another-{number}" for number in range(2_500))]
        known = {"dead:A_b-1": BOUNCED, "dead-again": BOUNCED, "o'brien;--": COMPLAINED}

        assert tokens.opted_out(rig.warehouse, optouts, asked, T) == {**known, "no-channel": UNSUBSCRIBED}
        of_news = replace(optouts, topic="news")
        found = {**known, "no-channel": UNSUBSCRIBED, "of-a-topic": UNSUBSCRIBED}
        assert tokens.opted_out(rig.warehouse, of_news, asked, T) == found
        assert tokens.opted_out(rig.warehouse, replace(of_news, transactional=True), asked, T) == known
        assert tokens.opted_out(rig.warehouse, optouts, [], T) == {}

    def test_topics_and_transactional_messages(self, rig: WarehouseRig) -> None:
        listed = [["1", None, None, "news", "no", None], ["2", None, None, "news", "complained", None]]
        expected = {1: (0, 0), 2: (3, 3), 3: (0, 0), 4: (0, 0), 5: (0, 0)}
        assert self._flags(rig, listed, topic="news", transactional=True) == expected

    def test_the_subscribed_column(self, rig: WarehouseRig) -> None:
        told = ["select 1 as id, 1 = 1 as subscribed", "select 2, 1 = 0", "select 3, null"]
        rows = _swept(rig, _wrapped(rig, "\nunion all ".join(told)))
        assert {row["id"]: row["connect_optout_sms"] for row in rows} == {1: 0, 2: 1, 3: 1}

    # Segments

    def test_segments_narrow_an_audience_and_nulls_are_in_none(self, rig: WarehouseRig) -> None:
        people = [("1", "a"), ("2", "b"), (" 3 ", "c"), ("4", "d"), ("", "e"), (None, "f")]
        segments: dict[str, Sequence[Sequence[object]]]
        segments = {"numbers": [(1,), (2,), (3,)], "nothing": [(None,)], "small": [(2,), (None,), (9,)]}
        rig.execute(*_table("people", "id varchar(10), name varchar(10)", people))
        for name, rows in segments.items():
            rig.execute(*_table(name, "who integer", rows))

        def within(**groups: str) -> set[object]:
            dialect, audience = rig.warehouse.dialect, _audience(rig.warehouse, "select * from people -- all of them")
            asked = {
                group: [_members(rig.warehouse, f"select who from {name} -- ids") for name in names.split()]
                for group, names in groups.items()
            }
            found = narrowed(audience, Membership(**asked), dialect)
            return {row["name"] for row in rig.warehouse.rows(Query(found.sql, found.parameters), T)}

        assert within(any="numbers") == {"a", "b", "c"}
        assert within(all="numbers nothing") == set()
        assert within(any="small nothing numbers") == {"a", "b", "c"}
        assert within(all="numbers small") == {"b"}
        assert within(none="numbers small") == {"d", "e", "f"}
        assert within(none="nothing") == {"a", "b", "c", "d", "e", "f"}
        assert within(any="numbers", none="small nothing") == {"a", "c"}

        asked = [_members(rig.warehouse, f"select who from {name}") for name in segments]
        counts = rig.warehouse.rows(counted(asked, "2", rig.warehouse.dialect), T)
        assert {row["connect_segment"]: row["connect_members"] for row in counts} == {0: 1, 1: 0, 2: 1}

    def test_a_segment_of_addresses_is_compared_without_case(self, rig: WarehouseRig) -> None:
        rig.execute(*_table("people", "email varchar(40)", [(" Ada@Example.com",), ("bob@example.com",), (None,)]))
        rig.execute(*_table("customers", "id varchar(40), plan varchar(9)", [("ada@EXAMPLE.com ", "x"), (None, "y")]))
        audience = _audience(rig.warehouse, "select * from people")
        asked = Membership(all=[_members(rig.warehouse, "select plan, id from customers")])
        found = narrowed(audience, asked, rig.warehouse.dialect)
        (row,) = rig.warehouse.rows(Query(found.sql, found.parameters), T)
        assert row == {"email": " Ada@Example.com"}

    # What it refuses

    def test_nothing_can_be_written(self, rig: WarehouseRig) -> None:
        rig.execute("create table kept (id integer)", "insert into kept values (1)")
        # Where the engine has no read-only transaction, the adapter refuses what is not one SELECT. It can not see what
        # functions do: there nothing but the user's privileges holds, and `effects` is empty.
        assert rig.warehouse.capabilities.enforces_read_only or not rig.effects
        for statement in (*rig.writes, *rig.effects, "select 1; delete from kept"):
            _code(lambda statement=statement: rig.warehouse.rows(Query(statement, {}), T))  # type: ignore[misc]
            assert rig.warehouse.rows(Query("select * from kept", {}), T) == [{"id": 1}], statement

    def test_a_change_of_data_in_a_cte_is_refused_by_the_engine_too(self, rig: WarehouseRig) -> None:
        rig.execute("create table kept (id integer)", "insert into kept values (1)")
        sql = "with gone as (delete from kept returning *) select id from gone"
        assert _code(lambda: rig.warehouse.rows(Query(sql, {}), T)) in ("sql-error", "query-failed")
        assert _code(lambda: rig.warehouse.columns(Query(sql, {}), T)) in ("sql-error", "query-failed")
        columns = tuple(rig.warehouse.columns(Query("select 1 as id", {}), T))
        wrapping = Wrapping(rig.warehouse.dialect, Audience(sql, {}, ("id",), columns), OptOuts())
        with pytest.raises(UserError):
            _swept(rig, wrapping)
        assert rig.warehouse.rows(Query("select * from kept", {}), T) == [{"id": 1}]

    def test_a_mistake_is_the_users(self, rig: WarehouseRig) -> None:
        with pytest.raises(UserError):
            rig.warehouse.columns(Query("select nothing from nowhere", {}), T)

    def test_an_error_about_data_quotes_none_of_it(self, rig: WarehouseRig) -> None:
        rig.execute(*_table("people", "email varchar(50)", [["ann@x.example"]]))
        with pytest.raises(OutsideError) as raised:
            rig.warehouse.rows(Query(f"select {rig.faulty} as n from people", {}), T)
        assert raised.value.problems[0].code == "query-failed"
        error: BaseException | None = raised.value
        while error is not None:
            assert "@x.example" not in repr(error) + str(error)
            error = error.__cause__ or error.__context__

    # Streams

    def test_two_hundred_thousand_rows_stream_in_flat_memory(self, rig: WarehouseRig) -> None:
        email = rig.warehouse.dialect.joined("'person'", rig.warehouse.dialect.text("n"), "'@x.example'")
        columns = f"n as id, {email} as email, repeat('x', 500) as letter"
        sql = f"select {columns} from {rig.numbers(200_000)}"
        assert _count(rig.warehouse, f"select {columns} from {rig.numbers(5_000)}") == 5_000  # all that is loaded once
        before, peak, rows = _resident(), 0, 0
        with rig.warehouse.read(Query(sql, {}), T, 4096) as batches:
            for batch in batches:
                rows += batch.num_rows
                peak = max(peak, _resident())
        assert rows == 200_000
        assert peak - before < 64 * _MEBIBYTE  # they are 110 MiB

    def test_a_stream_that_is_left_stops_the_query(self, rig: WarehouseRig) -> None:
        with rig.warehouse.read(Query(_plenty(rig), {}), T, 1000) as batches:
            assert next(batches).num_rows
        assert rig.busy() == 0

    def test_two_reads_at_once(self, rig: WarehouseRig) -> None:
        sql = f"select n as id from {rig.numbers(10_000)}"
        with rig.warehouse.read(Query(sql, {}), T, 1000) as first:
            some = next(first).num_rows
            assert _count(rig.warehouse, sql) == 10_000
            assert some + sum(batch.num_rows for batch in first) == 10_000

    def test_a_query_that_takes_too_long_is_stopped(self, rig: WarehouseRig) -> None:
        short = timedelta(seconds=0.5)
        assert _code(lambda: rig.warehouse.rows(Query(rig.endless, {}), short)) == "query-timeout"
        assert _code(lambda: _count(rig.warehouse, rig.endless, short)) == "query-timeout"
        assert _count(rig.warehouse, "select 1 as id") == 1
        assert rig.busy() == 0

    def test_close_stops_what_is_running(self, rig: WarehouseRig) -> None:
        found: list[str] = []
        asked = Query(rig.endless, {})
        thread = threading.Thread(target=lambda: found.append(_code(lambda: rig.warehouse.rows(asked, T))))
        thread.start()
        while thread.is_alive():
            rig.warehouse.close()
            thread.join(0.05)
        assert found == ["query-stopped"]
        assert rig.busy() == 0
        assert _count(rig.warehouse, "select 1 as id") == 1

    def test_a_connection_that_is_lost_is_said_and_the_next_read_works(self, rig: WarehouseRig) -> None:
        with rig.warehouse.read(Query(_plenty(rig), {}), T, 1000) as batches:
            assert next(batches).num_rows
            if not rig.cut():
                pytest.skip("there is no connection that could be lost")
            assert _code(lambda: [batch.num_rows for batch in batches]) == "warehouse-lost"
        assert _count(rig.warehouse, "select 1 as id") == 1

    def test_a_sweep_goes_on_behind_what_came(self, rig: WarehouseRig) -> None:
        """However often the connection is lost, everybody is read, once and in order."""
        wrapping = _wrapped(rig, f"select n as id, repeat('x', 200) as letter from {rig.numbers(30_000)}")
        sweep = Sweep(rig.warehouse, wrapping, rows=30_000, after=None, timeout=T, clock=SystemClock())
        positions: list[str] = []
        for number, rows in enumerate(sweep.batches()):
            positions += rows.positions
            if number in (0, 3):
                rig.cut()
        assert len(positions) == 30_000
        assert positions == sorted(set(positions))

    def test_it_can_be_closed_twice_and_used_again(self, rig: WarehouseRig) -> None:
        rig.warehouse.close()
        rig.warehouse.close()
        assert rig.warehouse.check()
