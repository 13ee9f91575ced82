"""A worker process: `python -P -m connect.executors.process FD`, started by `connect.executors.local`.

It composes the rows that it is dealt and sends them, by connections of its own. It reads no warehouse and no ledger:
what it has to say to the run's books goes to the process that started it, and it dies with that one.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from random import SystemRandom
from typing import Any

from connect.clock import SystemClock
from connect.executors import flat
from connect.executors.frames import Frames, Gone
from connect.executors.loops import event_loop, long_running
from connect.executors.telemetry import flush
from connect.executors.told import told
from connect.ledger.records import Bucket, Call, Slots
from connect.pipeline import tracing
from connect.pipeline.books import Composed, Settlement
from connect.pipeline.kit import Kit
from connect.pipeline.recovery import Recovered
from connect.pipeline.worker import Dealt, Sending, Worker, accounts_of
from connect.providers.interface import Account, Provider
from connect.vocabulary import Channel

_TELL_EVERY = 1.0
"""Seconds after which it is told what this worker waits for, where that has changed."""


@dataclass(frozen=True)
class Task:
    """All that a worker process needs to begin."""

    kit: Kit = field(repr=False)
    accounts: Sequence[tuple[type[Provider], Account]]
    """This worker's share of each account's concurrency."""
    intents: flat.Columns = field(repr=False)
    """What the ledger remembers from before a crash."""
    copied: frozenset[Channel]
    sending: Sending
    until: float
    """When the lease ends, in seconds since the machine was started."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """The span of the run (`connect.pipeline.tracing`)."""


class Line:
    """The books and the lease, which are another process's: every question goes there."""

    def __init__(self, frames: Frames, until: float) -> None:
        self._frames, self._until = frames, until
        self._clock = SystemClock()
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}

    def composed(self, composed: Composed) -> None:
        self._frames.say("composed", *flat.composed(composed))

    async def write(
        self, settled: Sequence[Settlement], withdrawn: Sequence[bytes] = (), released: Sequence[Call] = ()
    ) -> None:
        await self._ask("write", flat.settlements(settled), list(withdrawn), flat.calls(released))

    async def slots(self, buckets: Sequence[Bucket], count: int) -> Slots:
        slots: Slots = await self._ask("slots", tuple(buckets), count)
        return slots

    def throttled(self, account: str, wait: timedelta, words: str) -> None:
        self._frames.say("throttled", account, wait, words)

    def troubled(self, problem: BaseException) -> None:
        self._frames.say("troubled", told(problem))

    def fresh(self) -> bool:
        """By what the last answer said: when nobody answers, this process soon stops by itself."""
        return self._clock.monotonic() < self._until

    async def held(self) -> None:
        await self._ask("held")

    async def _ask(self, verb: str, *words: Any) -> Any:
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._frames.say(verb, number, *words)
        return await answer

    def answered(self, number: int, error: BaseException | None, until: float, value: Any = None) -> None:
        self._until = until
        answer = self._asked.pop(number)
        if answer.done():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)


class Process:
    """Does what it is told, until it is told to end."""

    def __init__(self, frames: Frames, line: Line, worker: Worker) -> None:
        self._frames, self._line, self._worker = frames, line, worker
        self._dealt: asyncio.Queue[Dealt] = asyncio.Queue()
        self._delivering = asyncio.create_task(self._deliver())
        self._telling = asyncio.create_task(self._tell_what_is_waited_for())
        self._ending: set[asyncio.Task[None]] = set()
        self._verbs: dict[str, Callable[..., None]] = {
            "deal": self._dealt.put_nowait,
            "answer": line.answered,
            "throttle": worker.throttle,
            "halt": worker.halt,
            "flush": worker.flush,
            "drain": lambda: self._in_background(self._drain()),
            "stop": lambda: self._in_background(self._stop()),
        }

    async def serve(self) -> None:
        """Returns when the run has no more use for this process; ends it when nobody is there to say so."""
        try:
            while True:
                verb, *words = await self._frames.hear()
                if verb == "end":
                    return
                self._verbs[verb](*words)
        except Gone:
            os._exit(1)  # whatever is still to be sent must not be: nobody could count it

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._or_tell(work))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _or_tell(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this. What it raises is for the process that deals, which raises it in its turn."""
        try:
            await work
        except Exception as problem:  # noqa: BLE001 - as said
            self._worker.halt(problem)
            self._frames.say("troubled", told(problem))

    async def _deliver(self) -> None:
        clock = SystemClock()
        while True:
            dealt = await self._dealt.get()
            began = clock.monotonic()
            await self._or_tell(self._worker.deliver(dealt))
            self._frames.say("dealt", clock.monotonic() - began, self._worker.waiting)
            self._dealt.task_done()

    async def _tell_what_is_waited_for(self) -> None:
        """Also while a piece takes long: it is what it waits for."""
        told = ""
        while True:
            await asyncio.sleep(_TELL_EVERY)
            if told != self._worker.waiting:
                told = self._worker.waiting
                self._frames.say("waiting", told)

    async def _drain(self) -> None:
        """Lanes are idle also between two pieces."""
        await self._dealt.join()
        await self._worker.drain()
        self._frames.say("drained")

    async def _stop(self) -> None:
        self._delivering.cancel()
        await asyncio.wait((self._delivering,))
        await self._worker.stop()
        self._frames.say("stopped")


async def work(frames: Frames) -> None:
    """Everything that a worker does, from its task to its end. Raises what is not to be expected."""
    task: Task = (await frames.hear())[0]
    tracing.follow(task.trace)
    line = Line(frames, task.until)
    recovered = Recovered(flat.to_intents(task.intents))
    async with AsyncExitStack() as stack:
        worker = Worker(
            task.kit.composer(recovered, task.copied),
            accounts_of(task.accounts),
            recovered,
            task.sending,
            line,
            line,
            SystemClock(),
            SystemRandom(),
        )
        await worker.open(stack)
        frames.say("ready")
        await Process(frames, line, worker).serve()


_PR_SET_PDEATHSIG = 1  # prctl(2)


def _die_with_parent() -> None:
    """Also when this process is busy, or stopped. Elsewhere than on Linux the closed line has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _main(descriptor: int) -> int:
    os.set_inheritable(descriptor, False)  # the line is closed when this process ends, whatever it has started
    frames = await Frames.over(socket.socket(fileno=descriptor))
    try:
        await work(frames)
    except Gone:
        return 1
    except Exception as problem:  # noqa: BLE001 - told to the process that started this one, which raises it
        frames.say("failed", told(problem))
        await frames.close()
        return 1
    return 0


def main() -> None:
    _die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal's Ctrl-C goes to all; the one who deals decides
        signal.signal(number, signal.SIG_IGN)
    with long_running(), asyncio.Runner(loop_factory=event_loop) as runner:
        code = runner.run(_main(int(sys.argv[1])))
        flush()
        os._exit(code)


if __name__ == "__main__":
    main()
