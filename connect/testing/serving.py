"""A project's server on a real socket, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connect import wiring
from connect.clock import Clock, SystemClock
from connect.project.campaigns import Loaded, load_campaigns
from connect.project.project import Project
from connect.schedule.house import House
from connect.schedule.log import Log
from connect.schedule.work import Doors
from connect.server import parts
from connect.server.serving import listening, prepared, serve
from connect.server.site import Part, Site


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    site: Site
    url: str
    """Without a slash at its end."""


@contextmanager
def served(
    folder: Path,
    *,
    target: str | None = None,
    clock: Clock = SystemClock(),
    make_parts: Callable[[Site], Sequence[Part]] = parts.make_parts,
) -> Iterator[Served]:
    """Serve a project at a free port of this machine; stops well at the end. Raises what the server died of."""
    site = _site(folder, target, clock)
    listener = listening("127.0.0.1:0")
    stop: list[Callable[[], object]] = []
    died: list[BaseException] = []
    ready = threading.Event()

    async def run() -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
        ready.set()
        made = make_parts(site)
        await serve(prepared(site, made), made, listener, stopping)

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - raised where the test can see it
            died.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="server")
    port = listener.getsockname()[1]
    thread.start()
    try:
        ready.wait()
        yield Served(site, f"http://127.0.0.1:{port}")
    finally:
        for stopping in stop:
            stopping()
        thread.join()
        site.ledger.close()
    if died:
        raise died[0]


def _site(folder: Path, target: str | None, clock: Clock) -> Site:
    def load() -> tuple[Project, Mapping[str, Loaded]]:
        project = wiring.open_project(folder, target, None, os.environ)
        return project, load_campaigns(project)

    house = House(load)
    log = Log(sys.stderr, "json", house.project.redactor, clock)
    doors = Doors(wiring.open_audience, wiring.open_accounts, wiring.open_warehouse)
    return Site(house, wiring.open_ledger(house.project, clock), clock, log, doors)
