"""The project's files, read again when they have changed; and what is wrong with them, said once."""

from __future__ import annotations

import asyncio

from connect.clock import Clock
from connect.errors import ConnectError
from connect.schedule.house import Changes, House
from connect.schedule.log import Log
from connect.schedule.waiting import first
from connect.schedule.watching import Watch

_LOOK, _SOON = 5.0, 1.0
"""Seconds between two looks at the files; fewer while they are changing."""


class Rereading:
    """Make the Watch before the House, so that nothing is missed between them."""

    def __init__(self, house: House, watch: Watch, clock: Clock, log: Log) -> None:
        self._house, self._watch, self._clock, self._log = house, watch, clock, log
        self._asked = asyncio.Event()
        self._state = house.project.state
        self._tell(Changes(problems=house.problems))

    def ask(self) -> None:
        """Read at once, whether anything has changed or not (SIGHUP)."""
        self._asked.set()

    async def asked(self) -> None:
        """Wait until somebody asks."""
        await self._asked.wait()

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    @property
    def unsettled(self) -> bool:
        """Files are changing now: it is worth to look again soon."""
        return self._watch.unsettled

    async def has_changed(self) -> bool:
        """Whether there is something to read: somebody asks, or the files are others than were read."""
        return self.is_asked or await asyncio.to_thread(self._watch.changed, self._clock.monotonic())

    async def read(self) -> Changes:
        """Read everything, and say what came of it. Never raises for what is wrong in a file."""
        self._asked.clear()
        await asyncio.to_thread(self._watch.reading)
        changes = await asyncio.to_thread(self._house.reload)
        self._heard(changes)
        return changes

    async def run(self, stop: asyncio.Event) -> None:
        """Look and read until `stop` is set."""
        while not stop.is_set():
            if await self.has_changed():
                await self.read()
            await first(self._clock.sleep(_SOON if self.unsettled else _LOOK), stop.wait(), self.asked())

    def _heard(self, changes: Changes) -> None:
        project = self._house.project
        self._log.redactor = project.redactor
        self._tell(changes)
        self._log.info("files-read", changed=len(changes.campaigns), gone=len(changes.gone))
        if changes.project and project.state != self._state:
            self._log.warning("restart-needed", reason="`state` is another ledger now, which takes a restart")

    def _tell(self, changes: Changes) -> None:
        for problem in changes.problems:
            self._log.trouble("file-broken", ConnectError(problem))
        for name in changes.kept:
            self._log.warning("campaign-kept", campaign=name, reason="its file is broken; its last good version stays")
        for file in changes.mended:
            self._log.info("file-mended", file=file or "connect.yml")
