"""The inside of `connect.testing.receivers`: what the process runs.

    POST /messages      {"messages": [{"key": hex, "to": …, "body": …}]} → {"results": ["accepted" | "later" | …]}
                        with an Idempotency-Key, where calls are remembered
    POST …              as `connect.testing.receiving_apis` has it: Postmark, Resend, FCM
    GET  /deliveries    how many
    GET  /tallies       everything, as `connect.testing.receivers.Received`

SMTP takes one message for one recipient in a transaction; its key is in the Message-ID.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from asyncio import StreamReader, StreamWriter

from connect.identity import read_correlation_id
from connect.testing.receivers import Manners
from connect.testing.receiving_apis import Apis, Request, Response
from connect.testing.receiving_counting import Arriving, Counting, Dropped, Unavailable


class Http:
    """As much of HTTP/1.1 as its clients speak."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._apis = Apis(counting)

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers = await _headers(reader)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                writer.write(_written(await self._answer(Request(line.split()[1].decode(), headers, body))))
                await writer.drain()
        except (Dropped, OSError, asyncio.IncompleteReadError):
            pass  # a client that was killed, or one that is to think so of us
        finally:
            writer.transport.abort()

    async def _answer(self, request: Request) -> Response:
        if request.path == "/deliveries":
            return Response(200, self._counting.deliveries)
        if request.path == "/tallies":
            return Response(200, self._counting.tallies().__dict__)
        if request.path == "/messages":
            return await self._messages(request)
        return await self._apis.answer(request) or Response(404, {})

    async def _messages(self, request: Request) -> Response:
        messages = [Arriving(**message) for message in json.loads(request.body)["messages"]]
        try:
            results = await self._counting.take(messages, request.headers.get("idempotency-key", ""))
        except Unavailable:
            return Response(503, {})
        return Response(200, {"results": results})


def _written(response: Response) -> bytes:
    body = json.dumps(response.said).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
    head = f"HTTP/1.1 {response.status} Said\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{more}"
    return f"{head}\r\n".encode() + body


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
