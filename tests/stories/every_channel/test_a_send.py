"""`connect send` to phones: a device, a number, several people in a file; what tells them apart is what they have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connect.channels.message import Device
from connect.vocabulary import Platform

PUSH = """
transactional: true
content:
  - {channel: push, title: "Order {{ user.order }}", body: It is on its way}
"""
SMS = """
transactional: true
content:
  - {channel: sms, body: "Order {{ user.order }} is on its way"}
"""


@pytest.fixture
def notes(house: Any) -> Any:
    house.shop.write("messages/ping.yml", PUSH)
    house.shop.write("messages/text.yml", SMS)
    return house


def send(notes: Any, *arguments: str) -> Any:
    return notes.shop.connect("send", *arguments, "--yes", "--json")


def test_to_a_device(notes: Any) -> None:
    ended = send(notes, "ping", "device_token=token-of-ada", "platform=ios", "order=7")

    assert ended.code == 0, ended.err
    assert ended.counts == {("push", "sent", ""): 1}
    (push,) = notes.pushes()
    assert (push.device, push.title) == (Device("token-of-ada", Platform.ios), "Order 7")


def test_to_a_device_that_nobody_carries(notes: Any) -> None:
    notes.configure(channels={"push": {"ios": "phones"}})

    ended = send(notes, "ping", "device_token=token-of-ada", "platform=android", "order=7")

    assert ended.code == 1
    assert ended.counts == {("push", "refused", "no_provider"): 1}


def test_to_several_devices_of_one_person(notes: Any) -> None:
    channels = notes.channels(("token-of-ada-1", "ios"), ("token-of-ada-2", "android"))

    ended = send(notes, "ping", "id=ada", f"channels={channels}", "order=7")

    assert ended.counts == {("push", "sent", ""): 2}


def test_to_a_number(notes: Any) -> None:
    ended = send(notes, "text", "phone_number=+61400000001", "order=7")

    assert ended.code == 0, ended.err
    assert ended.counts == {("sms", "sent", ""): 1}
    assert [(text.to, text.body) for text in notes.texts()] == [("+61400000001", "Order 7 is on its way")]


def test_to_many_devices(notes: Any) -> None:
    rows = [{"device_token": f"token-{number}", "platform": "ios", "order": number} for number in range(3)]
    rows.append(rows[0])
    (notes.shop.root / "people.json").write_text(json.dumps(rows))

    ended = send(notes, "ping", "--people", "people.json")

    assert ended.counts == {("push", "sent", ""): 3, ("push", "skipped", "duplicate"): 1}
    assert notes.tokens() == ["token-0", "token-1", "token-2"]


def test_a_number_that_is_none(notes: Any) -> None:
    ended = send(notes, "text", "phone_number=0400", "order=7")

    assert ended.code == 1
    assert ended.counts == {("sms", "refused", "invalid_phone"): 1}
    assert "0400" not in ended.out + ended.err


def test_someone_who_has_nothing_of_the_kind(notes: Any) -> None:
    """A message by push to a person with an e-mail address."""
    ended = send(notes, "ping", "id=ada", "email=ada@mail.example", "order=7")

    assert ended.counts == {("push", "skipped", "no_address"): 1}


def test_in_test_mode_to_the_test_device(notes: Any) -> None:
    notes.configure(mode="test", more="test_recipient: {device_token: phone-of-the-tester, platform: ios}\n")

    ended = send(notes, "ping", "device_token=token-of-ada", "platform=android", "order=7")

    assert ended.counts == {("push", "sent", ""): 1}
    assert [push.device for push in notes.pushes()] == [Device("phone-of-the-tester", Platform.ios)]


@pytest.mark.parametrize("who", [["order=7"], ["--people", "people.json"]], ids=["one", "some"])
def test_people_whom_nothing_tells_apart(notes: Any, who: list[str]) -> None:
    rows = [{"id": 1, "order": 7}, {"email": "ada@mail.example", "order": 8}]
    (notes.shop.root / "people.json").write_text(json.dumps(rows))

    ended = notes.shop.connect("send", "ping", *who, "--yes")

    assert (ended.code, ended.error.code) == (2, "bad-person")
    assert "device_token" in ended.error.hint
    notes.nothing_happened()
