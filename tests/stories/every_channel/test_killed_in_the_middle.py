"""Killed while e-mails, texts and two phones of everybody are in the air: it goes on, and nobody hears twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect.providers import memory
from tests import processes

SCRIPTED = str(Path(__file__).with_name("scripted.py"))
PEOPLE, DEVICES = 40, 3
DELIVERIES = PEOPLE * (2 + DEVICES)
CONCURRENCY, BATCH = 2, 2
WINDOW = 2 * CONCURRENCY * BATCH
"""Deliveries of one account that a kill may leave in doubt."""


class Killed:
    """The shop as a process of its own, and whom its accounts took, over all of its lives."""

    def __init__(self, house: Any) -> None:
        self.house, self.shop = house, house.shop
        slow = {"type": "memory", "concurrency": CONCURRENCY}
        house.configure(providers=dict.fromkeys(("mail", "texts", "phones"), slow))
        house.crowd(PEOPLE, DEVICES)

    def _run(self, kill_at: int) -> subprocess.CompletedProcess[str]:
        environment = {"HEARD": str(self._log), "KILL_AT": str(kill_at), "BATCH": str(BATCH)}
        told = {**os.environ, **environment}
        command = ("run", "hello", "--yes", "--json")
        return processes.run(SCRIPTED, *command, folder=self.shop.root, environment=told, text=True)

    @property
    def _log(self) -> Path:
        return Path(f"{self.shop.root}.heard")

    def dies(self, at: int) -> None:
        """When the accounts have taken so many in this life."""
        assert self._run(at).returncode == -signal.SIGKILL

    def goes_on(self) -> Any:
        """To the end; the report."""
        ended = self._run(0)
        assert ended.returncode in (0, 1), ended.stderr
        report = json.loads(ended.stdout)
        assert report["runs"][0]["state"] == "completed"
        assert report["deliveries"] == sum(report["outcomes"].values())
        assert report["deliveries"] == sum(tally["count"] for tally in report["tallies"])
        return report

    def heard(self) -> Counter[str]:
        """How often each address was written to."""
        return Counter(self._log.read_text().splitlines())


def counts(report: Any) -> Counter[tuple[str, str, str]]:
    return Counter({(one["channel"], one["outcome"], one["reason"]): one["count"] for one in report["tallies"]})


def deliveries_of(report: Any, channel: str) -> int:
    return sum(one["count"] for one in report["tallies"] if one["channel"] == channel)


@pytest.fixture
def killed(house: Any) -> Killed:
    return Killed(house)


@pytest.mark.parametrize("at", [[1], [DELIVERIES // 2], [DELIVERIES - 1], [10, 50, 30]], ids=str)
def test_nobody_hears_twice_and_the_sums_are_exact(killed: Killed, contents: Any, at: list[int]) -> None:
    killed.house.campaign(contents["email"], contents["sms"], contents["push"])
    for taken in at:
        killed.dies(taken)

    report = killed.goes_on()

    found, heard = counts(report), killed.heard()
    assert set(heard.values()) == {1}
    assert {channel: deliveries_of(report, channel) for channel in ("email", "sms", "push")} == {
        "email": PEOPLE,
        "sms": PEOPLE,
        "push": DEVICES * PEOPLE,
    }
    sent, unknown = report["outcomes"]["sent"], report["outcomes"]["unknown"]
    assert sent + unknown == DELIVERIES
    assert 1 <= unknown <= 3 * WINDOW * len(at)
    assert sent <= len(heard) <= sent + unknown
    assert {(outcome, reason) for _, outcome, reason in found} == {("sent", ""), ("unknown", "in_doubt")}


@pytest.mark.parametrize("at", [[DELIVERIES // 2], [30, 60]], ids=str)
def test_asked_to_send_again_everybody_hears_and_few_twice(killed: Killed, contents: Any, at: list[int]) -> None:
    long = {**contents["sms"], "body": "Good day. " * 20}
    killed.house.campaign(contents["email"], long, contents["push"], in_doubt="resend")
    for taken in at:
        killed.dies(taken)

    report = killed.goes_on()

    heard = killed.heard()
    assert counts(report) == {
        ("email", "sent", ""): PEOPLE,
        ("sms", "sent", "2_segments"): PEOPLE,
        ("push", "sent", ""): DEVICES * PEOPLE,
    }
    assert report["segments"] == {"sms": 2 * PEOPLE}
    assert len(heard) == DELIVERIES
    assert heard.total() - DELIVERIES <= 3 * WINDOW * len(at)


def test_under_reach_first_nobody_hears_by_another_channel(killed: Killed, contents: Any) -> None:
    killed.house.campaign(contents["push"], contents["sms"], contents["email"], reach="first")
    killed.dies(DEVICES * PEOPLE // 2)

    report = killed.goes_on()

    found, heard = counts(report), killed.heard()
    assert set(heard.values()) == {1}
    assert {line.split()[0] for line in heard} == {"push"}
    assert found["push", "sent", ""] + found["push", "unknown", "in_doubt"] == DEVICES * PEOPLE
    assert found["sms", "skipped", "reached_elsewhere"] == found["email", "skipped", "reached_elsewhere"] == PEOPLE


# What changes while it is down

FEW = 6


def breaks_down(house: Any) -> None:
    """The account has every phone's message, and its library dies before it can say so."""

    def crash(outgoing: Any, attempt: int) -> None:
        if memory.counts("phones").accepted == 2 * FEW - 1:
            raise RuntimeError

    memory.script("phones", crash)
    assert house.run().code == 3
    memory.script("phones", None)
    assert house.shop.ledger == [("live", "hello", "paused")]


def change(house: Any, number: int, *devices: tuple[str, str]) -> None:
    with duckdb.connect(house.shop.root / "shop.duckdb") as warehouse:
        cell = house.channels(*devices) if devices else None
        warehouse.execute("update people set channels = ? where id = ?", [cell, f"id-{number:05}"])


@pytest.mark.parametrize("in_doubt", ["skip", "resend"])
def test_phones_that_change_while_they_are_in_doubt(house: Any, contents: Any, in_doubt: str) -> None:
    """One in another order, one with a new token, one sold, one new beside them, and somebody without any."""
    house.campaign(contents["push"], in_doubt=in_doubt)
    house.crowd(FEW)
    breaks_down(house)
    before = set(house.tokens())
    change(house, 1, (house.token(1, 2), "ios"), (house.token(1, 1), "ios"))
    change(house, 2, (house.token(2, 1), "ios"), ("token-of-a-new-phone-2", "ios"))
    change(house, 3, (house.token(3, 2), "ios"))
    change(house, 4, (house.token(4, 1), "ios"), (house.token(4, 2), "ios"), ("token-of-a-new-phone-4", "ios"))
    change(house, 5)

    ended = house.report()

    counts, heard = ended.counts, Counter(house.tokens())
    assert "token-of-a-new-phone-2" not in heard  # it is the other one, for all that anybody knows
    assert heard["token-of-a-new-phone-4"] == 1
    assert before <= set(heard)
    if in_doubt == "skip":
        assert counts == {("push", "sent", ""): 1, ("push", "unknown", "in_doubt"): 10, ("push", "unknown", "gone"): 2}
        assert set(heard.values()) == {1}
    else:
        assert counts == {("push", "sent", ""): 9, ("push", "unknown", "in_doubt"): 2, ("push", "unknown", "gone"): 2}
        assert max(heard.values()) == 2  # those that were asked to be sent again


def test_a_phone_that_nobody_carries_any_more(house: Any, contents: Any) -> None:
    house.campaign(contents["push"])
    house.crowd(FEW)
    breaks_down(house)
    for number in range(1, FEW + 1):
        change(house, number, *((house.token(number, one), "fridge") for one in (1, 2)))

    counts = house.report().counts

    assert counts == {("push", "unknown", "in_doubt"): 2 * FEW}
    assert set(Counter(house.tokens()).values()) == {1}


def test_nobody_can_know_which_phone_has_a_new_token(
    house: Any, contents: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was in doubt stands behind those that nobody was about to write to: none of them is written to."""
    monkeypatch.setattr(memory.Memory, "capabilities", replace(memory.Memory.capabilities, max_batch=1))
    house.configure(providers={"phones": {"type": "memory", "concurrency": 1}})
    house.campaign(contents["push"])
    house.crowd(1, 5)

    def crash(outgoing: Any, attempt: int) -> None:
        if memory.counts("phones").accepted == 1:
            raise RuntimeError

    memory.script("phones", crash)
    assert house.run().code == 3
    memory.script("phones", None)
    taken = set(house.tokens())
    phones = [house.token(1, number) for number in range(1, 6)]
    assert taken == {phones[0]}
    change(house, 1, *((token, "ios") for token in (*phones[2:], phones[1], "new-token-of-phone-1")))

    counts, heard = house.report().counts, Counter(house.tokens())

    assert "new-token-of-phone-1" not in heard
    assert max(heard.values()) == 1
    assert counts["push", "unknown", "in_doubt"] >= 2
    assert counts.total() == 5
