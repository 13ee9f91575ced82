"""Importing opt-outs from a CSV: all of it or nothing, repeatable, and not one cell in what is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connect.errors import OutsideError
from connect.warehouses.duckdb import DuckDB
from connect.warehouses.interface import Table

GOOD = """\
status,address,ID,channel,topic,at
unsubscribed, Anna00001@MAIL.example ,,,,2026-01-01
,+61 41-000-0002,,sms,,2026-01-01T09:00:00+10:00
Bounced,anna00003@mail.example,,email,,2026-01-02 10:00
subscribed,,id-00004,,news,2026-01-02

complained,"anna00005@mail.example",,,"news
letter",2026-01-03
unsubscribed,"not an address",id-00006,,,2026-01-03
"""


def rows(shop: Any) -> list[tuple[Any, ...]]:
    at = """strftime("at" at time zone 'UTC', '%d %H:%M')"""
    told = f"id, address, channel, topic, status, {at}, source"
    return list(shop.sql(f'select {told} from connect_opt_outs order by "at", address, id'))


def test_a_file_is_imported_once(listing: Any) -> None:
    listing.write("connect.yml", (listing.root / "connect.yml").read_text() + "timezone: Australia/Brisbane\n")
    (listing.root / "leavers.csv").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    told = listing.connect("subscriptions", "import", "leavers.csv", "--yes")

    assert (told.code, told.out) == (0, "6 rows are in connect_opt_outs\n")
    assert "6 rows, all of them right: 1 bounced, 1 complained, 1 subscribed, 3 unsubscribed" in told.err
    assert "6 of 6 rows" in told.err
    assert rows(listing) == [
        (None, "anna00001@mail.example", None, None, "unsubscribed", "31 14:00", "import"),
        (None, "+61410000002", "sms", None, "unsubscribed", "31 23:00", "import"),
        ("id-00004", None, None, "news", "subscribed", "01 14:00", "import"),
        (None, "anna00003@mail.example", "email", None, "bounced", "02 00:00", "import"),
        (None, "anna00005@mail.example", None, "news\nletter", "complained", "02 14:00", "import"),
        ("id-00006", "not an address", None, None, "unsubscribed", "02 14:00", "import"),
    ]
    counts = listing.run("hello", "--json").counts
    assert counts["email", "skipped", "unsubscribed"] == 2
    assert counts["email", "skipped", "bounced"] == counts["email", "skipped", "complained"] == 1
    assert counts["sms", "skipped", "unsubscribed"] == 2

    before = rows(listing)
    again = listing.connect("subscriptions", "import", "leavers.csv", "--yes", "--json")
    assert again.json["rows"] == 6
    assert rows(listing) == before


def test_rows_without_a_time_have_the_one_that_is_given(listing: Any) -> None:
    listing.write("leavers.csv", "id\nid-00001\nid-00002\n")
    assert listing.connect("subscriptions", "import", "leavers.csv", "--yes").error.code == "bad-opt-out"
    for _ in range(2):
        assert listing.connect("subscriptions", "import", "leavers.csv", "--yes", "--at", "2026-01-01").code == 0
    assert [row[5] for row in rows(listing)] == ["01 00:00"] * 2


def test_nobody_is_opted_out_without_a_yes(listing: Any) -> None:
    listing.write("leavers.csv", "id,at\nid-00001,2026-01-01\n")
    assert listing.connect("subscriptions", "import", "leavers.csv").error.code == "not-confirmed"
    assert rows(listing) == []


def test_one_bad_row_is_enough(listing: Any) -> None:
    """Each is told with its place, and nothing of what stands there."""
    bad = [
        ("nobody-1,2026-01-01,sms,unsubscribed", "leavers.csv:2:1", "address"),
        ("secret@mail.example,2026-01-01,fax-of-secret,", "leavers.csv:3:32", "channel"),
        ("secret@mail.example,2026-01-01,,paused-secret", "leavers.csv:4:33", "status"),
        ("secret@mail.example,the-secret-day,,", "leavers.csv:5:21", "at"),
        ("secret@mail.example,2126-01-01,,", "leavers.csv:6:21", "at"),
        ("secret@mail.example,1926-01-01,,", "leavers.csv:7:21", "at"),
        ("secret@mail.example,,,", "leavers.csv:8:21", "at"),
        ("secret@mail.example,2026-01-01,sms,", "leavers.csv:9:1", "address"),
        (",2026-01-01,,", "leavers.csv:10:1", ""),
        ("secret@mail.example,2026-01-01,,,", "leavers.csv:11:1", ""),
        ('"secret@mail.example",2026-01-01,"fax, secret",', "leavers.csv:12:1", "channel"),
    ]
    good = "".join(f"id-{n:05}@mail.example,2026-01-01,,\n" for n in range(50))
    listing.write("leavers.csv", "address,at,channel,status\n" + "".join(f"{row}\n" for row, *_ in bad) + good)

    refused = listing.connect("subscriptions", "import", "leavers.csv", "--yes")

    assert refused.code == 2
    assert [(one.code, one.place) for one in refused.errors] == [("bad-opt-out", place) for _, place, _ in bad]
    assert [
        one.message.startswith(f"`{name}`: ") if name else True
        for one, (*_, name) in zip(refused.errors, bad, strict=True)
    ] == [True] * len(bad)
    assert all(one.line == "" and one.hint for one in refused.errors)
    assert "secret" not in refused.out + refused.err
    assert "2126" not in refused.err
    assert rows(listing) == []


def test_of_many_bad_rows_some_are_shown(listing: Any) -> None:
    listing.write("leavers.csv", "address,at\n" + "nobody-1,2026-01-01\n" * 30)
    refused = listing.connect("subscriptions", "import", "leavers.csv", "--yes")
    assert len(refused.errors) == 21
    assert refused.errors[-1].message == "10 more rows of leavers.csv are wrong"


@pytest.mark.parametrize(
    "text",
    [
        "secret@mail.example,2026-01-01\n",
        "address;at\nsecret@mail.example;2026-01-01\n",
        "address,address,at\nsecret@mail.example,,2026-01-01\n",
        "channel,at\nsms,2026-01-01\n",
        'address,at\n"secret@mail.example,2026-01-01\n',
        "address,at\n",
        "",
    ],
)
def test_a_file_of_something_else(listing: Any, text: str) -> None:
    (listing.root / "leavers.csv").write_text(text)
    refused = listing.connect("subscriptions", "import", "leavers.csv", "--yes")
    assert (refused.code, refused.error.code) == (2, "bad-opt-out")
    assert refused.error.place.startswith("leavers.csv:")
    assert "secret" not in refused.out + refused.err


def test_a_file_that_is_not_there_or_not_text(listing: Any) -> None:
    assert listing.connect("subscriptions", "import", "gone.csv", "--yes").error.code == "missing-file"
    (listing.root / "leavers.csv").write_bytes(b"id,at\n\xff\xfe,2026-01-01\n")
    assert listing.connect("subscriptions", "import", "leavers.csv", "--yes").err.startswith("error[not-utf-8]")


def test_an_import_that_was_interrupted_is_repeated(listing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warehouse goes away between two batches, which are as small as it pleases the test."""
    listing.write("leavers.csv", "id,at\n" + "".join(f"id-{n:05},2026-01-01\n" for n in range(10)))
    monkeypatch.setattr(DuckDB, "capabilities", replace(DuckDB.capabilities, most_added=4))
    added: list[int] = []
    add = DuckDB.add

    def failing(self: DuckDB, table: Table, given: Any, timeout: timedelta) -> None:
        if len(added) == 2:
            added.append(0)
            raise OutsideError.of("warehouse-lost", "it went away")
        added.append(given.num_rows)
        add(self, table, given, timeout)

    monkeypatch.setattr(DuckDB, "add", failing)
    stopped = listing.connect("subscriptions", "import", "leavers.csv", "--yes")
    assert (stopped.code, stopped.error.code) == (3, "warehouse-lost")
    assert "8 of 10 rows are in the table; repeated, none is added twice" in stopped.err
    assert len(rows(listing)) == 8
    assert listing.connect("subscriptions", "import", "leavers.csv", "--yes").code == 0
    assert added == [4, 4, 0, 4, 4, 2]
    assert [row[0] for row in rows(listing)] == [f"id-{n:05}" for n in range(10)]
