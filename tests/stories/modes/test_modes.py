"""Test mode sends one copy per channel to the test recipient, offline sends nothing, and neither uses up a live run."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connect.testing.smtp import SmtpServer

BOTH = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      cc: boss@shop.example
      bcc: archive@shop.example
      subject: "Hello {{ user.first_name }}"
      text: "Good day. {{ url.unsubscribe_link }}"
    - channel: sms
      body: "Good day, {{ user.first_name }}"
"""
RECIPIENT = 'test_recipient: {email: tester@shop.example, phone_number: "+61400000000"}\n'
PEOPLE = 8


@pytest.fixture
def both(shop: Any) -> Any:
    shop.people(PEOPLE)
    shop.campaign(BOTH)
    return shop


def with_mode(counted: int, sent: int) -> Counter[tuple[str, str, str]]:
    """What both channels count when so many of them were sent."""
    return Counter(
        {("email", "sent", ""): sent, ("sms", "sent", ""): sent}
        | {("email", "skipped", "mode"): counted - sent, ("sms", "skipped", "mode"): counted - sent}
    )


def test_test_mode_sends_one_copy_per_channel_to_the_test_recipient_only(both: Any) -> None:
    both.configure(mode="test", more=RECIPIENT)

    ended = both.run("hello", "--json")

    assert ended.code == 0
    assert ended.counts == with_mode(both.number("select count(*) from people"), 1)
    (email,) = both.sent()
    assert [mailbox.address for mailbox in email.to] == ["tester@shop.example"]
    assert (email.cc, email.bcc) == ((), ())
    (text,) = both.texts()
    assert text.to == "+61400000000"
    # It is a real person's content.
    names = {name for (name,) in both.sql("select first_name from people")}
    assert email.subject.removeprefix("Hello ") in names
    assert text.body.removeprefix("Good day, ") in names
    assert "tester@shop.example" in ended.err


def test_live_mode_keeps_the_copies(both: Any) -> None:
    both.run()

    assert [[mailbox.address for mailbox in email.cc + email.bcc] for email in both.sent()] == [
        ["boss@shop.example", "archive@shop.example"]
    ] * both.number("select count(*) from people")


def test_a_channel_without_a_test_recipient_is_dropped(both: Any) -> None:
    both.configure(mode="test", more="test_recipient: {email: tester@shop.example}\n")

    ended = both.run("hello", "--json")

    counted = both.number("select count(*) from people")
    assert ended.counts == {
        ("email", "sent", ""): 1,
        ("email", "skipped", "mode"): counted - 1,
        ("sms", "skipped", "mode"): counted,
    }
    assert both.texts() == []


def test_offline_sends_nothing_and_counts_everything(both: Any) -> None:
    ended = both.run("hello", "--mode", "offline", "--json")

    counted = both.number("select count(*) from people")
    assert ended.code == 0
    assert ended.counts == {("email", "skipped", "mode"): counted, ("sms", "skipped", "mode"): counted}
    assert both.sent() == both.texts() == []


def test_offline_asks_no_mail_server(shop: Any, server: SmtpServer) -> None:
    shop.people(PEOPLE)
    shop.configure_smtp(server)

    ended = shop.run("hello", "--mode", "offline", "--json")

    assert ended.code == 0
    assert ended.counts == {("email", "skipped", "mode"): shop.number("select count(*) from people")}
    assert (server.connections, server.messages) == (0, [])


def test_offline_still_counts_what_is_wrong(shop: Any) -> None:
    rows = [("id-anna", "anna at mail", "Annaaaa"), ("id-berta", "berta@mail.example", "Bert\naaa"), ("x", None, "Xx")]
    shop.table("people", "id text, email text, first_name text", rows)

    ended = shop.run("hello", "--mode", "offline", "--json")

    assert ended.counts == {
        ("email", "refused", "invalid_email"): 1,
        ("email", "refused", "invalid_header"): 1,
        ("email", "skipped", "no_address"): 1,
    }


def test_a_draft_can_be_tested(shop: Any, server: SmtpServer) -> None:
    shop.people(PEOPLE)
    shop.configure_smtp(server, more=RECIPIENT)
    shop.campaign(status="status: draft", limits="timeout: 5m", text="text: Good day")

    ended = shop.run("hello", "--mode", "test", "--json")

    assert ended.code == 0
    assert ended.counts == {
        ("email", "sent", ""): 1,
        ("email", "skipped", "mode"): shop.number("select count(*) from people") - 1,
    }
    assert [message.recipients for message in server.messages] == [("tester@shop.example",)]


def test_neither_uses_up_a_live_run_and_both_can_be_repeated(both: Any) -> None:
    both.configure(more=RECIPIENT)
    everyone = both.number("select count(*) from people")
    for mode in ("test", "offline", "test", "offline"):
        assert both.run("hello", "--mode", mode).code == 0
    assert len(both.sent()) == len(both.texts()) == 2

    live = both.run("hello", "--json")

    assert live.code == 0
    assert live.counts == {("email", "sent", ""): everyone, ("sms", "sent", ""): everyone}
    assert len(both.sent()) == 2 + everyone
    again = both.run()
    assert (again.code, again.error.code) == (2, "already-ran")
    assert both.run("hello", "--mode", "test").code == 0
    assert len(both.sent()) == 3 + everyone


def test_neither_uses_up_a_fire_time(both: Any) -> None:
    fires = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    both.configure(more=RECIPIENT)
    path = both.root / "campaigns/hello.yml"
    path.write_text(path.read_text().replace("{type: immediate}", f"{{type: scheduled, at: {fires.isoformat()}}}"))
    for mode in ("test", "offline"):
        assert both.run("hello", "--mode", mode).code == 0

    (run,) = both.run("hello", "--json").json["runs"]

    assert (run["mode"], run["manual"], datetime.fromisoformat(run["fire_time"])) == ("live", False, fires)
    assert (again := both.run()).code == 2
    assert again.error.code == "already-ran"


def test_each_mode_has_a_history_of_its_own(both: Any) -> None:
    both.configure(more=RECIPIENT)
    assert both.run().code == 0
    assert both.run("hello", "--mode", "test").code == 0

    runs = both.connect("runs", "list", "--json").json

    assert sorted((run["mode"], run["state"]) for run in runs) == [("live", "completed"), ("test", "completed")]
    # A report counts live runs only, where there are any.
    report = both.connect("report", "hello", "--json").json
    assert report["outcomes"]["sent"] == 2 * both.number("select count(*) from people")
