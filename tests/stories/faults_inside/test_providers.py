"""A provider that turns against a run in its middle: credentials revoked, calls cut off, nothing but refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.testing.smtp import DROP, At, SmtpServer

PEOPLE = 60
HELLO = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: "Hello {{ user.first_name }}"
      text: "Good day, {{ user.first_name }}."
"""


def received(server: SmtpServer) -> Counter[str]:
    return Counter(address for message in server.messages for address in message.recipients)


class Revoking(SmtpServer):
    """Its password is another one once it has taken 30 messages: 535 to whoever signs in."""

    def _authenticate(self, *arguments: Any) -> Any:
        self.password = SmtpServer.password if len(self.messages) < 30 else "revoked"
        return super()._authenticate(*arguments)


@pytest.fixture
def revoking() -> Iterator[Revoking]:
    with Revoking() as server:
        yield server


def test_credentials_that_are_revoked_halfway_pause_the_run(
    shop: Any, revoking: Revoking, server: SmtpServer, shows: Any, goes_on: Any
) -> None:
    shop.people(PEOPLE)
    shop.configure_smtp(revoking, concurrency=2, messages_per_connection=5)

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "provider-config")
    assert 30 <= len(revoking.messages) < PEOPLE
    shows(shop, "paused", "535")
    shop.configure_smtp(server)  # where the new credentials are known
    goes_on(shop, lambda: received(revoking) + received(server))


@pytest.mark.parametrize("in_doubt", ["skip", "resend"])
def test_a_server_that_takes_messages_and_hangs_up(shop: Any, server: SmtpServer, in_doubt: str) -> None:
    shop.people(PEOPLE)
    shop.configure_smtp(server, concurrency=2)
    shop.campaign(HELLO + f"policy: {{in_doubt: {in_doubt}}}\n")
    server.answer(At.end, DROP, times=4)  # whether they were taken, only the server knows

    ended = shop.run("hello", "--json")

    outcomes = ended.json["outcomes"]
    assert outcomes["sent"] + outcomes["unknown"] == PEOPLE
    assert (outcomes["failed"], outcomes["unknown"]) == (0, 4 if in_doubt == "skip" else 0)
    assert ended.code == (1 if in_doubt == "skip" else 0)
    assert max(received(server).values()) == 1


def test_a_storm_of_refusals_for_now_that_does_not_end_pauses_the_run(
    shop: Any, server: SmtpServer, in_a_moment: None, shows: Any, goes_on: Any
) -> None:
    shop.people(PEOPLE)
    shop.configure_smtp(server, concurrency=2)
    server.answer(At.end, "451 4.3.0 something is wrong with us")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "provider-down")
    assert server.messages == []
    shows(shop, "paused", "has taken no message")
    server.forget_answers()
    goes_on(shop, lambda: received(server))


def test_a_storm_of_refusals_for_good_pauses_before_the_list_is_burned(shop: Any, crowd: int, shows: Any) -> None:
    storm = Receipt(Status.rejected_content, "spam_content")
    memory.script("mail", lambda outgoing, attempt: storm if memory.counts("mail").accepted >= 600 else None)

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "provider-refuses")
    (run,) = shop.connect("runs", "list", "--json").json
    before = shop.connect("runs", "show", run["id"], "--json").json["outcomes"]
    assert before["sent"] == 600
    assert before["failed"] < crowd - 600
    shows(shop, "paused", "refused more than a fifth.*spam_content", failed=before["failed"])

    memory.script("mail", None)
    again = shop.run("hello", "--json").json["outcomes"]
    assert again == {**before, "sent": crowd - before["failed"]}
    assert len(set(shop.addresses())) == len(shop.addresses()) == again["sent"]
