"""A campaign that answers to events: what `validate`, `show` and `preview` say of it before anything is sent."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

ORDERS = """
status: live
trigger: {type: event, every: 5m, lag: 2m, timezone: Australia/Sydney}
audience:
  sql: |
    select id, email, first_name, order_id, item from orders
    where paid_at > :since and paid_at <= :until
  key: [id, order_id]
  limits: {max: 1000}
examples:
  - {id: 1, email: ada@example.com, first_name: Ada, order_id: 7, item: Tea}
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: "Your {{ event.item }}"
      text: "Thanks, {{ user.first_name }}, for order {{ event.order_id }}. {{ url.unsubscribe_link }}"
"""
TABLE = "id int, email text, first_name text, order_id int, item text, paid_at timestamptz"


@pytest.fixture
def shop(shop: Any) -> Any:
    shop.table("orders", TABLE)
    shop.campaign(ORDERS)
    return shop


def test_it_is_sound_and_says_how_often_it_polls(shop: Any) -> None:
    ended = shop.connect("validate")

    assert (ended.code, ended.problems) == (0, [])
    assert "hello  live · event · email · marketing  polls every 5m" in ended.out
    assert "polls every 5m" in shop.connect("show", "hello").out


def test_its_examples_are_rendered_as_events(shop: Any) -> None:
    ended = shop.connect("preview", "hello", "--json")

    assert ended.code == 0
    assert ended.json[0]["subject"] == "Your Tea"
    assert ended.json[0]["text"].startswith("Thanks, Ada, for order 7.")


MISTAKES = [
    # (key of the file, what it says instead, code, what the caret stands under, part of the hint)
    (
        "where paid_at",
        "where paid_at <= :until",
        "event-window",
        "select id",
        "happened_at > :since and happened_at <= :until",
    ),
    ("where paid_at", "where paid_at <= :fire_time", "event-window", "select id", "happened_at > :since"),
    (
        "where paid_at",
        "where paid_at between :since and :until",
        "event-edges",
        ":since",
        "write `where paid_at > :since and paid_at <= :until`",
    ),
    ("where paid_at", "where paid_at > :since and paid_at < :until", "event-edges", ":until", "paid_at <= :until"),
    ("where paid_at", "where paid_at > :since and paid_at <= :untl", "unknown-parameter", ":untl", "`:until`"),
    ("key", "timeout: 1m", "event-key", "audience:", "`key: [id, order_id]`"),
    ("key", "key: id", "event-key", "id\n", "`key: [id, order_id]`"),
    ("key", "key: [ID]", "event-key", "key:", "`key: [id, order_id]`"),
    ("key", "key: email", "event-key", "email\n", "`key: [id, order_id]`"),
    ("subject", 'subject: "Your {{ event.itme }}"', "unknown-name", "event.itme", "did you mean `event.item`?"),
    ("subject", 'subject: "Your {{ item }}"', "unknown-name", "item }}", "write `user.item`"),
]


@pytest.mark.parametrize(("key", "instead", "code", "under", "hint"), MISTAKES)
def test_a_mistake_is_shown_at_its_place(shop: Any, key: str, instead: str, code: str, under: str, hint: str) -> None:
    lines = [line for line in ORDERS.splitlines() if line.strip().startswith(key)]
    assert len(lines) == 1
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    shop.campaign(ORDERS.replace(lines[0], indent + instead))

    ended = shop.connect("validate")

    assert ended.code == 2
    assert ended.error.code == code
    assert ended.error.place == shop.place(under)
    assert hint in ended.error.hint


def test_a_list_of_people_has_no_events(shop: Any) -> None:
    shop.campaign(
        """
        trigger: {type: event, every: 5m}
        audience:
          people: [{id: 1, phone_number: "+61400000000"}]
        message: {content: [{channel: sms, body: Hi}]}
        """
    )

    assert [error.code for error in shop.connect("validate").errors] == ["event-people"]


def test_without_an_event_trigger_there_is_neither_an_event_nor_a_window(shop: Any) -> None:
    shop.campaign(ORDERS.replace("type: event, every: 5m, lag: 2m", "type: immediate"))
    window = shop.connect("validate")
    shop.campaign(
        ORDERS.replace("type: event, every: 5m, lag: 2m", "type: immediate").replace(
            "where paid_at > :since and paid_at <= :until", ""
        )
    )
    event = shop.connect("validate")

    assert [(error.code, error.place) for error in window.errors] == [
        ("unknown-parameter", shop_place) for shop_place in ("campaigns/hello.yml:6:21", "campaigns/hello.yml:6:43")
    ]
    assert "only an event trigger has a window" in window.errors[0].hint
    assert [(error.code, error.under.partition(" ")[0]) for error in event.errors] == [
        ("unknown-name", "event.item"),
        ("unknown-name", "event.order_id"),
    ]
    assert event.errors[0].hint == "write `user.item`"


def test_nulls_are_looked_for_in_the_last_hour(shop: Any) -> None:
    shop.table(
        "orders", TABLE, [(1, "ada@mail.example", None, 7, "Teapots", f"2001-01-0{day} 12:00+00") for day in (1, 2)]
    )
    assert shop.connect("validate").problems == []

    shop.campaign(
        ORDERS.replace("where paid_at > :since", "where paid_at + (:fire_time - paid_at) > :since").replace(
            "and paid_at <= :until", "and :until is not null"
        )
    )
    (warning,) = shop.connect("validate").problems

    assert (warning.severity, warning.code) == ("warning", "null-values")
    assert "is null in 2 rows" in warning.message


def test_real_rows_are_those_of_the_last_hour(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(hours=2), now - timedelta(minutes=30), now + timedelta(hours=2)]
    rows = [(1, "ada@mail.example", "Ada", number, "Tea", at) for number, at in enumerate(times)]
    shop.table("orders", TABLE, rows)
    shop.cells.clear()  # `--real` shows them, at a terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    ended = shop.connect("preview", "hello", "--real", "--json")

    assert ended.code == 0, ended.err
    assert [one["text"].partition("order ")[2][:1] for one in ended.json] == ["1"]
