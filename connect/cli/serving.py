"""A server from the command line: what it answers for, its signals, its end."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connect import wiring
from connect.cli.beside import Beside
from connect.cli.on_duty import Duty, root_of, stopped_by_signals
from connect.cli.opening import ledger_of
from connect.clock import Clock, SystemClock
from connect.errors import ConnectError, UserError
from connect.executors import loops
from connect.schedule.house import House
from connect.schedule.log import Log, libraries_told
from connect.schedule.notify import Notifier
from connect.schedule.rereading import Rereading
from connect.schedule.watching import Watch
from connect.schedule.work import Doors

if TYPE_CHECKING:
    from connect.server.site import Site


@dataclass(frozen=True)
class Asked:
    """What `connect serve` was asked for."""

    duty: Duty
    """Of the daemon beside it; whose project, mode and lines are the server's too."""
    listen: str | None
    with_daemon: bool


def run(asked: Asked, clock: Clock = SystemClock()) -> int:
    """Answer until a signal; returns the exit code."""
    must_be_installed()
    sys.setswitchinterval(0.001)  # seconds: threads that reckon hold up the loop for no longer, which people wait for
    from connect.server.site import Site

    watch = Watch(root_of(asked.duty.folder))
    house = House(asked.duty.load)
    log = Log(sys.stderr, asked.duty.form, house.project.redactor, clock)
    with ledger_of(house.project, clock) as ledger, loops.long_running(), libraries_told(log):
        doors = Doors(wiring.open_audience, wiring.open_accounts, wiring.open_warehouse)
        site = Site(house, ledger, clock, log, doors)
        with asyncio.Runner(loop_factory=loops.event_loop) as runner:
            runner.run(_answer(site, watch, asked))
    return 0


def must_be_installed() -> None:
    """Raises UserError `missing-extra`."""
    try:
        import fastapi
        import uvicorn
    except ModuleNotFoundError as missing:
        said = f"the server needs the package `{missing.name}`, which is not here"
        raise UserError.of("missing-extra", said, 'pip install "connect-campaigns[serve]"') from None
    assert fastapi
    assert uvicorn


async def _answer(site: Site, watch: Watch, asked: Asked) -> None:
    from connect.server.parts import make_parts
    from connect.server.serving import listening, prepared, serve

    listener = listening(asked.listen or site.project.serve.listen)
    files = Rereading(site.house, watch, site.clock, site.log)
    beside = await Beside.start(asked.duty) if asked.with_daemon else None
    stop = _stopped(files, beside)
    notifier = Notifier.of(os.environ, os.getpid())
    parts = make_parts(site)
    server = prepared(site, parts)
    await site.desk.prepare()
    site.log.info("serving", url=_url(listener), target=site.project.target, mode=site.project.mode.value)
    async with _told(notifier, stop):
        with _first_trouble():
            async with asyncio.TaskGroup() as group:
                group.create_task(files.run(stop))
                if beside is not None:
                    group.create_task(beside.run(stop))
                await serve(server, parts, listener, stop)
    site.log.info("stopped")


def _stopped(files: Rereading, beside: Beside | None) -> asyncio.Event:
    def reload() -> None:
        files.ask()
        if beside is not None:
            beside.reload()

    return stopped_by_signals(beside.abandon if beside else lambda: None, reload)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def _first_trouble() -> Iterator[None]:
    """Of what ends the server, the first thing that was raised on purpose."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _first_of_ours(group) or group from None


def _first_of_ours(error: BaseException) -> ConnectError | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _first_of_ours(each))), None)
    return error if isinstance(error, ConnectError) else None


@asynccontextmanager
async def _told(notifier: Notifier, stop: asyncio.Event) -> AsyncIterator[None]:
    """The service manager hears that it is ready, that the loop turns, and that it stops."""

    async def alive() -> None:
        while notifier.alive_every is not None:
            notifier.alive()
            await asyncio.sleep(notifier.alive_every)

    async def stopping() -> None:
        await stop.wait()
        notifier.stopping()

    notifier.ready()
    tasks = [asyncio.create_task(alive()), asyncio.create_task(stopping())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
