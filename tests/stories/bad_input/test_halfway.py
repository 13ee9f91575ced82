"""Bad input that shows only once a run has begun: it pauses, and nobody gets two when it goes on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory


def test_a_cell_that_breaks_the_query_pauses_the_run_and_is_not_repeated(shop: Any) -> None:
    shop.people(20)
    # The plan counts rows without looking at this column.
    shop.campaign(sql="sql: select *, case when id = 'id-00017' then first_name::int end as number from people")

    ended = shop.run("hello", "--json")

    assert ended.code == 3
    (problem,) = ended.json["stopped_by"]
    assert problem["code"] == "query-failed"
    assert shop.ledger == [("live", "hello", "paused")]
    assert ended.counts == Counter({("email", "sent", ""): len(shop.sent())} if shop.sent() else {})

    with_number = [(f"id-{n:05}", f"anna{n:05}@mail.example", "1000001", None) for n in range(1, 21)]
    shop.table("people", "id text, email text, first_name text, phone_number text", with_number)
    again = shop.run("hello", "--json")

    assert again.code == 0
    assert again.counts == {("email", "sent", ""): shop.number("select count(*) from people")}
    assert Counter(shop.addresses()) == Counter(email for (email,) in shop.sql("select email from people"))


def test_an_audience_that_grows_past_its_maximum_while_it_runs_pauses(shop: Any) -> None:
    shop.people(8)
    shop.campaign(limits="limits: {max: 10}")
    said = Problem("provider-down", "mail is down", "wait")
    memory.refuse_open("mail", RunTrouble(Disposition.pause, said))
    assert shop.run().code == 3
    memory.refuse_open("mail", None)
    shop.people(50)

    ended = shop.run("hello", "--json")

    assert ended.code == 3
    (problem,) = ended.json["stopped_by"]
    assert problem["code"] == "audience-over-limit"
    assert ended.counts.total() == len(shop.sent()) <= 10
    assert shop.ledger == [("live", "hello", "paused")]

    shop.people(9)
    again = shop.run("hello", "--json")

    # The query was mended: those who are left get theirs, and nobody gets two.
    assert again.code == 0
    assert again.counts == {("email", "sent", ""): len(shop.sent())}
    assert {address for (address,) in shop.sql("select email from people")} <= set(shop.addresses())
    assert max(Counter(shop.addresses()).values()) == 1


def test_a_run_that_is_paused_can_be_ended_for_good(shop: Any) -> None:
    shop.people(3)
    memory.refuse_open("mail", RunTrouble(Disposition.pause, Problem("provider-down", "mail is down", "wait")))
    assert shop.run().code == 3
    memory.refuse_open("mail", None)
    (run,) = shop.connect("runs", "list", "--json").json

    assert shop.connect("runs", "cancel", run["id"]).code == 0

    assert shop.ledger == [("live", "hello", "cancelled")]
    assert shop.sent() == []
