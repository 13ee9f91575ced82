"""Audiences of segments: whom plain SQL finds is written to; mistakes are shown in the file of the segment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory
from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig

EVERYONE = "everyone: select id, email, first_name from people\n"
LAPSED = "select who\nfrom visits\nwhere visited_on < cast(:fire_date as date) - 30"
STAFF = "-- those who work here\nselect name, id from staff;"
VIPS = "select id from vips -- no ids among them are null, but for some"


@pytest.fixture
def club(shop: Any) -> Any:
    """Twenty people, of whom some were not here lately, some work here, and some are dear to us."""
    shop.people(20)
    visits = [(f"id-{n:05}", "2020-01-01" if n % 2 else "2100-01-01") for n in range(1, 21)]
    shop.table("visits", "who text, visited_on date", visits)
    shop.table("staff", "name text, id text", [("one", "id-00001"), ("two", None), ("three", " id-00003 ")])
    shop.table("vips", "id text", [("id-00001",), ("id-00002",), (None,), ("id-00005",), ("id-99999",)])
    shop.write("segments/lapsed.sql", LAPSED)
    shop.write("segments/staff.sql", STAFF)
    shop.write("segments/vips.sql", VIPS)
    shop.configure(more=EVERYONE)
    return shop


def written_to(shop: Any, audience: str) -> set[str]:
    """The numbers of those who get an e-mail."""
    memory.reset()
    shop.campaign(sql=audience)
    ended = shop.run("hello", "--again", "--json")
    assert ended.code == 0, ended.err
    return {address[4:9].lstrip("0") for address in shop.addresses()}


def plain(shop: Any, condition: str) -> set[str]:
    """The same by plain SQL."""
    lapsed = "exists (from visits v where v.who = p.id and v.visited_on < date '2026-01-01')"
    staff = "exists (from staff s where trim(s.id) = p.id)"
    vips = "exists (from vips v where v.id = p.id)"
    where = condition.format(lapsed=lapsed, staff=staff, vips=vips)
    return {str(int(id[3:])) for (id,) in shop.sql(f"select id from people p where {where}")}


COMBINED = [
    ("{all: [lapsed], none: [staff]}", "{lapsed} and not {staff}"),
    ("{any: [vips, staff]}", "({vips} or {staff})"),
    ("{any: [vips, staff], all: lapsed}", "({vips} or {staff}) and {lapsed}"),
    ("{none: [vips, staff]}", "not {vips} and not {staff}"),
    ("{all: [vips, staff]}", "{vips} and {staff}"),
]


@pytest.mark.parametrize(("segments", "condition"), COMBINED, ids=[written for written, _ in COMBINED])
def test_alone_they_are_taken_from_everyone(club: Any, segments: str, condition: str) -> None:
    found = written_to(club, f"segments: {segments}")

    assert found == plain(club, condition)
    assert 0 < len(found) < 20


def test_beside_a_query_they_leave_out_who_is_not_in_them(club: Any) -> None:
    query = "sql: select * from people where id <= 'id-00009' order by id -- the first"

    assert written_to(club, f"{query}\n  segments: {{all: lapsed, none: [staff]}}") == {"5", "7", "9"}
    people = (
        "people: [{id: id-00001, email: a@b.example, first_name: A}, {id: id-00002, email: anna00002@mail.example}]"
    )
    assert written_to(club, f"{people}\n  segments: {{none: staff}}") == {"2"}


def test_validate_show_and_the_plan_tell_of_them(club: Any) -> None:
    club.campaign(sql="segments: {all: [lapsed], none: [staff, vips]}")

    assert club.connect("validate").code == 0
    shown = {one["key"]: one for one in club.connect("show", "hello", "--json").json}
    assert shown["audience.segments.none"]["value"] == ["staff", "vips"]
    assert shown["audience.segments.none"]["origin"] == club.place("segments:")[:-2]
    assert shown["audience.sql"]["value"] == "select id, email, first_name from people"
    assert shown["audience.sql"]["origin"] == "connect.yml:10"
    assert "in  all of lapsed; none of staff, vips" in club.run().err


MISTAKES = [
    ("lapsed", "select who\nfrom visists", "sql-error", "segments/lapsed.sql:2:6"),
    ("lapsed", "select who from visits where :fire_dat > visited_on", "unknown-parameter", "segments/lapsed.sql:1:30"),
    ("lapsed", "delete from visits", "not-a-select", "segments/lapsed.sql:1:1"),
    ("lapsed", "select who from visits where visited_on < now()", "volatile-function", "segments/lapsed.sql:1:43"),
    ("lapsed", "select who, visited_on from visits", "segment-columns", "segments/lapsed.sql:1:1"),
    ("lapsed", "select visited_on from visits", "key-type", "segments/lapsed.sql:1:1"),
    ("other", "", "unknown-segment", "campaigns/hello.yml:4:26"),
]


@pytest.mark.parametrize(("name", "sql", "code", "place"), MISTAKES, ids=[code for *_, code, _ in MISTAKES])
def test_a_mistake_is_shown_where_it_is(club: Any, name: str, sql: str, code: str, place: str) -> None:
    club.campaign(sql="segments: {all: [vips, lapsed]}")
    club.write(f"segments/{name}.sql", sql)
    if name == "other":
        (club.root / "segments/lapsed.sql").unlink()

    for command in (("validate", "hello"), ("run", "hello", "--yes")):
        ended = club.connect(*command)
        assert (ended.code, ended.error.code, ended.error.place) == (2, code, place)
    club.nothing_happened()


def test_what_an_audience_of_segments_needs(club: Any) -> None:
    club.configure()
    club.campaign(sql="segments: {all: [vips]}")
    ended = club.run()
    assert (ended.code, ended.error.code, ended.error.place) == (2, "no-everyone", "campaigns/hello.yml:4:3")
    assert "add `everyone: select" in ended.error.hint

    club.campaign(
        sql="sql: select email, first_name as a, 1 as b from people\n  key: [a, b]\n  segments: {all: [vips]}"
    )
    assert club.run().error.code == "segments-unmatched"

    club.campaign(sql="sql: select * from people\n  segments: {all: [vips, staff], none: [staff]}")
    assert club.run().error.place == club.place("staff]}", "campaigns/hello.yml")
    club.campaign(sql="sql: select * from people\n  segments: {any: []}")
    assert club.run().error.message == "`segments` names no segment"


def test_a_run_goes_on_with_the_segments_that_it_was_begun_with(club: Any) -> None:
    club.campaign(sql="segments: {all: [lapsed], none: [staff]}")
    memory.refuse_open("mail", RunTrouble(Disposition.pause, Problem("provider-down", "mail is down", "wait")))
    assert club.run().code == 3
    memory.refuse_open("mail", None)
    club.write("segments/lapsed.sql", "select id from people")
    (club.root / "segments/staff.sql").unlink()
    club.configure()
    club.campaign()

    ended = club.run()

    assert ended.code == 0
    assert {address[4:9].lstrip("0") for address in club.addresses()} == plain(club, "{lapsed} and not {staff}")
    assert club.ledger == [("live", "hello", "completed")]


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[Any]:
    try:
        with warehouse_rig("postgresql", tmp_path) as rig:
            yield rig
    except NoServer as missing:
        pytest.skip(str(missing))


def test_the_same_in_postgresql(club: Any, postgresql: Any) -> None:
    for name, columns in {"people": 4, "visits": 2, "staff": 2, "vips": 1}.items():
        rows = club.sql(f"select * from {name}")
        described = {"visits": "who text, visited_on date", "staff": "name text, id text", "vips": "id text"}
        postgresql.execute(
            f"create table {name} ({described.get(name, 'id text, email text, first_name text, phone_number text')})",
            f"insert into {name} values " + ", ".join(_tuple(row) for row in rows),
        )
        assert len(rows[0]) == columns
    club.write("connect.yml", (club.root / "connect.yml").read_text().replace("duckdb:///shop.duckdb", postgresql.url))

    for segments, condition in COMBINED[:3]:
        assert written_to(club, f"segments: {segments}") == plain(club, condition)
    club.write("segments/vips.sql", "select idd\nfrom vips")
    ended = club.connect("validate")
    assert (ended.code, ended.error.code, ended.error.place) == (2, "sql-error", "segments/vips.sql:1:8")


def _tuple(row: tuple[object, ...]) -> str:
    return "(" + ", ".join("null" if cell is None else f"'{cell}'" for cell in row) + ")"
