"""A process that takes so many calls a second and no more, as providers do: what is beyond is answered with 429.

with Limiter([Phase(20, 200), Phase(20, 60), Phase(20, 200)]) as limiter:
    …run `connect.testing.http_provider` against limiter.port…
    found = limiter.found()
    assert found.throttled / found.calls <= 0.02

POST /messages      as `connect.testing.receiving` has it
GET  /found         what was found until now
"""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self, cast


@dataclass(frozen=True)
class Phase:
    """So many calls a second, for so long; the last phase goes on."""

    seconds: float
    calls: float


@dataclass(frozen=True)
class Found:
    """What a limiter counted."""

    calls: int
    """Until the end of its last phase, as the next two."""
    throttled: int
    possible: float
    """Calls that it would have taken."""
    messages: int
    """All that were taken."""
    busiest: int
    """The most messages that came in any one second, both of its ends included."""


class Limiter:
    """The process; leave the context to stop it. Time begins with the first call.

    burst: calls that it takes at once after a rest. latency: seconds until an answer comes.
    retry_after: what a 429 says, if anything.
    """

    def __init__(
        self, phases: Sequence[Phase], *, burst: float = 10, latency: float = 0.01, retry_after: str = ""
    ) -> None:
        self._words = json.dumps(
            {
                "phases": [asdict(phase) for phase in phases],
                "burst": burst,
                "latency": latency,
                "retry_after": retry_after,
            }
        )

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "connect.testing.limiter", self._words],
            stdin=subprocess.PIPE,  # it ends when this end is closed, also when this process is killed
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def found(self) -> Found:
        """Everything that was counted until now."""
        control = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            control.request("GET", "/found")
            return Found(**json.loads(control.getresponse().read()))
        finally:
            control.close()


class _Bucket:
    """A token bucket whose rate changes, and everything that is counted."""

    def __init__(self, phases: Sequence[Phase], burst: float) -> None:
        self._phases, self._burst = phases, burst
        self._tokens = burst
        self._began: float | None = None
        self._until = 0.0
        self._calls = self._throttled = 0
        self._came: list[float] = []
        self._taken = 0

    def takes(self, messages: int) -> bool:
        """Whether there is room for one more call."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        now -= self._began
        self._came += [now] * messages
        self._refill(now)
        counts, taken = now < self._length, self._tokens >= 1
        self._calls += counts
        self._throttled += counts and not taken
        if taken:
            self._tokens -= 1
            self._taken += messages
        return taken

    def _refill(self, now: float) -> None:
        while self._until < now:
            step = min(now - self._until, 0.01)
            self._tokens = min(self._burst, self._tokens + step * self._capacity(self._until))
            self._until += step

    def _capacity(self, at: float) -> float:
        for phase in self._phases:
            if at < phase.seconds:
                break
            at -= phase.seconds
        return phase.calls

    @property
    def _length(self) -> float:
        return sum(phase.seconds for phase in self._phases)

    def found(self) -> Found:
        possible = sum(phase.seconds * phase.calls for phase in self._phases)
        return Found(self._calls, self._throttled, possible, self._taken, busiest(self._came))


def busiest(instants: Sequence[float], seconds: float = 1.0) -> int:
    """How many of these, which are in order, fall in any one stretch of so long, both of its ends included."""
    most = start = 0
    for end, at in enumerate(instants):
        while instants[start] < at - seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


class _Http(asyncio.Protocol):
    """As much of HTTP/1.1 as its one client speaks."""

    def __init__(self, bucket: _Bucket, latency: float, retry_after: str) -> None:
        self._bucket, self._latency = bucket, latency
        self._retry_after = f"retry-after: {retry_after}\r\n" if retry_after else ""
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, end, rest = self._heard.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        if end and len(rest) >= length:
            self._heard = rest[length:]
            answer = self._answer(head.split(b" ", 2)[1], rest[:length])
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)

    def _answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/found":
            return _reply("200 OK", asdict(self._bucket.found()))
        count = len(json.loads(body)["messages"])
        if self._bucket.takes(count):
            return _reply("200 OK", {"results": ["accepted"] * count})
        return _reply("429 Too Many Requests", {}, self._retry_after)


def _reply(status: str, value: object, headers: str = "") -> bytes:
    body = json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


async def _serve(phases: Sequence[dict[str, float]], burst: float, latency: float, retry_after: str) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    bucket = _Bucket([Phase(**phase) for phase in phases], burst)
    loop.add_reader(sys.stdin, over.set)
    server = await loop.create_server(lambda: _Http(bucket, latency, retry_after), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await over.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(**json.loads(sys.argv[1])))
