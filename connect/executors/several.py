"""A crew of worker processes: rows go out to them, and what they say goes into the books.

What watches over the content and over a provider (`connect.pipeline.breaker`) is each worker's own: of several, the
first that has seen enough stops all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

from connect.errors import ConnectError
from connect.executors import flat
from connect.executors.frames import Gone
from connect.executors.remote import Remote, State
from connect.executors.told import told
from connect.ledger.records import Bucket
from connect.pipeline.books import Books
from connect.pipeline.dispatch import Hold
from connect.pipeline.outcomes import FARTHEST_AHEAD
from connect.pipeline.worker import Dealt

_WAITING = 2
"""Pieces that a worker has been dealt and not finished: one in hand, and the next."""

_FARTHEST_APART = FARTHEST_AHEAD * 3 // 2
"""Deliveries after which nobody is met any more whose message was near the air before a crash: at most
`FARTHEST_AHEAD` were ahead of the cursor, and people have joined between them."""


class Several:
    """Deals to workers and listens to them.

    `together` are the message keys of calls that are in doubt and may be repeated with exactly their members only: one
    worker must meet all of these.
    """

    def __init__(
        self,
        remotes: Sequence[Remote],
        books: Books,
        hold: Hold,
        until: Callable[[], float],
        together: Collection[bytes],
    ) -> None:
        self._remotes, self._books, self._hold, self._until_when = remotes, books, hold, until
        self._together = set(together)
        self._trouble: BaseException | None = None
        self._changed = asyncio.Event()
        self._writing: set[asyncio.Task[None]] = set()
        self._over = False
        self._verbs: dict[str, Callable[..., None]] = {
            "ready": self._ready,
            "failed": self._failed,
            "troubled": self._troubled,
            "composed": self._composed,
            "dealt": self._dealt,
            "drained": self._drained,
            "stopped": self._stopped,
            "throttled": self._throttled,
            "waiting": self._waits,
            "write": self._write,
            "held": self._held,
            "slots": self._slots,
        }
        self._listening = [asyncio.create_task(self._listen(remote)) for remote in remotes]

    # What the run asks for

    @property
    def piece(self) -> int:
        return _least_busy(self._remotes).pace.rows

    @property
    def waiting(self) -> str:
        return "; ".join(dict.fromkeys(remote.waiting for remote in self._remotes if remote.waiting))

    async def ready(self) -> None:
        """Wait until all have connected. Raises what keeps one from it."""
        await self._until(lambda: all(remote.state is not State.starting for remote in self._remotes))

    async def deal(self, dealt: Dealt) -> None:
        # The same people may have been dealt in another way before the crash, and to another number of workers.
        apart = self._together and dealt.first < _FARTHEST_APART
        able = self._remotes[:1] if apart else self._remotes
        await self._until(lambda: any(remote.pieces < _WAITING for remote in able))
        remote = _least_busy(able)
        remote.pieces += 1
        remote.frames.say("deal", dealt)

    def flush(self) -> None:
        self._tell("flush")

    async def drain(self) -> None:
        self._tell("drain")
        await self._until(lambda: all(remote.state is State.drained for remote in self._remotes))

    async def stop(self) -> None:
        self._tell("stop")
        while not all(remote.state in (State.stopped, State.gone) for remote in self._remotes):
            await self._change()

    def abandon(self) -> None:
        self._over = True
        for remote in self._remotes:
            remote.process.kill()

    def halt(self, trouble: BaseException) -> None:
        if self._trouble is not None:
            return
        self._trouble = trouble
        self._books.troubled(trouble)
        self._tell("halt", told(trouble))
        self._changed.set()

    async def close(self) -> None:
        """Listen no more."""
        self._over = True
        tasks = [*self._listening, *self._writing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while True:
            if self._trouble is not None:
                raise self._trouble
            if condition():
                return
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _tell(self, verb: str, *words: Any) -> None:
        for remote in self._remotes:
            remote.frames.say(verb, *words)

    # What the workers say

    async def _listen(self, remote: Remote) -> None:
        """What a worker says counts up to the moment at which it dies."""
        try:
            while True:
                verb, *words = await remote.frames.hear()
                self._take(remote, verb, words)
                self._changed.set()
        except Gone:
            await self._lost(remote)

    def _take(self, remote: Remote, verb: str, words: Sequence[Any]) -> None:
        try:
            self._verbs[verb](remote, *words)
        except Exception as problem:  # noqa: BLE001 - raised to whoever deals or drains
            self.halt(problem)

    async def _lost(self, remote: Remote) -> None:
        """A worker process has died. What it had in the air is in doubt, as after any crash."""
        said_why = remote.state is State.gone
        remote.state = State.gone
        if not (said_why or self._over):
            self.halt(await remote.died())
        self._changed.set()

    def _ready(self, remote: Remote) -> None:
        remote.state = State.ready

    def _failed(self, remote: Remote, problem: ConnectError) -> None:
        remote.state = State.gone
        self.halt(problem)

    def _troubled(self, remote: Remote, problem: ConnectError) -> None:
        self.halt(problem)

    def _composed(self, remote: Remote, *parts: Any) -> None:
        composed = flat.to_composed(parts)
        self._together.difference_update(composed.met)
        self._books.composed(composed)

    def _dealt(self, remote: Remote, seconds: float, waiting: str) -> None:
        remote.pieces -= 1
        remote.pace.took(seconds)
        remote.waiting = waiting

    def _drained(self, remote: Remote) -> None:
        remote.state = State.drained

    def _stopped(self, remote: Remote) -> None:
        remote.state = State.stopped

    def _throttled(self, remote: Remote, account: str, wait: timedelta, words: str) -> None:
        if words:
            remote.waiting = words
        for other in self._remotes:
            if other is not remote:
                other.frames.say("throttle", account, wait, words)

    def _waits(self, remote: Remote, words: str) -> None:
        remote.waiting = words

    def _write(
        self, remote: Remote, number: int, settled: flat.Columns, withdrawn: Sequence[bytes], released: flat.Columns
    ) -> None:
        work = self._books.write(flat.to_settlements(settled), withdrawn, flat.to_calls(released))
        self._answer(remote, number, work)

    def _held(self, remote: Remote, number: int) -> None:
        self._answer(remote, number, self._hold.held())

    def _slots(self, remote: Remote, number: int, buckets: Sequence[Bucket], count: int) -> None:
        self._answer(remote, number, self._books.slots(buckets, count))

    def _answer(self, remote: Remote, number: int, work: Awaitable[Any]) -> None:
        """Do this and say how it went."""
        task = asyncio.create_task(self._do(remote, number, work))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _do(self, remote: Remote, number: int, work: Awaitable[Any]) -> None:
        error = value = None
        try:
            value = await work
        except Exception as problem:  # noqa: BLE001 - it is the worker's to raise
            error = told(problem)
        remote.frames.say("answer", number, error, self._until_when(), value)


def _least_busy(remotes: Sequence[Remote]) -> Remote:
    return min(remotes, key=lambda remote: remote.pieces)
