"""A ledger on each engine, a clock that tests move, and runs to put into it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import StaticPool, create_engine

from connect.identity import new_run_id
from connect.ledger import place, transactions
from connect.ledger.records import NewRun
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, NOON, Engine, HandClock, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer
from connect.vocabulary import Mode


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture
def rig(engine: Engine, tmp_path: Path) -> Iterator[LedgerRig]:
    try:
        with ledger_rig(engine, tmp_path) as rig:
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture
def clock(rig: LedgerRig) -> HandClock:
    return rig.clock


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up at once, on a lock and on a database that is gone."""
    monkeypatch.setattr(place, "BUSY_SECONDS", 0.001)
    monkeypatch.setattr(transactions, "WAITS", (0.0, 0.0))


@pytest.fixture
def url(rig: LedgerRig) -> str:
    return rig.url


@pytest.fixture
def ledger(rig: LedgerRig) -> Iterator[Ledger]:
    ledger = rig.open()
    yield ledger
    ledger.close()


class Browser:
    """Another program that has the ledger open, and takes the lock that writers need."""

    def __init__(self, rig: LedgerRig) -> None:
        self._engine = create_engine(rig.url, poolclass=StaticPool, isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()
        self._taking = "BEGIN IMMEDIATE" if rig.engine == "sqlite" else "BEGIN; LOCK TABLE slices IN EXCLUSIVE MODE"

    def take(self) -> None:
        self._connection.exec_driver_sql(self._taking)

    def let_go(self) -> None:
        self._connection.exec_driver_sql("COMMIT")

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


@pytest.fixture
def browser(rig: LedgerRig, ledger: Ledger) -> Iterator[Browser]:
    browser = Browser(rig)
    yield browser
    browser.close()


@pytest.fixture
def a_run(clock: HandClock) -> Callable[..., NewRun]:
    """Makes runs that differ in id and fire time, unless said otherwise."""
    numbers = itertools.count()

    def make(**changes: Any) -> NewRun:
        number = next(numbers)
        fields: dict[str, Any] = {
            "id": new_run_id(int(clock.now().timestamp()) + number),
            "mode": Mode.live,
            "campaign": "trial-ending",
            "fire_time": NOON + timedelta(minutes=number),
            "manual": True,
            "digest": "d1",
            "campaign_json": "{}",
            "salt": b"sealed salt",
            "secret": b"sealed secret",
        }
        return NewRun(**{**fields, **changes})

    return make
