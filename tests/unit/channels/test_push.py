"""A push message from rendered strings."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connect.channels.message import Device, Push
from connect.channels.parts import Bad
from connect.channels.push import MOST_BYTES, build_push
from connect.vocabulary import Platform, Reason

PHONE = Device("token", Platform.ios)


def built(**fields: object) -> Push | Bad:
    return build_push(PHONE, **{"title": "News", "body": "There is some", **fields})  # type: ignore[arg-type]


def test_a_push_message() -> None:
    assert built(
        title=" News\n",
        body="\n There is\nsome ",
        data=(("order", " 7 "), ("empty", "")),
        image=" https://Acme.example/a b.png".replace(" b", "b"),
        badge=" 3\n",
        sound=" ping.caf ",
        url="acme://orders/7?from=push",
        ttl=timedelta(hours=6),
        collapse_key=" news ",
        ios={"aps": {"category": "NEWS"}},
        android={"priority": "high"},
    ) == Push(
        PHONE,
        "News",
        "There is\nsome",
        (("order", " 7 "), ("empty", "")),
        "https://acme.example/ab.png",
        3,
        "ping.caf",
        "acme://orders/7?from=push",
        timedelta(hours=6),
        "news",
        {"aps": {"category": "NEWS"}},
        {"priority": "high"},
    )


def test_what_is_blank_is_left_out() -> None:
    blank = {"image": " ", "badge": "", "sound": "\n", "url": "", "collapse_key": " ", "ios": None, "android": {}}
    assert built(**blank) == built() == Push(PHONE, "News", "There is some")
    assert built(title="", body="") == Push(PHONE, "", "")  # for the app alone


@pytest.mark.parametrize(("written", "badge"), [("0", 0), ("7", 7), ("99999", 99999), ("007", 7)])
def test_badges(written: str, badge: int) -> None:
    made = built(badge=written)
    assert isinstance(made, Push)
    assert made.badge == badge


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        *[({"badge": badge}, Bad(Reason.render_error, "badge")) for badge in ("-1", "1.0", "100000", "a", "٣", "1 2")],
        *[
            ({"image": url}, Bad(Reason.invalid_url, "image"))
            for url in ("picture.png", "acme://a.png", "http://", "x")
        ],
        ({"image": "https://user:secret@acme.example/a.png"}, Bad(Reason.invalid_url, "image")),
        *[
            ({"url": url}, Bad(Reason.invalid_url, "url"))
            for url in ("/orders", "orders 7", "https://", "javascript:alert(1)", "DATA:text/html,x", "a:\x07", "acme:")
        ],
        ({"collapse_key": "k" * 65}, Bad(Reason.content_too_large, "collapse_key")),
        ({"collapse_key": "ü" * 33}, Bad(Reason.content_too_large, "collapse_key")),
        ({"collapse_key": "a\nb"}, Bad(Reason.invalid_header, "collapse_key")),
        ({"title": "t" * MOST_BYTES}, Bad(Reason.content_too_large, "title")),
        ({"body": "ü" * 2048}, Bad(Reason.content_too_large, "body")),
        ({"data": (("a", "x" * 2000), ("b", "y" * 2100))}, Bad(Reason.content_too_large, "data")),
    ],
)
def test_why_there_is_no_push_message(fields: dict[str, object], bad: Bad) -> None:
    assert built(**fields) == bad


@pytest.mark.parametrize(
    "url", ["acme://orders/7", "https://acme.example/a#b", "mailto:a@b.example", "intent:#Intent;end"]
)
def test_what_a_tap_opens(url: str) -> None:
    made = built(url=url)
    assert isinstance(made, Push)
    assert made.url == url


def test_the_largest_payload() -> None:
    parts = {"title": "t" * 96, "body": "ü" * 1500, "data": (("key", "v" * 997),)}
    assert isinstance(built(**parts), Push)
    assert built(**{**parts, "sound": "s"}) == Bad(Reason.content_too_large, "body")
    assert isinstance(built(collapse_key="ü" * 32), Push)


def test_halves_of_characters_are_replaced() -> None:
    made = built(title="a\ud83c!", data=(("k", "\udf89é\r\n"),))
    assert isinstance(made, Push)
    assert (made.title, made.data) == ("a\ufffd!", (("k", "\ufffdé\r\n"),))
