"""What is said before anything is sent: what a destination lacks, and what makes it."""

from __future__ import annotations

from typing import Any

import pytest

CAP = {"max": 3, "per": "7d", "across": "topic"}
CASES = {
    "history-without-destination": ("", {"once": True}, "true}"),
    "history-without-ids": ("destination: {include: [address]}", {"once": True}, "true}"),
    "cap-without-topic": ("destination: {}", {"frequency_cap": CAP}, '"topic"}}'),
}


@pytest.mark.parametrize("code", CASES)
def test_what_a_policy_lacks(file: Any, contents: Any, code: str) -> None:
    destination, policy, under = CASES[code]
    file.configure(destination)
    file.campaign(contents["email"], **policy)
    for command in (("validate",), ("run", "hello", "--yes")):
        ended = file.shop.connect(*command)
        assert (ended.code, ended.errors[0].code) == (2, code)
        assert ended.errors[0].place.startswith("campaigns/hello.yml:")
        assert ended.errors[0].line.startswith("policy: {")
        assert ended.errors[0].under == under
        assert ended.errors[0].hint


def test_a_history_in_another_warehouse(file: Any, contents: Any) -> None:
    file.campaign(contents["email"], once=True)
    text = (file.shop.root / "connect.yml").read_text()
    text = text.replace("sources:\n", 'sources:\n  other: {url: "duckdb:///shop.duckdb"}\n')
    file.shop.write("connect.yml", text.replace("destination: {}", "destination: {source: other}"))
    text = (file.shop.root / "campaigns/hello.yml").read_text()
    file.shop.write("campaigns/hello.yml", text.replace("audience:\n", "audience:\n  source: shop\n"))
    ended = file.shop.connect("validate")
    assert (ended.code, ended.errors[0].code) == (2, "history-elsewhere")


def test_who_moves_between_waves_is_told_of_where_nothing_keeps_them_apart(file: Any, contents: Any) -> None:
    file.init()
    file.campaign(contents["email"], quiet_hours={"from": "21:00", "to": "08:00"})
    waves = {}
    for destination in ("", "destination: {}", "destination: {include: [address]}"):
        file.configure(destination)
        problems = file.shop.connect("validate").problems
        waves[destination] = [problem.under[:7] for problem in problems if problem.code == "waves-unsettled"]
    assert waves == {"": ['"quiet_'], "destination: {}": [], "destination: {include: [address]}": ['"quiet_']}
    text = (file.shop.root / "campaigns/hello.yml").read_text()
    file.shop.write("campaigns/hello.yml", text.replace("audience:\n", "audience:\n  snapshot: true\n"))
    assert "waves-unsettled" not in {problem.code for problem in file.shop.connect("validate").problems}


def test_a_run_without_the_table_sends_nothing(home: Any) -> None:
    home.crowd(2)
    refused = home.shop.run("hello")
    assert (refused.code, refused.error.code) == (2, "destination-missing")
    assert refused.error.place.startswith("connect.yml:")
    assert refused.error.under == "destination: {}"
    home.shop.nothing_happened()


def test_init_shows_asks_and_makes(home: Any) -> None:
    shop = home.shop
    for arguments, code in ((("--dry-run",), 0), ((), 2)):
        shown = shop.connect("destination", "init", *arguments)
        assert shown.code == code
        assert "connect_deliveries" in shown.out
        assert "-- version 1 of the columns; later ones only add to them" in shown.out
        states = [one["state"] for one in shop.connect("destination", "show", "--json").json]
        assert states == ["not there: `connect destination init` makes it"] * 2
    for _ in range(2):
        assert shop.connect("destination", "init", "--yes").code == 0
    shown = shop.connect("destination", "show", "--json").json
    assert [(one["table"], one["state"]) for one in shown] == [
        ("connect_deliveries", "ready"),
        ("connect_events", "ready"),
    ]
    assert [one["version"] for one in shown] == [1, 1]
    assert "the run, as `connect runs` names it" in shop.connect("destination", "show").out


def test_the_sql_that_is_shown_makes_the_table(home: Any) -> None:
    shown = home.shop.connect("destination", "init", "--dry-run").out
    home.change(*filter(str.strip, shown.split(";\n")))
    home.crowd(1)
    assert home.shop.run("hello").code == 0
    assert home.written() == {("email", "sent", ""): 1}


def test_a_table_that_lacks_a_column_says_which(file: Any) -> None:
    file.init()
    file.change("alter table connect_deliveries drop column arm")
    shown = file.shop.connect("destination", "show", "--json").json
    assert "`arm`" in shown[0]["state"]
    refused = file.shop.run("hello")
    assert (refused.code, refused.error.code) == (2, "destination-columns")


def test_a_column_of_another_type_is_known_before_anybody_is_sent_anything(home: Any) -> None:
    home.crowd(2)
    home.init()
    home.change("alter table connect_deliveries alter column once_key type integer using 0")
    refused = home.shop.run("hello")
    assert (refused.code, refused.error.code) == (2, "destination-types")
    assert "`once_key` is integer and has to be " in refused.error.message
    assert refused.error.under == "destination: {}"
    home.shop.nothing_happened()
    shown = home.shop.connect("destination", "show", "--json").json
    assert "`once_key` is integer" in shown[0]["state"]
    home.change("alter table connect_deliveries alter column once_key type varchar(999) using null")
    assert home.shop.run("hello").code == 0


def test_no_destination(file: Any) -> None:
    file.configure("")
    refused = file.shop.connect("destination", "show")
    assert (refused.code, refused.error.code) == (2, "no-destination")
