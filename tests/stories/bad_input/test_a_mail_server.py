"""A mail server in the way: the run pauses and says why, nobody is marked failed, and later everyone gets one."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

import pytest

from connect.testing.smtp import At, SmtpServer

PEOPLE = 12


@pytest.fixture
def everyone(shop: Any) -> Any:
    shop.people(PEOPLE)
    return shop


def received(server: SmtpServer) -> Counter[str]:
    """How many messages each address got."""
    return Counter(address for message in server.messages for address in message.recipients)


def one_each(shop: Any) -> Counter[str]:
    return Counter({address: 1 for (address,) in shop.sql("select email from people")})


def nobody_is_marked_failed(shop: Any) -> None:
    (run,) = shop.connect("runs", "list", "--json").json
    outcomes = shop.connect("runs", "show", run["id"], "--json").json["outcomes"]
    assert run["state"] == "paused"
    assert (outcomes["failed"], outcomes["refused"], outcomes["unknown"]) == (0, 0, 0)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_one_that_can_not_be_reached_pauses_the_run(everyone: Any, server: SmtpServer) -> None:
    everyone.configure_smtp(server, port=free_port())

    ended = everyone.run()

    assert (ended.code, ended.error.code) == (3, "smtp-unreachable")
    assert "mail" in ended.error.message or "localhost" in ended.error.message
    assert ended.error.hint
    assert everyone.ledger == [("live", "hello", "paused")]
    nobody_is_marked_failed(everyone)

    everyone.configure_smtp(server)
    again = everyone.run("hello", "--json")

    assert again.code == 0
    assert again.counts == {("email", "sent", ""): everyone.number("select count(*) from people")}
    assert received(server) == one_each(everyone)
    assert everyone.ledger == [("live", "hello", "completed")]


def test_a_password_that_it_refuses_pauses_the_run(everyone: Any, server: SmtpServer) -> None:
    everyone.configure_smtp(server)
    good = (everyone.root / ".env").read_text()
    everyone.write(".env", good.replace(server.password, "an old password"))

    ended = everyone.run()

    assert (ended.code, ended.error.code) == (3, "smtp-auth")
    assert "535" in ended.error.message
    assert "an old password" not in ended.out + ended.err
    nobody_is_marked_failed(everyone)
    shown = everyone.connect("runs", "list").out
    assert "paused" in shown
    assert "535" in shown
    assert server.messages == []

    everyone.write(".env", good)
    again = everyone.run("hello", "--json")

    assert again.code == 0
    assert again.counts == {("email", "sent", ""): everyone.number("select count(*) from people")}
    assert received(server) == one_each(everyone)


def test_a_sender_that_it_refuses_halfway_pauses_the_run_and_nobody_gets_two(everyone: Any, server: SmtpServer) -> None:
    everyone.configure_smtp(server, concurrency=1)
    address = everyone.sql("select email from people")[PEOPLE // 2][0]
    server.answer(At.rcpt, "530 5.7.0 sign in again", address=address)

    ended = everyone.run("hello", "--json")

    assert ended.code == 3
    (problem,) = ended.json["stopped_by"]
    assert problem["code"] == "provider-config"
    assert "530" in problem["message"]
    before = received(server)
    assert ended.counts == Counter({("email", "sent", ""): before.total()})
    assert everyone.ledger == [("live", "hello", "paused")]
    nobody_is_marked_failed(everyone)

    server.forget_answers()
    again = everyone.run("hello", "--json")

    assert again.code == 0
    assert again.json["stopped_by"] == []
    assert again.counts == {("email", "sent", ""): everyone.number("select count(*) from people")}
    assert received(server) == one_each(everyone)


def test_a_recipient_that_it_refuses_is_counted_and_the_others_get_theirs(everyone: Any, server: SmtpServer) -> None:
    everyone.configure_smtp(server)
    address = everyone.sql("select email from people order by id")[3][0]
    server.answer(At.rcpt, f"550 5.1.1 <{address}> has never lived here", address=address)

    ended = everyone.run("hello", "--json")

    assert ended.code == 1
    others = everyone.number(f"select count(*) from people where email <> '{address}'")
    assert ended.counts == {("email", "sent", ""): others, ("email", "failed", "mailbox_unavailable"): 1}
    expected = one_each(everyone)
    del expected[address]
    assert received(server) == expected
    assert everyone.ledger == [("live", "hello", "completed")]


def test_a_server_s_words_never_bring_an_address_into_a_report(everyone: Any, server: SmtpServer) -> None:
    everyone.configure_smtp(server)
    address = everyone.sql("select email from people order by id")[3][0]
    server.answer(At.mail, f"550 5.7.1 not for {address}")

    ended = everyone.run()  # what it prints is searched for cells

    assert ended.code == 3
    nobody_is_marked_failed(everyone)
    assert address not in everyone.connect("runs", "list").out


def test_doctor_says_what_is_wrong_with_it(everyone: Any, server: SmtpServer) -> None:
    everyone.configure_smtp(server)
    good = (everyone.root / ".env").read_text()
    everyone.write(".env", good.replace(server.password, "an old password"))

    ended = everyone.connect("doctor", "--json")

    assert ended.code == 3
    checks = {(check["what"], check["name"]): check for check in ended.json["checks"]}
    assert not checks["provider", "mail"]["ok"]
    assert "535" in checks["provider", "mail"]["found"]
    assert checks["provider", "mail"]["hint"]
    assert all(check["ok"] for name, check in checks.items() if name != ("provider", "mail"))
