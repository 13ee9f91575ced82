"""`reach: first`: the first channel on which a person has an address, with every address on it."""

from __future__ import annotations

from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status


@pytest.fixture
def first(house: Any, contents: Any) -> Any:
    """Push, else e-mail, else a text."""
    house.campaign(contents["push"], contents["email"], contents["sms"], reach="first")
    return house


def test_both_phones_and_nothing_else(first: Any) -> None:
    first.crowd(2)

    ended = first.report()

    elsewhere = {(channel, "skipped", "reached_elsewhere"): 2 for channel in ("email", "sms")}
    assert ended.counts == {("push", "sent", ""): 4} | elsewhere
    assert first.shop.sent() == first.texts() == []


def test_who_has_no_phone_that_can_be_reached_gets_the_next(first: Any) -> None:
    rows = [list(first.person(number)) for number in (1, 2, 3, 4)]
    rows[1][4] = None
    rows[2][4] = "[{"
    rows[3][1] = rows[3][4] = None
    first.people(*rows)

    ended = first.report()

    assert ended.counts == {
        ("push", "sent", ""): 2,
        ("push", "skipped", "no_address"): 2,
        ("push", "refused", "invalid_device"): 1,
        ("email", "sent", ""): 2,
        ("email", "skipped", "reached_elsewhere"): 1,
        ("email", "skipped", "no_address"): 1,
        ("sms", "sent", ""): 1,
        ("sms", "skipped", "reached_elsewhere"): 3,
    }


def test_a_device_that_nobody_carries_is_no_address(first: Any) -> None:
    first.configure(channels={"push": {"android": "phones"}})
    first.people(first.person(1), first.person(2, platform="android"))

    ended = first.report()

    assert ended.counts == {
        ("push", "refused", "no_provider"): 2,
        ("push", "sent", ""): 2,
        ("email", "sent", ""): 1,
        ("email", "skipped", "reached_elsewhere"): 1,
        ("sms", "skipped", "reached_elsewhere"): 2,
    }


def test_a_dead_phone_stays_the_first(first: Any) -> None:
    """Only the provider knows, and by then everything else was decided."""
    first.crowd(1, devices=1)
    memory.script("phones", lambda outgoing, attempt: Receipt(Status.rejected_recipient, "unregistered"))

    ended = first.report()

    assert ended.counts["push", "failed", "unregistered"] == 1
    assert ended.counts["email", "skipped", "reached_elsewhere"] == 1
    assert first.shop.sent() == []


def test_duplicates_are_counted_on_every_channel(first: Any) -> None:
    ann = first.person(1)
    first.people(ann, ann)

    ended = first.report()

    assert ended.counts == {
        ("push", "sent", ""): 2,
        ("email", "skipped", "reached_elsewhere"): 1,
        ("sms", "skipped", "reached_elsewhere"): 1,
        **{(channel, "skipped", "duplicate"): 1 for channel in ("push", "email", "sms")},
    }
