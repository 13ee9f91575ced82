"""Accounts in their order: one that is out of quota is left for the next, and nobody is counted or written to twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory
from connect.providers.interface import Receipt, Status

PEOPLE = 2500
QUOTA = Receipt(Status.quota)
SPARE = {"relay": {"type": "memory"}}
ORDER = {"email": ["mail", "relay"]}


@pytest.fixture
def two(house: Any, contents: Any) -> Any:
    house.configure(providers=SPARE, channels=ORDER)
    house.campaign(contents["email"])
    house.crowd(PEOPLE, devices=0)
    return house


def used_up_after(count: int) -> Callable[[Any, int], Receipt | None]:
    """So many messages are taken, and no more."""
    left = iter(range(count))
    return lambda outgoing, attempt: None if next(left, None) is not None else QUOTA


def everybody_once(house: Any, *accounts: str) -> None:
    heard = [address for account in accounts for address in addresses(account)]
    assert len(heard) == len(set(heard)) == PEOPLE
    assert set(heard) == {address for (address,) in house.shop.sql("select email from people")}


def addresses(account: str) -> list[str]:
    return [outgoing.message.address for outgoing in memory.sent(account)]


@pytest.mark.parametrize("taken", [0, 1, 1234, PEOPLE - 1])
def test_the_rest_goes_by_the_next(two: Any, taken: int) -> None:
    memory.script("mail", used_up_after(taken))

    ended = two.report()

    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): PEOPLE}
    assert (len(addresses("mail")), len(addresses("relay"))) == (taken, PEOPLE - taken)
    everybody_once(two, "mail", "relay")
    assert two.shop.connect("report", "hello", "--json").json["outcomes"]["sent"] == PEOPLE


def test_both_have_a_part_and_the_run_pauses_where_neither_takes_more(two: Any) -> None:
    """And goes on where it stopped when there is quota again."""
    memory.script("mail", used_up_after(700))
    memory.script("relay", used_up_after(400))

    stopped = two.run()

    assert (stopped.code, stopped.error.code) == (3, "provider-quota")
    assert "relay" in stopped.error.message
    assert (len(addresses("mail")), len(addresses("relay"))) == (700, 400)

    memory.script("relay", None)
    ended = two.report()

    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): PEOPLE}
    everybody_once(two, "mail", "relay")


def test_what_is_in_doubt_stays_where_it_is(two: Any) -> None:
    """The answer to every tenth is lost: the next account is not asked, for it may have been sent."""
    numbers = iter(range(10**9))

    def some_are_lost(outgoing: Any, attempt: int) -> Receipt | None:
        return Receipt(Status.ambiguous, "no_answer", provider_id="taken") if next(numbers) % 10 == 0 else None

    memory.script("mail", some_are_lost)

    counts = two.report().counts

    assert counts == {("email", "unknown", "in_doubt"): PEOPLE // 10, ("email", "sent", ""): PEOPLE - PEOPLE // 10}
    assert memory.counts("relay").messages == 0
    everybody_once(two, "mail")


def test_what_the_first_refuses_for_good_the_next_is_not_asked(two: Any) -> None:
    def refuses(outgoing: Any, attempt: int) -> Receipt | None:
        dead = outgoing.message.address.startswith("anna00007@")
        return Receipt(Status.rejected_recipient, "mailbox_unavailable") if dead else None

    memory.script("mail", refuses)

    assert two.report().counts == {("email", "failed", "mailbox_unavailable"): 1, ("email", "sent", ""): PEOPLE - 1}
    assert memory.counts("relay").messages == 0


def test_throttled_for_long_is_out_too(two: Any) -> None:
    memory.script("mail", lambda outgoing, attempt: Receipt(Status.throttled, retry_after=timedelta(hours=1)))

    assert two.report().counts == {("email", "sent", ""): PEOPLE}
    assert len(addresses("relay")) == PEOPLE


def test_wrong_credentials_are_somebodys_to_mend_and_not_passed_on(two: Any) -> None:
    memory.script("mail", lambda outgoing, attempt: Receipt(Status.config))

    stopped = two.run()

    assert (stopped.code, stopped.error.code) == (3, "provider-config")
    assert memory.counts("relay").messages == 0


def test_a_first_account_that_does_not_open_pauses_the_run(two: Any) -> None:
    memory.refuse_open("mail", RunTrouble(Disposition.pause, Problem("unreachable", "nobody answers", "wait")))

    stopped = two.run()

    assert (stopped.code, stopped.error.code) == (3, "unreachable")
    assert memory.counts("relay").messages == 0


def test_a_run_that_was_begun_goes_on_by_the_accounts_that_it_was_begun_with(two: Any) -> None:
    memory.script("mail", used_up_after(500))
    memory.script("relay", lambda outgoing, attempt: QUOTA)
    assert two.run().code == 3
    memory.script("mail", None)
    two.configure(providers=SPARE, channels={"email": "relay"})

    ended = two.report()

    assert ended.code == 0, ended.err
    assert "mail (memory), else relay (memory)" in ended.err
    assert ended.counts == {("email", "sent", ""): PEOPLE}
    everybody_once(two, "mail")


def test_and_says_so_where_one_of_them_is_gone(two: Any, contents: Any) -> None:
    two.campaign({**contents["email"], "provider": "relay"})
    memory.script("relay", lambda outgoing, attempt: QUOTA)
    assert two.run().code == 3
    two.configure()
    two.campaign(contents["email"])

    stopped = two.run()

    assert (stopped.code, stopped.error.code) == (2, "unknown-provider")
    assert "`relay`" in stopped.error.message
    assert addresses("mail") == addresses("relay") == []


def test_the_announcement_says_who_takes_over(two: Any) -> None:
    assert "sends by  mail (memory), else relay (memory)" in two.run().err
