"""Dead tokens are outcomes, however many; tokens that an account does not take for tokens pause the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status

PEOPLE = 400
BURST = 50
"""Of bad tokens in a row."""

DEAD = Receipt(Status.rejected_recipient, "unregistered")
BAD = Receipt(Status.rejected_recipient, "bad_device_token")


@pytest.fixture
def phones(house: Any, contents: Any) -> Any:
    house.campaign(contents["push"])
    house.crowd(PEOPLE)
    return house


def told(count: int, receipt: Receipt) -> Callable[[Any, int], Receipt | None]:
    """The first so many messages are answered so, the others are accepted."""
    answered = iter(range(10**9))
    return lambda outgoing, attempt: receipt if next(answered) < count else None


def test_dead_tokens_do_not_pause_a_run(phones: Any) -> None:
    """Two phones in three are gone: that is no trouble of the account, whatever share is refused."""
    everybody = iter(range(10**9))
    memory.script("phones", lambda outgoing, attempt: DEAD if next(everybody) % 3 else None)

    ended = phones.report()

    assert ended.code == 1
    assert ended.json["runs"][0]["state"] == "completed"
    counts = ended.counts
    assert counts["push", "failed", "unregistered"] == 2 * PEOPLE * 2 // 3
    assert counts.total() == 2 * PEOPLE


def test_tokens_that_are_none_pause_it(phones: Any) -> None:
    memory.script("phones", told(BURST, BAD))

    ended = phones.run()

    assert (ended.code, ended.error.code) == (3, "devices-refused")
    assert "phones takes none of the devices, lately `bad_device_token`" in ended.err
    assert phones.shop.ledger == [("live", "hello", "paused")]


def test_one_less_in_a_row_does_not(phones: Any) -> None:
    memory.script("phones", told(BURST - 1, BAD))

    ended = phones.report()

    assert ended.json["runs"][0]["state"] == "completed"
    assert ended.counts == {
        ("push", "failed", "bad_device_token"): BURST - 1,
        ("push", "sent", ""): 2 * PEOPLE - BURST + 1,
    }


def test_who_was_not_refused_before_the_pause_is_written_to_after_it(phones: Any) -> None:
    """One call at a time, of a thousand messages: the others stay."""
    phones.configure(providers={"phones": {"type": "memory", "concurrency": 1}})
    phones.crowd(PEOPLE, devices=6)
    memory.script("phones", told(10**9, BAD))
    assert phones.run().code == 3
    memory.script("phones", None)

    ended = phones.report()

    counts = ended.counts
    refused = counts["push", "failed", "bad_device_token"]
    assert BURST <= refused <= 1000
    assert counts == {("push", "failed", "bad_device_token"): refused, ("push", "sent", ""): 6 * PEOPLE - refused}
    assert len(phones.tokens()) == len(set(phones.tokens())) == counts["push", "sent", ""]


def test_who_has_looked_at_it_may_go_on(phones: Any) -> None:
    """As after everything that pauses for somebody to look: it is not asked again every fifty devices."""
    phones.configure(providers={"phones": {"type": "memory", "concurrency": 1}})
    phones.crowd(PEOPLE, devices=6)
    memory.script("phones", told(10**9, BAD))
    assert phones.run().code == 3

    ended = phones.report()

    assert ended.json["runs"][0]["state"] == "completed"
    assert ended.counts == {("push", "failed", "bad_device_token"): 6 * PEOPLE}
