"""One row for each delivery, whatever became of it: together they are what the report says."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def ends(home: Any, contents: Any) -> Any:
    """People who end in every way, on three channels."""
    people = [home.person(number) for number in (0, 1, 1, 2)]
    people += [("id-nowhere", None, None, None), ("id-unlike", "not an address", None, home.person(7)[3])]
    people += [(None, *home.person(8)[1:]), ("  ", *home.person(9)[1:])]
    home.people(*people)
    home.change("insert into opt_outs values ('id-00002', 'unsubscribed')")
    home.campaign(contents["email"], contents["sms"], contents["push"], quiet_hours={"from": "00:00", "to": "00:01"})
    home.init()
    return home


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_sum_of_the_rows_is_the_report(ends: Any, workers: str) -> None:
    counts = ends.shop.run("hello", "--json", "--workers", workers).counts
    assert ends.written() == counts
    assert {outcome for _, outcome, _ in counts} == {"sent", "skipped", "refused"}
    assert {reason for _, _, reason in counts} == {
        "",
        "unsubscribed",
        "duplicate",
        "no_address",
        "invalid_email",
        "missing_key",
    }
    ends.each_once()


def test_what_a_row_says(ends: Any) -> None:
    assert ends.shop.run("hello").code == 0
    rows = ends.ask("select * from connect_deliveries where id = 'id-00000' order by channel")
    assert [row["channel"] for row in rows] == ["email", "push", "push", "sms"]
    for row in rows:
        assert (row["run"], row["campaign"], row["target"]) == (ends.run_id(), "hello", "default")
        assert (row["audience_key"], row["once_key"], row["address"]) == ("8:id-00000", None, None)
        assert row["provider"] == {"email": "mail", "sms": "texts", "push": "phones"}[row["channel"]]
        assert len(row["message_key"]) == 32
    (keyless,) = ends.ask(
        "select id, audience_key, deliveries from connect_deliveries where reason = 'missing_key' and channel = 'sms'"
    )
    assert keyless == {"id": None, "audience_key": None, "deliveries": 2}


def test_addresses_and_ids_are_written_only_where_they_are_included(home: Any, contents: Any) -> None:
    home.crowd(1)
    home.campaign(contents["email"], contents["push"])
    told = {}
    for include in ("[]", "[id]", "[address]", "[id, address]"):
        home.configure(f"destination: {{deliveries: d_{len(told)}, include: {include}}}")
        home.init()
        assert home.shop.run("hello", "--again").code == 0
        rows = home.ask(f"select id, audience_key, address from d_{len(told)}")
        told[include] = sorted(tuple(value or "" for value in row.values()) for row in rows)
    id_, key, addresses = "id-00000", "8:id-00000", ["anna00000@mail.example", "token-of-00000-1", "token-of-00000-2"]
    assert told == {
        "[]": [("", "", "")] * 3,
        "[id]": [(id_, key, "")] * 3,
        "[address]": [("", "", address) for address in addresses],
        "[id, address]": [(id_, key, address) for address in addresses],
    }


def test_the_other_modes_leave_no_history(home: Any) -> None:
    home.crowd(3)
    home.init()
    for mode in ("test", "offline"):
        assert home.shop.run("hello", "--mode", mode).code == 0
    assert home.ask("select * from connect_deliveries") == []
