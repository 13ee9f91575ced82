"""An audience of the wrong size: nothing starts, and what has started stops."""

from __future__ import annotations

from typing import Any


def test_an_empty_one_is_a_run_that_sends_nothing(shop: Any) -> None:
    shop.people(0)

    ended = shop.run("hello", "--json")

    assert ended.code == 0
    assert ended.counts.total() == shop.number("select count(*) from people") == 0
    assert shop.ledger == [("live", "hello", "completed")]
    assert shop.sent() == []


def test_an_empty_one_can_be_a_mistake(shop: Any) -> None:
    shop.people(0)
    shop.campaign(limits="limits: {min: 1, max: 1000}")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "audience-outside-limits")
    assert ended.error.message == "the audience has 0 rows, and `limits.min` is 1"
    assert "is a table empty or late?" in ended.error.hint
    shop.nothing_happened()


def test_one_over_its_maximum_does_not_start(shop: Any) -> None:
    shop.people(11)
    shop.campaign(limits="limits: {max: 10}")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "audience-outside-limits")
    assert ended.error.message == "the audience has 11 rows, and `limits.max` is 10"
    assert ended.error.place == shop.place("select * from people")
    assert ended.error.under == "select * from people"
    assert ended.error.hint == "look at the query; raise `limits.max` only if that many is right"
    shop.nothing_happened()


def test_one_at_its_maximum_does(shop: Any) -> None:
    shop.people(10)
    shop.campaign(limits="limits: {max: 10}")

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): shop.number("select count(*) from people")}


def test_one_that_changed_too_much_does_not_start(shop: Any) -> None:
    shop.people(10)
    shop.campaign(limits="limits: {max: 1000, max_change: 50%}")
    assert shop.run().code == 0
    before = shop.sent()
    shop.people(16)

    ended = shop.run("hello", "--again")

    assert (ended.code, ended.error.code) == (2, "audience-outside-limits")
    assert "more than 50% of change" in ended.error.message
    assert shop.sent() == before
    assert shop.ledger == [("live", "hello", "completed")]


def test_duplicates_count_towards_the_maximum(shop: Any) -> None:
    shop.table("people", "id text, email text, first_name text", [("id-anna", "anna@mail.example", "Annaaaa")] * 11)
    shop.campaign(limits="limits: {max: 10}")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "audience-outside-limits")
    shop.nothing_happened()
