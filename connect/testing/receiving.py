"""The inside of `connect.testing.receivers`: what the process runs.

    POST /messages      {"messages": [{"key": hex, "to": …, "body": …}]} → {"results": ["accepted" | "later" | …]}
                        with an Idempotency-Key, where calls are remembered
    GET  /deliveries    how many
    GET  /tallies       everything, as `connect.testing.receivers.Received`

SMTP takes one message for one recipient in a transaction; its key is in the Message-ID.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from asyncio import StreamReader, StreamWriter
from collections import Counter
from random import Random
from typing import NamedTuple

from connect.identity import read_correlation_id
from connect.testing.receivers import Manners, Received


class Arriving(NamedTuple):
    key: str
    to: str
    body: str


class Dropped(Exception):
    """Taken, and the connection is to be cut."""


class Unavailable(Exception):
    """Nothing was taken."""


class Counting:
    """Takes messages, badly mannered as it was told to be, and counts them."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._random = Random(manners.seed)
        self._people: Counter[str] = Counter()
        self._keys: dict[str, str] = {}
        self._bodies: dict[str, bytes] = {}
        self._calls: dict[str, tuple[bytes, list[str]]] = {}
        self._repeats = self._other_bodies = self.deliveries = 0
        self._dropped: list[str] = []

    async def take(self, messages: list[Arriving], call: str = "") -> list[str]:
        """What becomes of each message of a call, which may have a key of its own."""
        await asyncio.sleep(self._manners.latency / 2)
        if self._chance(self._manners.unavailable):
            raise Unavailable
        drops = self._chance(self._manners.drops)
        results = self._whole(messages, call) if call and self._manners.remembers_calls else self._each(messages)
        if drops:
            self._dropped += [message.to for message in messages]
            raise Dropped
        await asyncio.sleep(self._manners.latency / 2)
        return results

    def _each(self, messages: list[Arriving]) -> list[str]:
        return [self._one(message) for message in messages]

    def _whole(self, messages: list[Arriving], call: str) -> list[str]:
        """A call whose key is known is answered as before; one of which nothing was taken is not remembered."""
        digest = _digest("\n".join(f"{message.key}\n{message.to}\n{message.body}" for message in messages))
        before, results = self._calls.get(call, (digest, None))
        if before != digest:
            self._other_bodies += len(messages)
            return ["other_body"] * len(messages)
        if results is not None:
            self._repeats += len(messages)
            return results
        results = self._each(messages)
        if "accepted" in results:
            self._calls[call] = digest, results
        return results

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _one(self, message: Arriving) -> str:
        if self._manners.remembers:
            digest = _digest(f"{message.to}\n{message.body}")
            known = self._bodies.get(message.key)
            if known is not None:
                return self._again(known == digest)
        if self._chance(self._manners.later):
            return "later"
        if self._manners.remembers:
            self._bodies[message.key] = digest
        self._people[message.to] += 1
        self._keys[message.key] = message.to
        self.deliveries += 1
        return "accepted"

    def _again(self, same: bool) -> str:
        if same:
            self._repeats += 1
            return "accepted"
        self._other_bodies += 1
        return "other_body"

    def tallies(self) -> Received:
        return Received(dict(self._people), self._keys, self._repeats, self._other_bodies, self._dropped)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class Http:
    """As much of HTTP/1.1 as its one client speaks."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers = await _headers(reader)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                status, answer = await self._answer(line.split()[1].decode(), body, headers.get("idempotency-key", ""))
                head = f"HTTP/1.1 {status}\r\ncontent-length: {len(answer)}\r\n\r\n"
                writer.write(head.encode() + answer)
                await writer.drain()
        except (Dropped, OSError, asyncio.IncompleteReadError):
            pass  # a client that was killed, or one that is to think so of us
        finally:
            writer.transport.abort()

    async def _answer(self, path: str, body: bytes, call: str) -> tuple[str, bytes]:
        if path == "/deliveries":
            return "200 OK", str(self._counting.deliveries).encode()
        if path == "/tallies":
            return "200 OK", json.dumps(self._counting.tallies().__dict__).encode()
        messages = [Arriving(**message) for message in json.loads(body)["messages"]]
        try:
            return "200 OK", json.dumps({"results": await self._counting.take(messages, call)}).encode()
        except Unavailable:
            return "503 Service Unavailable", b"{}"


async def _headers(reader: StreamReader) -> dict[str, str]:
    """The header fields, with names in lower case."""
    headers: dict[str, str] = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return headers


class Smtp:
    """As much of SMTP as one message for one recipient needs, with PIPELINING (RFC 2920)."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            writer.write(b"220 receiver.example ESMTP\r\n")
            to = ""
            while line := await reader.readline():
                command = line[:4].upper()
                if command == b"RCPT":
                    to = line.partition(b"<")[2].partition(b">")[0].decode()
                reply = await self._data(reader, writer, to) if command == b"DATA" else _REPLIES.get(command, _OK)
                writer.write(reply + b"\r\n")
                await writer.drain()
                if command == b"QUIT":
                    break
        except (Dropped, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _data(self, reader: StreamReader, writer: StreamWriter, to: str) -> bytes:
        writer.write(b"354 go on\r\n")
        await writer.drain()
        content = (await reader.readuntil(b"\r\n.\r\n")).decode()
        try:
            (result,) = await self._counting.take([Arriving(_key(content), to, content)])
        except Unavailable:
            result = "later"
        return b"250 2.0.0 queued" if result == "accepted" else b"451 4.3.0 later"


_OK = b"250 2.0.0 OK"
_REPLIES = {
    b"EHLO": b"250-receiver.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8",
    b"QUIT": b"221 2.0.0 bye",
}
_MESSAGE_ID = re.compile(r"^message-id:\s*<([^@>]+)@", re.IGNORECASE | re.MULTILINE)


def _key(content: str) -> str:
    found = _MESSAGE_ID.search(content)
    correlation = read_correlation_id(found[1]) if found else None
    assert correlation, "a message without a correlation id in its Message-ID"
    return correlation[1].hex()


async def serve(manners: Manners) -> None:
    """Receive until standard input ends."""
    counting, loop = Counting(manners), asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(sys.stdin, over.set)
    limit = 64 << 20
    async with (
        await asyncio.start_server(Http(counting), "127.0.0.1", 0, limit=limit) as http,
        await asyncio.start_server(Smtp(counting), "127.0.0.1", 0, limit=limit) as smtp,
    ):
        ports = [server.sockets[0].getsockname()[1] for server in (http, smtp)]
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        await over.wait()
        sys.stdout.close()
        sys.exit(0)  # whoever is still connected is cut off


if __name__ == "__main__":
    asyncio.run(serve(Manners(**json.loads(sys.argv[1]))))
