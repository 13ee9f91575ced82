"""A run that an earlier version began, and this one ends: what it stored of its campaign is read, and is no change."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status

_SINCE = ("max_segments",)
"""Keys of contents that the earlier version did not have."""


@pytest.fixture
def begun(house: Any, contents: Any) -> Any:
    house.campaign(contents["email"], contents["sms"])
    house.crowd(40)
    memory.script("texts", lambda outgoing, attempt: Receipt(Status.config))
    assert house.run().code == 3
    memory.script("texts", None)
    _as_before(house.shop.root / ".connect" / "state.db")
    return house


def _as_before(ledger: Any) -> None:
    """The stored campaign as it was written when a content had one account; and another digest of it."""
    with sqlite3.connect(ledger) as connection:
        ((stored,),) = connection.execute("select campaign_json from runs")
        bundle = json.loads(stored)
        for content in bundle["campaign"]["message"]["content"]:
            content["provider"] = content["provider"]["accounts"][0]
            for key in _SINCE:
                content.pop(key, None)
        connection.execute("update runs set digest = 'as it was', campaign_json = ?", [json.dumps(bundle)])


def test_it_goes_on_and_nothing_has_changed(begun: Any) -> None:
    ended = begun.report()

    assert ended.code == 0, ended.err
    assert "campaign-changed" not in ended.err
    assert ended.counts == {("email", "sent", ""): 40, ("sms", "sent", ""): 40}
    assert len(begun.shop.addresses()) == len(set(begun.shop.addresses())) == 40


def test_what_has_changed_since_is_told(begun: Any, contents: Any) -> None:
    begun.campaign({**contents["email"], "subject": "Good evening"}, contents["sms"])

    ended = begun.report()

    assert ended.code == 0, ended.err
    assert "warning[campaign-changed]" in ended.err
    assert not any(email.subject == "Good evening" for email in begun.shop.sent("mail"))
