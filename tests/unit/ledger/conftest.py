"""A ledger on disk, a clock that tests move, and runs to put into it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.identity import new_run_id
from connect.ledger import engine
from connect.ledger.records import NewRun
from connect.ledger.store import Ledger
from connect.vocabulary import Mode

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)

    def pass_time(self, **duration: float) -> None:
        self.instant += timedelta(**duration)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a lock at once."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / '.connect' / 'state.db'}"


@pytest.fixture
def ledger(url: str, clock: HandClock) -> Iterator[Ledger]:
    ledger = Ledger.open(url, project="acme", target="dev", clock=clock)
    yield ledger
    ledger.close()


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
