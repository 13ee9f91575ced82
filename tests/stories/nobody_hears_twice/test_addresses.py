"""Somebody's address changes, or comes in another order, while their delivery is in doubt: nobody hears twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import duckdb
import pytest

from connect.providers import memory

REACH_FIRST = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: "Hello {{ user.first_name }}"
      text: "Good day, {{ user.first_name }}."
    - channel: sms
      body: "Good day, {{ user.first_name }}."
policy: {reach: REACH, in_doubt: DOUBT}
"""
PEOPLE = 12


def reach(shop: Any, in_doubt: str, reach: str = "first") -> None:
    shop.campaign(REACH_FIRST.replace("REACH", reach).replace("DOUBT", in_doubt))


def breaks_down(shop: Any, account: str = "mail") -> None:
    """The account takes everybody's message, and its library dies before it can say so."""

    def crash(outgoing: Any, attempt: int) -> None:
        if memory.counts(account).accepted == PEOPLE - 1:
            raise RuntimeError

    memory.script(account, crash)
    assert shop.run().code == 3
    memory.script(account, None)
    assert shop.ledger == [("live", "hello", "paused")]


def change(shop: Any, *statements: str) -> None:
    with duckdb.connect(shop.root / "shop.duckdb") as warehouse:
        for statement in statements:
            warehouse.execute(statement)


def heard(shop: Any) -> Counter[str]:
    """How often each person heard, by whatever channel: their number is in every address of theirs."""
    mails = [address.partition("@")[0].removeprefix("second-").removeprefix("anna") for address in shop.addresses()]
    texts = [message.to.removeprefix("+6141").zfill(5)[-5:] for message in shop.texts()]
    return Counter(mails + texts)


@pytest.mark.parametrize("in_doubt", ["skip", "resend"])
def test_two_addresses_in_another_order_after_the_crash(shop: Any, in_doubt: str) -> None:
    """Two rows of one key: the same one wins, however the table is ordered when the run goes on."""
    reach(shop, in_doubt, "all")
    shop.people(PEOPLE)
    more = (
        "insert into people select id, 'second-' || email, first_name, phone_number from people where email like 'a%'"
    )
    change(shop, more)
    breaks_down(shop)
    before = set(shop.addresses())
    change(shop, "create table turned as select * from people order by email desc", "drop table people")
    change(shop, "alter table turned rename to people")

    ended = shop.run("hello", "--json")

    counts = ended.counts
    assert counts["email", "skipped", "duplicate"] == PEOPLE
    assert counts["email", "sent", ""] == (0 if in_doubt == "skip" else PEOPLE)
    assert counts["email", "unknown", "in_doubt"] == (PEOPLE if in_doubt == "skip" else 0)
    assert before <= set(shop.addresses())
    both = {address for address in shop.addresses() if f"second-{address}" in shop.addresses()}
    assert both == set()
    assert counts["sms", "sent", ""] == PEOPLE


@pytest.mark.parametrize("in_doubt", ["skip", "resend"])
def test_an_address_that_changed_is_not_written_to_again(shop: Any, in_doubt: str) -> None:
    reach(shop, in_doubt)
    shop.people(PEOPLE)
    breaks_down(shop)
    change(shop, "update people set email = 'second-' || email")

    ended = shop.run("hello", "--json")

    assert ended.counts == {
        ("email", "unknown", "in_doubt"): PEOPLE,
        ("sms", "skipped", "reached_elsewhere"): PEOPLE,
    }
    assert [address for address in shop.addresses() if address.startswith("second-")] == []
    assert shop.texts() == []
    assert set(heard(shop).values()) == {1}


@pytest.mark.parametrize("in_doubt", ["skip", "resend"])
@pytest.mark.parametrize("email", ["null", "'no address at all'"])
def test_an_address_that_is_gone_does_not_make_the_next_channel_the_first(shop: Any, in_doubt: str, email: str) -> None:
    reach(shop, in_doubt)
    shop.people(PEOPLE)
    breaks_down(shop)
    change(shop, f"update people set email = {email}")

    ended = shop.run("hello", "--json")

    counts = ended.counts
    assert counts["email", "unknown", "in_doubt"] == PEOPLE
    assert {channel: counts.total() for channel, outcome, _ in counts if (channel, outcome) == ("sms", "sent")} == {}
    assert shop.texts() == []
    assert set(heard(shop).values()) == {1}


@pytest.mark.parametrize("in_doubt", ["skip", "resend"])
def test_a_new_first_channel_does_not_make_a_second_message(shop: Any, in_doubt: str) -> None:
    """They had no e-mail address and were texted; now they have one, and the text is in doubt."""
    reach(shop, in_doubt)
    shop.people(PEOPLE)
    change(shop, "alter table people add column later text", "update people set later = email, email = null")
    breaks_down(shop, "texts")
    change(shop, "update people set email = later")

    ended = shop.run("hello", "--json")

    assert shop.addresses() == []
    in_the_end = ("sms", "unknown", "in_doubt") if in_doubt == "skip" else ("sms", "sent", "")
    assert ended.counts == {in_the_end: PEOPLE, ("email", "skipped", "reached_elsewhere"): PEOPLE}
    assert max(heard(shop).values()) == (1 if in_doubt == "skip" else 2)  # the one that was asked to be sent again
