"""What is typed, what comes back, and what never does."""

from __future__ import annotations

from typing import Any

import pytest

from connect.channels.message import Outgoing
from connect.providers import memory
from connect.providers.interface import Receipt


def test_an_unknown_campaign_brings_the_nearest(shop: Any) -> None:
    shop.people(3)

    ended = shop.run("helo")

    assert (ended.code, ended.error.code, ended.error.hint) == (2, "unknown-campaign", "did you mean `hello`?")
    shop.nothing_happened()


def test_nobody_to_ask_is_a_no(shop: Any) -> None:
    shop.people(3)

    ended = shop.connect("run", "hello")

    assert (ended.code, ended.error.code) == (2, "not-confirmed")
    assert ended.error.hint == "`--yes` runs without asking"
    assert "3 rows (at most 1,000)" in ended.err  # what it would have done was shown
    assert "mode live" in ended.err
    shop.nothing_happened()


def test_an_unknown_target_brings_the_nearest(shop: Any) -> None:
    shop.configure(more="targets: {dev: {}, prod: {}}\n")

    ended = shop.run("hello", "--target", "prd")

    assert (ended.code, ended.error.code, ended.error.hint) == (2, "unknown-target", "did you mean `prod`?")
    shop.nothing_happened()


@pytest.mark.parametrize("arguments", [("rnu",), ("run",), ("run", "hello", "--yess"), ("run", "hello", "--mode", "x")])
def test_what_is_no_command_is_a_mistake(shop: Any, arguments: tuple[str, ...]) -> None:
    ended = shop.connect(*arguments)

    assert ended.code == 2
    assert "Usage: connect" in ended.err
    shop.nothing_happened()


def test_validate_for_machines(shop: Any) -> None:
    shop.people(3)
    shop.campaign(file="other", text='text: "{{ user.frist_name }}"')

    ended = shop.connect("validate", "--json")

    assert ended.code == 2
    assert ended.err == ""
    found = ended.json
    assert (found["errors"], found["warnings"]) == (1, 0)
    sound, other = found["campaigns"]
    assert sound == {
        "name": "hello",
        "sound": True,
        "summary": "live · immediate · email · marketing",
        "next_fires": [],
        "problems": [],
    }
    assert (other["name"], other["sound"]) == ("other", False)
    assert other["problems"] == [
        {
            "code": "unknown-name",
            "severity": "error",
            "message": "the audience has no column `frist_name`",
            "hint": "did you mean `user.first_name`?",
            "file": "campaigns/other.yml",
            "line": 11,
            "column": 17,
        }
    ]


def test_what_is_wrong_with_the_project_for_machines(shop: Any) -> None:
    shop.configure(more="nmae: shop\n")

    for command in (("validate", "--json"), ("run", "hello", "--yes", "--json"), ("runs", "list", "--json")):
        ended = shop.connect(*command)

        assert ended.code == 2
        (problem,) = ended.json["problems"]
        assert (problem["code"], problem["file"], problem["line"]) == ("unknown-key", "connect.yml", 10)


def test_validate_shows_the_next_fire_times(shop: Any) -> None:
    shop.people(3)
    shop.campaign(trigger='trigger: {type: recurring, cron: "0 9 * * mon", timezone: Australia/Sydney}')

    (checked,) = shop.connect("validate", "--json").json["campaigns"]

    assert len(checked["next_fires"]) == 5
    assert all(fire.startswith("Mon ") and " 09:00 AE" in fire for fire in checked["next_fires"])


def test_null_values_are_a_warning_with_their_count(shop: Any) -> None:
    rows = [("id-anna", "anna@mail.example", None), ("id-berta", "berta@mail.example", "Bertaaa")]
    shop.table("people", "id text, email text, first_name text", rows)

    ended = shop.connect("validate")

    assert ended.code == 0
    (warning,) = ended.problems
    assert (warning.severity, warning.code) == ("warning", "null-values")
    assert "null in 1 row and" in warning.message
    assert warning.place == shop.place("user.first_name")


def broken(outgoing: Outgoing, attempt: int) -> Receipt | None:
    """A bug that quotes what it was given."""
    raise LookupError(f"no route to {outgoing.message}")


@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_a_bug_says_where_it_is_and_never_whom_it_met(shop: Any, options: tuple[str, ...]) -> None:
    shop.people(3)
    memory.script("mail", broken)

    ended = shop.run("hello", *options)  # what it prints is searched for cells

    assert ended.code == 3
    assert "error[internal]: LookupError in broken" in ended.err
    assert "Traceback" not in ended.err
    assert ("File " in ended.err) == bool(options)
    assert shop.ledger == [("live", "hello", "paused")]

    memory.script("mail", None)
    again = shop.run("hello", "--json")

    # The provider has no memory for keys: what was released when it broke is in doubt, and nobody is sent two.
    everyone = shop.number("select count(*) from people")
    assert again.counts.total() == everyone
    assert again.counts["email", "unknown", "in_doubt"] + len(shop.sent()) == everyone


def test_a_mistake_shows_no_traceback_unless_asked(shop: Any) -> None:
    shop.people(3)
    shop.campaign(sql="sql: select nope from people")

    assert "File " not in shop.run().err
    assert "File " in shop.run("hello", "--debug").err
    shop.nothing_happened()
