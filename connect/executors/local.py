"""Several worker processes on this machine, dealt rows in memory by the one that reads and keeps the books."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from connect.errors import ConnectError, OutsideError, Problem
from connect.executors.frames import Frames, Gone
from connect.executors.process import Task
from connect.executors.told import told
from connect.ledger.records import Call
from connect.pipeline.accounts import Accounts
from connect.pipeline.books import Books, Composed, Settlement
from connect.pipeline.crew import Crew, Orders, alone
from connect.pipeline.lease import Lease
from connect.pipeline.pace import Pace
from connect.pipeline.worker import Dealt
from connect.providers.interface import Account
from connect.vocabulary import Mode

SMALL = 20_000
"""Rows up to which one process is quicker than starting several."""

_WAITING = 2
"""Pieces that a worker has been dealt and not finished: one in hand, and the next."""

StartCrew = Callable[[Orders, Books, Lease], AbstractAsyncContextManager[Crew]]


def crew_of(workers: int) -> StartCrew:
    """A crew of so many; one works in the process that reads."""
    if workers == 1:
        return alone

    def start(orders: Orders, books: Books, lease: Lease) -> AbstractAsyncContextManager[Crew]:
        return several(orders, books, lease, workers)

    return start


def workers_for(asked: int | None, rows: int, accounts: Accounts, mode: Mode) -> int:
    """How many workers a run has: as many as were asked for, else one for each core where that pays.

    Never more than an account takes messages at once. A test sends one copy, and so has one worker.
    """
    if mode is not Mode.live:
        return 1
    most = min((account.concurrency for _, account in accounts.values()), default=1)
    if asked is not None:
        return max(1, min(asked, most))
    reaches = all(provider.capabilities.reaches_people for provider, _ in accounts.values())
    return max(1, min(_cores(), most)) if rows > SMALL and reaches else 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@asynccontextmanager
async def several(orders: Orders, books: Books, lease: Lease, workers: int) -> AsyncIterator[Crew]:
    """Compose and send in so many processes, each with its share of every account's concurrency."""
    async with AsyncExitStack() as stack:
        remotes = []
        for number in range(workers):
            process, frames = await _start(_task(orders, lease, number, workers))
            stack.push_async_callback(_end, process, frames)
            remotes.append(Remote(process, frames, Pace(orders.clock)))
        crew = Several(remotes, books, lease)
        stack.push_async_callback(crew.close)
        await crew.ready()
        yield crew


def _task(orders: Orders, lease: Lease, number: int, of: int) -> Task:
    accounts = [(type(provider), _share(account, number, of)) for provider, account in orders.accounts.values()]
    sending = replace(orders.sending, worker=number, of=of)
    intents = orders.recovered.intents()
    return Task(orders.kit, accounts, intents, frozenset(orders.copied), sending, lease.until)


def _share(account: Account, number: int, of: int) -> Account:
    return replace(account, concurrency=account.concurrency // of + (number < account.concurrency % of))


async def _start(task: Task) -> tuple[subprocess.Popen[bytes], Frames]:
    ours, theirs = socket.socketpair()
    # Python's own path may come from a test or a debugger; what stands in the current folder (-P) is not ours to run.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "connect.executors.process", str(theirs.fileno())]
    with theirs:
        # By this thread, though it blocks for a moment: a child that dies with its parent dies with the thread.
        process = subprocess.Popen(  # noqa: ASYNC220
            command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL
        )
    frames = await Frames.over(ours)
    frames.say(task)
    return process, frames


async def _end(process: subprocess.Popen[bytes], frames: Frames) -> None:
    """Nothing is in the air any more, or it is to be let go of: a process that does not end by itself is killed."""
    frames.say("end")
    try:
        async with asyncio.timeout(5):
            await asyncio.to_thread(process.wait, 5)
    except (TimeoutError, subprocess.TimeoutExpired):
        process.kill()
        await asyncio.to_thread(process.wait)
    frames.close()


class Remote:
    """One worker process, as the one that deals sees it."""

    def __init__(self, process: subprocess.Popen[bytes], frames: Frames, pace: Pace) -> None:
        self.process, self.frames, self.pace = process, frames, pace
        self.pieces = 0
        """Dealt, and not finished."""
        self.waiting = ""
        self.state = "starting"
        self.reader: asyncio.Task[None] | None = None


class Several:
    """A crew of processes."""

    def __init__(self, remotes: Sequence[Remote], books: Books, lease: Lease) -> None:
        self._remotes, self._books, self._lease = remotes, books, lease
        self._trouble: BaseException | None = None
        self._changed = asyncio.Event()
        self._writing: set[asyncio.Task[None]] = set()
        self._over = False
        for remote in remotes:
            remote.reader = asyncio.create_task(self._listen(remote))

    # What the run asks for

    @property
    def piece(self) -> int:
        return min(self._remotes, key=lambda remote: remote.pieces).pace.rows

    @property
    def waiting(self) -> str:
        return "; ".join(dict.fromkeys(remote.waiting for remote in self._remotes if remote.waiting))

    async def ready(self) -> None:
        """Wait until all have connected. Raises what keeps one from it."""
        await self._until(lambda: all(remote.state != "starting" for remote in self._remotes))

    async def deal(self, dealt: Dealt) -> None:
        await self._until(lambda: any(remote.pieces < _WAITING for remote in self._remotes))
        remote = min(self._remotes, key=lambda remote: remote.pieces)
        remote.pieces += 1
        remote.frames.say("deal", dealt)
        await self._keeping_up(remote)

    def flush(self) -> None:
        self._tell("flush")

    async def drain(self) -> None:
        self._tell("drain")
        await self._until(lambda: all(remote.state == "drained" for remote in self._remotes))

    async def stop(self) -> None:
        self._tell("stop")
        while not all(remote.state in ("stopped", "gone") for remote in self._remotes):
            self._changed.clear()
            await self._changed.wait()

    def abandon(self) -> None:
        self._over = True
        for remote in self._remotes:
            remote.process.kill()

    def halt(self, trouble: BaseException) -> None:
        if self._trouble is None:
            self._trouble = trouble
            self._books.troubled(trouble)
        self._tell("halt", told(trouble))
        self._changed.set()

    async def close(self) -> None:
        """Listen no more."""
        self._over = True
        tasks = [task for remote in self._remotes if (task := remote.reader)] + list(self._writing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while True:
            if self._trouble is not None:
                raise self._trouble
            if condition():
                return
            self._changed.clear()
            await self._changed.wait()

    async def _keeping_up(self, remote: Remote) -> None:
        try:
            await remote.frames.sent()
        except Gone:
            self._lost(remote)

    def _tell(self, verb: str, *words: Any) -> None:
        for remote in self._remotes:
            if remote.state != "gone":
                remote.frames.say(verb, *words)

    # What the workers say

    async def _listen(self, remote: Remote) -> None:
        try:
            while True:
                verb, *words = await remote.frames.hear()
                getattr(self, f"_on_{verb}")(remote, *words)
                self._changed.set()
        except Gone:
            self._lost(remote)
        except Exception as problem:  # noqa: BLE001 - raised to whoever deals or drains
            self.halt(problem)

    def _lost(self, remote: Remote) -> None:
        """A worker process has died. What it had in the air is in doubt, as after any crash."""
        if remote.state == "gone":
            return
        remote.state = "gone"
        if not self._over:
            self.halt(_died(remote.process))
        self._changed.set()

    def _on_ready(self, remote: Remote) -> None:
        remote.state = "ready"

    def _on_failed(self, remote: Remote, problem: ConnectError) -> None:
        remote.state = "gone"
        self.halt(problem)

    def _on_troubled(self, remote: Remote, problem: ConnectError) -> None:
        self.halt(problem)

    def _on_composed(self, remote: Remote, composed: Composed) -> None:
        self._books.composed(composed)

    def _on_dealt(self, remote: Remote, seconds: float, waiting: str) -> None:
        remote.pieces -= 1
        remote.pace.took(seconds)
        remote.waiting = waiting

    def _on_drained(self, remote: Remote) -> None:
        remote.state = "drained"

    def _on_stopped(self, remote: Remote) -> None:
        remote.state = "stopped"

    def _on_throttled(self, remote: Remote, account: str, wait: timedelta, words: str) -> None:
        remote.waiting = words
        for other in self._remotes:
            if other is not remote and other.state != "gone":
                other.frames.say("throttle", account, wait, words)

    def _on_write(
        self,
        remote: Remote,
        number: int,
        settled: Sequence[Settlement],
        withdrawn: Collection[bytes],
        released: Sequence[Call],
    ) -> None:
        self._answer(remote, number, self._books.write(settled, list(withdrawn), released))

    def _on_held(self, remote: Remote, number: int) -> None:
        self._answer(remote, number, self._lease.held())

    def _answer(self, remote: Remote, number: int, work: Any) -> None:
        """Do this and say how it went."""

        async def answer() -> None:
            error = None
            try:
                await work
            except Exception as problem:  # noqa: BLE001 - it is the worker's to raise
                error = told(problem)
            remote.frames.say("answer", number, error, self._lease.until)

        task = asyncio.create_task(answer())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


def _died(process: subprocess.Popen[bytes]) -> OutsideError:
    code = process.poll()
    how = f"was killed by signal {-code}" if code is not None and code < 0 else "has ended unexpectedly"
    message = f"a worker process {how}"
    return OutsideError(Problem("worker-died", message, "is there enough memory? `connect run` goes on"))
