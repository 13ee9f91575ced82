"""One HTTP/1.1 connection: a request at a time, and one timer for its deadlines and its idleness."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from connect.providers.http_answer import Answer
from connect.providers.http_exchange import IDLE, NoAnswer, Reply
from connect.providers.http_request import Origin

_IDLE = IDLE.total_seconds()
_LARGE = 1 << 16
"""Bodies from this size on are not copied to stand behind their head."""


class Connection(asyncio.Protocol):
    """The transport's other half. It never closes in a way that waits for the other side."""

    def __init__(self, origin: Origin, largest: int) -> None:
        self.origin = origin
        self._largest = largest
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._until = self._loop.time() + _IDLE
        """When the request, or the idleness, is over."""
        self._timer: asyncio.TimerHandle | None = None
        self._cut = False
        self.gone = self._loop.create_future()
        """Done once the transport is closed."""

    @property
    def usable(self) -> bool:
        """Whether another request may be written: idle, open, and not for long."""
        return (
            not self._cut
            and self._waiting is None
            and self._transport is not None
            and not self._transport.is_closing()
            and time.monotonic() < self._until
        )

    def ask(self, method: str, head: bytes, body: bytes, deadline: float) -> asyncio.Future[Reply]:
        """Write a request. The future may raise NoAnswer."""
        assert self._transport is not None
        self._answer = Answer(method, self._largest)
        self._waiting = self._loop.create_future()
        self._watch(deadline)
        if len(body) < _LARGE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return self._waiting

    def cut(self, reason: str = "connection_lost_after_write") -> None:
        """Close at once; a request that waits for its answer is in doubt."""
        self._cut = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(NoAnswer(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in everything but its class

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._answer is None:
            self.cut()  # nobody asked
            return
        try:
            reply = self._answer.feed(data)
        except NoAnswer as failure:
            self.cut(failure.reason)
            return
        if reply is not None:
            self._answered(reply)

    def eof_received(self) -> None:
        if self._waiting is not None and self._answer is not None:
            try:
                self._answered(self._answer.end())
            except NoAnswer as failure:
                self.cut(failure.reason)
        self.cut()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        self.cut()

    def _answered(self, reply: Reply) -> None:
        """A server may answer before it has read everything; then the connection is not good for another request."""
        assert self._answer is not None
        assert self._transport is not None
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)
        self._until = self._loop.time() + _IDLE
        if not self._answer.keeps or self._transport.get_write_buffer_size():
            self.cut()

    def _watch(self, until: float) -> None:
        """Something ends then. The timer looks again every few seconds anyway: it is rarely set for a request."""
        self._until = until
        if self._timer is None or until < self._timer.when():
            self._tick_at(min(until, self._loop.time() + _IDLE))

    def _tick_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._timer = None
        if now < self._until:
            self._tick_at(min(self._until, now + _IDLE))
        else:
            self.cut("timed_out_after_write")
