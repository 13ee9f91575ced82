"""A daemon from the command line: what it follows, its signals, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from connect import wiring
from connect.cli.heralding import Heralding
from connect.cli.opening import ledger_of, open_project
from connect.cli.options import typed
from connect.cli.terminal import err
from connect.clock import Clock, SystemClock
from connect.executors import loops
from connect.project.campaigns import Loaded, load_campaigns
from connect.project.load import FILE
from connect.schedule.daemon import Daemon, Tools
from connect.schedule.draining import draining
from connect.schedule.house import House
from connect.schedule.log import Form, Log, libraries_told
from connect.schedule.notify import Notifier
from connect.schedule.watching import Watch
from connect.vocabulary import Outcome, RunState

if TYPE_CHECKING:
    from connect.ledger.records import NewRun, RunRecord
    from connect.ledger.store import Ledger
    from connect.pipeline.herald import Herald
    from connect.project.campaign import Campaign
    from connect.project.project import Project
    from connect.schedule.claims import Fire
    from connect.schedule.work import Works
    from connect.vocabulary import Mode


_SHOWN = 30
"""Campaigns that are listed when it begins."""


@dataclass(frozen=True)
class Duty:
    """What `connect daemon` was asked for."""

    folder: Path
    target: str | None
    mode: Mode | None
    runs: int
    workers: int | None
    form: Form
    once: bool
    lease: timedelta

    def load(self) -> tuple[Project, Mapping[str, Loaded]]:
        """The files as they are now. Raises UserError when connect.yml is broken."""
        project = open_project(self.folder, self.target, self.mode)
        return project, load_campaigns(project)


def serve(duty: Duty, clock: Clock = SystemClock(), ends_with: int | None = None) -> int:
    """Follow and work until a signal, or with `once` until nothing is left that is due; returns the exit code.

    ends_with: a file descriptor, at whose end it stops, too.
    """
    watch = Watch(root_of(duty.folder))
    house = House(duty.load)
    log = Log(sys.stderr, duty.form, house.project.redactor, clock)
    with ledger_of(house.project, clock) as ledger, loops.long_running(), libraries_told(log):
        if duty.form == "text":
            _show(house, ledger, typed(duty.target, duty.mode))
        with asyncio.Runner(loop_factory=loops.event_loop) as runner:
            worked_on = runner.run(_on_duty(duty, house, watch, ledger, log, ends_with))
        return 1 if duty.once and any(_went_wrong(ledger, run) for run in worked_on) else 0


def root_of(folder: Path) -> Path:
    """The project's folder by its own name: where it is a symlink, to be swapped, it is looked through each time."""
    here = Path(os.path.abspath(folder))
    return next((each for each in (here, *here.parents) if (each / FILE).is_file()), here)


async def _on_duty(
    duty: Duty, house: House, watch: Watch, ledger: Ledger, log: Log, ends_with: int | None
) -> list[RunRecord]:
    """Until it is told to stop; returns the runs that it worked on."""
    worked_on: dict[str, RunRecord] = {}
    heralding: Heralding

    async def work(record: RunRecord, stop: asyncio.Event) -> None:
        worked_on[record.id] = record
        campaign = house.campaigns.get(record.campaign)
        loaded = Loaded(campaign, (), (), campaign.file) if campaign else None
        await _works(duty, ledger, await heralding.herald())(record, house.project, loaded, stop)

    notifier = Notifier.of(os.environ, os.getpid())
    made = partial(_make_run, ledger.clock)
    tools = Tools(
        ledger, ledger.clock, log, made, work, notifier, duty.runs, _version(), dropped=lambda: heralding.dropped
    )
    daemon = Daemon(house, watch, tools)
    stop = stopped_by_signals(daemon.abandon, daemon.reload)
    if ends_with is not None:
        _stopped_by_end_of(ends_with, stop)
    async with AsyncExitStack() as stack:
        heralding = Heralding(house, ledger.clock, log, stack)
        await stack.enter_async_context(draining(lambda: house.project, ledger, wiring.open_warehouse, log))
        await (daemon.run_once(stop) if duty.once else daemon.run(stop))
    return list(worked_on.values()) if duty.once else []


# The pipeline is imported with the first run: a daemon that idles needs neither Liquid nor the grammar of SQL, and is
# 15 MB smaller without them.


def _works(duty: Duty, ledger: Ledger, herald: Herald | None) -> Works:
    from connect.schedule.work import Doors, Works

    doors = Doors(wiring.open_audience, wiring.open_accounts, wiring.open_warehouse)
    return Works(doors, ledger, ledger.clock, lease=duty.lease, workers=duty.workers, herald=herald)


def _make_run(clock: Clock, project: Project, campaign: Campaign, fire: Fire) -> NewRun:
    from connect.schedule.work import make_run

    return make_run(project, campaign, fire, clock)


def stopped_by_signals(abandon: Callable[[], object], reload: Callable[[], object]) -> asyncio.Event:
    """SIGTERM and Ctrl-C: the first stops well, the second at once. SIGHUP: the files are read again."""
    stop = asyncio.Event()

    def stopping() -> None:
        if stop.is_set():
            abandon()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping)
    loop.add_signal_handler(signal.SIGHUP, reload)
    return stop


def _stopped_by_end_of(descriptor: int, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, heard)


def _went_wrong(ledger: Ledger, run: RunRecord) -> bool:
    """It has failed or is paused, or deliveries of it have failed or are in doubt."""
    now = ledger.run(run.id)
    outcomes = {tally.outcome for tally in ledger.tallies(run.id)}
    stands = now is not None and now.state in (RunState.failed, RunState.paused)
    return stands or bool(outcomes & {Outcome.failed, Outcome.unknown})


def _version() -> str:
    try:
        return version("connect-campaigns")
    except PackageNotFoundError:  # a checkout that was never installed
        return ""


def _show(house: House, ledger: Ledger, options: str) -> None:
    """What it follows, for people."""
    from connect.cli.status import show_campaigns
    from connect.schedule.standing import standing

    found = standing(house.project, ledger, ledger.now())
    show_campaigns(found, options, err, _SHOWN)
    err.print(f"\nCtrl-C stops it well; `connect status{options}` shows how things stand\n", markup=False)
