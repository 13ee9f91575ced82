"""A device that a provider calls dead is written down once, and left out by later runs; the person's others are not."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect import wiring
from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.testing.api import ApiServer
from connect.testing.canaries import Canaries
from connect.testing.fakes.fcm import FcmFake, refusal
from connect.warehouses.duckdb import DuckDB
from tests.unit.pipeline.test_desk import locked

DEAD = Receipt(Status.rejected_recipient, "unregistered")
BAD = Receipt(Status.rejected_recipient, "bad_device_token")


@pytest.fixture
def phones(house: Any, contents: Any) -> Any:
    house.configure(writes=True)
    house.campaign(contents["push"])
    house.people(house.person(1), house.person(2))
    assert house.shop.connect("subscriptions", "init", "--yes").code == 0
    return house


def answers(told: Receipt, token: str) -> None:
    memory.script("phones", lambda outgoing, attempt: told if outgoing.message.device.address == token else None)


def rows(house: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(house.shop.root / "shop.duckdb") as warehouse:
        asked = "select id, address, channel, topic, status, source, reason from connect_opt_outs"
        found: list[tuple[Any, ...]] = warehouse.execute(asked).fetchall()
    return found


def test_the_next_run_leaves_out_the_dead_device_alone(phones: Any) -> None:
    dead = phones.token(1, 2)
    answers(DEAD, dead)
    first = phones.report()
    assert first.counts == {("push", "failed", "unregistered"): 1, ("push", "sent", ""): 3}
    assert rows(phones) == [(None, dead, "push", None, "bounced", "delivery", "unregistered")]
    memory.script("phones", None)

    second = phones.report("--again")

    assert second.counts == {("push", "skipped", "bounced"): 1, ("push", "sent", ""): 3}
    assert len(rows(phones)) == 1


def test_workers_leave_it_out_too(phones: Any) -> None:
    answers(DEAD, phones.token(1, 2))
    phones.report()
    ended = phones.report("--again", "--workers", "2")
    assert ended.counts == {("push", "skipped", "bounced"): 1, ("push", "sent", ""): 3}


@pytest.mark.parametrize("told", [BAD, Receipt(Status.rejected_recipient, "device_token_not_for_topic")])
def test_what_may_be_the_projects_own_mistake_is_not_written(phones: Any, told: Receipt) -> None:
    answers(told, phones.token(1, 2))
    assert phones.report().counts["push", "failed", told.reason] == 1
    assert rows(phones) == []


def test_a_burst_is_written_in_batches_each_device_once(phones: Any) -> None:
    phones.crowd(700)
    memory.script("phones", lambda outgoing, attempt: DEAD)
    assert phones.report().counts == {("push", "failed", "unregistered"): 1400}
    assert len(rows(phones)) == len({row[1] for row in rows(phones)}) == 1400
    memory.script("phones", None)
    assert phones.report("--again").counts == {("push", "skipped", "bounced"): 1400}


def test_transactional_messages_leave_it_out_too(phones: Any) -> None:
    answers(DEAD, phones.token(2, 1))
    phones.report()
    memory.script("phones", None)
    campaign = phones.shop.root / "campaigns/hello.yml"
    campaign.write_text(campaign.read_text().replace("message:\n", "message:\n  transactional: true\n"))
    assert phones.report("--again").counts == {("push", "skipped", "bounced"): 1, ("push", "sent", ""): 3}


def test_who_is_reached_elsewhere_when_all_devices_are_dead(phones: Any, contents: Any) -> None:
    phones.campaign(contents["push"], contents["sms"], reach="first")
    memory.script("phones", lambda outgoing, attempt: DEAD if "00001" in outgoing.message.device.address else None)
    phones.report()
    memory.script("phones", None)
    assert phones.report("--again").counts == {
        ("push", "skipped", "bounced"): 2,
        ("push", "sent", ""): 2,
        ("sms", "sent", ""): 1,
        ("sms", "skipped", "reached_elsewhere"): 1,
    }


def test_it_is_taken_back_from_a_file(phones: Any) -> None:
    dead = phones.token(1, 2)
    answers(DEAD, dead)
    phones.report()
    memory.script("phones", None)
    phones.shop.write("back.csv", f"address,channel,status\n{dead},push,subscribed\n")
    now = datetime.now(UTC).isoformat()
    assert phones.shop.connect("subscriptions", "import", "back.csv", "--yes", "--at", now).code == 0
    assert phones.report("--again").counts == {("push", "sent", ""): 4}


def test_what_is_on_record_about_a_device_is_shown(phones: Any) -> None:
    dead, alive = phones.token(1, 2), phones.token(1, 1)
    answers(DEAD, dead)
    phones.report()
    shown = phones.shop.connect("subscriptions", "show", f"device={dead}", "--json")
    assert shown.code == 0, shown.err
    told = json.loads(shown.out)
    assert dead not in shown.out
    assert told["known_by"] == ["device"]
    assert [(one["by"], one["channel"], one["status"], one["stands"]) for one in told["record"]] == [
        ("address", "push", "bounced", True)
    ]
    assert [(one["channel"], one["reason"], one["transactional"]) for one in told["verdicts"]] == [
        ("push", "bounced", False)
    ]
    page = phones.shop.connect("subscriptions", "show", f"device={alive}")
    assert page.code == 0
    assert "nothing is on record by this device's token" in page.out


def test_a_device_is_taken_back_and_opted_out_by_hand(phones: Any) -> None:
    dead, other = phones.token(1, 2), phones.token(2, 1)
    answers(DEAD, dead)
    phones.report()
    memory.script("phones", None)
    refused = phones.shop.connect("subscriptions", "resubscribe", f"device={dead}")
    assert (refused.code, "not-taken-back" in refused.err) == (2, True)
    assert phones.shop.connect("subscriptions", "resubscribe", f"device={dead}", "--bounced").code == 0
    assert phones.shop.connect("subscriptions", "unsubscribe", f"device={other}").code == 0
    assert phones.report("--again").counts == {("push", "skipped", "unsubscribed"): 1, ("push", "sent", ""): 3}
    again = phones.shop.connect("subscriptions", "resubscribe", f"device={dead}")
    assert (again.code, "nothing to take back" in again.out) == (0, True)


@pytest.mark.parametrize("words", [("device=abc", "7"), ("device=",), ("device=abc", "--channel", "email")])
def test_a_device_stands_alone_and_is_of_push(phones: Any, words: tuple[str, ...]) -> None:
    refused = phones.shop.connect("subscriptions", "unsubscribe", *words)
    assert (refused.code, "bad-person" in refused.err) == (2, True)
    assert rows(phones) == []


def test_a_test_writes_nothing(phones: Any) -> None:
    phones.configure(mode="test", writes=True, more=f"test_recipient: {{push: {phones.token(1, 1)}}}\n")
    memory.script("phones", lambda outgoing, attempt: DEAD)
    phones.report()
    assert rows(phones) == []


def test_a_device_that_died_before_a_crash_does_not_stand_for_another(phones: Any) -> None:
    """Its intent is its own: the one that nobody had written to is written to, and nothing is counted twice."""
    phones.configure(writes=True, providers={"phones": {"type": "memory", "concurrency": 1, "rate": "10/s"}})
    phones.people(phones.person(1, devices=5))
    met: list[str] = []

    def crash(outgoing: Any, attempt: int) -> Receipt | None:
        met.append(outgoing.message.device.address)
        if len(met) > 1:
            raise RuntimeError
        return DEAD

    memory.script("phones", crash)
    assert phones.run().code == 3
    memory.script("phones", None)
    assert [row[1] for row in rows(phones)] == met[:1]

    counts = phones.report().counts

    assert counts["push", "failed", "unregistered"] == 1
    assert counts["push", "sent", ""] + counts["push", "unknown", "in_doubt"] == 4
    assert counts["push", "sent", ""] >= 2
    assert met[0] not in phones.tokens()


def test_fcm_while_the_file_is_locked(phones: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the warehouse does not take is held, sealed, and heeded; no token is on disk but in the user's tables."""
    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=0.1))
    fake, dead = FcmFake(), phones.token(1, 2)
    fake.reply(refusal(404, "UNREGISTERED", "Requested entity was not found."), address=dead)
    canaries = Canaries()
    for number in (1, 2):
        for device in (1, 2):
            canaries.add(f"{number}-{device}", phones.token(number, device))
    with ApiServer(fake.answer) as server:
        monkeypatch.setenv("FCM_ACCOUNT", fake.service_account(server.url))
        account = {"type": "fcm", "service_account": "${FCM_ACCOUNT}", "endpoint_url": server.url}
        phones.configure(writes=True, providers={"phones": account})
        project = wiring.open_project(phones.shop.root, None, None, os.environ)
        with locked(project):
            first = phones.report()
            assert first.counts == {("push", "failed", "unregistered"): 1, ("push", "sent", ""): 3}
            assert found(canaries, phones.shop.root) == set()
            held = phones.report("--again")
            assert held.counts == {("push", "skipped", "bounced"): 1, ("push", "sent", ""): 3}
        assert rows(phones) == []

        later = phones.report("--again")

    assert later.counts == {("push", "skipped", "bounced"): 1, ("push", "sent", ""): 3}
    assert [row[1] for row in rows(phones)] == [dead]
    assert found(canaries, phones.shop.root) == set()
    assert fake.misfits == []


def found(canaries: Canaries, folder: Path) -> set[object]:
    """In everything on disk but the user's own warehouse."""
    return set(canaries.search_files([folder], folder.glob("shop.duckdb*")))
