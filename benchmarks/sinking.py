"""The inside of `benchmarks.sink`: what the process runs.

SMTP: as much of RFC 5321 as a well-behaved client needs. HTTP: `POST /messages` of `connect.testing.http_provider`,
Amazon SES's two ways to send, and the bulk calls of Postmark, Resend and Mailjet.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any, cast

from benchmarks.sink import Manners


class Counting(asyncio.Protocol):
    """A connection; what all of them took is counted together."""

    messages = 0
    bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in everything but its class


class Smtp(Counting):
    """One line, one reply; a message ends with the first dot that stands alone."""

    replies: dict[bytes, bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._rest, self._in_message = b"", False
        self.transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        Counting.bytes += len(data)
        data, replies = self._rest + data, []
        at = 0
        while True:
            if self._in_message:
                end = data.find(b"\r\n.\r\n", at)
                if end < 0:
                    at = max(at, len(data) - 4)
                    break
                at, self._in_message = end + 5, False
                Counting.messages += 1
                replies.append(b"250 2.0.0 taken\r\n")
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                break
            command = data[at : at + 4].upper()
            replies.append(self.replies.get(command, b"250 2.0.0 OK\r\n"))
            self._in_message = command == b"DATA"
            at = end if self._in_message else end + 2  # the line end of DATA may also begin the dot's line
        self._rest = data[at:]
        if replies:
            self.transport.write(b"".join(replies))
            if replies[-1].startswith(b"221"):
                self.transport.close()


def smtp_replies(manners: Manners) -> dict[bytes, bytes]:
    said = ["sink.example", "PIPELINING" if manners.pipelining else "", "8BITMIME" if manners.eight_bit else "", "SIZE"]
    lines = [line for line in said if line]
    hello = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
    return {b"EHLO": hello.encode(), b"DATA": b"354 go on\r\n", b"QUIT": b"221 2.0.0 bye\r\n"}


class Http(Counting):
    """HTTP/1.1 with keep-alive and Content-Length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        Counting.bytes += len(data)
        data = self._rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end]
            length = _content_length(head)
            if len(data) < end + 4 + length:
                break
            body, data = data[end + 4 : end + 4 + length], data[end + 4 + length :]
            self._answer(head.split(b" ", 2)[1], body)
        self._rest = data

    def _answer(self, path: bytes, body: bytes) -> None:
        messages, answer = _taken(path, json.loads(body))
        Counting.messages += messages
        content = json.dumps(answer).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content)
        self.transport.write(head + content)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def _taken(path: bytes, body: Any) -> tuple[int, object]:
    """(how many messages it holds, what a provider answers to that)"""
    if path == b"/email/batch":  # Postmark
        return len(body), [{"ErrorCode": 0, "Message": "OK", "MessageID": "one"}] * len(body)
    if path == b"/emails/batch":  # Resend
        return len(body), {"data": [{"id": "one"}] * len(body)}
    if path == b"/v3.1/send":  # Mailjet
        count = len(body["Messages"])
        taken = {"Status": "success", "To": [{"MessageUUID": "one", "MessageID": 1}]}
        return count, {"Messages": [taken] * count}
    if path.endswith(b"/outbound-emails"):
        return 1, {"MessageId": "one"}
    if path.endswith(b"/outbound-bulk-emails"):
        count = len(body["BulkEmailEntries"])
        return count, {"BulkEmailEntryResults": [{"Status": "SUCCESS", "MessageId": "one"}] * count}
    count = len(body["messages"])
    return count, {"results": ["accepted"] * count}


async def serve(manners: Manners) -> None:
    """Receive until standard input ends; each line on it is answered with what arrived since the last one."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    Smtp.replies = smtp_replies(manners)

    def asked() -> None:
        lines = os.read(sys.stdin.fileno(), 64)
        for _ in lines:
            _say(json.dumps([Counting.messages, Counting.bytes]))
            Counting.messages = Counting.bytes = 0
        if not lines:
            over.set()

    loop.add_reader(sys.stdin.fileno(), asked)
    server = await loop.create_server(Smtp if manners.kind == "smtp" else Http, "127.0.0.1", 0, backlog=512)
    _say(str(server.sockets[0].getsockname()[1]))
    await over.wait()
    os._exit(0)  # whoever is still connected is cut off


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    manners = Manners(**json.loads(sys.argv[1]))
    try:
        from uvloop import run
    except ImportError:  # Windows
        from asyncio import run  # type: ignore[assignment]
    run(serve(manners))


if __name__ == "__main__":
    main()
