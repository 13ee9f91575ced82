"""MySQL and MariaDB: settings, texts of queries, types, what it says of trouble, and what it tells about itself."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from connect.errors import OutsideError, UserError
from connect.identity import key_text
from connect.redact import Secret
from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig
from connect.testing.warehouse_rigs.mysql import MySQLRig
from connect.testing.warehouses import UUID
from connect.warehouses import catalog
from connect.warehouses.interface import Access, Column, Kind, Query, Source, SqlError, Table, WarehouseLost
from connect.warehouses.mysql import MySQL
from connect.warehouses.mysql_booleans import conditions
from connect.warehouses.mysql_dialect import MySQLDialect, filled, literal, unfilled
from connect.warehouses.mysql_settings import MySQLSettings
from connect.warehouses.mysql_writing import parts
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=30)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[MySQLRig]:
    try:
        with warehouse_rig("mysql", tmp_path) as rig:
            assert isinstance(rig, MySQLRig)
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


def problem_of(call: Callable[[], object]) -> tuple[str, str, str]:
    with pytest.raises((UserError, OutsideError)) as raised:
        call()
    (problem,) = raised.value.problems
    return problem.code, problem.message, problem.hint


def reader(rig: MySQLRig, **settings: Any) -> MySQL:
    """The same database, for a user who may nothing but sign in, by the password `p@ss é`."""
    name = f"reader_of_{rig.database}"
    rig.server.sql(f"create or replace user {name}@localhost identified by 'p@ss é'")
    own = {"unix_socket": rig.server.socket, "database": rig.database, "user": name, "password": Secret("p@ss é")}
    return MySQL(Source("shop", MySQLSettings(**{**own, **settings}), Path()))


# Settings


def test_mariadb_is_another_name_of_it() -> None:
    assert catalog.load("mariadb") is catalog.load(catalog.type_of("mysql+pymysql://h/b")) is MySQL
    assert {"mariadb", "mysql"} <= {*catalog.names()}


@pytest.mark.parametrize(
    "settings",
    [{}, {"url": "mysql://a/b", "host": "c"}, {"host": "a"}, {"database": "a", "ssl_mode": "maybe"}],
)
def test_settings_that_do_not_do(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        MySQLSettings(**settings)


def test_a_url_and_its_pieces_connect_alike() -> None:
    url = MySQLSettings(url="mysql+pymysql://ann:p%40ss@db.example:3307/shop?ssl_mode=disabled&charset=utf8mb4")
    pieces = MySQLSettings(
        host="db.example", port=3307, database="shop", user="ann", password=Secret("p@ss"), ssl_mode="disabled"
    )
    expected = {"host": "db.example", "port": 3307, "database": "shop", "user": "ann", "password": b"p@ss"}
    for settings in (url, pieces):
        assert settings.parameters() == {**expected, "ssl_disabled": True}
        assert "p@ss" not in repr(settings)
        assert "p%40ss" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["mysql://h/b?ssl_mode=maybe", "mysql://h/b?other=1", "mysql://h:port/b", "mysql://h/b?x"]
)
def test_a_url_that_can_not_be_read(url: str) -> None:
    warehouse = MySQL(Source("shop", MySQLSettings(url=url), Path()))
    code, _, hint = problem_of(warehouse.check)
    assert (code, hint) == ("bad-url", "mysql://user:${PASSWORD}@host:3306/database")


@pytest.mark.parametrize(
    ("mode", "verifies", "names"),
    [
        ("required", ssl.CERT_NONE, False),
        ("verify_ca", ssl.CERT_REQUIRED, False),
        ("verify_identity", ssl.CERT_REQUIRED, True),
    ],
)
def test_how_the_line_is_encrypted(mode: Any, verifies: ssl.VerifyMode, names: bool) -> None:
    context = MySQLSettings(database="shop", host="h", ssl_mode=mode).parameters()["ssl"]
    assert (context.verify_mode, context.check_hostname) == (verifies, names)
    assert "ssl" not in MySQLSettings(database="shop", host="h").parameters()  # PyMySQL asks for it, and does without


# Parameters


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (2.5, "2.5e0"),
        (1e300, "1e+300"),
        (Decimal("1E+2"), "100"),
        ("it's", "_utf8mb4 x'69742773'"),
        ("", "_utf8mb4 x''"),
        (b"\x01", "x'01'"),
        (["a", 1], "(_utf8mb4 x'61', 1)"),
        ([], "(null)"),
        ({"a": 1}, "_utf8mb4 x'7b2261223a20317d'"),
        (date(2026, 1, 2), "date'2026-01-02'"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "timestamp'2026-01-02 01:04:05.000000'"),
        (time(3, 4, 5), "time'03:04:05'"),
    ],
)
def test_a_value_as_sql(value: object, written: str) -> None:
    assert literal(value) == written


def test_places_in_what_is_sent_are_found_again() -> None:
    asked = Query("select %(a)s, x from t where y = %(b)s and %(c)s", {"a": "long", "b": 1})
    sent = filled(asked)
    assert sent == "select _utf8mb4 x'6c6f6e67', x from t where y = 1 and %(c)s"
    for word in ("x from", "t where", "%(c)s"):
        assert unfilled(asked, sent.index(word)) == asked.sql.index(word)


# Conditions


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select id, plan = 'pro' as Is_Pro, n as m from t", {"is_pro"}),
        ("select 1 as a, a is null as b, not a as c, a in (1) as d, a like 'x' as e, (a > 1 or b) as f", {*"bcdef"}),
        (
            "select exists (select 1) as a, true as b, a between 1 and 2 as c, a regexp 'x' as d, 1 xor 0 as e",
            {*"abcde"},
        ),
        ("select 1 = 1 as a, 2 as b union all select null, 3 union all select 1 = 0, null", {"a"}),
        ("select null as a union all select 1 = 1", {"a"}),
        ("select 1 = 1 as a union all select 2", set()),
        ("with p as (select 1 = 1 as a, 2 as b) select p.*, p.a as c, b as d from p", {"a", "c"}),
        ("select o.a, o.b from (select u.* from (select 1 = 1 as a, 1 as b) as u) as o left join t on t.a = 1", {"a"}),
        ("select case when x then true else false end as a, case when x then 1 else false end as b from t", {"a"}),
        (
            "select coalesce(a = 1, false) as a, ifnull(null, 1 = 1) as b, if(a, 1 = 1, 1 = 0) as c, if(a, 1, 0) as d",
            {*"abc"},
        ),
        ("select sum(a = 1) as a, a + (b = 1) as b, count(*) as c from t", set()),
        ("select a from other.p", set()),
        ("select (", set()),
    ],
)
def test_which_columns_are_conditions(sql: str, found: set[str]) -> None:
    assert conditions(sql) == found


# Types

OF_A_ROW: Mapping[str, object] = {
    "tinyint(1)|1": True,
    "bit(1)|b'0'": False,
    "bit(12)|2050": 2050,
    "int unsigned|4000000000": 4000000000,
    "bigint unsigned|18446744073709551615": 18446744073709551615,
    "decimal(60, 2)|'123456789012345678901234567890123456789012345678.90'": Decimal(
        "123456789012345678901234567890123456789012345678.90"
    ),
    "float|1.5": 1.5,
    "year|2026": 2026,
    "timestamp(3) null|'2026-01-02 03:04:05.678'": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    "enum('a', 'b')|'b'": "b",
    "set('a', 'b')|'a,b'": "a,b",
    "char(5)|'ab'": "ab",
    "mediumtext|'é'": "é",
    "blob|x'01ff'": b"\x01\xff",
    """json|'{"a": [1, 2.5, null], "b": "é"}'""": {"a": [1, 2.5, None], "b": "é"},
    f"uuid|'{UUID}'": UUID,
    "inet6|'::1'": "::1",
}
"""Types that only a column has, and a value: → what Liquid is given for it."""


def _kinds(rig: MySQLRig) -> list[str]:
    """A table `kinds` with a column of each type, in a row with the values and in one of nulls."""
    types, cells = zip(*(kind.split("|") for kind in OF_A_ROW), strict=True)
    names = [f"c{place}" for place in range(len(types))]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, types, strict=True))
    rig.execute(f"create table kinds (n integer, {columns})", f"insert into kinds values (1, {', '.join(cells)})")
    rig.execute("insert into kinds (n) values (2)")
    return names


def test_types_of_columns_arrive_as_liquid_expects(rig: MySQLRig) -> None:
    names = _kinds(rig)
    asked = f"select {', '.join(names)} from kinds order by n"
    whole = "select u.* from (select * from kinds) as u order by n"
    for sql in (asked, f"select {', '.join(names)} from ({whole}) as o"):
        full, empty = rig.warehouse.rows(Query(sql, {}), T)
        assert [full[name] for name in names] == list(OF_A_ROW.values())
        assert [type(full[name]) for name in names] == [type(value) for value in OF_A_ROW.values()]
        assert set(empty.values()) == {None}


def test_what_no_calendar_and_no_clock_has_is_null(rig: MySQLRig) -> None:
    rig.server.sql(
        "set sql_mode = ''",
        "create table odd (n integer, d date, at datetime(6), ts timestamp null, t time)",
        "insert into odd values (1, '0000-00-00', '2026-00-00 00:00:00', '0000-00-00 00:00:00', '-01:00:00'),"
        " (2, '9999-12-31', '0001-01-01 00:00:00.5', '2026-01-02 03:04:05', '99:00:00'),"
        " (3, '2026-02-00', null, null, '23:59:59')",
        database=rig.database,
    )
    rows = rig.warehouse.rows(Query("select d, at, ts, t from odd order by n", {}), T)
    assert [list(row.values()) for row in rows] == [
        [None, None, None, None],
        [date(9999, 12, 31), datetime(1, 1, 1, 0, 0, 0, 500000), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None],
        [None, None, None, time(23, 59, 59)],
    ]


def test_cells_of_every_length(rig: MySQLRig) -> None:
    lengths = (0, 1, 250, 251, 252, 65535, 65536, 70000)
    asked = "\nunion all ".join(f"select {length} as n, repeat('é', {length}) as letters" for length in lengths)
    rows = rig.warehouse.rows(Query(asked, {}), T)
    assert {row["n"]: row["letters"] for row in rows} == {length: "é" * length for length in lengths}


def test_a_row_of_more_than_a_packet(rig: MySQLRig) -> None:
    half = 8_400_000  # two of them are more than the 16 MiB that a packet holds
    (row,) = rig.warehouse.rows(Query(f"select repeat('a', {half}) as a, repeat('b', {half}) as b, 'c' as c", {}), T)
    assert (row["a"], row["b"], row["c"]) == ("a" * half, "b" * half, "c")


def test_instants_do_not_depend_on_the_zone_of_the_server(rig: MySQLRig) -> None:
    rig.execute("create table at (id integer, ts timestamp(6))")
    rig.server.sql(
        "set time_zone = '+05:00'", "insert into at values (1, '2026-01-02 08:04:05')", database=rig.database
    )
    instant = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    asked = Query("select ts from at where ts = %(at)s", {"at": instant})
    assert rig.warehouse.rows(asked, T) == [{"ts": instant}]


# Texts


def test_ids_that_differ_in_case_accent_or_a_blank_are_different_people(rig: MySQLRig) -> None:
    ids = ["a", "A", "á", "a ", "ä", "ａ"]
    rig.execute("create table people (id varchar(9))", *(f"insert into people values ('{one}')" for one in ids))
    rig.execute("create table gone (id varchar(9))", "insert into gone values ('A'), ('Ä')")
    columns, of_gone = ((Column("id", "varchar(9)"),) for _ in range(2))
    optouts = OptOuts(sql="select * from gone", columns=of_gone)
    wrapping = Wrapping(rig.warehouse.dialect, Audience("select id from people", {}, ("id",), columns), optouts, "salt")
    rows = rig.warehouse.rows(wrapping.sweep_query(None, None), T)
    assert sorted((row["connect_key"], row["connect_optout_email"]) for row in rows) == sorted(
        (key_text([one]), int(one == "A")) for one in ids
    )


@pytest.mark.parametrize("mode", ["ANSI_QUOTES,PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES", "", "TRADITIONAL"])
def test_whatever_the_servers_sql_mode_is(rig: MySQLRig, mode: str) -> None:
    before = rig.server.sql("select @@global.sql_mode")[0][0]
    rig.server.sql(f"set global sql_mode = '{mode}'")
    try:
        dialect = MySQLDialect()
        text = "it's \\ \"x\" %s ` \\' é"
        trimmed = dialect.trimmed(dialect.text(dialect.parameter("text")))
        asked = Query(f"select {trimmed} as {dialect.quote('a`b')}", {"text": f"\u00a0{text}\t"})
        assert rig.warehouse.rows(asked, T) == [{"a`b": text}]
    finally:
        rig.server.sql(f"set global sql_mode = '{before}'")


def test_two_columns_of_one_name_are_refused(rig: MySQLRig) -> None:
    code, message, _ = problem_of(lambda: rig.warehouse.columns(Query("select 1 as a, 2 as a", {}), T))
    assert code == "sql-error"
    assert "Duplicate column name 'a'" in message


# Trouble


def test_a_mistake_is_shown_at_its_place(rig: MySQLRig) -> None:
    for sql, word in (
        ("select\n  %(a)s as a, nothing\nfrom (select 1 as id) as t", "nothing"),
        ("select %(a)s as a from nowhere", "nowhere"),
        ("select %(a)s as a\nfrom (select 1 as id) as t wher id = 1", "wher"),
    ):
        with pytest.raises(SqlError) as raised:
            rig.warehouse.columns(Query(sql, {"a": "x'; ann@x.example"}), T)
        assert raised.value.offset == sql.index(word)
        assert "616e6e" not in str(raised.value) + repr(raised.value.__context__)


def test_the_user_or_the_password_is_wrong(rig: MySQLRig) -> None:
    code, message, hint = problem_of(lambda: reader(rig, password=Secret("wrong")).check())
    assert code == "warehouse-unreachable"
    assert "refuses the user or the password" in message
    assert "`password`" in hint
    assert "wrong" not in message


def test_there_is_no_such_database(rig: MySQLRig) -> None:
    url = f"mysql://root@/nowhere?unix_socket={rig.server.socket}"
    warehouse = MySQL(Source("shop", MySQLSettings(url=url), Path()))
    assert "has no such database" in problem_of(warehouse.check)[1]


def test_nobody_answers(tmp_path: Path) -> None:
    for place in ({"unix_socket": str(tmp_path / "none")}, {"host": "127.0.0.1", "port": 1}):
        warehouse = MySQL(Source("shop", MySQLSettings(database="b", user="u", **place), Path()))  # type: ignore[arg-type]
        with pytest.raises(WarehouseLost):
            warehouse.check()


def test_a_table_that_may_not_be_read(rig: MySQLRig) -> None:
    rig.execute("create table people (id integer)", "create table others (id integer)")
    warehouse = reader(rig)
    assert "refuses the user this database" in problem_of(warehouse.check)[1]
    name = f"reader_of_{rig.database}"
    rig.execute(f"grant select on others to {name}@localhost")
    code, message, hint = problem_of(lambda: warehouse.rows(Query("select * from people", {}), T))
    assert (code, "select on" in message) == ("warehouse-permission", True)
    assert hint == f"run `grant select on {rig.database}.people to {name}`"
    assert "may read 1 table" in warehouse.check()
    assert "grants" not in warehouse.check()


def test_a_table_that_is_locked(rig: MySQLRig, monkeypatch: pytest.MonkeyPatch) -> None:
    import pymysql

    monkeypatch.setattr(MySQL, "patience", timedelta(seconds=1))
    rig.execute("create table people (id integer)")
    other = pymysql.connect(unix_socket=rig.server.socket, user="root", database=rig.database)
    with other, other.cursor() as cursor:
        cursor.execute("lock tables people write")
        code, _, _ = problem_of(lambda: rig.warehouse.rows(Query("select * from people", {}), T))
    assert code == "warehouse-locked"


def test_what_an_administrator_stops_is_said_to_be(rig: MySQLRig) -> None:
    from threading import Thread

    found: list[str] = []
    thread = Thread(target=lambda: found.append(problem_of(lambda: rig.warehouse.rows(Query(rig.endless, {}), T))[1]))
    thread.start()
    while thread.is_alive():
        found_now = rig.server.sql(_RUNNING.format(rig.database))
        rig.server.sql("select 1", *(f"kill query {number}" for (number,) in found_now))
        thread.join(0.05)
    assert found == ["the query on `contract` was stopped by the server's administrator"]


_RUNNING = "select id from information_schema.processlist where db = '{}' and info like '%seq_1_to%'"


def test_without_the_package_the_extra_is_named(rig: MySQLRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect.warehouses.mysql.find_spec", lambda name: None)
    code, _, hint = problem_of(rig.warehouse.check)
    assert (code, hint) == ("missing-extra", 'pip install "connect-campaigns[mysql]"')


def test_the_driver_is_loaded_when_it_is_used() -> None:
    script = "import sys; from connect.warehouses import mysql; assert not {'pymysql', 'pyarrow'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", script], check=True)


# Writing


def test_rows_of_any_size_are_added_in_as_many_statements_as_they_need(rig: MySQLRig) -> None:
    table = Table("letters", {"run": Kind.text, "key": Kind.text, "body": Kind.text}, ("run", "key"))
    rig.warehouse.write([Query(statement, {}) for statement in rig.warehouse.dialect.create_table(table)], T)
    bodies = ["é" * 1_500_000, None, "b" * 1_000_000, ""]
    rows = pyarrow.table({"run": ["r"] * 4, "key": ["1", "2", "3", "4"], "body": bodies})
    assert len(list(parts(rows))) == 4
    for _ in range(2):
        rig.warehouse.add(table, rows, T)
    found = rig.warehouse.rows(Query("select body from letters order by `key`", {}), T)
    assert [row["body"] for row in found] == bodies


def test_who_may_read_and_insert_may_add(rig: MySQLRig) -> None:
    rig.execute("create table theirs (id varchar(9) primary key)")
    warehouse = reader(rig)
    (statement,) = warehouse.grants(Access(adds=("theirs",)))
    rig.server.sql(statement.replace("'%'", "'localhost'"))
    table = Table("theirs", {"id": Kind.text}, ("id",))
    for ids in (["a", "b"], ["b", "c"]):
        warehouse.add(table, pyarrow.table({"id": ids}), T)
    assert len(warehouse.rows(Query("select * from theirs", {}), T)) == 3


def test_a_key_of_the_table_that_is_not_ours_ends_it(rig: MySQLRig) -> None:
    rig.execute("create table theirs (id varchar(9), email varchar(9) unique, body longtext)")
    table = Table("theirs", {"id": Kind.text, "email": Kind.text, "body": Kind.text}, ("id",))
    bodies = ["x" * 600_000, "y" * 600_000]  # in two statements, of which the first is undone too
    rows = pyarrow.table({"id": ["1", "2"], "email": ["same", "same"], "body": bodies})
    assert len(list(parts(rows))) == 2
    assert problem_of(lambda: rig.warehouse.add(table, rows, T))[0] == "query-failed"
    assert rig.warehouse.rows(Query("select * from theirs", {}), T) == []


def test_what_does_not_fit_is_never_cut_off(rig: MySQLRig) -> None:
    rig.server.sql("set global sql_mode = ''")
    try:
        rig.execute("create table short (id varchar(3))")
        table = Table("short", {"id": Kind.text}, ("id",))
        with pytest.raises(OutsideError) as raised:
            rig.warehouse.add(table, pyarrow.table({"id": ["longer"]}), T)
    finally:
        rig.server.sql("set global sql_mode = default")
    assert raised.value.problems[0].code == "query-failed"
    assert rig.warehouse.rows(Query("select * from short", {}), T) == []


def test_letters_that_differ_in_case_only_are_two_rows(rig: MySQLRig) -> None:
    table = Table("theirs", {"id": Kind.text}, ("id",))
    rig.execute("create table theirs (id varchar(9), note varchar(9))")  # with a collation that ignores case
    for _ in range(2):
        rig.warehouse.add(table, pyarrow.table({"id": ["a", "A", "á", "a "]}), T)
    assert len(rig.warehouse.rows(Query("select * from theirs", {}), T)) == 4


# What it tells


def test_what_it_tells_about_itself(rig: MySQLRig) -> None:
    told = rig.warehouse.check()
    assert told.startswith("MariaDB 1")
    assert f"database {rig.database}, as root@localhost, without TLS" in told
    assert "may write files on the server" in told


def test_the_least_privilege_is_enough(rig: MySQLRig) -> None:
    rig.execute("create table people (id integer)", "insert into people values (1)")
    warehouse = reader(rig)
    (statement,) = warehouse.grants(Access(reads=("people",)))
    rig.server.sql(statement.replace("'%'", "'localhost'"))
    assert warehouse.rows(Query("select * from people", {}), T) == [{"id": 1}]


def test_grants_of_every_kind() -> None:
    warehouse = MySQL(Source("shop", MySQLSettings(url="mysql://o%27b@h/shop"), Path()))
    assert warehouse.grants(Access(("a", "b.c"), ("d",), ("", "scratch"))) == [
        "grant select on `shop`.a to 'o''b'@'%'",
        "grant select on b.c to 'o''b'@'%'",
        "grant select, insert on `shop`.d to 'o''b'@'%'",
        "grant create, drop, select, insert on `shop`.* to 'o''b'@'%'",
        "grant create, drop, select, insert on scratch.* to 'o''b'@'%'",
    ]


_INTERRUPTED = """
import os, signal, sys, threading
from datetime import timedelta
from pathlib import Path
from connect.warehouses.interface import Query, Source
from connect.warehouses.mysql import MySQL, MySQLSettings
warehouse = MySQL(Source("shop", MySQLSettings(url=sys.argv[1]), Path(".")))


def interrupt_when_it_runs():
    while not warehouse._running:
        threading.Event().wait(0.01)
    threading.Event().wait(0.2)
    os.kill(os.getpid(), signal.SIGINT)  # of the process, as that of a terminal is


threading.Thread(target=interrupt_when_it_runs).start()
try:
    warehouse.rows(Query(sys.argv[2], {}), timedelta(seconds=60))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_stops_a_query(rig: MySQLRig) -> None:
    command = [sys.executable, "-c", _INTERRUPTED, rig.url, rig.endless]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "interrupted\n", done.stderr
    while rig.busy():  # it was killed, which the server sees in its own time
        pass
