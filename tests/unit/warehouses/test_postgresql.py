"""PostgreSQL: settings, texts of queries, what it says of trouble, and what it tells about itself."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connect.errors import OutsideError, UserError
from connect.project.text import Text
from connect.redact import Secret
from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig
from connect.testing.warehouse_rigs.postgresql import PostgreSQLRig
from connect.warehouses import query
from connect.warehouses.interface import Access, Query, Source, SqlError
from connect.warehouses.postgresql import PostgreSQL, PostgreSQLSettings
from connect.warehouses.postgresql_dialect import PostgreSQLDialect, numbered, unnumbered
from connect.warehouses.postgresql_types import array_values, row_values
from connect.warehouses.redshift import Redshift

T = timedelta(seconds=30)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[PostgreSQLRig]:
    try:
        with warehouse_rig("postgresql", tmp_path) as rig:
            assert isinstance(rig, PostgreSQLRig)
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


def problem_of(call: Callable[[], object]) -> tuple[str, str, str]:
    with pytest.raises((UserError, OutsideError)) as raised:
        call()
    (problem,) = raised.value.problems
    return problem.code, problem.message, problem.hint


def reader(rig: PostgreSQLRig) -> PostgreSQL:
    """The same database, for a user who may nothing but sign in."""
    name = f"reader_of_{rig.database}"
    rig.execute(f"create role {name} login")
    settings = PostgreSQLSettings(host=str(rig.server.folder), database=rig.database, user=name)
    return PostgreSQL(Source("shop", settings, Path()))


# Settings


@pytest.mark.parametrize(
    "settings",
    [{}, {"url": "postgresql://a/b", "host": "c"}, {"host": "a"}, {"database": "a", "sslmode": "maybe"}],
)
def test_settings_that_do_not_do(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        PostgreSQLSettings(**settings)


def test_a_url_and_its_pieces_connect_alike() -> None:
    url = PostgreSQLSettings(url="postgresql+psycopg://ann:p%40ss@db.example:6432/shop?sslmode=verify-full")
    pieces = PostgreSQLSettings(
        host="db.example", port=6432, database="shop", user="ann", password=Secret("p@ss"), sslmode="verify-full"
    )
    expected = {"host": "db.example", "port": 6432, "dbname": "shop", "user": "ann", "password": "p@ss"}
    expected |= {"sslmode": "verify-full"}
    for settings in (url, pieces):
        assert {name: str(value) for name, value in settings.parameters({}).items()} == {
            name: str(value) for name, value in expected.items()
        }
        assert "p@ss" not in repr(settings)
        assert "p%40ss" not in repr(settings)


def test_the_driver_is_not_loaded_before_it_is_needed() -> None:
    program = "import sys, connect.warehouses.redshift; assert not {'psycopg', 'pyarrow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect.warehouses.postgresql.find_spec", lambda name: None)
    warehouse = PostgreSQL(Source("shop", PostgreSQLSettings(database="a"), Path()))
    code, _, hint = problem_of(warehouse.check)
    assert (code, hint) == ("missing-extra", 'pip install "connect-campaigns[postgresql]"')


def test_a_missing_driver_is_named_with_the_extra_of_redshift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect.warehouses.postgresql.find_spec", lambda name: None)
    warehouse = Redshift(Source("shop", PostgreSQLSettings(database="a", host="h"), Path()))
    code, _, hint = problem_of(warehouse.check)
    assert (code, hint) == ("missing-extra", 'pip install "connect-campaigns[redshift]"')


# Texts of queries


def test_parameters_are_numbered_and_places_found_again() -> None:
    asked = Query("select %(b)s, '100 %', %(other)s, %(a)s, %(b)s, here", {"a": 1, "b": 2})
    sql, values = numbered(asked)
    assert (sql, values) == ("select $1, '100 %', %(other)s, $2, $1, here", [2, 1])
    for word in ("select", "'100", "%(other)s", "here"):
        assert unnumbered(asked, sql.index(word)) == asked.sql.index(word)


def test_the_place_of_a_mistake_is_that_of_the_users_file() -> None:
    source = "select :a as a,\n  :long_name as b, wrong\nfrom t;"
    text = Text(source=source, file="a.sql", line=1, column=1)
    bound = query.bind(text, PostgreSQLDialect())
    for word in ("select", "as b", "wrong", "from"):
        place, expected = query.place_of(text, PostgreSQLDialect(), bound.index(word)), text.at(source.index(word))
        assert (place.line, place.column) == (expected.line, expected.column)


def test_a_mistake_is_told_with_its_place(rig: PostgreSQLRig) -> None:
    asked = Query("select %(a)s as a, nothing from pg_class", {"a": 1})
    for verb in (rig.warehouse.columns, rig.warehouse.rows):
        with pytest.raises(SqlError) as raised:
            verb(asked, T)
        assert raised.value.offset == asked.sql.index("nothing")
        assert 'column "nothing" does not exist' in raised.value.problems[0].message
    code, _, hint = problem_of(lambda: rig.warehouse.columns(Query("select relnam from pg_class", {}), T))
    assert (code, hint) == ("sql-error", "did you mean `relname`?")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{}", []),
        ('{a,NULL,"NULL","b c","\\"\\\\,{}"}', ["a", None, "NULL", "b c", '"\\,{}']),
        ("{{1,2},{3,NULL}}", [["1", "2"], ["3", None]]),
        ("[0:1]={a,b}", ["a", "b"]),
        ('{""}', [""]),
    ],
)
def test_arrays_as_text(text: str, values: list[object]) -> None:
    assert array_values(None, text) == values


def test_rows_as_text() -> None:
    fields = {"a": None, "b": int, "c": None, "d": None}
    assert row_values(fields, '("x ""y"" (,) \\\\",5,,"")') == {"a": 'x "y" (,) \\', "b": 5, "c": None, "d": ""}


# Values


def test_what_no_calendar_has_is_null(rig: PostgreSQLRig) -> None:
    texts = ["'infinity'::date", "'-infinity'::timestamptz", "'0044-03-15 BC'::date", "'NaN'::numeric(4,2)"]
    texts += ["'infinity'::numeric", "'24:00'::time", "'20000-01-01'::timestamp"]
    for text in texts:
        asked = Query(f"select {text} as v, 1 as n", {})
        assert rig.warehouse.rows(asked, T) == [{"v": None, "n": 1}], text


def test_arrays_of_several_dimensions_say_what_to_write(rig: PostgreSQLRig) -> None:
    code, message, hint = problem_of(lambda: rig.warehouse.rows(Query("select array[[1],[2]] as m", {}), T))
    assert (code, "`m`" in message) == ("query-failed", True)
    assert "to_json(m) as m" in hint
    assert rig.warehouse.rows(Query("select to_json(array[[1],[2]]) as m", {}), T) == [{"m": [[1], [2]]}]


def test_what_the_server_is_set_to_changes_no_value(rig: PostgreSQLRig) -> None:
    settings = {
        "timezone": "Asia/Tokyo",
        "datestyle": "SQL, DMY",
        "intervalstyle": "iso_8601",
        "bytea_output": "escape",
    }
    for name, value in {**settings, "extra_float_digits": "-10"}.items():
        rig.execute(f"alter database {rig.database} set {name} = '{value}'")
    for expression, expected in rig.types.items():
        (row,) = rig.warehouse.rows(Query(f"select {expression} as value", {}), T)
        assert row["value"] == expected, expression


# Trouble


def test_a_missing_privilege_names_the_grant(rig: PostgreSQLRig) -> None:
    rig.execute("create table secret (id integer)", "create schema hidden", "create table hidden.t (id integer)")
    warehouse = reader(rig)
    code, _, hint = problem_of(lambda: warehouse.rows(Query("select * from secret", {}), T))
    assert (code, "grant select on secret to" in hint) == ("warehouse-permission", True)
    code, _, hint = problem_of(lambda: warehouse.columns(Query("select * from hidden.t", {}), T))
    assert (code, "grant usage on schema hidden to" in hint) == ("warehouse-permission", True)


def test_a_locked_table_is_waited_for_and_then_told(rig: PostgreSQLRig, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    rig.execute("create table busy (id integer)")
    monkeypatch.setattr(PostgreSQL, "patience", timedelta(seconds=0.2))
    with psycopg.connect(rig.url) as holder:
        holder.execute("lock table busy in access exclusive mode")
        assert problem_of(lambda: rig.warehouse.rows(Query("select * from busy", {}), T))[0] == "warehouse-locked"
    assert rig.warehouse.rows(Query("select * from busy", {}), T) == []


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = PostgreSQLSettings(url=f"postgresql://ann:hidden@127.0.0.1:{taken.getsockname()[1]}/shop")
        code, message, _ = problem_of(PostgreSQL(Source("shop", settings, Path())).check)
    assert code == "warehouse-unreachable"
    assert "127.0.0.1" in message
    assert "hidden" not in message


def test_an_unknown_database_and_an_unknown_user(rig: PostgreSQLRig) -> None:
    for own, said in (({"database": "nowhere"}, "no such database"), ({"user": "nobody"}, "refuses the user")):
        given = {"host": str(rig.server.folder), "database": rig.database, "user": "postgres", **own}
        warehouse = PostgreSQL(Source("shop", PostgreSQLSettings(**given), Path()))
        code, message, _ = problem_of(warehouse.check)
        assert (code, said in message) == ("warehouse-unreachable", True)


def test_a_database_of_another_encoding_is_refused(rig: PostgreSQLRig) -> None:
    name = f"latin_{rig.database}"
    rig.execute(f"create database {name} template template0 encoding 'LATIN1' locale 'C'")
    try:
        settings = PostgreSQLSettings(host=str(rig.server.folder), database=name, user="postgres")
        assert problem_of(PostgreSQL(Source("shop", settings, Path())).check)[0] == "warehouse-encoding"
    finally:
        rig.server.drop(name)


def test_an_administrator_who_stops_the_query(rig: PostgreSQLRig) -> None:
    found: list[tuple[str, str, str]] = []
    asked = Query(rig.endless, {})
    thread = threading.Thread(target=lambda: found.append(problem_of(lambda: rig.warehouse.rows(asked, T))))
    thread.start()
    while thread.is_alive():
        others = "query like '%pg_sleep%' and pid <> pg_backend_pid()"
        rig.execute(f"select pg_cancel_backend(pid) from pg_stat_activity where {others}")
        thread.join(0.05)
    assert [code for code, *_ in found] == ["query-stopped"]


# What it tells about itself


def test_the_doctor_is_told_the_least_privilege(rig: PostgreSQLRig) -> None:
    rig.execute("create table a (id integer)", "create table b (id integer)")
    assert "may read 2 tables; a superuser may do anything" in rig.warehouse.check()
    warehouse = reader(rig)
    assert "may read 0 tables; it may read nothing yet" in warehouse.check()
    role = f"reader_of_{rig.database}"
    rig.execute(f"grant select on a to {role}")
    told = warehouse.check()
    assert told.startswith("PostgreSQL 1")
    assert told.endswith("without TLS, may read 1 table")
    rig.execute(f"grant delete on a to {role}")
    assert "this user may write too. `connect doctor --grants`" in warehouse.check()
    rig.execute(f"drop owned by {role}")
    rig.execute(f"drop role {role}")


def test_what_is_granted_is_exactly_enough(rig: PostgreSQLRig) -> None:
    rig.execute("create schema sales", "create table sales.orders (id integer)", "create table kept (id integer)")
    warehouse = reader(rig)
    role = f"reader_of_{rig.database}"
    rig.execute(f"revoke connect on database {rig.database} from public")
    asked = Query("select o.id from sales.orders as o", {})
    assert problem_of(lambda: warehouse.rows(asked, T))[0] == "warehouse-unreachable"

    rig.execute(*warehouse.grants(Access(reads=("sales.orders",))))
    assert warehouse.rows(asked, T) == []
    assert problem_of(lambda: warehouse.rows(Query("select id from kept", {}), T))[0] == "warehouse-permission"

    rig.execute(*warehouse.grants(Access(adds=("kept",), makes=("sales",))))
    for privilege, may in (("insert", 1), ("select", 1), ("delete", 0), ("update", 0)):
        told = f"select cast(has_table_privilege('{role}', 'kept', '{privilege}') as integer)"
        assert rig.server.number(told, rig.database) == may
    made = "select cast(has_schema_privilege('{0}', '{1}', 'create') as integer)"
    assert rig.server.number(made.format(role, "sales"), rig.database) == 1
    assert rig.server.number(made.format(role, "public"), rig.database) == 0
    rig.execute(f"drop owned by {role}", f"drop role {role}")


def test_who_is_granted_it_is_the_user_of_the_settings() -> None:
    for settings in (
        {"url": "postgresql://ann%40home:secret@db.example/shop"},
        {"host": "db.example", "database": "shop", "user": "ann@home", "password": Secret("secret")},
        {"url": "postgresql:///?user=ann%40home&dbname=shop"},
    ):
        warehouse = PostgreSQL(Source("shop", PostgreSQLSettings.model_validate(settings), Path()))
        told = warehouse.grants(Access(reads=("a", "sales.b", 'sales."C"')))
        assert told == [
            'grant connect on database shop to "ann@home"',
            'grant usage on schema public, sales to "ann@home"',
            'grant select on a, sales.b, sales."C" to "ann@home"',
        ]


_INTERRUPTED = """
import signal, sys, threading
from datetime import timedelta
from pathlib import Path
from connect.warehouses.interface import Query, Source
from connect.warehouses.postgresql import PostgreSQL, PostgreSQLSettings
warehouse = PostgreSQL(Source("shop", PostgreSQLSettings(url=sys.argv[1]), Path(".")))


def interrupt_when_it_runs():
    while not warehouse._running:
        threading.Event().wait(0.01)
    threading.Event().wait(0.2)
    signal.raise_signal(signal.SIGINT)


threading.Thread(target=interrupt_when_it_runs).start()
try:
    warehouse.rows(Query(sys.argv[2], {}), timedelta(seconds=60))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_stops_a_query(rig: PostgreSQLRig) -> None:
    command = [sys.executable, "-c", _INTERRUPTED, rig.url, rig.endless]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "interrupted\n", done.stderr
    assert rig.busy() == 0
