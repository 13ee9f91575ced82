"""A ledger that is somebody else's, and a run that somebody else is at."""

from __future__ import annotations

from typing import Any

from connect.providers import memory
from connect.testing.smtp import HANG, At, SmtpServer

TARGETS = """
default_target: dev
targets:
  dev: {}
  prod: {}
"""


def test_one_of_another_target_is_refused(shop: Any) -> None:
    shop.people(3)
    shop.configure(more=TARGETS)
    assert shop.run().code == 0
    before = shop.ledger

    ended = shop.run("hello", "--target", "prod")

    assert ended.code == 2
    assert ended.error.code == "ledger-other-target"
    assert "dev" in ended.error.message
    assert "prod" in ended.error.message
    assert ended.error.hint
    assert shop.ledger == before
    assert memory.counts("mail").messages == 3


def test_each_target_can_have_its_own(shop: Any) -> None:
    shop.people(3)
    shop.configure(more=TARGETS.replace("prod: {}", "prod: {state: sqlite:///.connect/prod.db}"))

    assert shop.run().code == shop.run("hello", "--target", "prod").code == 0
    assert memory.counts("mail").messages == 6


def test_a_file_that_is_no_ledger_is_left_alone(shop: Any) -> None:
    shop.people(3)
    mine = "my notes, which are no ledger\n" * 100
    path = shop.write(".connect/state.db", mine)

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "ledger-not-a-ledger")
    assert path.read_text() == mine
    assert memory.counts("mail").messages == 0


def test_a_second_run_while_the_first_is_going(shop: Any, server: SmtpServer) -> None:
    shop.people(5)
    shop.configure_smtp(server, timeout="30s", concurrency=1)
    server.answer(At.mail, HANG)
    first = shop.start("run", "hello", "--yes", "--json")
    assert server.hanging.wait(timeout=30)

    second = shop.ended(shop.start("run", "hello", "--yes"))

    assert (second.code, second.error.code) == (3, "run-held")
    assert f"process {first.pid} on " in second.error.message
    assert "let it finish, or stop it" in second.error.hint
    assert server.messages == []
    assert shop.ledger == [("live", "hello", "running")]

    server.forget_answers()
    first.kill()
    shop.ended(first)
    third = shop.ended(shop.start("run", "hello", "--yes", "--json"))

    # Nothing had come to its final dot, but only the server knows that: one delivery is in doubt.
    assert third.code == 1
    everyone = shop.number("select count(*) from people")
    counts = third.counts
    assert counts["email", "unknown", "in_doubt"] in (1, 2)
    assert counts["email", "sent", ""] == everyone - counts["email", "unknown", "in_doubt"] == len(server.messages)
    assert counts.total() == everyone
    assert len({message.recipients for message in server.messages}) == len(server.messages)
