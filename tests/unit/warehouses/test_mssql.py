"""SQL Server, as text: what is sent is parsed, and nothing is run. The only server that is asked is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import sqlglot
from sqlglot import exp

from connect.errors import OutsideError, UserError
from connect.redact import Secret
from connect.vocabulary import Channel
from connect.warehouses.interface import Access, Column, Kind, Query, Source, SqlError, Table, WarehouseLost
from connect.warehouses.looking import first_query, nulls_query
from connect.warehouses.mssql import MSSQL, MSSQLSettings, sent
from connect.warehouses.mssql_dialect import MSSQLDialect, literal
from connect.warehouses.mssql_errors import of_query
from connect.warehouses.mssql_hoisting import hoisted
from connect.warehouses.mssql_types import array, name_of
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

DIALECT = MSSQLDialect()
COLUMNS = tuple(
    Column(name, kind)
    for name, kind in {
        "id": "int",
        "email": "nvarchar(99)",
        "phone": "varchar(20)",
        "timezone": "varchar(50)",
        "subscribed": "boolean",
    }.items()
)
OPTOUTS = tuple(Column(name, "nvarchar(50)") for name in ("id", "address", "channel", "topic", "status", "at"))
AUDIENCE = """with x as (select id, N'it''s (odd) -- no' as a from t), y (b) as (select 1)
select * from x, y -- end
order by id"""


def parsed(sql: str) -> exp.Expr:
    """One statement, as SQL Server takes it: every `with` at the beginning."""
    (statement,) = sqlglot.parse(sql, read="tsql")
    assert isinstance(statement, exp.Query)
    assert all(found.parent is statement for found in statement.find_all(exp.With))
    assert not list(statement.find_all(exp.DPipe))
    return statement


def wrapping(
    audience: str = AUDIENCE, optouts: str | None = "with z as (select * from gone) select * from z"
) -> Wrapping:
    addresses = {Channel.email: "email", Channel.sms: "phone"}
    of_optouts = OptOuts(sql=optouts, columns=OPTOUTS, addresses=addresses, topic="news", subscribed_values=("on",))
    return Wrapping(DIALECT, Audience(audience, {}, ("id",), COLUMNS), of_optouts, "salt")


# The queries of a run


def test_every_query_of_a_run_is_one_that_can_be_parsed() -> None:
    wrapped = wrapping()
    zones = wrapped.zones_query("phone")
    assert zones
    queries = [wrapped.sweep_query(None, None), wrapped.sweep_query("00", "80"), wrapped.size_query(), zones]
    queries += [first_query(wrapped.audience, DIALECT, 5), nulls_query(wrapped.audience, DIALECT, ["email"])]
    for asked in queries:
        statement = parsed(sent(asked))
        names = [cte.alias for cte in statement.find(exp.With).expressions]  # type: ignore[union-attr]
        assert names[:2] == ["x", "y"]
        assert "%(" not in sent(asked)
        assert "N'it''s (odd) -- no' as a from t" in sent(asked)


def test_the_sweep_gives_the_same_columns_as_everywhere() -> None:
    statement = parsed(sent(wrapping().sweep_query(None, None)))
    given = [column.alias_or_name for column in statement.selects]
    flags = [f"connect_optout_{channel.value}" for channel in Channel]
    assert given == ["connect_position", "connect_key", "connect_duplicates", *flags, *(c.name for c in COLUMNS)]


def test_a_boolean_is_asked_for_as_one() -> None:
    assert "case when p.[subscribed] = 1 then 0 else 1 end" in wrapping().sweep_query(None, None).sql


def test_keys_of_other_types_are_refused_with_a_cast_of_its_own() -> None:
    for kind, cast in (
        ("uniqueidentifier", "nvarchar(4000)"),
        ("decimal(9,2)", "bigint"),
        ("nchar(5)", "nvarchar(4000)"),
    ):
        with pytest.raises(UserError) as raised:
            Wrapping(DIALECT, Audience("select 1 as id", {}, ("id",), (Column("id", kind),)), OptOuts())
        assert f"cast(id as {cast})" in raised.value.problems[0].hint


# Moving what may not stand in a subquery


@pytest.mark.parametrize(
    ("sql", "moved"),
    [
        ("select 1 as a", "select 1 as a"),
        (
            "with x as (select 1 as a) select a from x order by a",
            "with x as (select 1 as a) select a from x order by a",
        ),
        (
            "select u.* from (\nwith x as (select 1 as a)\nselect * from x\n) as u",
            "with x as (select 1 as a)\nselect u.* from (\nselect * from x\n) as u",
        ),
        (
            "with y as (select 2 as b) select * from (with x as (select 1 as a) select * from x) as u, y",
            "with x as (select 1 as a),\ny as (select 2 as b) select * from (select * from x) as u, y",
        ),
        (
            "select * from (with a as (select * from (with b as (select 1) select * from b) q) select * from a) as u",
            "with b as (select 1),\na as (select * from (select * from b) q)\nselect * from (select * from a) as u",
        ),
        ("select * from (select a from t order by a) as u", "select * from (select a from t ) as u"),
        ("select * from (select top (5) a from t order by a) as u",) * 2,
        ("select * from (select a from t order by a offset 5 rows) as u",) * 2,
        ("select * from (select row_number() over (order by a) as n from t) as u",) * 2,
        ("select '(with x as (select 1) select 1 order by 1)' as a",) * 2,
    ],
)
def test_with_and_order_by_are_taken_out_of_subqueries(sql: str, moved: str) -> None:
    assert hoisted(sql) == moved
    parsed(moved)


def test_one_query_twice_is_there_once() -> None:
    part = "(with x as (select 1 as a) select a from x)"
    assert hoisted(f"select * from {part} as u, {part} as v").count("select 1 as a") == 1


@pytest.mark.parametrize(
    "sql",
    [
        "select * from (with x as (select 1 as a) select a from x) as u, (with x as (select 2) select a from x) as v",
        "select * from (with x as (select 1 as a) select a from x) as u join x on x.a = u.a",
        "with X as (select 3 as a) select * from (with x as (select 1 as a) select a from x) as u, X",
    ],
)
def test_a_name_with_two_meanings_is_refused(sql: str) -> None:
    with pytest.raises(SqlError) as raised:
        hoisted(sql)
    assert "`x`" in raised.value.problems[0].hint.lower()


# Values


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "cast(1 as bit)"),
        (7, "7"),
        (Decimal("12.50"), "12.50"),
        ("é'", "cast(0xe9002700 as nvarchar(max))"),
        ("", "N''"),
        (b"\x01", "0x01"),
        (["a", 1], "(cast(0x6100 as nvarchar(max)), 1)"),
        (date(2026, 1, 2), "cast('2026-01-02' as date)"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "cast('2026-01-02 03:04:05.000000+00:00' as datetimeoffset(6))"),
        (time(3, 4), "cast('03:04:00' as time(6))"),
    ],
)
def test_a_value_as_sql(value: object, written: str) -> None:
    assert literal(value) == written
    parsed(f"select {written} as a" if not isinstance(value, list) else f"select 1 as a where 'a' in {written}")


def test_columns_by_the_types_that_the_server_describes() -> None:
    cells: dict[str, tuple[Any, Any]] = {
        "int": (7, pyarrow.int64()),
        "bit": (True, pyarrow.bool_()),
        "decimal(10,2)": (Decimal("12.50"), pyarrow.decimal128(10, 2)),
        "float": (0.5, pyarrow.float64()),
        "date": (date(2026, 1, 2), pyarrow.date32()),
        "datetime2(7)": (datetime(2026, 1, 2, 3, 4, 5, 6), pyarrow.timestamp("us")),
        "nvarchar(50)": ("é", pyarrow.string()),
        "varbinary(5)": (b"\x01", pyarrow.binary()),
    }
    for kind, (cell, made) in cells.items():
        found = array("a", kind, [cell, None])
        assert (found.to_pylist(), found.type) == ([cell, None], made)
    at = array("a", "datetimeoffset(7)", ["2026-01-02 03:04:05.1234567 +02:00", None])
    assert at.to_pylist()[0] == datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=UTC)
    assert name_of("bit") == "boolean"
    with pytest.raises(OutsideError) as raised:
        array("age", "int", ["ann@x.example"])
    assert "ann@" not in str(raised.value) + repr(raised.value.__context__)


def test_tables_of_ours_as_text() -> None:
    table = Table("letters", {"run": Kind.text, "key": Kind.text, "at": Kind.instant}, ("run", "key"))
    (made,) = DIALECT.create_table(table)
    assert made.startswith("if object_id(N'letters') is null create table letters (\n  [run] nvarchar(225)")
    assert "into kept from (" in DIALECT.copied("kept", "select 1 as a")


# The adapter, as far as it goes without a server


def warehouse(**settings: Any) -> MSSQL:
    own = {
        "host": "127.0.0.1",
        "port": 1,
        "database": "shop",
        "user": "ann",
        "password": Secret("p@ss"),
        "encryption": "off",
    }
    return MSSQL(Source("shop", MSSQLSettings(**{**own, **settings}), Path()))


def problem_of(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises((UserError, OutsideError)) as raised:
        call()
    (problem,) = raised.value.problems
    return problem.code, problem.message


@pytest.mark.parametrize(
    "settings", [{}, {"url": "mssql://a/b", "host": "c"}, {"host": "a"}, {"url": "a", "encryption": "x"}]
)
def test_settings_that_do_not_do(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        MSSQLSettings(**settings)


def test_a_url_and_its_pieces_connect_alike() -> None:
    expected = {"server": "h", "port": "1433", "database": "shop", "user": "ann", "password": "p@ss"}
    pieces = MSSQLSettings(host="h", port=1433, database="shop", user="ann", password=Secret("p@ss"))
    for settings in (MSSQLSettings(url="mssql+pymssql://ann:p%40ss@h:1433/shop"), pieces):
        assert settings.pieces() == expected
        assert "p@ss" not in repr(settings)
        assert "p%40ss" not in repr(settings)


def test_nobody_answers() -> None:
    with pytest.raises(WarehouseLost) as raised:
        warehouse().columns(Query("select 1 as a", {}), timedelta(seconds=5))
    assert raised.value.problems[0].code == "warehouse-unreachable"
    assert "p@ss" not in str(raised.value) + repr(raised.value.__context__)


def test_a_url_that_can_not_be_read() -> None:
    settings = MSSQLSettings(url="mssql://h:port/b")
    assert problem_of(MSSQL(Source("shop", settings, Path())).check)[0] == "bad-url"


def test_it_only_reads() -> None:
    table = Table("letters", {"key": Kind.text}, ("key",))
    assert not MSSQL.capabilities.writes
    assert not MSSQL.capabilities.enforces_read_only
    assert problem_of(lambda: warehouse().write([], timedelta(1)))[0] == "warehouse-privilege"
    assert (
        problem_of(lambda: warehouse().add(table, pyarrow.table({"key": ["a"]}), timedelta(1)))[0]
        == "warehouse-privilege"
    )


def test_the_least_privilege() -> None:
    assert warehouse().grants(Access(("people",), ("d",))) == [
        "grant select on people to [ann]",
        "-- nothing is written to SQL Server",
    ]
    assert not warehouse().grants(Access())


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (20003, "query-timeout"),
        (20047, "warehouse-lost"),
        (229, "warehouse-permission"),
        (1222, "warehouse-locked"),
        (102, "sql-error"),
        (245, "query-failed"),
        (701, "query-memory"),
        (1205, "query-stopped"),
    ],
)
def test_what_the_server_says_is_ours_to_say_and_quotes_nothing(number: int, code: str) -> None:
    said = b"Conversion failed when converting the nvarchar value 'ann@x.example'"
    for error in (ValueError(number, said), ValueError((number, said))):  # pymssql gives both
        found = of_query(error, "shop")
        assert found.problems[0].code == code
        assert "ann@" not in str(found)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect.warehouses.mssql.find_spec", lambda name: None)
    assert problem_of(warehouse().check)[0] == "missing-extra"


def test_the_driver_is_loaded_when_it_is_used() -> None:
    script = "import sys; from connect.warehouses import mssql; assert not {'pymssql', 'pyarrow'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", script], check=True)
