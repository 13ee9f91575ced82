"""`connect preview` of every channel: each device, each part of a text, each header, and no secret."""

from __future__ import annotations

from typing import Any

import pytest

KEY = "key-of-the-hook-5f2c91"
EXAMPLES = """
examples:
  - id: 1
    email: zoe@mail.example
    first_name: Zoe’s friend who has a name that is so long that it hardly fits into one
    phone_number: "+61400000001"
    channels: '[{"type": "push", "address": "phone-one", "platform": "ios"}, {"type": "push", "address": "phone-two"}]'
  - {id: 2, first_name: Bob, channels: "[{"}
"""


@pytest.fixture
def examples(house: Any, contents: Any) -> Any:
    house.shop.write(".env", f"CONNECT_SECRET=a-secret-of-the-shop-0123456789\nKEY={KEY}\n")
    push = {
        **contents["push"],
        "data": {"order": "{{ user.id }}"},
        "image": "https://shop.example/{{ user.id }}.png",
        "url": "acme://orders/{{ user.id }}",
        "badge": "3",
        "ttl": "2h",
        "collapse_key": "orders",
        "ios": {"aps": {"thread-id": "orders-{{ user.id }}"}},
        "android": {"priority": "high"},
    }
    http = {
        **contents["http"],
        "method": "PUT",
        "headers": {"Authorization": "Bearer ${KEY}", "X-Name": "{{ user.first_name | url_encode }}"},
        "signing_secret": "${KEY}",
    }
    house.campaign(contents["email"], contents["sms"], push, http)
    file = house.shop.root / "campaigns/hello.yml"
    file.write_text(file.read_text() + EXAMPLES)
    return house


def test_at_the_terminal(examples: Any) -> None:
    shown = examples.shop.connect("preview", "hello")

    assert shown.code == 0, shown.err
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "2 segments (UCS-2, because of “’”)" in lines
    assert [line for line in lines if line.startswith("to ")] == [
        "to zoe@mail.example",
        "to +61400000001",
        "to ios phone-one",
        "to phone-two",
    ]
    for line in (
        *("title Hello", "image https://shop.example/1.png", "opens acme://orders/1", "data order = 1", "badge 3"),
        *("ttl 7,200 s", "collapse key orders", '"thread-id": "orders-1"', '"priority": "high"'),
        *("request PUT https://hook.example/in", "header Authorization: ***", "header Content-Type: application/json"),
        *("refused: invalid_device", '"name": "Bob"'),
    ):
        assert line in lines, line
    assert KEY not in shown.out + shown.err
    examples.nothing_happened()


def test_as_json(examples: Any) -> None:
    found = examples.shop.connect("preview", "hello", "--json").json

    assert [(one["row"], one["channel"]) for one in found] == [
        *((1, "email"), (1, "sms"), (1, "push"), (1, "push"), (1, "http")),
        *((2, "email"), (2, "sms"), (2, "push"), (2, "http")),
    ]
    _, text, first, second, request = found[:5]
    assert (text["segments"], text["encoding"], text["because_of"]) == (2, "UCS-2", "’")
    assert (first["to"], first["platform"], second["to"], second["platform"]) == ("phone-one", "ios", "phone-two", None)
    assert {name: first[name] for name in ("data", "badge", "ttl", "url")} == {
        "data": {"order": "1"},
        "badge": 3,
        "ttl": 7200.0,
        "url": "acme://orders/1",
    }
    assert (first["ios"], first["android"]) == ({"aps": {"thread-id": "orders-1"}}, {"priority": "high"})
    assert (request["method"], request["url"], request["signed"]) == ("PUT", "https://hook.example/in", True)
    assert ["Authorization", "***"] in request["headers"]
    assert (found[7]["outcome"], found[7]["reason"]) == ("refused", "invalid_device")


def test_on_a_page(examples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    monkeypatch.setattr("connect.cli.previewing.serve", pages.append)

    assert examples.shop.connect("preview", "hello", "--open").code == 0

    (page,) = pages
    for shown in ("because of “’”", "phone-one", "phone-two", "acme://orders/1", "orders-1", "PUT", "***"):
        assert shown in page
    assert "9 deliveries" in page
    assert KEY not in page


def test_the_account_s_own_endpoint_and_a_body_that_is_text(examples: Any) -> None:
    examples.campaign({"channel": "http", "body": "Hi {{ user.first_name }}"})
    file = examples.shop.root / "campaigns/hello.yml"
    file.write_text(file.read_text() + EXAMPLES)

    shown = examples.shop.connect("preview", "hello").out

    assert "POST (the account’s endpoint)" in shown
    assert "Hi Bob" in shown


def test_a_platform_that_nobody_carries(examples: Any, contents: Any) -> None:
    examples.configure(channels={"push": {"ios": "phones"}})

    found = examples.shop.connect("preview", "hello", "--json").json

    pushes = [one for one in found if one["channel"] == "push"]
    assert [one.get("reason", "shown") for one in pushes] == ["shown", "no_provider", "invalid_device"]
