"""Rendered messages as they are shown before anybody gets them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from connect.channels.message import Device, Email, Mailbox, Message, Push, Request, Sms
from connect.redact import Secret
from connect.reports.messages import as_json, pretty, shown
from connect.reports.pages import messages_page
from connect.reports.segments import segments_in_words
from connect.vocabulary import Channel, Platform

PUSH = Push(
    Device("token-1", Platform.ios, "apns"),
    "Order 7",
    "is on its way",
    data=(("order", "7"), ("from", "shop")),
    image="https://shop.example/7.png",
    badge=0,
    sound="bell",
    url="acme://orders/7",
    ttl=timedelta(0),
    collapse_key="order-7",
    ios={"aps": {"thread-id": "orders"}},
    android={"priority": "high"},
)
REQUEST = Request(
    "https://hook.example/in",
    b'{"name":"Zo\xc3\xab","points":[1,2]}',
    "PUT",
    headers=(("X-Shop", "7"), ("Authorization", "***")),
    signing_secret=Secret("whsec_secret"),
)
MESSAGES: list[Message] = [
    Email(
        Mailbox("shop@mail.example", "Shop"), (Mailbox("ann@mail.example"),), "Hi", "id", text="Hello", html="<p>Hello"
    ),
    Sms("+61400000001", "Hello", "Shop", 1),
    PUSH,
    REQUEST,
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1 segment (GSM-7)"),
        ("Hello", "1 segment (GSM-7)"),
        ("x" * 161, "2 segments (GSM-7)"),
        ("it’s" + "x" * 70, "2 segments (UCS-2, because of “’”)"),
        ("👋" * 100, "4 segments (UCS-2, because of “👋”)"),
        ("a\u200bb", "1 segment (UCS-2, because of U+200B)"),
        ("a\u00a0b", "1 segment (UCS-2, because of U+00A0)"),
        ("a\ud83cb", "1 segment (UCS-2, because of U+D83C)"),
        ("x" * 153 * 1000, "1,000 segments (GSM-7)"),
    ],
)
def test_parts_in_words(text: str, words: str) -> None:
    assert segments_in_words(text) == words


def test_what_was_sent_says_of_how_many_parts() -> None:
    assert segments_in_words("Hello", 3) == "3 segments (GSM-7)"


def test_a_push_message_shows_all_that_is_set() -> None:
    one = shown(PUSH, "row 1")
    assert (one.channel, one.to, one.platform, one.subject, one.text) == (
        *(Channel.push, "token-1", "ios"),
        *("Order 7", "is on its way"),
    )
    assert (one.image, one.url, one.data) == (PUSH.image, PUSH.url, PUSH.data)
    assert dict(one.options) == {
        "kind": "apns",
        "badge": "0",
        "sound": "bell",
        "ttl": "0 s",
        "collapse_key": "order-7",
        "ios": json.dumps({"aps": {"thread-id": "orders"}}, indent=2),
        "android": json.dumps({"priority": "high"}, indent=2),
    }


def test_what_is_not_set_is_not_shown() -> None:
    one = shown(Push(Device("token-2"), "Hi", "There"), "row 2")
    assert (one.platform, one.image, one.url, one.data, one.options) == ("", "", "", (), ())


def test_a_request_shows_its_headers_and_its_body_spread_over_lines() -> None:
    one = shown(REQUEST, "row 1")
    assert (one.method, one.to) == ("PUT", "https://hook.example/in")
    assert one.headers == (("Content-Type", "application/json"), ("X-Shop", "7"), ("Authorization", "***"))
    assert one.text == '{\n  "name": "Zoë",\n  "points": [\n    1,\n    2\n  ]\n}'
    assert "secret" not in dict(one.options)["signed"].replace("a secret of its own", "")


@pytest.mark.parametrize("body", [b"name=Zo\xc3\xab", b"{not json", b"", b"7", b'"x"', b"null", b"[" * 50_000])
def test_what_is_no_json_document_is_shown_as_it_is(body: bytes) -> None:
    assert pretty(body) == body.decode()


def test_a_body_that_is_no_text_is_shown_as_far_as_it_is() -> None:
    assert pretty(b"\xff\xfe") == "\ufffd\ufffd"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_kind_is_shown_on_a_page_and_as_json(message: Message) -> None:
    page = messages_page("Preview", "", [shown(message, "row 1")])
    assert "row 1" in page
    found = json.dumps(as_json(message))
    assert "whsec_secret" not in page + found


def test_json_has_the_fields_of_the_channel() -> None:
    text, push, request = (as_json(message) for message in MESSAGES[1:])
    assert (text["text"], text["segments"], text["encoding"], text["because_of"]) == ("Hello", 1, "GSM-7", "")
    assert (push["title"], push["platform"], push["ttl"], push["badge"]) == ("Order 7", "ios", 0.0, 0)
    assert push["data"] == {"order": "7", "from": "shop"}
    assert (request["method"], request["url"], request["signed"]) == ("PUT", "https://hook.example/in", True)
    assert request["body"] == {"name": "Zoë", "points": [1, 2]}
    assert ["Authorization", "***"] in request["headers"]  # type: ignore[operator]


def test_the_page_says_which_character_makes_a_text_so_long() -> None:
    page = messages_page("Preview", "", [shown(Sms("+61400000001", "it’s" + "x" * 70, "Shop", 2), "row 1")])
    assert "74 characters, 2 segments (UCS-2, because of “’”)" in page
