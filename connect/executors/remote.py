"""One worker process, as the one that deals sees it: started, spoken to, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from connect.errors import OutsideError, Problem
from connect.executors.frames import Frames
from connect.executors.process import Task
from connect.pipeline.pace import Pace

_LEAVES = 5.0
"""Seconds in which a worker that has nothing more to do closes its connections."""

_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class State(Enum):
    starting = auto()
    ready = auto()
    drained = auto()  # every delivery of what it was dealt has ended
    stopped = auto()  # nothing of it is in the air
    gone = auto()


class Remote:
    """A worker process with the line to it."""

    def __init__(self, process: subprocess.Popen[bytes], frames: Frames, pace: Pace) -> None:
        self.process, self.frames, self.pace = process, frames, pace
        self.pieces = 0
        """Dealt, and not finished."""
        self.waiting = ""
        self.state = State.starting

    @classmethod
    async def start(cls, task: Task, pace: Pace) -> Remote:
        """Raises OutsideError where the machine has no room for it."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = _start(theirs.fileno())
            frames = await Frames.over(ours)
        except BaseException:
            ours.close()
            raise
        frames.say(task)
        return cls(process, frames, pace)

    async def died(self) -> OutsideError:
        """The line is closed: how the process has ended."""
        code = await self._ended()
        how = f"was killed by signal {-code}" if code < 0 else "has ended unexpectedly"
        hint = "is there enough memory? `connect run` goes on"
        return OutsideError(Problem("worker-died", f"a worker process {how}", hint))

    async def end(self) -> None:
        """Let it close its connections; one that is not done has nothing to finish any more, and is killed."""
        if self.state in (State.drained, State.stopped):
            self.frames.say("end")
        else:
            self.process.kill()
        try:
            await self._ended()
        finally:
            self.frames.abort()
            if self.process.poll() is None:  # waiting for it was cancelled
                self.process.kill()
                self.process.wait()

    async def _ended(self) -> int:
        try:
            return await asyncio.to_thread(self.process.wait, _LEAVES)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return await asyncio.to_thread(self.process.wait)


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    # Python's own path may come from a test or a debugger; what stands in the current folder (-P) is not ours to run.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "connect.executors.process", str(descriptor)]
    try:
        with _signals_held_back():
            # By this thread, though it blocks for a moment: a child that dies with its parent dies with the thread.
            return subprocess.Popen(
                command,
                pass_fds=[descriptor],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the report is the only thing that is printed there
            )
    except OSError as problem:
        message = f"a worker process could not be started: {problem.strerror}"
        raise OutsideError.of("worker-failed", message, "`--workers 1` does all in one process") from None


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A child is born with these held back, and soon ignores them: a terminal's Ctrl-C goes to all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
