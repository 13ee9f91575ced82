"""Connections to one SMTP server: opened when they are needed, kept, and given the messages that wait."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque

from connect.channels.message import Outgoing
from connect.providers.interface import Margin, Receipt, Status, hide
from connect.providers.smtp_pipeline import Pipeline
from connect.providers.smtp_session import NotReady, Obstacle, Target, connect, trust
from connect.providers.smtp_transaction import Submission
from connect.providers.smtp_wire import Wire

_CLOSED = NotReady(Obstacle.unreachable, "the account was closed")
_WHILE_SENDING: dict[Obstacle, tuple[Status, str]] = {
    Obstacle.unreachable: (Status.transient, "unreachable"),
    Obstacle.busy: (Status.throttled, "slow_down"),
    Obstacle.tls: (Status.config, "tls_failed"),
    Obstacle.sign_in: (Status.config, "authentication_failed"),
}


def _not_ready(obstacle: NotReady, outgoing: Outgoing) -> Receipt:
    """The receipt of a message for which there was no connection: nothing of it was written."""
    status, reason = _WHILE_SENDING[obstacle.obstacle]
    return Receipt(status, reason, detail=hide(obstacle.text, outgoing))


class Connections:
    """So many messages in the air at a time, over half as many connections where the server knows PIPELINING."""

    def __init__(self, target: Target, margin: Margin, most: int, messages_per_connection: int, seconds: float) -> None:
        self._target = target
        self.margin = margin
        self._most = most
        self._messages = messages_per_connection
        self._seconds = seconds
        self._waiting: deque[Submission] = deque()
        self._flying = 0
        self._dispatching = False
        self._pipelines: set[Pipeline] = set()
        self._idle: dict[Pipeline, None] = {}
        self._second: dict[Pipeline, None] = {}
        """Connections with one message, and room for a second behind it."""
        self._opening: dict[asyncio.Task[Pipeline], Submission] = {}
        self._closing: set[Wire] = set()
        self._trust: ssl.SSLContext | None = None
        self._name = target.local_hostname
        self._pipelining = False

    @property
    def has_idle(self) -> bool:
        """Whether a connection waits for a message; not one of which it was heard that the server has closed it."""
        return bool(self._idle)

    def carry(self, submission: Submission) -> None:
        """Send a message. Waiting for a place is no part of its time."""
        if self._waiting or self._flying >= self._most or not self._assign(submission):
            self._waiting.append(submission)

    def abandon(self, submission: Submission) -> None:
        """Nobody waits for this message any more."""
        if submission.over:
            return
        submission.over = True
        if not submission.assigned:
            self._waiting.remove(submission)
            return
        # If no connection has it, one is being opened for it, and will carry the next one.
        any(pipeline.abandon(submission) for pipeline in list(self._pipelines))
        self._flying -= 1
        self._dispatch()

    def drop(self) -> None:
        """Nobody waits for any message any more: nothing more of them is written."""
        for submission in (*self._waiting, *self._opening.values()):
            submission.over = True
        self._waiting.clear()
        self._flying = 0
        for task in list(self._opening):
            task.cancel()
        for pipeline in list(self._pipelines):
            pipeline.drop()

    async def fresh(self) -> Pipeline:
        """A new connection, idle. Raises NotReady, and TimeoutError."""
        async with asyncio.timeout(self._seconds):
            wire, offers = await connect(self._target, await self._hostname(), await self._trusted())
        self._pipelining = offers.pipelining
        pipeline = Pipeline(wire, offers, self, self._messages, self._seconds)
        self._pipelines.add(pipeline)
        return pipeline

    async def close(self, patience: float) -> None:
        """Say goodbye on every idle connection, and wait until all sockets are closed."""
        while self._waiting:
            self._fail(self._waiting.popleft(), _CLOSED)
        for task in list(self._opening):
            task.cancel()
        for pipeline in list(self._pipelines):
            pipeline.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._closing or self._pipelines or self._opening:
                    await self._something_closes()
        for pipeline in list(self._pipelines):
            pipeline.cut()
        await asyncio.sleep(0)  # lets the transports hear that they are closed

    # What a pipeline says

    def changed(self, pipeline: Pipeline) -> None:
        self._idle.pop(pipeline, None)
        self._second.pop(pipeline, None)
        if pipeline.has_room:
            (self._idle if pipeline.idle else self._second)[pipeline] = None
            if self._waiting:
                self._dispatch()

    def gone(self, pipeline: Pipeline) -> None:
        self._pipelines.discard(pipeline)
        self._idle.pop(pipeline, None)
        self._second.pop(pipeline, None)
        self._closes(pipeline.wire)
        asyncio.get_running_loop().call_soon(self._dispatch)  # once its own messages have found a place

    def elsewhere(self, submission: Submission) -> None:
        self._open_for(submission)

    def settle(self, submission: Submission, said: Receipt | Exception) -> None:
        if submission.over:
            return
        submission.over = True
        if submission.assigned:
            self._flying -= 1
        submission.heard(said)
        if self._waiting:
            self._dispatch()

    def _fail(self, submission: Submission, error: BaseException) -> None:
        """There was no connection for it."""
        if isinstance(error, NotReady):
            self.settle(submission, _not_ready(error, submission.outgoing))
        elif isinstance(error, TimeoutError):
            self.settle(submission, Receipt(Status.transient, "timed_out"))
        elif isinstance(error, Exception):
            self.settle(submission, error)
        else:
            raise error

    # Who carries what

    def _dispatch(self) -> None:
        """Give what waits to whoever has room; the rest waits on."""
        if self._dispatching:
            return
        self._dispatching = True
        try:
            while self._waiting and self._flying < self._most and self._assign(self._waiting[0]):
                self._waiting.popleft()
        finally:
            self._dispatching = False

    def _assign(self, submission: Submission) -> bool:
        """An idle connection, else a new one, else one that has a message already."""
        if submission.over:
            return True
        ready, may_open = self._idle, False
        if not ready:
            may_open = len(self._pipelines) + len(self._opening) < self._most_connections()
            if not may_open:
                ready = self._second
                if not ready:
                    return False
        submission.assigned = True
        self._flying += 1
        if may_open:
            self._open_for(submission)
        else:
            next(iter(ready)).take(submission)
        return True

    def _most_connections(self) -> int:
        return max(min(self._most, 2), (self._most + 1) // 2) if self._pipelining else self._most

    def _open_for(self, submission: Submission) -> None:
        """A new connection, whose first message this is; if there is none, that is this message's trouble."""
        task = asyncio.get_running_loop().create_task(self.fresh())
        self._opening[task] = submission
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[Pipeline]) -> None:
        submission = self._opening.pop(task)
        error = _CLOSED if task.cancelled() else task.exception()
        if error is not None:
            self._fail(submission, error)
        elif submission.over:
            self.changed(task.result())
        else:
            task.result().take(submission)
        self._dispatch()

    # Closing

    def _closes(self, wire: Wire) -> None:
        if not wire.gone.done():
            self._closing.add(wire)
            wire.gone.add_done_callback(lambda _: self._closing.discard(wire))

    async def _something_closes(self) -> None:
        wires = {wire.gone for wire in self._closing} | {pipeline.wire.gone for pipeline in self._pipelines}
        await asyncio.wait({*wires, *self._opening}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)

    # What every connection needs

    async def _hostname(self) -> str:
        """The name for EHLO, looked up once: `getfqdn` may ask DNS."""
        if self._name is None:
            self._name = await asyncio.to_thread(socket.getfqdn)
        return self._name

    async def _trusted(self) -> ssl.SSLContext | None:
        if self._trust is None and (self._target.tls or self._target.starttls):
            self._trust = await asyncio.to_thread(trust, self._target)
        return self._trust
