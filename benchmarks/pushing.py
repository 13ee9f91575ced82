"""The inside of `benchmarks.push`: what the process runs that stands for APNs.

HTTP/2 over TLS by granian, which is Rust's hyper, and another implementation than the one that the tests speak with. It
takes everything that looks like a push message, and counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import trustme
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server


class Counting:
    """The application (RSGI)."""

    def __init__(self) -> None:
        self.messages = 0
        self.connections: set[str] = set()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        body = await protocol()
        fine = scope.path.startswith("/3/device/") and scope.headers.get("apns-topic") and b'"aps"' in body
        self.messages += bool(fine)
        self.connections.add(scope.client)
        protocol.response_empty(200 if fine else 400, [("apns-id", scope.headers.get("apns-id") or "")])

    def received(self) -> list[int]:
        """Messages and connections since this was asked last."""
        found = [self.messages, len(self.connections)]
        self.messages, self.connections = 0, set()
        return found


async def serve(folder: Path) -> None:
    """Receive until standard input ends; each line on it is answered with what arrived since the last one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    counting, port = Counting(), _free_port()
    server = Server(
        counting,
        "127.0.0.1",
        port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http2,
        ssl_cert=folder / "cert.pem",
        ssl_key=folder / "key.pem",
        log_enabled=False,
    )
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _asked, counting)
    serving = asyncio.ensure_future(server.serve())
    await _listening(port)
    _say(port)
    await serving


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _listening(port: int) -> None:
    """Until it does: granian does not tell."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.transport.abort()
            return


def _asked(counting: Counting) -> None:
    lines = os.read(sys.stdin.fileno(), 64)
    for _ in lines:
        _say(counting.received())
    if not lines:
        os._exit(0)


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
