"""`connect daemon` with a clock of its own, as a process that is quick to start: what is killed again and again.

Every import is done once, in a server from which the daemons are forked. So a daemon begins within a fraction of a
second, and most kills strike one that works.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context, parent_process
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING

from connect.testing.clock import FastClock

if TYPE_CHECKING:
    from connect.cli.on_duty import Duty

_LEASE = timedelta(minutes=10)
"""A lease is about what a machine can do in a real second, of which one of these minutes is a small part."""
_PRELOADED = [
    "benchmarks.chaos.duty",
    "connect.cli.on_duty",
    "connect.schedule.standing",
    "connect.ledger.postgresql",
    "connect.ledger.sqlite",
    "connect.ledger.store",
    "connect.pipeline.part",
    "connect.testing.http_provider",
    "connect.warehouses.duckdb",
    "alembic.command",
    "duckdb",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "uvloop",
]
"""Those that are not there are left out."""


@dataclass
class Post:
    """One of the daemons, whichever process it is now."""

    number: int
    clock: FastClock
    process: ForkServerProcess | None = None
    back_at: float | None = None
    """By `time.monotonic`: then it is started again."""
    ending: bool = False

    def start(self, root: Path, secret: str) -> None:
        self.back_at, self.ending = None, False
        self.process = _forked(_serve, root, self.number, self.clock, secret)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.clear()

    def terminate(self) -> None:
        if self.process:
            self.process.terminate()
            self.ending = True

    def clear(self) -> int | None:
        """It is over; returns its exit code."""
        assert self.process
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.process, self.ending = None, False
        return code


def resume(root: Path, run_id: str, clock: FastClock, secret: str) -> ForkServerProcess:
    """What somebody does who has looked at a run that has crashed too often: a process that goes on with it."""
    return _forked(_resume, root, run_id, clock, secret)


def _forked(work: Callable[..., None], *arguments: object) -> ForkServerProcess:
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=work, args=arguments)
    process.start()
    return process


def log_of(root: Path, name: int | str) -> Path:
    return root / f"daemon-{name}.log"


def _serve(root: Path, number: int, clock: FastClock, secret: str) -> None:
    from connect.cli.on_duty import serve

    _begin(root, str(number), secret)
    sys.exit(serve(_duty(root), clock))


def _resume(root: Path, run_id: str, clock: FastClock, secret: str) -> None:
    from connect import wiring
    from connect.schedule.work import Doors, Works

    _begin(root, "by-hand", secret)
    project, campaigns = _duty(root).load()
    ledger = wiring.open_ledger(project, clock)
    record = ledger.run(run_id)
    assert record
    works = Works(Doors(wiring.open_audience, wiring.open_accounts), ledger, clock, lease=_LEASE, workers=1)
    asyncio.run(works(record, project, campaigns.get(record.campaign), asyncio.Event()))


def _duty(root: Path) -> Duty:
    from connect.cli.on_duty import Duty

    return Duty(root, None, None, runs=4, workers=1, form="json", once=False, lease=_LEASE)


def _begin(root: Path, name: int | str, secret: str) -> None:
    with log_of(root, name).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    threading.Thread(target=_end_with_the_harness, daemon=True).start()
    os.environ["CONNECT_SECRET"] = secret
    sys.path.insert(0, str(root / "plugins"))


def _end_with_the_harness() -> None:
    harness = parent_process()
    if harness is not None:
        harness.join()
        os._exit(1)
