"""The engine behind any URL of SQLAlchemy's: what it asks first, what it can not do; SQLite is a second real one."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from connect.errors import ConnectError, OutsideError, UserError
from connect.identity import key_text, position
from connect.vocabulary import Channel
from connect.warehouses import catalog, generic_proof
from connect.warehouses.generic import Generic, GenericSettings
from connect.warehouses.generic_connection import Running, Stopped
from connect.warehouses.generic_dialect import GenericDialect, for_sqlalchemy, only_reads
from connect.warehouses.generic_types import learned, told
from connect.warehouses.interface import Query, Source
from connect.warehouses.values import carried, restored
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=30)
ANN, BOB = (1, "Ann@x.example", "+61 400"), (2, "bob@x.example", None)
PEOPLE = [ANN, BOB, (2, "bob@x.example", "1"), (None, "c@x.example", None)]


@pytest.fixture
def shop(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as raw:
        raw.execute("create table people (id integer, email text, phone text)")
        raw.executemany("insert into people values (?, ?, ?)", PEOPLE)
        raw.execute("create table gone (id integer, address text)")
        raw.execute("insert into gone values (1, null), (null, 'BOB@x.example ')")
    raw.close()
    return Generic(Source("shop", GenericSettings(url="sqlite:///shop.db"), tmp_path))


def code(call):
    with pytest.raises(ConnectError) as raised:
        call()
    error, seen = raised.value, ""
    while error is not None:
        seen += repr(error) + str(error)
        error = error.__cause__ or error.__context__
    assert "@x.example" not in seen
    return raised.value.problems[0].code


def wrapped(warehouse, asked, **optouts):
    audience = Audience(asked, {}, ("id",), tuple(warehouse.columns(Query(asked, {}), T)))
    return Wrapping(warehouse.dialect, audience, OptOuts(**optouts), "salt")


def test_which_urls_are_its_own():
    assert catalog.type_of("duckdb:///x.duckdb") == "duckdb"
    assert catalog.type_of("postgresql+psycopg://h/b") == "postgresql"
    assert catalog.type_of("sqlite:///x.db") == "sqlalchemy"
    assert catalog.type_of("oracle+oracledb://h/b") == "sqlalchemy"
    assert catalog.type_of("nothing://h/b") == "nothing"
    assert catalog.type_of("../x://h/b") == "../x"


def test_sqlite_has_the_positions_of_every_engine(shop):
    wrapping = wrapped(shop, "select * from people")
    assert shop.rows(wrapping.size_query(), T) == [{"rows": 4, "keyed": 3, "without_key": 1}]
    rows = shop.rows(wrapping.sweep_query(None, None), T)
    assert [(row["connect_position"], row["connect_key"]) for row in rows] == sorted(
        (position("salt", key_text([one])), key_text([one])) for one in ("1", "2")
    )
    assert {row["id"]: row["connect_duplicates"] for row in rows} == {1: 0, 2: 1}
    (last,) = shop.rows(wrapping.sweep_query(str(rows[0]["connect_position"]), None), T)
    assert last == rows[1]


def test_sqlite_finds_opt_outs(shop):
    sql = "select * from gone"
    optouts = {"sql": sql, "columns": tuple(shop.columns(Query(sql, {}), T)), "channels": (Channel.email,)}
    wrapping = wrapped(shop, "select * from people", **optouts, addresses={Channel.email: "email"})
    rows = shop.rows(wrapping.sweep_query(None, None), T)
    assert {row["id"]: row["connect_optout_email"] for row in rows} == {1: 1, 2: 1}


def test_types_that_nobody_tells_are_learned_and_come_back_as_they_were(shop):
    found = shop.columns(Query("select *, 1.5 as f, null as n, x'01ff' as b from people", {}), T)
    assert [(column.name, column.type) for column in found] == [
        ("id", "bigint"),
        ("email", "varchar"),
        ("phone", "varchar"),
        ("f", "double"),
        ("n", "varchar"),
        ("b", "blob"),
    ]
    asked = Query("select id, case id when 1 then 1.5 when 2 then 'b' end as mixed, x'01ff' as b from people", {})
    with shop.read(asked, T, 1) as batches:
        parts = list(batches)
    assert len({part.schema for part in parts}) == 1
    assert [row["mixed"] for row in shop.rows(asked, T)] == [1.5, "b", "b", None]
    assert shop.rows(asked, T)[0]["b"] == b"\x01\xff"


def test_parameters_are_bound_and_colons_are_left_alone(shop):
    asked = Query("select %(v)s as v, ':v' as c, '10%%' || ' %(other)s' as p, 'a\\:b' as s", {"v": "it's :x"})
    assert shop.rows(asked, T) == [{"v": "it's :x", "c": ":v", "p": "10%% %(other)s", "s": "a\\:b"}]
    assert for_sqlalchemy(Query("select %(v)s::text", {"v": 1})) == "select :v\\:\\:text"


@pytest.mark.parametrize(
    "sql",
    [
        "delete from people",
        "select 1; delete from people",
        "with x as (delete from people returning *) select * from x",
        "create table x (id integer)",
        "pragma query_only = off",
        "attach 'x' as y",
    ],
)
def test_what_is_no_select_is_refused(shop, sql):
    assert code(lambda: shop.rows(Query(sql, {}), T)) == "sql-error"
    assert len(shop.rows(Query("select * from people", {}), T)) == 4


def test_mistakes_and_trouble_quote_only_what_the_query_says(shop):
    with pytest.raises(UserError, match="`nothing`"):
        shop.columns(Query("select nothing from people", {}), T)
    assert code(lambda: shop.rows(Query("select json_extract(email, '$') from people", {}), T)) == "query-failed"


def test_a_query_that_takes_too_long_and_one_that_is_stopped(shop):
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as c from n"
    assert code(lambda: shop.rows(Query(endless, {}), timedelta(seconds=0.5))) == "query-timeout"
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(code(lambda: shop.rows(Query(endless, {}), T))))
    thread.start()
    while thread.is_alive():
        shop.close()
        thread.join(0.05)
    assert found == ["query-stopped"]


def test_a_driver_that_never_answers_holds_up_nobody(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("connect.warehouses.generic_connection._GRACE", 0.1)
    hung = threading.Event()
    running = Running(f"sqlite:///{tmp_path}/shop.db", time.monotonic() + 0.2)
    with pytest.raises(Stopped):
        running.ask(hung.wait)
    assert running.why == "timeout"
    running.close()
    hung.set()


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ("md5", "md5"),
        ("length", "md5"),
        ("trimmed", "trimming"),
        ("phone_digits", "digits"),
    ],
)
def test_an_engine_that_reckons_otherwise_is_refused_before_anything_is_read(shop, monkeypatch, changed, what):
    other = {
        "md5": lambda self, text: f"upper(md5({text}))",
        "length": lambda self, text: f"length(cast({text} as blob))",
        "trimmed": lambda self, text: f"trim({text})",
        "phone_digits": lambda self, text: text,
    }
    monkeypatch.setattr(GenericDialect, changed, other[changed])
    for call in (lambda: shop.columns(Query("select * from people", {}), T), shop.check):
        with pytest.raises(UserError, match=what) as raised:
            call()
        assert raised.value.problems[0].code == "positions-differ"


def test_an_engine_without_the_functions_is_refused(shop, monkeypatch):
    monkeypatch.setattr(GenericDialect, "md5", lambda self, text: f"no_such_function({text})")
    assert code(lambda: shop.rows(Query("select 1 as id", {}), T)) == "positions-differ"


def test_it_is_proved_once(shop, monkeypatch):
    asked = []
    real = generic_proof.query
    monkeypatch.setattr(generic_proof, "query", lambda dialect: asked.append(1) or real(dialect))
    shop.rows(Query("select 1 as id", {}), T)
    shop.columns(Query("select 1 as id", {}), T)
    assert len(asked) == 1
    told = shop.check()
    assert "sqlite" in told
    assert all(reservation in told for reservation in shop.capabilities.reservations)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("oracle+oracledb://user:secret-word@h/b", "missing-extra"),
        ("nothing://user:secret-word@h/b", "missing-extra"),
        ("sqlite:////nowhere/at/all/shop.db", "warehouse-unreachable"),
        ("sqlite:///not_there.db", "warehouse-unreachable"),
        ("secret-word", "bad-url"),
    ],
)
def test_what_can_not_be_reached(tmp_path, url, expected):
    warehouse = Generic(Source("shop", GenericSettings(url=url), tmp_path))
    with pytest.raises((UserError, OutsideError)) as raised:
        warehouse.check()
    assert raised.value.problems[0].code == expected
    assert "secret-word" not in str(raised.value)


@pytest.mark.parametrize("engine", ["trino", "databricks", "clickhousedb", "sqlite", "duckdb", "postgresql", "exotic"])
def test_the_queries_of_a_run_are_one_select_in_its_dialect(engine):
    dialect = GenericDialect(engine)
    columns = (told(("id", "bigint")), told(("email", "varchar")))
    audience = Audience("select id, email from people", {}, ("id", "email"), columns)
    optouts = OptOuts(sql="select * from gone", columns=columns, channels=(Channel.email,))
    swept = Wrapping(dialect, audience, optouts, "salt").sweep_query("0", None)
    assert only_reads(swept.sql, dialect.sqlglot) == ""


def test_types_as_drivers_tell_them():
    class Named:
        name = "Nullable(LowCardinality(String))"

    assert told(("a", "bigint", None)).type == "bigint"
    assert told(("a", Named())).type == "String"
    assert told(("a", 23)) is told(("a", None)) is None
    assert learned("a", [None, 1, "x"]).type == "mixed"


@pytest.mark.parametrize(
    ("value", "back"),
    [
        ("", ""),
        ("é", "é"),
        (True, True),
        (-(2**70), -(2**70)),
        (0.1, 0.1),
        (Decimal("2.50"), Decimal("2.50")),
        (Decimal("5"), 5),
        (date(2026, 1, 2), date(2026, 1, 2)),
        (datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 2, 3, 4, 5, 6)),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
        (b"\x00\xff", b"\x00\xff"),
        ([1, None, {"a": [Decimal("1.5")]}], [1, None, {"a": [Decimal("1.5")]}]),
        (UUID(int=1), str(UUID(int=1))),
    ],
)
def test_values_of_any_kind_travel_as_texts(value, back):
    assert restored(carried(value)) == back
    assert type(restored(carried(value))) is type(back)


def test_what_is_no_value_is_null():
    assert [carried(value) for value in (None, float("nan"), Decimal("NaN"))] == [None, None, None]
