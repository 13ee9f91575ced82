"""Opt-outs that the warehouse could not take yet: no run writes to these people, and none is lost."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from connect import wiring
from connect.clock import SystemClock
from connect.identity import KeyRing
from connect.ledger import seen
from connect.ledger.tables import OPTOUTS, SEEN
from connect.pipeline.sealing import sealed
from connect.pipeline.subscriptions import Change
from connect.project.project import Project
from connect.redact import Secret
from connect.schedule.draining import draining
from connect.schedule.log import Log
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses.duckdb import DuckDB
from tests.stories.opting_out.test_by_hand import skipped, verdicts
from tests.unit.pipeline.test_desk import locked

NOW = datetime.now(UTC)
LEFT = Change(SubscriptionStatus.unsubscribed, NOW, "page")
Hold = Callable[..., int]


@pytest.fixture
def project(listing: Any, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The shop, whose file is not waited for."""
    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=0.1))
    return wiring.open_project(listing.root, None, None, os.environ)


@pytest.fixture
def hold(project: Project) -> Hold:
    """Holds opt-outs in the shop's ledger; returns how many are held."""

    def hold(*changes: Change) -> int:
        with closing(wiring.open_ledger(project, SystemClock())) as ledger:
            ledger.hold(sealed(project.secret, changes))
            return ledger.held_count()

    return hold


MANY = [
    replace(LEFT, id="id-00001"),
    replace(LEFT, address="ANNA00002@mail.example", channel=Channel.email),
    replace(LEFT, id="id-00003", topic="news", channel=Channel.email),
    replace(LEFT, id="id-00004", topic="another"),
    replace(LEFT, address="+61410000005"),
    replace(LEFT, address="anna00006@mail.example", status=SubscriptionStatus.bounced, topic="another"),
    replace(LEFT, id="id-00007", status=SubscriptionStatus.complained, channel=Channel.sms),
    replace(LEFT, id="id-00008", channel=Channel.push),
    replace(LEFT, id="id-00009"),
    replace(LEFT, id="id-00009", status=SubscriptionStatus.subscribed, at=NOW + timedelta(minutes=1)),
]


def test_held_and_written_are_the_same(listing: Any, project: Project, hold: Hold) -> None:
    """A locked file is read, and not written to; then it is written to."""
    with locked(project):
        hold(*MANY)
        while_held = skipped(listing)
    assert hold() == len(MANY)
    assert listing.number("select count(*) from connect_opt_outs") == 0
    assert skipped(listing) == while_held
    assert hold() == 0
    assert listing.number("select count(*) from connect_opt_outs") == len(MANY)
    assert while_held == {
        ("email", "unsubscribed"): 3,
        ("email", "bounced"): 1,
        ("sms", "unsubscribed"): 2,
        ("sms", "complained"): 1,
    }


def test_a_transactional_message_passes_but_for_bounces(listing: Any, project: Project, hold: Hold) -> None:
    listing.write("campaigns/hello.yml", (listing.root / "campaigns/hello.yml").read_text() + "  transactional: true\n")
    with locked(project):
        hold(*MANY)
        assert skipped(listing) == {("email", "bounced"): 1, ("sms", "complained"): 1}


def test_workers_are_dealt_what_is_held(listing: Any, project: Project, hold: Hold) -> None:
    with locked(project):
        hold(replace(LEFT, id="id-00001"))
        ended = listing.connect("run", "hello", "--yes", "--json", "--workers", "2")
    assert ended.counts["email", "skipped", "unsubscribed"] == 1


def test_a_test_and_a_count_without_sending_heed_them_too(listing: Any, project: Project, hold: Hold) -> None:
    with locked(project):
        hold(*MANY[:1])
        for mode in ("test", "offline"):
            ended = listing.connect("run", "hello", "--yes", "--json", "--mode", mode)
            assert ended.counts["email", "skipped", "unsubscribed"] == 1


def test_no_marketing_run_begins_while_one_can_not_be_read(listing: Any, project: Project) -> None:
    with closing(wiring.open_ledger(project, SystemClock())) as ledger:
        ledger.hold(sealed(KeyRing((Secret("a secret that was thrown away"),)), [LEFT]))
    ended = listing.connect("run", "hello", "--yes", "--json")
    assert (ended.code, "opt-outs-unreadable" in ended.out + ended.err) == (2, True)


def test_show_tells_of_it_and_the_next_change_by_hand_writes_it(listing: Any, project: Project, hold: Hold) -> None:
    with locked(project):
        hold(replace(LEFT, id="id-00001"), replace(LEFT, id="id-00001", topic="sales"))
        told = verdicts(listing, "id-00001")
        assert (told["email", None], told["sms", "sales"]) == ("unsubscribed", "unsubscribed")
        assert "waits for the warehouse" in listing.connect("subscriptions", "show", "id-00001").out
        assert verdicts(listing, "id-00002")["email", None] is None
    assert listing.connect("subscriptions", "resubscribe", "id-00001").code == 0
    assert hold() == 0
    assert verdicts(listing, "id-00001")["email", None] is None


def test_a_daemon_writes_what_is_held(listing: Any, project: Project, hold: Hold) -> None:
    assert hold(replace(LEFT, id="id-00001")) == 1
    assert listing.connect("daemon", "--once").code == 0
    assert hold() == 0
    assert listing.number("select count(*) from connect_opt_outs") == 1


def test_status_and_doctor_tell_how_many_wait_and_since_when(listing: Any, project: Project, hold: Hold) -> None:
    def found() -> Any:
        checks = listing.connect("doctor", "--json").json["checks"]
        (one,) = [check for check in checks if check["what"] == "held opt-outs"]
        return one

    assert listing.connect("status", "--json").json["optouts_held"] == {"count": 0, "since": None}
    assert "for the warehouse" not in listing.connect("status").out
    assert (found()["ok"], found()["found"]) == (True, "none waits in the ledger for the warehouse")
    hold(*MANY[:3])
    told = listing.connect("status", "--json").json["optouts_held"]
    assert (told["count"], abs(datetime.fromisoformat(told["since"]) - NOW) < timedelta(hours=1)) == (3, True)
    assert "3 wait for the warehouse since" in listing.connect("status").out
    assert (found()["ok"], found()["found"][:42]) == (True, "3 opt-outs wait in the ledger for the ware")
    with closing(wiring.open_ledger(project, SystemClock())) as ledger, ledger.write() as connection:
        connection.execute(update(OPTOUTS).where(OPTOUTS.c.id == 1).values(at=NOW - timedelta(minutes=20)))
    late = found()
    assert (late["ok"], "connect daemon" in late["hint"]) == (False, True)
    assert not {word for word in ("id-0000", "ANNA", "anna") if word in late["found"] + late["hint"]}
    with closing(wiring.open_ledger(project, SystemClock())) as ledger:
        ledger.hold(sealed(KeyRing((Secret("a secret that was thrown away"),)), [LEFT]))
    assert "sealed under a secret that the project lacks" in found()["found"]


async def test_a_daemon_says_what_stays(listing: Any, project: Project) -> None:
    said: list[str] = []
    heard = asyncio.Event()

    class Heard(Log):
        def trouble(self, action: str, problem: BaseException, **values: Any) -> None:
            said.append(action)
            heard.set()

    log = Heard(io.StringIO(), "json", project.redactor, SystemClock())
    with closing(wiring.open_ledger(project, SystemClock())) as ledger:
        ledger.hold(sealed(KeyRing((Secret("a secret that was thrown away"),)), [LEFT]))
        async with draining(lambda: project, ledger, wiring.open_warehouse, log):
            await heard.wait()
        assert said == ["opt-outs-unreadable"]
        assert ledger.held_count() == 1


def test_a_daemon_alone_forgets_what_was_reported_long_ago(listing: Any, project: Project) -> None:
    old, new = (datetime.now(UTC) - timedelta(days=days) for days in (9, 1))
    with closing(wiring.open_ledger(project, SystemClock())) as ledger:
        with ledger.write() as connection:
            for number, at in enumerate((old, new)):
                seen.add(connection, [(bytes([number]) * 16,)], at)
        assert listing.connect("daemon", "--once").code == 0
        with ledger.read() as connection:
            assert connection.execute(select(SEEN.c.name)).scalars().all() == [bytes([1]) * 16]
