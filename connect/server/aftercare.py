"""What is done about opt-outs when they are durable and answered: they stand, and are told of once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from connect.errors import ConnectError
from connect.pipeline.desk import problem
from connect.pipeline.lasting import Lasting
from connect.pipeline.lately import Lately
from connect.pipeline.subscriptions import Change, writable
from connect.project.project import Project
from connect.server.site import Site

_EVERY = 5.0
"""Seconds between two looks: a query for all opt-outs that came meanwhile, if any."""
_PATIENCE = 3.0
"""Seconds that somebody who comes back waits for what they said before; and the end of the server."""


@dataclass(frozen=True)
class _Of:
    """One version of connect.yml."""

    project: Project
    lately: Lately
    lasting: Lasting


class Aftercare:
    """Of one server."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._threads = ThreadPoolExecutor(1, "aftercare")
        self._one_at_a_time = asyncio.Lock()
        self._known: _Of | None = None
        self._in_trouble = False

    async def run(self, stop: asyncio.Event) -> None:
        """What is not done when it stops is in the ledger: the next server does it."""
        while not stop.is_set():
            await self.settle()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _EVERY)

    async def settle(self) -> None:
        """Opt-outs that came stand now, as far as that can be seen to within a few seconds. Never raises."""
        await asyncio.wait([asyncio.create_task(self._settle())], timeout=_PATIENCE)

    def came(self, changes: Sequence[Change]) -> None:
        """These are durable."""
        self._now().lately.came(changes)

    async def is_news(self, changes: Sequence[Change]) -> bool:
        """Whether one of these was not said lately, by whichever server, and not taken back since."""
        lately = self._now().lately
        with suppress(ConnectError):  # then we go by what we know
            await asyncio.to_thread(lately.look)
        return not all(map(lately.repeats, changes))

    def _now(self) -> _Of:
        project, ledger = self._site.project, self._site.ledger
        if self._known is None or self._known.project is not project:
            lately = Lately(ledger, project.secret, self._site.clock)
            self._known = _Of(project, lately, Lasting(project, ledger, self._site.time, lately))
        return self._known

    async def _settle(self) -> None:
        async with self._one_at_a_time:
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._site.time.look)
                await self._uphold()
                self._in_trouble = False
            except Exception as error:  # noqa: BLE001 - whatever it is, it is done at the next look
                if not self._in_trouble:
                    self._site.log.trouble("opt-outs-not-looked-after", error)
                self._in_trouble = True

    async def _uphold(self) -> None:
        now = self._now()
        if problem(now.project) is not None:
            return
        source = writable(now.project).source
        look = now.lasting.look
        again = await asyncio.get_running_loop().run_in_executor(
            self._threads, look, lambda: self._site.doors.source(now.project, source)
        )
        if again:
            await self._site.desk.take(again)
            self._site.log.warning("opt-outs-written-again", opt_outs=len(again), hint=_HINT)
        now.lasting.done()


_HINT = "a return was dated later than the opt-out that came after it: look at the clocks of whatever writes returns"
