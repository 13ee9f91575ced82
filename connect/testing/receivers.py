"""A process that receives: HTTP, SMTP and as much of some providers' APIs as it takes; slow and faulty as they are.

It counts every delivery:

    with Receivers(Manners(remembers=True)) as receivers:
        …run against receivers.http_port or receivers.smtp_port, killing as you like…
        assert receivers.tallies().repeats == 0

It is a process of its own, so that it survives whatever is done to those who send.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

DEAD = "dead-"
"""What an address begins with that nobody has any more."""


@dataclass(frozen=True)
class Manners:
    """How a receiver behaves. Shares are between 0 and 1, and of calls unless said otherwise."""

    latency: float = 0.01
    """Seconds until a call is answered; half of them pass before anything is taken."""
    unavailable: float = 0.01
    """Answers 503 (SMTP: 451) and takes nothing."""
    throttled: float = 0.0
    """Answers 429, with a second to wait, and takes nothing (the APIs only)."""
    slow: float = 0.0
    """Takes fifty times as long for its answer."""
    later: float = 0.002
    """Does not take this message of a call, and says so."""
    drops: float = 0.002
    """Takes the call, and cuts the connection instead of answering."""
    remembers: bool = False
    """A message with a known key and the same body is answered again, and not delivered again."""
    remembers_calls: bool = False
    """So is a whole call, by the key in its `Idempotency-Key` (HTTP only), once anything of it was taken."""
    seed: int = 0


@dataclass(frozen=True)
class Received:
    """What a receiver counted."""

    people: dict[str, int]
    """Address → deliveries."""
    keys: dict[str, str]
    """Message key in hex → the address that it was delivered to."""
    repeats: int
    """Messages that were known by their key or their call's, and answered again."""
    other_bodies: int
    """Messages whose key, or whose call's, was known with another body or address: refused."""
    dropped: list[str]
    """Addresses of messages that were never answered, because of `drops`; nearly all of them were delivered."""

    @property
    def deliveries(self) -> int:
        return sum(self.people.values())


class Receivers:
    """The process; leave the context to stop it."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "connect.testing.receiving", json.dumps(asdict(self._manners))],
            stdin=subprocess.PIPE,  # it ends when this end is closed, also when this process is killed
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.http_port, self.smtp_port = json.loads(self._process.stdout.readline())
        self._control = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._process.communicate()

    def deliveries(self) -> int:
        """How many messages were delivered until now, repeats not counted."""
        return int(self._get("/deliveries"))

    def tallies(self) -> Received:
        """Everything that was counted until now."""
        return Received(**json.loads(self._get("/tallies")))

    def _get(self, path: str) -> bytes:
        self._control.request("GET", path)
        return self._control.getresponse().read()
