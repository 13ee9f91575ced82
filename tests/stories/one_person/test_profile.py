"""What is known of one person is shown to who asks, and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig

PROFILE = "profile: select *, 40 as points from people where id = :id\n"
OPT_OUTS = "subscriptions:\n  sql: select id, address, status from opt_outs\n"


@pytest.fixture
def club(shop: Any) -> Any:
    """Three people; the second is in a segment, and has opted out by address."""
    shop.people(3)
    shop.table("vips", "id text", [("id-00002",), (None,)])
    shop.table("opt_outs", "id text, address text, status text", [(None, "ANNA00002@mail.example", "unsubscribed")])
    shop.write("segments/vips.sql", "select id from vips")
    shop.write("segments/all.sql", "select id, email from people where :fire_date > date '2020-01-01'")
    shop.write("segments/strangers.sql", "select 'id-99999' as id")
    shop.configure(more=PROFILE + OPT_OUTS)
    shop.cells = set()  # whoever asks for cells is shown cells
    return shop


def known(shop: Any, id: str) -> Any:
    ended = shop.connect("profile", id, "--json")
    assert ended.code == 0, ended.out + ended.err
    return ended.json


def test_columns_segments_and_opt_outs(club: Any) -> None:
    found = known(club, "id-00002")

    assert found["profile"]["first_name"] == "Anna00002"
    assert found["profile"]["points"] == 40
    assert found["segments"] == {"all": True, "strangers": False, "vips": True}
    verdicts = {one["channel"]: one["reason"] for one in found["subscriptions"]["verdicts"]}
    assert verdicts["email"] == "unsubscribed"
    assert verdicts["sms"] is None
    assert found["deliveries"] is found["events"] is None
    assert known(club, "id-00001")["segments"] == {"all": True, "strangers": False, "vips": False}


def test_it_reads_well_and_is_kept_nowhere(club: Any) -> None:
    before = {path: path.read_bytes() for path in club.root.rglob("*") if path.is_file()}

    ended = club.connect("profile", "id-00002")

    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["email", "anna00002@mail.example"] in lines
    assert ["in", "all,", "vips"] in lines
    assert ["not", "in", "strangers"] in lines
    assert "unsubscribed" in ended.out
    assert "connect.yml has no `destination`" in ended.out
    assert {path: path.read_bytes() for path in club.root.rglob("*") if path.is_file()} == before


def test_without_a_profile_query_everyone_is_asked(club: Any) -> None:
    club.configure(more="everyone: select *, 1 as n from people\n" + OPT_OUTS)

    assert known(club, " id-00003 ")["profile"]["email"] == "anna00003@mail.example"


def test_without_either_it_says_what_to_write(club: Any) -> None:
    club.configure()

    ended = club.connect("profile", "id-00001")

    assert (ended.code, ended.error.code) == (2, "no-profile")
    assert ended.error.hint == "add `profile: select … from … where id = :id`"


WRONG = [
    ("select * from people", "profile-without-id", 10),
    ("select * from people where id >= :id", "several-profiles", 10),
    ("select * from poeple where id = :id", "sql-error", 24),
    ("select * from people where id = :idd", "unknown-parameter", 42),
    ("delete from people where id = :id", "not-a-select", 10),
]


@pytest.mark.parametrize(("sql", "code", "column"), WRONG, ids=[code for _, code, _ in WRONG])
def test_a_mistake_is_shown_at_its_place(club: Any, sql: str, code: str, column: int) -> None:
    club.configure(more=f"profile: {sql}\n")

    ended = club.connect("profile", "id-00001")

    assert (ended.code, ended.error.code, ended.error.place) == (2, code, f"connect.yml:10:{column}")
    assert "anna" not in (ended.out + ended.err).lower()


def test_who_is_not_in_the_query_may_be_known_elsewhere(club: Any) -> None:
    found = known(club, "id-99999")
    assert found["profile"] is None
    assert found["segments"]["strangers"] is True

    ended = club.connect("profile", "id-12345")
    assert (ended.code, ended.error.code) == (2, "unknown-person")
    assert "12345" not in ended.err


def test_a_segment_that_is_wrong_is_told_and_the_others_are_asked(club: Any) -> None:
    club.write("segments/strangers.sql", "select idd\nfrom vips")

    ended = club.connect("profile", "id-00002", "--json")

    assert ended.code == 2
    assert ended.json["segments"] == {"all": True, "strangers": None, "vips": True}
    assert [(problem["code"], problem["file"]) for problem in ended.json["problems"]] == [
        ("sql-error", "segments/strangers.sql")
    ]


DELIVERIES = (
    "run text, message_key text, target text, campaign text, id text, channel text, address text, provider text, "
)
DELIVERIES += "outcome text, reason text, written_at timestamptz"
EVENTS = "run text, message_key text, type text, bounce text, reason text, link text, machine boolean, "
EVENTS += "happened_at timestamptz, written_at timestamptz"


def test_what_was_sent_lately_and_what_became_of_it(club: Any) -> None:
    club.configure(more=PROFILE + "destination: {include: [id, address]}\n")
    now = datetime.now(UTC)
    sent = [
        ("run1", "k1", "default", "hello", "id-00002", "email", None, "mail", "sent", None, now - timedelta(days=2)),
        ("run1", "k2", "default", "hello", None, "email", "anna00002@mail.example", "mail", "failed", "bounced", now),
        ("run0", "k3", "default", "older", "id-00002", "email", None, "mail", "sent", None, now - timedelta(days=31)),
        ("run2", "k4", "other", "hello", "id-00002", "email", None, "mail", "sent", None, now),
        ("run2", "k5", "default", "hello", "id-00003", "email", None, "mail", "sent", None, now),
    ]
    club.table("connect_deliveries", DELIVERIES, sent)
    happened = [
        ("run1", "k1", "clicked", None, None, "https://shop.example/", False, now, now),
        ("run0", "k3", "opened", None, None, None, True, now, now - timedelta(minutes=1)),
        ("run2", "k5", "opened", None, None, None, True, now, now),
    ]
    club.table("connect_events", EVENTS, happened)
    club.cells = set()

    found = known(club, "id-00002")

    assert [(one["outcome"], one["reason"]) for one in found["deliveries"]] == [("failed", "bounced"), ("sent", None)]
    assert [(one["type"], one["campaign"]) for one in found["events"]] == [("clicked", "hello"), ("opened", "older")]
    shown = club.connect("profile", "id-00002").out
    assert "deliveries, last 30 days" in shown
    assert "https://shop.example/" in shown


def test_a_destination_without_tables_is_told(club: Any) -> None:
    club.configure(more=PROFILE + "destination: {}\n")

    ended = club.connect("profile", "id-00002", "--json")

    found = ended.json
    assert ended.code == 2
    assert found["segments"]["vips"] is True
    assert found["deliveries"] is None
    assert [problem["code"] for problem in found["problems"]] == ["sql-error"]


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[Any]:
    try:
        with warehouse_rig("postgresql", tmp_path) as rig:
            yield rig
    except NoServer as missing:
        pytest.skip(str(missing))


def test_the_same_in_postgresql_where_ids_are_numbers(club: Any, postgresql: Any) -> None:
    postgresql.execute(
        "create table people (id integer, email text)",
        "insert into people values (7, 'ada@mail.example')",
        "create table vips (id bigint)",
        "insert into vips values (7), (null)",
        "create table opt_outs (id integer, address text, status text)",
        "insert into opt_outs values (7, null, 'bounced')",
    )
    club.write("connect.yml", (club.root / "connect.yml").read_text().replace("duckdb:///shop.duckdb", postgresql.url))

    found = known(club, "7")

    assert found["profile"] == {"id": 7, "email": "ada@mail.example", "points": 40}
    assert found["segments"] == {"all": True, "strangers": False, "vips": True}
    assert {one["reason"] for one in found["subscriptions"]["verdicts"]} == {"bounced"}
    assert club.connect("profile", "seven").error.code == "sql-error"
