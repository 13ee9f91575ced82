"""`connect send`: what it is given badly, and what an interrupted one leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory

NOTE = """
transactional: true
content:
  - channel: email
    from: Shop <hello@shop.example>
    subject: "{subject}"
    text: "Good day, {{{{ user.name }}}}."
"""


def note(shop: Any, subject: str = "News") -> None:
    shop.write("messages/note.yml", NOTE.format(subject=subject))


def people(shop: Any, text: str) -> str:
    """A file of people."""
    (shop.root / "people.json").write_text(text, "utf-8")
    return str(shop.root / "people.json")


def test_an_interrupted_send_does_not_go_on_with_other_people(shop: Any) -> None:
    note(shop, "Old news")
    memory.refuse_open("mail", RunTrouble(Disposition.pause, Problem("unreachable", "nobody answers")))
    stopped = shop.connect("send", "note", "id=1", "email=one@mail.example", "name=One", "--yes")
    assert stopped.code == 3
    assert "a send does not go on" in stopped.err
    assert "connect run" not in stopped.err

    note(shop, "New news")
    memory.refuse_open("mail", None)
    ended = shop.connect("send", "note", "id=2", "email=two@mail.example", "name=Two", "--yes")

    assert ended.code == 0
    assert [(email.subject, email.to[0].address) for email in shop.sent()] == [("New news", "two@mail.example")]
    assert shop.ledger == [("live", "message note", "cancelled"), ("live", "message note", "completed")]


def test_what_to_do_about_an_interrupted_send_is_not_to_run_it(shop: Any) -> None:
    note(shop)
    memory.refuse_open("mail", RunTrouble(Disposition.pause, Problem("unreachable", "nobody answers")))
    shop.connect("send", "note", "id=1", "email=one@mail.example", "name=One", "--yes")
    (run,) = shop.connect("runs", "list", "--json").json

    shown = shop.connect("runs", "show", run["id"])

    assert "a send does not go on" in shown.out
    assert "connect run" not in shown.out


def test_rows_may_have_blank_lines_and_every_character_between_them(shop: Any) -> None:
    note(shop)
    rows = '{"id": 1, "email": "one@mail.example", "name": "O\u2028ne"}\n\n{"id": 2, "email": "two@mail.example"'
    rows += ', "name": "Two"}\n'

    ended = shop.connect("send", "note", "--people", people(shop, rows), "--yes")

    assert ended.code == 0, ended.err
    assert shop.addresses() == ["one@mail.example", "two@mail.example"]


@pytest.mark.parametrize(
    ("rows", "line"),
    [('{"id": 1, "email": "one@mail.example"}\n\n{"id": 2, "email"\n', 3), ('[{"id": 1},\n{"id": 2,\n}]', 3)],
)
def test_rows_that_are_not_json_are_told_by_their_line(shop: Any, rows: str, line: int) -> None:
    note(shop)

    ended = shop.connect("send", "note", "--people", people(shop, rows), "--yes")

    assert (ended.code, ended.error.code) == (2, "bad-rows")
    assert ended.error.message.endswith(f"is not JSON: line {line}")
    shop.nothing_happened()


def test_rows_in_another_encoding(shop: Any) -> None:
    note(shop)
    file = shop.root / "people.json"
    file.write_bytes('[{"id": 1, "email": "one@mail.example", "name": "Zoë"}]'.encode("latin-1"))

    ended = shop.connect("send", "note", "--people", str(file), "--yes")

    assert ended.code == 2
    assert "error[not-utf-8]" in ended.err
    shop.nothing_happened()


def test_people_given_twice(shop: Any) -> None:
    note(shop)

    ended = shop.connect("send", "note", "id=1", "email=a@mail.example", "--people", people(shop, "[]"), "--yes")

    assert (ended.code, ended.error.code) == (2, "bad-person")
    shop.nothing_happened()
