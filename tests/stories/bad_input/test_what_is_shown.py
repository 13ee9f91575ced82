"""Reports, lists and hints: nothing in a row or a name bends them, and a hint means the run that it stands under."""

from __future__ import annotations

from typing import Any

import pytest

from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory

OUTBOX = "{type: outbox}"
TARGETS = "default_target: dev\ntargets: {dev: {}, prod: {state: 'sqlite:///.connect/prod.db'}}\n"
LIVE = (
    "unsubscribe: {url: 'https://shop.example/leave?t={{ url.token }}'}\nsubscriptions: {sql: select * from opt_outs}\n"
)


def test_brackets_in_the_reason_of_a_skip_are_shown(shop: Any) -> None:
    shop.people(2)
    shop.campaign(text="text: \"{% skip 'not [/gold] yet' %}\"")

    ended = shop.run()

    assert ended.code == 0, ended.err
    assert "skip_tag: not [/gold] yet" in ended.out
    assert "skip_tag: not [/gold] yet" in shop.connect("report", "hello").out


def test_brackets_in_a_name_do_not_bend_the_outbox(shop: Any) -> None:
    shop.configure(mail=OUTBOX)
    shop.table("people", "id text, email text, first_name text", [("1", '"[/b]" <a@mail.example>', "A")])
    shop.campaign(text="text: Good day")
    assert shop.run().code == 0
    shop.cells.clear()  # the outbox is there to show them

    listed = shop.connect("outbox")

    assert listed.code == 0, listed.err
    assert "[/b]" in listed.out


def test_the_hint_of_a_run_that_stopped_names_its_target_and_mode(shop: Any) -> None:
    shop.configure(more=TARGETS + "test_recipient: {email: us@shop.example}\n")
    shop.people(2)
    memory.refuse_open("mail", RunTrouble(Disposition.pause, Problem("unreachable", "nobody answers")))

    stopped = shop.run("hello", "--target", "prod", "--mode", "test")

    assert "`connect run hello --target prod --mode test` goes on" in stopped.err
    (run,) = shop.connect("runs", "list", "--target", "prod", "--json").json
    shown = shop.connect("runs", "show", run["id"], "--target", "prod")
    assert "`connect run hello --target prod --mode test` goes on" in shown.out


def test_why_a_run_waits_stands_under_the_list_whole(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shop.people(2)
    reason = "mail.shop.example:587: 535 5.7.8 the name or the password is not right"
    memory.refuse_open("mail", RunTrouble(Disposition.pause, Problem("unreachable", reason)))
    shop.run()

    listed = shop.connect("runs", "list").out.splitlines()

    assert listed[1].split()[-1] == "paused"
    assert listed[-1].endswith(f"paused: {reason}")


@pytest.mark.parametrize(("mode", "code"), [("offline", 0), ("test", 0), ("live", 1)])
def test_a_run_that_sends_to_nobody_because_of_its_mode_did_not_go_wrong(shop: Any, mode: str, code: int) -> None:
    """One of two rows is bad; the other one would have been sent to."""
    rows = [("1", "one@mail.example" if mode != "live" else "nobody", "A"), ("2", "not-an-address", "B")]
    shop.table("people", "id text, email text, first_name text", rows)

    ended = shop.run("hello", "--mode", mode)

    assert ended.code == code, ended.err
    assert " 0 sent" in ended.out
    assert ("nothing is sent" in ended.err) == (mode == "offline")


def test_who_reads_only_the_first_line_has_seen_enough(shop: Any) -> None:
    """Longer than a pipe holds, so that the command writes into one that was closed."""
    shop.configure(mail=OUTBOX)
    shop.people(600)
    assert shop.run().code == 0
    shop.cells.clear()

    process = shop.start("outbox", "--limit", "600")
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
