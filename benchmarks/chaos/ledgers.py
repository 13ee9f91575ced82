"""Ledgers that can be cut off: a locked file, or a server that ends every connection."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.chaos.scenario import POSTGRESQL


@dataclass(frozen=True)
class LedgerPlace:
    url: str
    cut: Callable[[float], None]
    """Make it useless for so many seconds."""


@contextmanager
def ledger_at(kind: str, root: Path) -> Iterator[LedgerPlace]:
    """A fresh ledger. Raises `connect.testing.postgres.NoServer` where there can be no PostgreSQL."""
    if kind == POSTGRESQL:
        yield from _postgresql()
    else:
        file = root / "state.db"
        yield LedgerPlace(f"sqlite:///{file}", lambda seconds: _lock(file, seconds))


def _lock(file: Path, seconds: float) -> None:
    """What a database browser does that has begun to edit."""
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        time.sleep(seconds)
        connection.execute("rollback")


def _postgresql() -> Iterator[LedgerPlace]:
    from connect.testing.postgres import shared_server

    server = shared_server()

    def cut(url: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            server.cut(urlsplit(url).path.removeprefix("/"))
            time.sleep(0.05)

    with server.database() as url:
        yield LedgerPlace(url, lambda seconds: cut(url, seconds))
