"""The desk: takes opt-outs from whoever learns of them, and says so only when they can not be lost any more.

They go into the user's table at once, with others that come at the same time. A warehouse that is locked, away or slow
is not waited for: then they are sealed into the ledger, where every gate heeds them (`connect.pipeline.waiting`), and
the desk writes them from there as soon as it can. What the warehouse takes at once is noted there, too, for a while:
runs that have read their rows before go by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from connect.errors import OutsideError, Problem, UserError
from connect.ledger.store import Ledger
from connect.pipeline.counters import Counters
from connect.pipeline.sealing import Drained, Stays, drain, note, sealed
from connect.pipeline.sources import OpenSource
from connect.pipeline.subscriptions import Change, check_table, no_table, normal, record, unheard, writable
from connect.pipeline.together import Asked, Together
from connect.project.project import Project
from connect.warehouses.interface import Warehouse

PATIENCE = 0.008
"""Seconds that a warehouse has to take an opt-out before it is held, too: somebody looks at a page that loads."""
_NOTING = 0.015
"""Seconds after which nobody waits any more until runs that are under way are told."""
_PREPARING = 2.0
"""Seconds that it has before the server takes requests."""
_LAST_CHANCE = 10.0
"""Seconds that it has where the ledger can not hold anything."""
_PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Between attempts to write to a warehouse that is in the way."""
_LOOK = 5.0
"""Seconds after which it is looked for what others have left in the ledger."""


class Tells(Protocol):
    """Says what happens, to whoever runs it: the log of a server or a daemon."""

    def info(self, action: str, **values: int) -> None: ...
    def trouble(self, action: str, problem: BaseException) -> None: ...


def problem(project: Project) -> Problem | None:
    """Why a desk of this project could take no opt-outs; None where it can."""
    if project.subscriptions is None or project.subscriptions.write is None:
        return no_table().problems[0]
    if not project.secret.secrets:
        hint = "set `secret: ${CONNECT_SECRET}` in connect.yml; `connect init` makes one in .env"
        return Problem("missing-secret", "the project has no `secret`, with which opt-outs are held", hint)
    return None


class Desk:
    """Of one process. `project` gives its last good version."""

    def __init__(
        self,
        project: Callable[[], Project],
        open_source: OpenSource,
        ledger: Ledger,
        log: Tells,
        counters: Counters | None = None,
    ) -> None:
        self._project, self._open_source, self._ledger, self._log = project, open_source, ledger, log
        self._counters = counters or Counters()
        self._warehouse_thread = ThreadPoolExecutor(1, "optouts")
        self._ledger_thread = ThreadPoolExecutor(1, "held")
        self._writing = Together(self._write, self._warehouse_thread)
        self._holding = Together(self._hold, self._ledger_thread)
        self._noting = Together(self._note, self._ledger_thread)
        self._opened: tuple[Project, Warehouse] | None = None
        self._something_held: asyncio.Event | None = None
        self._failures, self._away_until = 0, 0.0
        self._stays = Stays(log)

    async def prepare(self) -> None:
        """Who opts out first is not to wait for drivers and a first connection. Returns after some seconds at most.

        What is in the way is said; it may be gone when somebody opts out.
        """
        project = self._project()
        if problem(project) is None:
            preparing = asyncio.get_running_loop().run_in_executor(self._warehouse_thread, self._prepare, project)
            preparing.add_done_callback(self._prepared)
            await asyncio.wait([preparing], timeout=_PREPARING)

    def _prepare(self, project: Project) -> None:
        """In the warehouse's thread."""
        import pyarrow

        pyarrow.array([project.name])  # loads numpy, too, where that is installed
        check_table(self._warehouse(project), writable(project))

    def _prepared(self, preparing: Asked) -> None:
        if error := preparing.exception():
            self._log.trouble("opt-outs-will-be-held", error)

    async def take(self, changes: Sequence[Change]) -> None:
        """Returns when these are durable: in `subscriptions.write`, or sealed in the ledger.

        A change that no run would ever find (`unheard`) is left out. Raises OutsideError when they can be neither, and
        UserError where connect.yml does not say where to.
        """
        if wrong := problem(self._project()):
            raise UserError(wrong)
        wanted = [change for change in map(normal, changes) if not unheard(change)]
        if len(wanted) < len(changes):
            self._log.info("opt-outs-unheard", opt_outs=len(changes) - len(wanted))
        if wanted:
            began = asyncio.get_running_loop().time()
            writing = self._begin_to_write(wanted)
            into = "table" if await _ends_well(writing, PATIENCE) else await self._kept(wanted, writing)
            self._counters.add("optouts", len(wanted), into=into)
            if into == "table":
                left = began + _NOTING - asyncio.get_running_loop().time()
                await _ends(self._noted(wanted), max(0.0, left))

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is held into the warehouse, as soon as it takes it; returns when everything is durable."""
        self._something_held = asyncio.Event()
        while not stop.is_set():
            self._something_held.clear()
            await self._drain()
            if self._failures:
                await _within(self._pause, stop)
            else:
                await _within(_LOOK, stop, self._something_held)
        await self._end()

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way into the warehouse or the ledger; what is held may wait."""
        return not any(each.is_working for each in (self._writing, self._holding, self._noting))

    # Into the warehouse

    def _begin_to_write(self, changes: Sequence[Change]) -> Asked | None:
        """None where the warehouse is away, or busy for so long already that others wait behind it."""
        now = asyncio.get_running_loop().time()
        began = self._writing.began
        if now < self._away_until or (began is not None and now - began > PATIENCE):
            return None
        asked = self._writing.ask(changes)
        asked.add_done_callback(self._tried)
        return asked

    def _tried(self, asked: Asked) -> None:
        if error := asked.exception():
            self._is_away(error)

    def _write(self, changes: Sequence[Change]) -> None:
        """In the warehouse's thread."""
        project = self._project()
        record(self._warehouse(project), writable(project), changes)

    def _warehouse(self, project: Project) -> Warehouse:
        """Opened once for each version of connect.yml."""
        if self._opened is None or self._opened[0] is not project:
            if self._opened is not None:
                self._opened[1].close()
            self._opened = project, self._open_source(project, writable(project).source)
        return self._opened[1]

    # Into the ledger

    def _noted(self, changes: Sequence[Change]) -> Asked:
        asked = self._noting.ask(changes)
        asked.add_done_callback(self._not_noted)
        return asked

    def _not_noted(self, asked: Asked) -> None:
        """They are durable all the same: only rows that runs have read already are not flagged."""
        if error := asked.exception():
            self._log.trouble("opt-outs-not-noted", error)

    def _note(self, changes: Sequence[Change]) -> None:
        """In the ledger's thread."""
        note(self._project(), self._ledger, changes)

    async def _kept(self, changes: Sequence[Change], writing: Asked | None) -> str:
        """Where they are, in the end: held in the ledger, or in the table where that was faster after all."""
        holding = self._holding.ask(changes)
        await asyncio.wait([holding, *([writing] if writing else [])], return_when=asyncio.FIRST_COMPLETED)
        if writing is not None and _is_well(writing):
            self._holding.forget(holding)
            holding.add_done_callback(self._there_is_more)  # where it was under way, that is let go soon
            return "table"
        try:
            await holding
        except OutsideError:
            trying = writing is not None and not writing.done()
            if not await _ends_well(writing if trying else self._writing.ask(changes), _LAST_CHANCE):
                raise
            return "table"
        if writing is not None:
            self._writing.forget(writing)
        self._there_is_more()
        return "ledger"

    def _there_is_more(self, _: object = None) -> None:
        if self._something_held is not None:
            self._something_held.set()

    def _hold(self, changes: Sequence[Change]) -> None:
        """In the ledger's thread."""
        self._ledger.hold(sealed(self._project().secret, changes))

    # And from there into the warehouse

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            done = await loop.run_in_executor(self._warehouse_thread, self._drained)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is held stays held
            self._is_away(error)
            return
        self._failures, self._away_until = 0, 0.0
        if done.written:
            self._log.info("opt-outs-written", opt_outs=done.written)
            self._counters.add("optouts_drained", done.written)
        self._stays.tell(done, loop.time())

    def _drained(self) -> Drained:
        project = self._project()
        if problem(project) is not None:
            return Drained()
        return drain(self._ledger, project.secret, writable(project), lambda: self._warehouse(project))

    def _is_away(self, error: BaseException) -> None:
        if not self._failures:
            self._log.trouble("opt-outs-held", error)
        self._failures += 1
        self._away_until = asyncio.get_running_loop().time() + self._pause

    @property
    def _pause(self) -> float:
        return _PAUSES[min(self._failures, len(_PAUSES)) - 1]

    async def _end(self) -> None:
        """Whoever waits is told; what the warehouse still works on without anybody waiting is held, and stopped."""
        await self._holding.end()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._writing.end(), _LAST_CHANCE)
        await self._noting.end()
        if self._opened is not None:
            self._opened[1].close()


async def _ends(asked: Asked, seconds: float) -> bool:
    done, _ = await asyncio.wait([asked], timeout=seconds)
    return bool(done)


async def _ends_well(asked: Asked | None, seconds: float) -> bool:
    return asked is not None and await _ends(asked, seconds) and _is_well(asked)


def _is_well(asked: Asked) -> bool:
    return asked.done() and asked.exception() is None


async def _within(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of these is set, at most so long."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
