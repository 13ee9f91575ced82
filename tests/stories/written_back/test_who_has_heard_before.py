"""`once` and `frequency_cap`: who was written to before, or may have been, is not written to again."""

from __future__ import annotations

from typing import Any

import pytest

SENT, ALREADY, CAPPED = ("email", "sent", ""), ("email", "skipped", "already_sent"), ("email", "skipped", "capped")


@pytest.fixture
def once(home: Any, contents: Any) -> Any:
    home.crowd(5)
    home.campaign(contents["email"], once=True)
    home.init()
    return home


def test_nobody_hears_twice(once: Any) -> None:
    assert once.shop.run("hello", "--json").counts == {SENT: 5}
    assert once.shop.run("hello", "--again", "--json").json["runs"][0]["state"] == "completed"
    assert once.written(once.run_id()) == {ALREADY: 5}
    once.people(once.person(7))
    once.change("update connect_deliveries set outcome = 'unknown' where id = 'id-00001'")
    once.change("update connect_deliveries set outcome = 'failed' where id = 'id-00002' and outcome = 'sent'")
    assert once.shop.run("hello", "--again").code == 0
    assert once.written(once.run_id()) == {SENT: 2, ALREADY: 4}
    assert sorted(once.shop.addresses())[-1] == "anna00007@mail.example"


def test_once_by_columns(home: Any, contents: Any) -> None:
    home.crowd(2)
    home.campaign(contents["email"], once=["email"])
    home.init()
    assert home.shop.run("hello").code == 0
    home.people(("id-again", " ANNA00001@mail.example ", None, None), ("id-other", "other@mail.example", None, None))
    assert home.shop.run("hello", "--again").code == 0
    assert home.written(home.run_id()) == {SENT: 1, ALREADY: 3}


def test_with_a_table_that_can_not_be_read_nothing_is_sent(once: Any) -> None:
    once.change("drop table connect_deliveries")
    refused = once.shop.run("hello")
    assert (refused.code, refused.error.code) == (2, "destination-missing")
    assert "connect destination init" in refused.error.hint
    once.change("create table connect_deliveries (run varchar(9))")
    refused = once.shop.run("hello")
    assert (refused.code, refused.error.code) == (2, "destination-columns")
    assert once.shop.sent() == []


def test_a_cap_across_campaigns(home: Any, contents: Any) -> None:
    home.crowd(3)
    home.init()
    cap = {"max": 1, "per": "7d", "across": "all"}
    home.campaign(contents["email"], name="first")
    home.campaign(contents["email"], name="second", frequency_cap=cap)
    home.change("insert into opt_outs values ('id-00001', 'unsubscribed')")
    assert home.shop.run("first").code == 0
    home.change("delete from opt_outs where id = 'id-00001'")
    assert home.shop.run("second", "--json").counts == {SENT: 1, CAPPED: 2}
