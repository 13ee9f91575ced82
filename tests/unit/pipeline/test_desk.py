"""Opt-outs are acknowledged when they are durable: in the user's table, or sealed in the ledger."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.errors import OutsideError, UserError
from connect.ledger.store import Ledger
from connect.pipeline.desk import PATIENCE, Desk
from connect.pipeline.sealing import drain, opened, sealed
from connect.pipeline.subscriptions import Change, create, writable
from connect.pipeline.waiting import Waiting
from connect.project.project import Project
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses.interface import Query, Warehouse

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
LEFT = Change(SubscriptionStatus.unsubscribed, AT, "page", "7", "ada@mail.example", Channel.email, "offers")
CONNECT = """
name: shop
secret: ${CONNECT_SECRET}
sources: {shop: {url: "duckdb:///shop.duckdb"}}
subscriptions: {write: connect_opt_outs}
"""


class Quiet:
    """A log that is only counted."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.drained = asyncio.Event()

    def info(self, action: str, **values: int) -> None:
        self.said.append(action)
        if action == "opt-outs-written":
            self.drained.set()

    def trouble(self, action: str, problem: BaseException) -> None:
        self.said.append(action)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    import duckdb

    (tmp_path / "connect.yml").write_text(CONNECT)
    duckdb.connect(str(tmp_path / "shop.duckdb")).close()
    project = wiring.open_project(tmp_path, None, None, {"CONNECT_SECRET": "a secret of this test"})
    warehouse = wiring.open_warehouse(project, "shop")
    create(warehouse, writable(project))
    return project


@pytest.fixture
def ledger(project: Project) -> Iterator[Ledger]:
    ledger = wiring.open_ledger(project, SystemClock())
    yield ledger
    ledger.close()


def desk_of(project: Project, ledger: Ledger, log: Quiet | None = None) -> Desk:
    return Desk(lambda: project, wiring.open_warehouse, ledger, log or Quiet())


def written(project: Project) -> list[tuple[object, ...]]:
    asked = Query("select id, address, channel, topic, status from connect_opt_outs order by id", {})
    rows = wiring.open_warehouse(project, "shop").rows(asked, timedelta(seconds=30))
    return [tuple(row.values()) for row in rows]


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """Another process reads the warehouse's file."""
    said = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('there', flush=True); input()"
    reader = subprocess.Popen(
        [sys.executable, "-c", said, str(project.root / "shop.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    try:
        yield
    finally:
        reader.communicate(b"\n")


ROW = ("7", "ada@mail.example", "email", "offers", "unsubscribed")


async def test_it_is_durable_when_it_is_taken(project: Project, ledger: Ledger) -> None:
    desk = desk_of(project, ledger)
    await asyncio.gather(*(desk.take([replace(LEFT, id=str(number))]) for number in range(50)))
    drain(ledger, project.secret, writable(project), lambda: wiring.open_warehouse(project, "shop"))
    assert sorted(row[0] for row in written(project)) == sorted(map(str, range(50)))


async def test_a_locked_warehouse_is_not_waited_for(project: Project, ledger: Ledger) -> None:
    log, stop = Quiet(), asyncio.Event()
    desk = desk_of(project, ledger, log)
    with locked(project):
        before = asyncio.get_running_loop().time()
        await desk.take([LEFT])
        assert asyncio.get_running_loop().time() - before < 3  # and not the five seconds that a file is waited for
        assert ledger.held_count() == 1
        assert written(project) == []
    running = asyncio.create_task(desk.run(stop))
    await log.drained.wait()
    stop.set()
    await running
    assert written(project) == [ROW]
    assert ledger.held_count() == 0


async def test_what_is_in_the_way_is_said_before_somebody_opts_out(project: Project, ledger: Ledger) -> None:
    log = Quiet()
    desk = desk_of(project, ledger, log)
    await desk.prepare()
    assert log.said == []
    (project.root / "shop.duckdb").unlink()
    desk = desk_of(project, ledger, log)
    await desk.prepare()
    assert log.said == ["opt-outs-will-be-held"]
    await desk.take([LEFT])
    assert ledger.held_count() == 1


async def test_what_is_in_both_is_not_held_for_long(
    project: Project, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warehouse was faster after all, while the ledger was at it."""
    log, stop, answered, hold = Quiet(), asyncio.Event(), threading.Event(), ledger.hold

    def held_later(sealed: dict[bytes, bytes]) -> None:
        answered.wait()
        hold(sealed)

    def opened_late(project: Project, name: str) -> Warehouse:
        time.sleep(10 * PATIENCE)
        return wiring.open_warehouse(project, name)

    monkeypatch.setattr(ledger, "hold", held_later)
    monkeypatch.setattr("connect.pipeline.desk._LOOK", 3600.0)
    desk = Desk(lambda: project, opened_late, ledger, log)
    running = asyncio.create_task(desk.run(stop))
    await desk.take([LEFT])
    assert written(project) == [ROW]
    answered.set()
    await log.drained.wait()
    stop.set()
    await running
    assert (ledger.held_count(), desk.is_idle) == (0, True)


async def test_what_is_held_survives_its_process(project: Project, ledger: Ledger) -> None:
    with locked(project):
        await desk_of(project, ledger).take([LEFT, LEFT])
    ledger.close()
    again, log, stop = wiring.open_ledger(project, SystemClock()), Quiet(), asyncio.Event()
    running = asyncio.create_task(desk_of(project, again, log).run(stop))
    await log.drained.wait()
    stop.set()
    await running
    assert written(project) == [ROW]
    again.close()


async def test_what_is_held_says_nothing(project: Project, ledger: Ledger) -> None:
    ledger.hold(sealed(project.secret, [LEFT]))
    (held,) = ledger.held()
    assert b"ada" not in held.sealed + held.name
    assert "ada" not in repr(held)
    assert opened(project.secret, held) == LEFT
    ledger.hold(sealed(project.secret, [LEFT]))
    assert ledger.held_count() == 1


async def test_under_a_secret_that_is_gone_it_stays(project: Project, ledger: Ledger, tmp_path: Path) -> None:
    other = wiring.open_project(tmp_path, None, None, {"CONNECT_SECRET": "another secret of this test"})
    ledger.hold(sealed(other.secret, [replace(LEFT, id="8")]))
    ledger.hold(sealed(project.secret, [LEFT]))
    done = drain(ledger, project.secret, writable(project), lambda: wiring.open_warehouse(project, "shop"))
    assert (done.written, done.unopened) == (1, 1)
    assert ledger.held_count() == 1
    log, stop = Quiet(), asyncio.Event()
    running = asyncio.create_task(desk_of(project, ledger, log).run(stop))
    ledger.hold(sealed(project.secret, [replace(LEFT, id="9")]))
    await log.drained.wait()
    stop.set()
    await running
    assert log.said.count("opt-outs-unreadable") == 1


async def test_a_run_heeds_what_the_warehouse_took_after_its_read(project: Project, ledger: Ledger) -> None:
    clock = SystemClock()
    waiting = Waiting(ledger, project.secret, clock)
    waiting.look()
    read_at = clock.monotonic()
    desk = desk_of(project, ledger)
    await asyncio.gather(*(desk.take([replace(LEFT, id=str(number))]) for number in range(3)))
    ledger.hold(sealed(project.secret, [LEFT]))
    drain(ledger, project.secret, writable(project), lambda: wiring.open_warehouse(project, "shop"))
    waiting.look()
    assert {change.id for change in waiting.changes(read_at)} == {"0", "1", "2", "7"}
    assert waiting.changes(clock.monotonic()) == waiting.changes() == []
    later = Waiting(ledger, project.secret, clock)
    later.look()
    assert later.changes(read_at) == []  # it reads after its first look


async def test_what_is_gone_for_long_is_forgotten(project: Project, ledger: Ledger) -> None:
    clock = SystemClock()
    waiting = Waiting(ledger, project.secret, clock, timedelta(0))
    read_at = clock.monotonic()
    waiting.look()
    ledger.note_taken(sealed(project.secret, [LEFT]))
    waiting.look()
    assert waiting.changes(read_at) == [LEFT]
    waiting.look()
    assert waiting.changes(read_at) == []


async def test_without_the_ledger_the_warehouse_is_given_more_time(project: Project, ledger: Ledger) -> None:
    class Slow(type(wiring.open_warehouse(project, "shop"))):  # type: ignore[misc]
        def add(self, *args: object) -> None:
            import time

            time.sleep(0.3)
            super().add(*args)

    def slow(project: Project, source: str) -> Warehouse:
        warehouse = wiring.open_warehouse(project, source)
        warehouse.__class__ = Slow
        return warehouse

    ledger.hold = _broken  # type: ignore[method-assign]
    await Desk(lambda: project, slow, ledger, Quiet()).take([LEFT])
    assert written(project) == [ROW]


async def test_what_can_be_nowhere_is_not_taken(project: Project, ledger: Ledger) -> None:
    def nowhere(project: Project, source: str) -> Warehouse:
        raise OutsideError.of("warehouse-missing", "it is gone")

    ledger.hold = _broken  # type: ignore[method-assign]
    with pytest.raises(OutsideError):
        await Desk(lambda: project, nowhere, ledger, Quiet()).take([LEFT])


def _broken(sealed: object) -> None:
    raise OutsideError.of("ledger-unavailable", "it is gone")


async def test_a_project_that_names_no_table_takes_nothing(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "connect.yml").write_text(CONNECT.replace("subscriptions: {write: connect_opt_outs}", ""))
    without = wiring.open_project(tmp_path, None, None, {"CONNECT_SECRET": "a secret of this test"})
    with pytest.raises(UserError) as mistake:
        await desk_of(without, ledger).take([LEFT])
    assert mistake.value.problems[0].code == "nowhere-to-write"


async def test_what_no_run_would_find_is_left_out(project: Project, ledger: Ledger) -> None:
    log = Quiet()
    await desk_of(project, ledger, log).take([replace(LEFT, id=None, channel=Channel.push), LEFT])
    drain(ledger, project.secret, writable(project), lambda: wiring.open_warehouse(project, "shop"))
    assert written(project) == [ROW]
    assert "opt-outs-unheard" in log.said
