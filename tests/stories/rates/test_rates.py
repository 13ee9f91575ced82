"""A provider's rate and a campaign's: nobody is written to faster, and nobody is left out."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.testing.limiter import busiest
from connect.testing.smtp import SmtpServer

PEOPLE = 60
LATE = 10
"""How many more may come together where the machine was busy elsewhere between a slot and the call. Without a rate all
of them would; that nobody is faster by as much as one is told with a clock of its own, in the tests of the lanes."""
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


@pytest.fixture
def offered() -> list[float]:
    """When the account was offered each message."""
    instants: list[float] = []
    memory.script("mail", lambda outgoing, attempt: instants.append(time.monotonic()))
    return instants


def test_an_accounts_rate_is_never_exceeded(shop: Any, offered: list[float]) -> None:
    shop.people(PEOPLE)
    shop.configure(mail="{type: memory, rate: 25/s}")
    shop.campaign(HELLO)
    ended = shop.run("hello", "--json")
    assert ended.json["outcomes"]["sent"] == len(offered) == PEOPLE
    assert busiest(offered) <= 25 + LATE


def test_a_campaigns_rate_holds_whatever_its_account_allows(shop: Any, offered: list[float]) -> None:
    shop.people(PEOPLE)
    shop.configure(mail="{type: memory, rate: 1000/s}")
    shop.campaign(HELLO + "policy: {rate: 25/s}\n")
    assert shop.run("hello", "--json").json["outcomes"]["sent"] == PEOPLE
    assert busiest(offered) <= 25 + LATE


def test_a_message_that_is_tried_again_counts_again(shop: Any) -> None:
    offered: list[float] = []

    def answer(outgoing: object, attempt: int) -> Receipt | None:
        offered.append(time.monotonic())
        return Receipt(Status.transient, "busy") if attempt == 1 else None

    memory.script("mail", answer)
    shop.people(PEOPLE // 2)
    shop.configure(mail="{type: memory, rate: 25/s}")
    shop.campaign(HELLO)
    assert shop.run("hello", "--json").json["outcomes"]["sent"] == PEOPLE // 2
    assert len(offered) == PEOPLE
    assert busiest(offered) <= 25 + LATE


def test_two_workers_and_another_run_share_an_accounts_rate(shop: Any, server: SmtpServer) -> None:
    """Each has a process of its own, and slots of its own from one ledger: all of them together keep to it.

    What is promised is when a message is handed over. The server sees it later, by as long as its connection takes.
    """
    shop.people(PEOPLE)
    shop.configure_smtp(server, rate="40/s", concurrency=8)
    shop.campaign(HELLO)
    shop.campaign(HELLO, file="again")
    running = [shop.start("run", name, "--yes", "--json", "--workers", "2") for name in ("hello", "again")]
    ended = [shop.ended(process) for process in running]
    assert [json.loads(each.out)["outcomes"]["sent"] for each in ended] == [PEOPLE, PEOPLE]
    assert Counter(to for message in server.messages for to in message.recipients).most_common()[-1][1] == 2
    came = sorted(message.at for message in server.messages)
    assert came[-1] - came[0] > 1.8  # 120 of them: two accounts that know nothing of each other would take 1.5 s


def test_offline_nobody_waits_for_a_rate(shop: Any) -> None:
    shop.people(PEOPLE)
    shop.configure(mail="{type: memory, rate: 1/h}")
    shop.campaign(HELLO)
    assert shop.run("hello", "--json", "--mode", "offline").code == 0
