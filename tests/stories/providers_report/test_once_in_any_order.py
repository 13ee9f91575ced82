"""However events come (doubled, late, many at once, cut short), they are written and counted once."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connect.errors import OutsideError
from connect.ledger.store import Ledger
from connect.pipeline import intake
from connect.pipeline.subscriptions import Change
from connect.providers.events import Bounce, EventType, Webhook
from connect.testing.messages import RUN_ID, an_email
from connect.testing.providers import Happened
from connect.vocabulary import Mode
from connect.warehouses.duckdb import DuckDB
from connect.warehouses.interface import Table
from tests.stories.providers_report.conftest import Shop

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _now() -> None:
    """What is signed minutes ago is not believed, and others may have been tested in this process meanwhile."""
    global NOW
    NOW = datetime.now(UTC)


TYPES = (EventType.delivered, EventType.opened, EventType.complained)


def happened(count: int, first: int = 0) -> list[Happened]:
    return [Happened(type, an_email(first + number)) for number in range(count) for type in TYPES]


def test_what_is_doubled_and_comes_in_any_order_is_there_once(shop: tuple[Shop, Any]) -> None:
    home, rig = shop
    events = happened(100)
    shuffled = [*events, *events]
    random.Random(7).shuffle(shuffled)
    # The same events at another second: signed again, as after a time-out.
    webhooks = [
        rig.webhook(shuffled[start : start + 30], NOW.replace(microsecond=0)) for start in range(0, len(shuffled), 30)
    ]
    with home.listening(), ThreadPoolExecutor(8) as pool:
        home.run()
        answers = list(pool.map(lambda webhook: home.post("sendgrid", webhook)[0], webhooks))
        assert set(answers) == {200}
        assert home.counted() == home.written() == Counter({(type.value, ""): 100 for type in TYPES})
        assert sum(one.firsts for one in home.site.ledger.events(RUN_ID)) == len(events)
        assert len({row[0] for row in home.opt_outs()}) == 100


def test_a_large_webhook_is_taken_whole(shop: tuple[Shop, Any]) -> None:
    home, rig = shop
    with home.listening():
        home.run()
        assert home.post("sendgrid", rig.webhook(happened(1500), NOW))[0] == 200
        assert sum(home.counted().values()) == sum(home.written().values()) == 4500


@pytest.mark.parametrize("step", ["opt-outs", "counts"])
def test_what_is_cut_short_is_reported_again_and_adds_nothing(
    shop: tuple[Shop, Any], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rig = shop
    webhook = rig.webhook(happened(5), NOW)
    with home.listening():
        home.run()
        with monkeypatch.context() as patch:
            if step == "opt-outs":
                patch.setattr(home.site.intake, "_to", replace(home.site.intake._to, changes=_cut_short))
            else:
                patch.setattr(Ledger, "count_events", _cut_short_too)
            status, headers, _ = home.post("sendgrid", webhook)
            assert (status, headers["retry-after"]) == (503, "5")
            assert sum(home.written().values()) == 15
            assert not home.counted()
        assert home.post("sendgrid", webhook)[0] == 200
        assert home.counted() == home.written()
        assert len(home.opt_outs()) == 5


def test_what_a_server_left_uncounted_is_found_by_the_next(
    shop: tuple[Shop, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rig = shop
    webhook = rig.webhook(happened(5), NOW)
    with home.listening():
        home.run()
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "count_events", _cut_short_too)
            assert home.post("sendgrid", webhook)[0] == 503
    with home.listening():
        assert len(home.site.ledger.spells()) == 1
        # The file is of long ago now, for who looks only at what is being written.
        monkeypatch.setattr("connect.pipeline.spells._MARGIN", timedelta(0))
        assert home.post("sendgrid", webhook)[0] == 200
        assert home.post("sendgrid", rig.webhook(happened(6), NOW))[0] == 200
        assert home.counted() == home.written() == Counter({(type.value, ""): 6 for type in TYPES})


def test_what_was_counted_is_not_looked_for_in_the_warehouse(
    shop: tuple[Shop, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rig = shop
    with home.listening():
        home.run()
        assert home.post("sendgrid", rig.webhook(happened(5), NOW))[0] == 200
        (spell,) = home.site.ledger.spells()
    added: list[int] = []
    add = DuckDB.add

    def counting(warehouse: DuckDB, table: Table, rows: Any, timeout: timedelta) -> None:
        added.append(rows.num_rows if table.name == "connect_events" else 0)
        add(warehouse, table, rows, timeout)

    monkeypatch.setattr(DuckDB, "add", counting)
    with home.listening():
        assert spell not in home.site.ledger.spells()
        assert home.post("sendgrid", rig.webhook(happened(6), NOW))[0] == 200
        assert sum(added) == len(TYPES)
        assert home.counted() == home.written()


async def _cut_short(changes: Sequence[Change]) -> None:
    raise OutsideError.of("ledger-unavailable", "it is over")


def _cut_short_too(ledger: Ledger, reported: Sequence[Any]) -> set[bytes]:
    raise OutsideError.of("ledger-unavailable", "it is over")


@contextmanager
def locked(home: Shop) -> Iterator[None]:
    """Another process has the file."""
    script = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(home.folder / "shop.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate()


def test_a_locked_warehouse_is_a_later_and_nobody_who_complains_waits_for_it(
    shop: tuple[Shop, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rig = shop
    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=0.1))
    ours = rig.webhook(happened(1), NOW)
    with home.listening():
        home.run()
        with locked(home):
            assert home.post("sendgrid", ours)[0] == 503
            assert len(home.site.ledger.held()) == 1  # the complaint
            assert not home.counted()
            assert home.post("sendgrid", _of_somebody_else(rig))[0] == 200  # which is not written anywhere
        assert home.post("sendgrid", ours)[0] == 200
        assert home.counted() == home.written()
        assert {row[0] for row in home.opt_outs()} == {"person-0@mail.example", "person-9@mail.example"}


def _of_somebody_else(rig: Any) -> Webhook:
    """A complaint about a message that another system sent through the same account."""
    outgoing = replace(an_email(9), correlation_id="of another system")
    return rig.webhook([Happened(EventType.complained, outgoing)], NOW)  # type: ignore[no-any-return]


def test_events_of_others_are_applied_and_not_counted(shop: tuple[Shop, Any]) -> None:
    home, rig = shop
    pruned = rig.webhook([Happened(EventType.bounced, an_email(8), Bounce.hard)], NOW)
    with home.listening():
        assert home.post("sendgrid", _of_somebody_else(rig))[0] == 200
        assert home.rows("select count(*) from connect_events") == [(0,)]
        assert home.post("sendgrid", pruned)[0] == 200  # of a run that the ledger does not know
        assert home.rows("select run from connect_events") == [(RUN_ID,)]
        assert not home.counted()
        assert {row[:3] for row in home.opt_outs()} == {
            ("person-9@mail.example", "email", "complained"),
            ("person-8@mail.example", "email", "bounced"),
        }


def test_events_of_a_test_run_are_counted_for_it_and_change_nothing(shop: tuple[Shop, Any]) -> None:
    home, rig = shop
    with home.listening():
        home.run(mode=Mode.test)
        assert home.post("sendgrid", rig.webhook(happened(1), NOW))[0] == 200
        assert sum(home.counted().values()) == 3
        assert home.rows("select count(*) from connect_events") == [(0,)]
        assert home.opt_outs() == []


def test_when_too_many_wait_who_reports_is_to_come_again(
    shop: tuple[Shop, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rig = shop
    monkeypatch.setattr(intake, "MOST_WAITING", 10)
    many = [rig.webhook(happened(3, first), NOW) for first in (0, 100)]
    reached, go_on = asyncio.Event(), asyncio.Event()

    with home.listening():
        home.run()
        loop: list[asyncio.AbstractEventLoop] = []
        take = home.site.desk.take

        async def waits(changes: Sequence[Change]) -> None:
            loop.append(asyncio.get_running_loop())
            reached.set()
            await go_on.wait()
            await take(changes)

        home.site.intake._to = replace(home.site.intake._to, changes=waits)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(home.post, "sendgrid", many[0])
            while not reached.is_set():
                if first.done():
                    break
            status, headers, _ = home.post("sendgrid", many[1])
            assert (status, headers["retry-after"]) == (503, "5")
            loop[0].call_soon_threadsafe(go_on.set)
            assert first.result()[0] == 200
        assert home.post("sendgrid", many[1])[0] == 200
        assert home.counted() == home.written()
