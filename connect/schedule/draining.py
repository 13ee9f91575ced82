"""Opt-outs that a server could not write into the warehouse, written by whoever comes by: here, a daemon.

It also forgets what is kept for some days only: there may be no server any more that would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from connect.errors import ConnectError
from connect.ledger.store import Ledger
from connect.project.project import Project
from connect.schedule.log import Log

if TYPE_CHECKING:
    from connect.pipeline.sealing import Drained, Stays
    from connect.pipeline.sources import OpenSource

_EVERY = 15.0
"""Seconds between two looks."""
_FORGET = 6 * 3600.0
"""Seconds between two times that what was reported long ago is forgotten, as a server does."""


@asynccontextmanager
async def draining(
    project: Callable[[], Project], ledger: Ledger, open_source: OpenSource, log: Log
) -> AsyncIterator[None]:
    """Meanwhile, what is held is written as soon as that works."""
    task = asyncio.create_task(_keep_draining(project, ledger, open_source, log))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _keep_draining(project: Callable[[], Project], ledger: Ledger, open_source: OpenSource, log: Log) -> None:
    away, stays, forgotten = False, None, float("-inf")
    while True:
        try:
            forgets = ledger.clock.monotonic() - forgotten > _FORGET
            done = await asyncio.to_thread(_look, project(), ledger, open_source, forgets=forgets)
            forgotten = ledger.clock.monotonic() if forgets else forgotten
            away = False
            if done is not None:
                stays = stays or _stays(log)
                stays.tell(done, asyncio.get_running_loop().time())
            if done is not None and done.written:
                log.info("opt-outs-written", opt_outs=done.written)
        except ConnectError as error:
            if not away:
                log.trouble("opt-outs-held", error)
            away = True
        await asyncio.sleep(_EVERY)


# A daemon that idles does without the grammar of SQL.


def _stays(log: Log) -> Stays:
    from connect.pipeline.sealing import Stays

    return Stays(log)


def _look(project: Project, ledger: Ledger, open_source: OpenSource, *, forgets: bool) -> Drained | None:
    """One thread for both: a daemon that ends waits for it."""
    try:
        return _drain(project, ledger, open_source)
    finally:
        if forgets:
            ledger.forget_seen()


def _drain(project: Project, ledger: Ledger, open_source: OpenSource) -> Drained | None:
    """None where nothing is held."""
    if not ledger.held_count():
        ledger.forget_gone()
        return None
    from connect.pipeline.sealing import drain_project

    return drain_project(project, ledger, open_source)
