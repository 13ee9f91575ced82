"""A local HTTP/1.1 server for fakes of providers: it hands each call to a function and answers what that says.

    def answer(call: Call) -> Answer: ...

    with ApiServer(answer) as server:
        …send to server.url…

It can also take a call and hang up (`DROP`), or never say anything (`HANG`).
"""

from __future__ import annotations

import asyncio
import json
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Call:
    """One request that arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    fields: int = 0
    """How many header fields came; more than there are `headers` where one came twice."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> list[tuple[str, str]]:
        """An urlencoded body."""
        return parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes | object = b""
    """Bytes as they are; anything else as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)


DROP = Answer(0)
"""Take the call, and hang up."""
HANG = Answer(-1)
"""Take the call, and never answer."""


class ApiServer:
    """Runs in a thread of its own; leave the context to stop it."""

    def __init__(self, answer: Callable[[Call], Answer]) -> None:
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._port = 0
        self.calls: list[Call] = []
        """Everything that arrived, also what was not answered."""
        self.connections = 0
        """How many were made."""
        self.trouble: list[BaseException] = []
        """What `answer` raised."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()
        if self.trouble and error is None:
            raise self.trouble[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=64 << 20) as server:
            self._port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._over.wait()
            server.close()
            mine = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in mine:
                task.cancel()
            await asyncio.gather(*mine, return_exceptions=True)

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        try:
            while (call := await _read(reader)) is not None:
                self.calls.append(call)
                answer = self._answered(call)
                if answer is DROP:
                    return
                if answer is HANG:
                    await self._over.wait()  # of the server: what only waits for itself is collected as garbage
                    return
                writer.write(_written(answer))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has gone, or this server goes
        finally:
            writer.transport.abort()

    def _answered(self, call: Call) -> Answer:
        try:
            return self._answer(call)
        except Exception as problem:  # noqa: BLE001 - raised to the test when the context is left
            self.trouble.append(problem)
            return Answer(500, {"error": "the fake is broken"})


async def _read(reader: StreamReader) -> Call | None:
    line = (await reader.readline()).decode()
    if not line:
        return None
    method, target, _ = line.split(" ", 2)
    headers: dict[str, str] = {}
    fields = 0
    while (field_line := (await reader.readline()).decode().rstrip("\r\n")) != "":
        name, _, value = field_line.partition(":")
        headers[name.lower()] = value.strip()
        fields += 1
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Call(method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body, fields)


def _written(answer: Answer) -> bytes:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    headers = {"content-type": "application/json", **answer.headers, "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Said\r\n{lines}\r\n".encode() + body
