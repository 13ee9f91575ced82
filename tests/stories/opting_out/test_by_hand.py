"""Opting people out and in again from the command line: the next run does as it was told, and `show` says the same."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from connect.warehouses.duckdb import DuckDB


def skipped(shop: Any) -> dict[tuple[str, str], int]:
    """(channel, reason) → how many the campaign skips now."""
    counts = shop.connect("run", "hello", "--yes", "--again", "--json").counts
    return {(channel, reason): count for (channel, outcome, reason), count in counts.items() if outcome == "skipped"}


def verdicts(shop: Any, *who: str) -> dict[tuple[str, str | None], str | None]:
    told = shop.connect("subscriptions", "show", *who, "--json").json["verdicts"]
    return {(one["channel"], one["topic"]): one["reason"] for one in told}


def test_the_table_is_shown_before_it_is_made(shop: Any) -> None:
    shop.configure(more="subscriptions: {write: connect_opt_outs}\n")
    shop.people(1)
    asked = shop.connect("subscriptions", "init")
    assert (asked.code, asked.error.code) == (2, "not-confirmed")
    assert 'create table if not exists connect_opt_outs (\n  "change_key"' in asked.out
    assert shop.number("select count(*) from duckdb_tables() where table_name = 'connect_opt_outs'") == 0
    missing = shop.connect("validate").error
    assert (missing.code, missing.place) == ("sql-error", shop.place("connect_opt_outs", "connect.yml"))
    assert "connect subscriptions init" in missing.hint

    assert shop.connect("subscriptions", "init", "--yes").code == 0
    assert shop.connect("subscriptions", "init", "--yes").code == 0
    assert shop.number("select count(*) from connect_opt_outs") == 0


def test_who_is_opted_out_is_skipped_by_the_next_run(listing: Any) -> None:
    assert skipped(listing) == {}
    for who, *options in (
        ["id-00001"],
        ["id-00002", "--channel", "email"],
        [" Anna00003@MAIL.example"],
        ["+61 41 0000004"],
        ["id-00005", "--topic", "news", "--reason", "by phone"],
        ["id-00006", "--topic", "sales"],
        ["id-00007", "anna00007@mail.example", "--channel", "email"],
    ):
        assert listing.connect("subscriptions", "unsubscribe", who, *options).code == 0

    assert skipped(listing) == {("email", "unsubscribed"): 5, ("sms", "unsubscribed"): 3}
    assert listing.sql(
        'select id, address, channel, topic, status, source, reason from connect_opt_outs order by "at"'
    ) == [
        ("id-00001", None, None, None, "unsubscribed", "command", None),
        ("id-00002", None, "email", None, "unsubscribed", "command", None),
        (None, "anna00003@mail.example", None, None, "unsubscribed", "command", None),
        (None, "+61410000004", None, None, "unsubscribed", "command", None),
        ("id-00005", None, None, "news", "unsubscribed", "command", "by phone"),
        ("id-00006", None, None, "sales", "unsubscribed", "command", None),
        ("id-00007", "anna00007@mail.example", "email", None, "unsubscribed", "command", None),
    ]
    assert verdicts(listing, "id-00002")["email", None] == "unsubscribed"
    assert verdicts(listing, "id-00002")["sms", None] is None
    assert verdicts(listing, "id-00006")["email", None] is None
    assert verdicts(listing, "id-00006")["email", "sales"] == "unsubscribed"
    assert verdicts(listing, "id-00008", "anna00008@mail.example") == dict.fromkeys(
        [(channel, None) for channel in ("email", "sms", "push", "http")]
    )


def test_who_comes_back_is_written_to_again(listing: Any) -> None:
    for options in (["--channel", "email"], ["--topic", "news"], []):
        assert listing.connect("subscriptions", "unsubscribe", "id-00001", *options).code == 0
    assert listing.connect("subscriptions", "unsubscribe", "id-00001", "anna00001@mail.example").code == 0
    assert skipped(listing) == {("email", "unsubscribed"): 1, ("sms", "unsubscribed"): 1}

    broader = listing.connect("subscriptions", "resubscribe", "id-00001", "--channel", "email")
    assert (broader.code, broader.error.code) == (2, "broader-opt-out")
    assert listing.number("select count(*) from connect_opt_outs") == 4

    assert listing.connect("subscriptions", "resubscribe", "id-00001").code == 0
    assert skipped(listing) == {}
    rows = listing.number("select count(*) from connect_opt_outs")
    again = listing.connect("subscriptions", "resubscribe", "id-00001")
    assert (again.code, "nothing to take back" in again.out) == (0, True)
    assert listing.number("select count(*) from connect_opt_outs") == rows == 8
    shown = listing.connect("subscriptions", "show", "id-00001").out
    assert shown.count("taken back") == 4


def test_one_topic_can_be_taken_back(listing: Any) -> None:
    for topic in ("news", "sales"):
        assert listing.connect("subscriptions", "unsubscribe", "id-00001", "--topic", topic).code == 0
    assert listing.connect("subscriptions", "resubscribe", "id-00001", "--topic", "news").code == 0
    found = verdicts(listing, "id-00001")
    assert (found["email", "sales"], found["email", "news"]) == ("unsubscribed", None)


def test_bounces_and_complaints_are_taken_back_only_when_it_is_said(listing: Any) -> None:
    listing.write(
        "file.csv", "address,status,at\nanna00001@mail.example,bounced,2026-01-01\n+61410000001,Complained,2026-01-01\n"
    )
    assert listing.connect("subscriptions", "import", "file.csv", "--yes").code == 0
    who = ("anna00001@mail.example", "+61410000001")
    assert listing.connect("subscriptions", "unsubscribe", *who).code == 0
    assert skipped(listing) == {("email", "bounced"): 1, ("sms", "complained"): 1}

    for options in ([], ["--bounced"], ["--complained"]):
        refused = listing.connect("subscriptions", "resubscribe", *who, *options)
        assert (refused.code, refused.error.code) == (2, "not-taken-back")
    assert listing.number("select count(*) from connect_opt_outs") == 4
    assert listing.connect("subscriptions", "resubscribe", *who, "--bounced", "--complained").code == 0
    assert skipped(listing) == {}


def test_of_several_addresses_the_channels_own_is_taken(listing: Any) -> None:
    who = ("anna00001@mail.example", "+61410000001")
    assert listing.connect("subscriptions", "unsubscribe", *who, "--channel", "sms").code == 0
    assert listing.sql("select address, channel from connect_opt_outs") == [("+61410000001", "sms")]


@pytest.mark.parametrize("mode", ["test", "offline"])
def test_opt_outs_are_real_in_every_mode(listing: Any, mode: str) -> None:
    listing.configure(mode=mode, more="subscriptions: {write: connect_opt_outs}\n")
    told = listing.connect("subscriptions", "unsubscribe", "id-00001")
    assert (told.code, f"mode {mode}, and opt-outs are real in every mode" in told.out) == (0, True)
    assert listing.number("select count(*) from connect_opt_outs") == 1


def test_a_word_of_ones_own_means_subscribed(listing: Any) -> None:
    listing.configure(more="subscriptions: {write: connect_opt_outs, subscribed_values: [active]}\n")
    assert listing.connect("subscriptions", "unsubscribe", "id-00001").code == 0
    assert listing.connect("subscriptions", "resubscribe", "id-00001").code == 0
    assert listing.sql('select status from connect_opt_outs order by "at"') == [("unsubscribed",), ("active",)]


# What would not be seen


def test_a_query_that_does_not_read_the_table_is_told(listing: Any) -> None:
    listing.configure(more='subscriptions: {write: connect_opt_outs, sql: "select * from opt_outs"}\n')
    (warning,) = [one for one in listing.connect("validate").problems if one.code == "opt-outs-unread"]
    assert (warning.severity, warning.place) == ("warning", listing.place("select * from opt_outs", "connect.yml"))
    assert [
        one["ok"] for one in listing.connect("doctor", "--json").json["checks"] if one["what"] == "subscriptions"
    ] == [False]
    told = listing.connect("subscriptions", "unsubscribe", "id-00001")
    assert (told.code, told.error.code) == (2, "opt-outs-unread")


def test_a_query_that_reads_part_of_it_is_told(listing: Any) -> None:
    listing.configure(more='subscriptions: {write: connect_opt_outs, sql: "select id, status from connect_opt_outs"}\n')
    told = {one.message.split("`")[1] for one in listing.connect("validate").problems if "partly" in one.code}
    assert told == {"address", "channel", "topic", "at"}
    assert listing.connect("subscriptions", "unsubscribe", "id-00001").code == 0
    back = listing.connect("subscriptions", "resubscribe", "id-00001")
    assert (back.code, back.error.code) == (2, "opt-outs-unread")
    unknown = listing.connect("subscriptions", "show", "anna00001@mail.example")
    assert (unknown.code, unknown.error.code) == (2, "optouts-unmatched")


def test_both_tables_are_read(listing: Any) -> None:
    listing.table("leavers", "customer text", [("id-00002",)])
    listing.configure(
        more="""
subscriptions:
  write: connect_opt_outs
  sql: |
    select id, address, channel, topic, status, "at" from main.connect_opt_outs
    union all select customer, null, null, null, 'left', null from leavers
"""
        + "unsubscribe: {url: 'https://shop.example/leave'}\n"
    )
    assert listing.connect("validate").problems == []
    assert listing.connect("subscriptions", "unsubscribe", "id-00001").code == 0
    assert skipped(listing) == {("email", "unsubscribed"): 2, ("sms", "unsubscribed"): 2}


# What is refused


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["unsubscribe", "a@x.example", "--channel", "sms"], "unheard-opt-out"),
        (["unsubscribe", "+61410000001", "--channel", "push"], "unheard-opt-out"),
        (["unsubscribe", "id=", "--channel", "sms"], "bad-person"),
        (["unsubscribe", "id-00001", "id-00002"], "bad-person"),
        (["show", "a@x.example", "email=b@x.example"], "bad-person"),
    ],
)
def test_what_is_refused(listing: Any, words: list[str], code: str) -> None:
    refused = listing.connect("subscriptions", *words)
    assert (refused.code, refused.error.code) == (2, code)
    assert not [word for word in words if ("@" in word or "0" in word) and word in refused.out + refused.err]
    assert listing.number("select count(*) from connect_opt_outs") == 0


def test_a_project_that_names_no_table(shop: Any) -> None:
    shop.configure(more="subscriptions: {sql: select * from opt_outs}\n")
    for words in (["init"], ["unsubscribe", "id-00001"], ["import", "x.csv"]):
        assert shop.connect("subscriptions", *words).error.code == "nowhere-to-write"
    assert shop.connect("subscriptions", "show", "id-00001").code == 0
    shop.configure()
    assert shop.connect("subscriptions", "show", "id-00001").error.code == "no-subscriptions"


def test_a_table_that_is_not_ours(listing: Any) -> None:
    listing.configure(more="subscriptions: {write: opt_outs}\n")
    listing.table("opt_outs", "id text, address text, status text")
    assert listing.connect("subscriptions", "unsubscribe", "id-00001").error.code == "no-opt-out-table"
    assert listing.connect("subscriptions", "init", "--yes").error.code == "no-opt-out-table"


def test_a_file_that_somebody_writes_to(listing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear error, nothing half done, and the same command later."""
    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=0.2))
    listing.write("file.csv", "id,at\n" + "".join(f"id-0000{n},2026-01-01\n" for n in range(1, 10)))
    holds = "import duckdb, sys; c = duckdb.connect('shop.duckdb'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holds], cwd=listing.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for words in (["unsubscribe", "id-00001"], ["import", "file.csv", "--yes"], ["show", "id-00001"]):
            refused = listing.connect("subscriptions", *words)
            assert (refused.code, refused.error.code) == (3, "warehouse-locked")
        holder.communicate(b"")
    assert listing.number("select count(*) from connect_opt_outs") == 0
    assert listing.connect("subscriptions", "import", "file.csv", "--yes").code == 0
    assert listing.number("select count(*) from connect_opt_outs") == 9
