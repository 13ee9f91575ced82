"""A query that is no audience: nothing is sent, nothing is claimed, and the SQL is shown where it goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

WRONG = [
    ("sql: select id, email, frist_name from people", "sql-error", "frist_name", "did you mean `first_name`?"),
    ("sql: select * from poeple", "sql-error", "poeple", "did you mean `people`?"),
    ("sql: delete from people", "not-a-select", "delete", "write a query that begins with `select` or `with`"),
    ("sql: select * from people; drop table people", "several-statements", "drop", "keep the SELECT"),
    (
        "sql: with gone as (delete from people returning *) select * from gone",
        "sql-writes",
        "delete",
        "an audience only reads; change data in a job of its own",
    ),
    ("sql: create table copy as select * from people", "not-a-select", "create", "begins with `select` or `with`"),
    (
        "sql: select * from people where current_date > '2020-01-01'",
        "volatile-function",
        "current_date",
        "write `:fire_date`, or set `clock: warehouse` if it is meant",
    ),
    ("sql: select * from people where :fire_dat is not null", "unknown-parameter", ":fire_dat", "`:fire_date`"),
    ("sql: select * from people where", "sql-syntax", "", ""),
    ("sql: select * from read_csv('/etc/passwd')", "sql-error", "", "load files into the database first"),
]


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(("sql", "code", "under", "hint"), WRONG, ids=[f"{code}:{sql}"[:50] for sql, code, *_ in WRONG])
def test_it_is_shown_in_its_file_and_nothing_is_sent(
    shop: Any, sql: str, code: str, under: str, hint: str, command: str
) -> None:
    shop.people(3)
    shop.campaign(sql=sql)

    ended = shop.connect(command, "hello", *(["--yes"] if command == "run" else []))

    assert ended.code == 2
    assert ended.error.code == code
    assert ended.error.place.startswith("campaigns/hello.yml:4:")
    assert ended.error.line.strip() == sql
    assert ended.error.under.startswith(under)
    assert hint in ended.error.hint
    if under:
        assert ended.error.place == shop.place(under)
    shop.nothing_happened()
    assert shop.number("select count(*) from people") == 3


def test_a_query_in_a_file_of_its_own_is_shown_there(shop: Any) -> None:
    shop.people(3)
    shop.write("audiences/all.sql", "select id,\n  email,\n  frist_name\nfrom people\n")
    shop.campaign(sql="sql_file: all.sql")

    ended = shop.run()

    assert (ended.code, ended.error.code, ended.error.place) == (2, "sql-error", "audiences/all.sql:3:3")
    assert ended.error.under == "frist_name"
    shop.nothing_happened()


def test_opt_outs_that_can_not_be_read_are_shown_in_the_project(shop: Any) -> None:
    shop.people(3)
    shop.configure(more="subscriptions:\n  sql: select id, sttaus from opt_outs\n")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "sql-error")
    assert ended.error.place == shop.place("sttaus", "connect.yml")
    assert ended.error.hint == "did you mean `status`?"
    shop.nothing_happened()


def test_the_warehouse_s_clock_can_be_meant(shop: Any) -> None:
    shop.people(3)
    shop.campaign(sql="clock: warehouse\n  sql: select * from people where current_date > '2020-01-01'")

    ended = shop.run("hello", "--json")

    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): shop.number("select count(*) from people")}


def test_a_date_of_the_run_takes_the_place_of_the_clock(shop: Any) -> None:
    shop.people(3)
    shop.campaign(sql="sql: select * from people where :fire_date > date '2020-01-01'")

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): 3}


def test_a_cast_that_fails_on_a_cell_does_not_repeat_the_cell(shop: Any) -> None:
    shop.people(3)
    shop.campaign(sql="sql: select id, email, first_name::int as first_name from people")

    ended = shop.run("hello", "--debug")

    assert (ended.code, ended.error.code) == (3, "query-failed")
    assert "run the query in DuckDB to see the value" in ended.error.hint
    assert shop.sent() == []


def test_a_missing_key_column_is_an_error_with_the_nearest(shop: Any) -> None:
    shop.people(3)
    shop.campaign(sql="key: idd\n  sql: select * from people")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "missing-column")
    assert ended.error.message == "the query returns no column `idd`, which is the audience's key"
    assert ended.error.hint == "did you mean `id`?"
    assert ended.error.place.startswith("campaigns/hello.yml:")
    shop.nothing_happened()


def test_a_missing_address_is_an_error_before_anything_is_sent(shop: Any) -> None:
    shop.people(3)
    shop.campaign(sql="sql: select id, first_name from people")

    ended = shop.run()

    assert ended.code == 2
    assert {error.code for error in ended.errors} == {"missing-column"}
    assert all(error.place.startswith("campaigns/hello.yml:") for error in ended.errors)
    shop.nothing_happened()
