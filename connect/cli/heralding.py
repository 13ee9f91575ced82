"""Who tells the project's endpoints what happens, in a process that sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from random import SystemRandom
from typing import TYPE_CHECKING

from connect.clock import Clock

if TYPE_CHECKING:
    from connect.pipeline.happening import Tell
    from connect.pipeline.herald import Herald
    from connect.project.project import Project
    from connect.project.webhooks import Hook
    from connect.schedule.house import House
    from connect.schedule.log import Log

_PATIENCE = 60.0
"""Seconds that endpoints have for what waits, when somebody looks at the run."""


@asynccontextmanager
async def of_one_run(project: Project, clock: Clock) -> AsyncIterator[Tell | None]:
    """Meanwhile endpoints are told; None where none wants to hear of what is sent."""
    from connect.cli.terminal import err, plural

    if not project.webhooks:
        yield None
        return
    from connect.pipeline.counters import Counters
    from connect.pipeline.herald import Herald

    def say(name: str, why: str, dropped: int) -> None:
        err.print(f"webhook {name}: {plural(dropped, 'message')} not told of ({why})", markup=False)

    herald = Herald(lambda: project.webhooks, project.target, clock, SystemRandom(), Counters(), say)
    async with herald.telling(_PATIENCE):
        try:
            yield herald.of_runs()
        finally:
            if waiting := sum(herald.waiting().values()):
                err.print(f"telling the webhooks: {waiting:,} to go (Ctrl-C twice drops them)", markup=False)


class Heralding:
    """Of a daemon: the herald is made when the project has endpoints at the beginning of a run."""

    def __init__(self, house: House, clock: Clock, log: Log, stack: AsyncExitStack) -> None:
        """Endpoints are told until the stack is left."""
        self._house, self._clock, self._log, self._stack = house, clock, log, stack
        self._herald: Herald | None = None

    @property
    def dropped(self) -> int:
        """What endpoints were not told of, so far."""
        return self._herald.dropped() if self._herald is not None else 0

    async def herald(self) -> Herald | None:
        if self._herald is None and self._house.project.webhooks:
            from connect.pipeline.counters import Counters
            from connect.pipeline.herald import Herald

            project, random = self._house.project, SystemRandom()
            self._herald = Herald(self._hooks, project.target, self._clock, random, Counters(), self._say)
            await self._stack.enter_async_context(self._herald.telling())
        return self._herald

    def _hooks(self) -> Mapping[str, Hook]:
        return self._house.project.webhooks

    def _say(self, name: str, why: str, dropped: int) -> None:
        self._log.warning("webhook-dropped", webhook=name, reason=why, dropped=dropped)
