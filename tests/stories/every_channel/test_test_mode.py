"""Test mode sends one copy for each channel, to the test recipient: devices and endpoints too."""

from __future__ import annotations

from typing import Any

import pytest

from connect.channels.message import Device
from connect.vocabulary import Platform

RECIPIENT = """
test_recipient:
  email: tester@shop.example
  phone_number: "+61400000000"
  device_token: phone-of-the-tester
  platform: android
  http: https://tests.example/in
"""
PEOPLE = 4
CHANNELS = ("email", "sms", "push", "http")


@pytest.fixture
def everything(house: Any, contents: Any) -> Any:
    contents["http"]["url"] = "https://hook.example/of/{{ user.first_name }}"
    house.campaign(*contents.values())
    house.crowd(PEOPLE)
    return house


def test_one_copy_for_each_channel_to_the_test_recipient(everything: Any) -> None:
    everything.configure(mode="test", more=RECIPIENT)

    ended = everything.report()

    counts = ended.counts
    assert {channel: counts[channel, "sent", ""] for channel in CHANNELS} == dict.fromkeys(CHANNELS, 1)
    assert counts["push", "skipped", "mode"] == 2 * PEOPLE - 1
    assert {counts[channel, "skipped", "mode"] for channel in ("email", "sms", "http")} == {PEOPLE - 1}
    assert everything.shop.addresses() == ["tester@shop.example"]
    assert [text.to for text in everything.texts()] == ["+61400000000"]
    assert [push.device for push in everything.pushes()] == [Device("phone-of-the-tester", Platform.android)]
    assert [request.to for request in everything.requests()] == ["https://tests.example/in"]
    for shown in ("tester@shop.example", "+61400000000", "phone-of-the-tester", "https://tests.example/in"):
        assert shown in ended.err


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_without_a_test_recipient_is_dropped(everything: Any, channel: str) -> None:
    key = {"sms": "phone_number", "push": "device_token"}.get(channel, channel)
    without = "".join(f"{line}\n" for line in RECIPIENT.splitlines() if not line.startswith(f"  {key}:"))
    everything.configure(mode="test", more=without)

    counts = everything.report().counts

    assert {one: counts[one, "sent", ""] for one in CHANNELS} == {one: int(one != channel) for one in CHANNELS}
    assert counts[channel, "skipped", "mode"] == (2 * PEOPLE if channel == "push" else PEOPLE)


def test_the_copy_goes_by_the_account_of_the_test_device(everything: Any) -> None:
    """Whatever the person's own devices run."""
    accounts = {"apple": {"type": "memory"}, "google": {"type": "memory"}}
    everything.configure(
        mode="test", more=RECIPIENT, providers=accounts, channels={"push": {"ios": "apple", "android": "google"}}
    )

    assert everything.report().counts["push", "sent", ""] == 1
    assert (everything.tokens("apple"), everything.tokens("google")) == ([], ["phone-of-the-tester"])


def test_where_push_differs_by_platform_the_test_device_needs_one(everything: Any) -> None:
    without = RECIPIENT.replace("  platform: android\n", "")
    everything.configure(mode="test", more=without, channels={"push": {"ios": "phones", "default": "phones"}})

    ended = everything.run()

    assert (ended.code, ended.error.code) == (2, "missing-key")
    assert "test_recipient.platform" in ended.error.message
    everything.nothing_happened()


def test_under_reach_first_one_copy_is_sent_by_the_first(everything: Any, contents: Any) -> None:
    everything.configure(mode="test", more=RECIPIENT)
    everything.campaign(contents["push"], contents["email"], reach="first")

    counts = everything.report().counts

    assert counts == {
        ("push", "sent", ""): 1,
        ("push", "skipped", "mode"): 2 * PEOPLE - 1,
        ("email", "skipped", "reached_elsewhere"): PEOPLE,
    }


def test_offline_hands_nothing_over(everything: Any) -> None:
    everything.configure(mode="offline", more=RECIPIENT)

    ended = everything.report()

    assert ended.code == 0
    assert ended.counts == {
        (channel, "skipped", "mode"): 2 * PEOPLE if channel == "push" else PEOPLE for channel in CHANNELS
    }
    assert everything.shop.ledger == [("offline", "hello", "completed")]
    assert everything.pushes() == everything.requests() == []
