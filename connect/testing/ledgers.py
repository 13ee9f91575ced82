"""A ledger for a test, on each engine that a ledger can be on, with a clock that the test moves.

    with ledger_rig("postgresql", tmp_path) as rig:
        ledger = rig.open()
        rig.clock.pass_time(minutes=2)

On PostgreSQL the clock of leases is the server's. So it is the server's clock that is moved, in this database only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from connect.ledger.store import Ledger
from connect.testing.postgres import PostgresServer, shared_server

Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, follow: Callable[[datetime], None] = lambda instant: None) -> None:
        self._instant, self._follow = NOON, follow
        follow(NOON)

    def now(self) -> datetime:
        return self._instant

    def monotonic(self) -> float:
        return self._instant.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.pass_time(seconds=seconds)

    def pass_time(self, **duration: float) -> None:
        self._instant += timedelta(**duration)
        self._follow(self._instant)


@dataclass(frozen=True)
class LedgerRig:
    """A ledger of project `acme` and target `dev`, in a place of its own."""

    engine: Engine
    url: str
    clock: HandClock
    cut: Callable[[], None]
    """End every connection to the ledger, as a restart or a fail-over does."""

    def open(self) -> Ledger:
        return Ledger.open(self.url, project="acme", target="dev", clock=self.clock)


@contextmanager
def ledger_rig(engine: Engine, folder: Path) -> Iterator[LedgerRig]:
    """An empty ledger on this engine; `folder` is for its files. Raises NoServer where there is no PostgreSQL."""
    if engine == "sqlite":
        yield LedgerRig(engine, f"sqlite:///{folder / '.connect' / 'state.db'}", HandClock(), lambda: None)
        return
    server = shared_server()
    name = server.create(_made_template(server))
    try:
        clock = HandClock(_following(server, name))
        yield LedgerRig(engine, _moved(server, name), clock, lambda: server.cut(name))
    finally:
        server.drop(name)


# A function of the same name, found before the server's own.
_CLOCK = """
CREATE SCHEMA moved;
CREATE TABLE moved.clock (instant timestamptz NOT NULL);
INSERT INTO moved.clock VALUES (now());
CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT instant FROM moved.clock'
"""
_TEMPLATE = "connect_template"


@cache
def _made_template(server: PostgresServer) -> str:
    """A database that holds an empty ledger: copied, it is there ten times as fast as migrated."""
    server.create(name=_TEMPLATE)
    server.sql(_CLOCK, _TEMPLATE)
    with closing(Ledger.open(server.url(_TEMPLATE), project="acme", target="dev", clock=HandClock())):
        return _TEMPLATE


def _moved(server: PostgresServer, name: str) -> str:
    return f"{server.url(name)}&options=-csearch_path%3Dpublic,moved,pg_catalog"


def _following(server: PostgresServer, name: str) -> Callable[[datetime], None]:
    return lambda instant: server.sql(f"UPDATE moved.clock SET instant = '{instant.isoformat()}'", name)
