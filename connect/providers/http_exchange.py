"""What is asked of the HTTP client, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Options:
    """How a client behaves; the same for all of its requests."""

    timeout: timedelta = timedelta(seconds=30)
    """From asking for a connection to the last byte of the answer, the wait for a free connection included."""
    connections: int = 8
    """Requests at a time; the others wait their turn."""
    largest_answer: int = 1 << 20
    ca_file: Path | None = None
    """PEM certificates to trust besides the usual ones."""
    public_only: bool = False
    """Connect to no address of this machine or of a private network, whatever name it hides behind. Over HTTP/1.1."""
    http2: bool = False
    """Speak HTTP/2 over TLS, with a provider that wants it (APNs). A request costs three times as much that way."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered. Its repr holds no value that might be about a person."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)


class Unanswered(Exception):
    """There is no whole reply. The text is a reason in snake_case: nothing of the request or of an answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotWritten(Unanswered):
    """`unreachable`, `untrusted_certificate`, `private_address`, `no_free_connection`, `turned_away`, `client_closed`
    or `not_a_request`."""


class NoAnswer(Unanswered):
    """`timed_out_after_write`, `connection_lost_after_write`, `unreadable_answer` or `answer_too_large`."""


CONNECTING = timedelta(seconds=10)
"""A connection takes at most this long, and at most half of the time-out."""
IDLE = timedelta(seconds=4)
"""Many servers close an idle connection after 5 s (Node, gunicorn, uvicorn, Apache). A request that meets the end of
its connection is in doubt, so ours is given up first."""
AGENT = "connect-campaigns"


class Wire(Protocol):
    """A version of HTTP, with the connections that it keeps."""

    async def ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        """Write it once, if it can be before the deadline. Raises NotWritten or NoAnswer."""

    async def close(self) -> None:
        """Cut every connection; requests that have no answer yet are in doubt."""
