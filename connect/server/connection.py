"""A connection of a client, who gets so many bytes and seconds for what a request begins with.

uvicorn's protocol for httptools bounds neither: `h11_max_incomplete_event_size` is h11's alone, and its one timer runs
between requests (0.54, `uvicorn/protocols/http/httptools_impl.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 32 << 10
"""Bytes of a request beside its body, after those that came with its first."""
PATIENCE = 20.0
"""Seconds from a connection, or from the first byte of its next request, to the end of the request's headers."""
MOST_OPEN = 500
"""Connections; of more, whoever has waited longest without a request is closed. Few systems give a process more than
1024 files."""
_CHUNKS = 8
"""Bytes around each byte of a body that comes in chunks, at the most."""


class Connection(HttpToolsProtocol):
    """One that is closed when its client takes too much, or too long."""

    patience = PATIENCE
    most_open = MOST_OPEN
    _timer: asyncio.TimerHandle | None = None
    """Runs while headers are waited for."""
    _beside = 0
    """Bytes of this request that were not its body's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._be_patient()
        if len(self.connections) > self.most_open:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:  # ends with any byte, also with one that begins nothing
            self._be_patient()
        self._beside += len(data)
        super().data_received(data)
        if self._beside > MOST_HEAD:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._beside = 0
        self._be_patient()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._have_heard()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside -= len(body) * (1 + _CHUNKS)
        super().on_body(body)

    @property
    def closes_at(self) -> float | None:
        """When it is closed if nothing comes; None while it has a request."""
        timer = self._timer or self.timeout_keep_alive_task
        if timer is None or self._is_answering or self.transport.is_closing():
            return None
        return timer.when()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> None:
        waiting: list[tuple[float, int, Any]] = [
            (one.closes_at, id(one), one)
            for one in self.connections
            if isinstance(one, Connection) and one.closes_at is not None
        ]
        if waiting:
            min(waiting)[2].transport.close()

    def _be_patient(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.patience, self._lose_patience)

    def _have_heard(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose_patience(self) -> None:
        self._timer = None
        if self._is_answering:  # a request before this one, for which nothing is read meanwhile
            self._be_patient()
        else:
            self.transport.close()
