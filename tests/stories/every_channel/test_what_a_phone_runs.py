"""Push by platform: each device by the account that carries it, and a reason where nobody does."""

from __future__ import annotations

from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status

ACCOUNTS = {"apple": {"type": "memory"}, "google": {"type": "memory"}}


@pytest.fixture
def both(house: Any, contents: Any) -> Any:
    house.campaign(contents["push"])
    rows = [list(house.person(number)) for number in (1, 2, 3)]
    rows[0][4] = house.channels(("token-of-an-iphone", "ios"), ("token-of-a-pixel", "android"))
    rows[1][4] = house.channels(("token-of-a-browser", "web"))
    rows[2][4] = house.channels(("token-of-who-knows", ""))
    house.people(*rows)
    return house


def test_each_by_its_account_and_a_reason_where_there_is_none(both: Any) -> None:
    both.configure(providers=ACCOUNTS, channels={"push": {"ios": "apple", "android": "google"}})

    ended = both.report()

    assert ended.code == 0
    assert ended.counts == {("push", "sent", ""): 2, ("push", "refused", "no_provider"): 2}
    assert (both.tokens("apple"), both.tokens("google")) == (["token-of-an-iphone"], ["token-of-a-pixel"])


def test_the_others_by_the_default(both: Any) -> None:
    both.configure(providers=ACCOUNTS, channels={"push": {"ios": "apple", "default": "google"}})

    assert both.report().counts == {("push", "sent", ""): 4}
    assert both.tokens("apple") == ["token-of-an-iphone"]
    assert both.tokens("google") == ["token-of-a-browser", "token-of-a-pixel", "token-of-who-knows"]


def test_a_campaign_chooses_for_itself(both: Any, contents: Any) -> None:
    both.configure(providers=ACCOUNTS)
    both.campaign({**contents["push"], "provider": {"ios": "apple", "default": "google"}})

    assert both.report().counts == {("push", "sent", ""): 4}
    assert both.tokens("apple") == ["token-of-an-iphone"]


def test_one_platform_is_out_of_quota_and_another_account_takes_over(both: Any) -> None:
    both.configure(
        providers=ACCOUNTS | {"spare": {"type": "memory"}},
        channels={"push": {"ios": ["apple", "spare"], "default": "google"}},
    )
    memory.script("apple", lambda outgoing, attempt: Receipt(Status.quota))

    assert both.report().counts == {("push", "sent", ""): 4}
    assert (both.tokens("apple"), both.tokens("spare")) == ([], ["token-of-an-iphone"])


def test_a_run_to_nobody_but_devices_that_nobody_carries_went_wrong(both: Any) -> None:
    both.configure(channels={"push": {"ios": "phones"}})
    row = list(both.person(1, platform="android"))
    both.people(row)

    ended = both.report()

    assert ended.code == 1
    assert ended.counts == {("push", "refused", "no_provider"): 2}
