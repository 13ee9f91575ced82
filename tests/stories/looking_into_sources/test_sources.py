"""What is in a warehouse: its tables, and the first rows of a query; on the terminal of who asks, nowhere else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.cli import cells
from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig
from connect.testing.warehouses import WarehouseRig


@pytest.fixture
def people(shop: Any) -> Any:
    shop.people(3)
    shop.cells = set()  # whoever asks for cells is shown cells
    return shop


def test_sources_are_listed_with_what_they_can(people: Any) -> None:
    people.write("connect.yml", (people.root / "connect.yml").read_text().replace("sources:", SECOND))
    people.write(".env", "CONNECT_SECRET=a-secret-of-the-shop-0123456789\nPG=a-long-password\n")

    ended = people.connect("sources", "--json")

    assert [(one["name"], one["type"], one["default"]) for one in ended.json] == [
        ("other", "postgresql", True),
        ("shop", "duckdb", False),
    ]
    assert [one["where"] for one in ended.json] == ["postgresql://db.example.com:5432/shop", "duckdb:///shop.duckdb"]
    assert "an audience is read in one pass, for 10m at a time at most" in ended.json[0]["capabilities"]
    listed = people.connect("sources")
    assert listed.code == 0
    assert "a-long-password" not in listed.out + ended.out
    assert "the engine itself keeps queries from writing" in listed.out


SECOND = 'sources:\n  other: {url: "postgresql://reader:${PG}@db.example.com:5432/shop?sslmode=require"}'


def test_a_source_is_tested_as_doctor_does(people: Any) -> None:
    assert people.connect("sources", "test").code == 0
    assert people.connect("sources", "test", "shpo").error.hint == "did you mean `shop`?"
    (people.root / "shop.duckdb").unlink()
    ended = people.connect("sources", "test", "shop")
    assert ended.code == 3
    assert "there is no file" in ended.out


def test_tables_are_shown_with_their_columns(people: Any) -> None:
    shown = people.connect("sources", "schema").out
    assert "main.people" in shown
    assert "main.opt_outs" in shown
    assert people.connect("sources", "schema", "PEOPLE", "--json").json == [
        {
            "schema": "main",
            "table": "people",
            "columns": [{"name": name, "type": "VARCHAR"} for name in ("id", "email", "first_name", "phone_number")],
        }
    ]
    ended = people.connect("sources", "schema", "shop", "poeple")
    assert (ended.code, ended.error.code, ended.error.hint) == (2, "unknown-table", "did you mean `people`?")


def test_a_query_is_answered_in_its_own_order(people: Any) -> None:
    asked = "select id, email from people where id <> :other order by id desc;"

    ended = people.connect("sources", "query", asked, "--param", "other=id-00002", "--csv", "--limit", "1")

    assert list(csv.reader(io.StringIO(ended.out))) == [["id", "email"], ["id-00003", "anna00003@mail.example"]]
    assert "1 row, and there are more" in ended.err
    everyone = people.connect("sources", "query", "select id, null as nothing from people order by id")
    assert [line.split() for line in everyone.out.splitlines()] == [
        ["id", "nothing"],
        *([f"id-0000{n}", "null"] for n in (1, 2, 3)),
    ]
    assert people.connect("sources", "query", "select :fire_date > date '2020-01-01' as a", "--json").json == [
        {"a": True}
    ]


WRONG = [
    ("select id, frist_name from people", "sql-error", "query:1:12", "did you mean `first_name`?"),
    ("delete from people", "not-a-select", "query:1:1", ""),
    ("select 1;\ndrop table people", "several-statements", "query:2:1", ""),
    ("with gone as (delete from people returning *) select * from gone", "sql-writes", "query:1:15", ""),
    ("select * from people where id = :idd", "unknown-parameter", "query:1:33", "did you mean `:id`?"),
]


@pytest.mark.parametrize(("sql", "code", "place", "hint"), WRONG, ids=[code for _, code, *_ in WRONG])
def test_a_mistake_is_shown_at_its_place_and_nothing_is_changed(
    people: Any, sql: str, code: str, place: str, hint: str
) -> None:
    ended = people.connect("sources", "query", sql, "--param", "id=1")

    error = next(error for error in ended.errors if error.severity == "error")
    assert (ended.code, error.code, error.place) == (2, code, place)
    assert hint in error.hint
    assert people.number("select count(*) from people") == 3


def test_nothing_of_a_query_is_kept(people: Any) -> None:
    before = {path: path.read_bytes() for path in people.root.rglob("*") if path.is_file()}

    assert people.connect("sources", "query", "select * from people").code == 0

    assert {path: path.read_bytes() for path in people.root.rglob("*") if path.is_file()} == before


def test_cells_can_not_steer_the_terminal() -> None:
    assert cells.printable("a\x1b[31mb\u202ec\nd👩‍🚀é") == "a\\x1b[31mb\\u202ec\\nd👩‍🚀é"


def test_what_is_piped_is_not_cut(people: Any) -> None:
    long = "x" * 300
    assert long in people.connect("sources", "query", f"select '{long}' as a, 1 as b").out


def test_parameters_and_json_say_what_is_wrong_with_them(people: Any) -> None:
    assert people.connect("sources", "query", "select 1 as a", "--param", "plan").error.code == "bad-parameter"
    twice = people.connect("sources", "query", "select 1 as a, 2 as a", "--json")
    assert twice.code == 2
    assert twice.json["problems"][0]["code"] == "duplicate-column"


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[WarehouseRig]:
    try:
        with warehouse_rig("postgresql", tmp_path) as rig:
            yield rig
    except NoServer as missing:
        pytest.skip(str(missing))


def test_the_same_in_postgresql(shop: Any, postgresql: Any) -> None:
    postgresql.execute(
        "create schema crm",
        "create table crm.people (id uuid, name text)",
        "insert into crm.people values (null, 'Bo')",
    )
    shop.write("connect.yml", (shop.root / "connect.yml").read_text().replace("duckdb:///shop.duckdb", postgresql.url))

    (table,) = shop.connect("sources", "schema", "crm.people", "--json").json
    assert table["columns"] == [{"name": "id", "type": "uuid"}, {"name": "name", "type": "text"}]
    assert shop.connect("sources", "query", "select * from crm.people", "--json").json == [{"id": None, "name": "Bo"}]
    wrong = shop.connect("sources", "query", "select\n  nmae from crm.people")
    assert (wrong.code, wrong.error.place, wrong.error.under) == (2, "query:2:3", "nmae from crm.people")
