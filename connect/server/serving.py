"""The server as a process has it: its sockets, its end, and what goes on beside the requests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from connect.errors import UserError
from connect.project.serve import host_and_port
from connect.server.app import make_app
from connect.server.connection import Connection
from connect.server.site import Part, Site

_DRAIN = 20
"""Seconds that requests have to end when the server stops."""


def listening(listen: str) -> socket.socket:
    """A socket that listens. Raises UserError where the address is taken, or not ours."""
    host, port = host_and_port(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(2048)
    except OSError as error:
        made.close()
        said = f"nothing can listen at {listen}: {error.strerror}"
        raise UserError.of("can-not-listen", said, "choose another with `--listen` or `serve.listen`") from None
    made.setblocking(False)
    return made


class _Server(uvicorn.Server):
    """Whoever runs it has its own signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def prepared(site: Site, parts: Sequence[Part]) -> uvicorn.Server:
    """A server that needs nothing any more but its sockets: making its routes takes longer than a hundred answers."""
    config = _config(site, parts)
    config.load()
    return _Server(config)


async def serve(server: uvicorn.Server, parts: Sequence[Part], listener: socket.socket, stop: asyncio.Event) -> None:
    """Answer until `stop` is set; then let the requests end, and the parts finish what they have taken on."""
    no_more_requests = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part.run(no_more_requests))
        group.create_task(_stopping(server, stop))
        try:
            await server.serve(sockets=[listener])
        finally:
            stop.set()
            no_more_requests.set()


async def _stopping(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def _config(site: Site, parts: Sequence[Part]) -> uvicorn.Config:
    app = make_app(site, parts)
    trusted = list(site.project.serve.trusted_proxies)
    return uvicorn.Config(
        ProxyHeadersMiddleware(app, trusted) if trusted else app,  # type: ignore[arg-type]
        lifespan="off",
        http=Connection,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_DRAIN,
        limit_concurrency=2000,
    )
