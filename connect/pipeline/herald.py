"""Tells the user's endpoints what happens to deliveries: `webhooks` in connect.yml.

    herald = Herald(lambda: project.webhooks, project.target, clock, random, counters, say)
    async with herald.telling():
        herald.tell([happening, …])         from any thread; never waits, never raises

Each endpoint has its own queue, so that one that is slow is in nobody's way.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random

from connect.clock import Clock
from connect.pipeline.announcing import TOLD
from connect.pipeline.counters import Counters
from connect.pipeline.happening import Happening, Tell
from connect.pipeline.listener import Fate, Listener, Say
from connect.project.webhooks import Hook
from connect.vocabulary import HappeningType

DRAIN = 10.0
"""Seconds that what waits has when a process ends."""


class Herald:
    """`hooks` gives connect.yml's `webhooks` as they are now: the same object until they are read again."""

    def __init__(
        self,
        hooks: Callable[[], Mapping[str, Hook]],
        target: str,
        clock: Clock,
        random: Random,
        counters: Counters,
        say: Say,
    ) -> None:
        self._hooks, self._target, self._clock, self._random = hooks, target, clock, random
        self._counters, self._say = counters, say
        self._lock = threading.Lock()
        self._known: Mapping[str, Hook] = {}
        self._listeners: dict[str, Listener] = {}
        self._left: list[Listener] = []
        """Of endpoints that connect.yml does not have any more, or otherwise."""
        self._parting: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stirring = False

    def wants(self, types: Iterable[HappeningType]) -> bool:
        """Whether anybody is told of one of these."""
        wanted = {each for hook in self._hooks().values() if hook.enabled for each in hook.events}
        return not wanted.isdisjoint(types)

    def of_runs(self) -> Tell | None:
        """What a run tells; None where nobody wants to hear of what is sent or fails."""
        return self.tell if self.wants(TOLD.values()) else None

    def tell(self, happenings: Iterable[Happening]) -> None:
        """Put these into the queues of those who want them. Never waits, and never raises."""
        with self._lock:
            self._look()
            if not self._listeners:
                return
            for happening in happenings:
                for listener in self._listeners.values():
                    if happening.type in listener.hook.events:
                        listener.take(happening)
            if self._loop is None or self._stirring:
                return
            self._stirring = True
            with suppress(RuntimeError):  # the loop is closed: its process is over
                self._loop.call_soon_threadsafe(self._stir)

    @asynccontextmanager
    async def telling(self, drain: float = DRAIN) -> AsyncIterator[None]:
        """Meanwhile endpoints are told. In the end what waits has so many seconds."""
        self._loop = asyncio.get_running_loop()
        self._stir()
        try:
            yield
        except asyncio.CancelledError:  # nobody has any patience left
            drain = 0.0
            raise
        finally:
            self._stir()
            with self._lock:
                listeners = list(self._listeners.values())
            await asyncio.gather(*self._parting, *(listener.end(drain) for listener in listeners))

    @property
    def is_needed(self) -> bool:
        """Whether there is anybody to be told."""
        return any(hook.enabled for hook in self._hooks().values())

    def waiting(self) -> Mapping[str, int]:
        """Endpoint → how many happenings wait for it."""
        with self._lock:
            return {name: len(listener) for name, listener in self._listeners.items()}

    def dropped(self) -> int:
        """How many happenings an endpoint was not told of, that should have been."""
        counts = self._counters.read().items()
        return sum(count for (_, labels), count in counts if dict(labels).get("result", Fate.taken) != Fate.taken)

    def gone(self) -> frozenset[str]:
        """Endpoints that have said 410 in this process."""
        with self._lock:
            return frozenset(name for name, listener in self._listeners.items() if listener.is_gone)

    def _look(self) -> None:
        """Endpoints that are new, or that have changed, begin anew; those that are not wanted are told what waits."""
        hooks = self._hooks()
        if hooks is self._known:
            return
        self._known, before = hooks, self._listeners
        self._listeners = {
            name: self._same(before.get(name), hook) or self._made(name, hook)
            for name, hook in hooks.items()
            if hook.enabled
        }
        self._left += [listener for listener in before.values() if listener not in self._listeners.values()]

    def _same(self, listener: Listener | None, hook: Hook) -> Listener | None:
        return listener if listener is not None and listener.hook == hook else None

    def _made(self, name: str, hook: Hook) -> Listener:
        return Listener(name, hook, self._target, self._clock, self._random, self._counters, self._say)

    def _stir(self) -> None:
        with self._lock:
            self._stirring = False
            left, self._left = self._left, []
            listeners = [*self._listeners.values(), *left]
        for listener in listeners:
            listener.stir()
        for listener in left:
            self._parting.add(task := asyncio.create_task(listener.end(DRAIN)))
            task.add_done_callback(self._parting.discard)
