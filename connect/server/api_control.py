"""What the API does by hand: exactly what the commands do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from fastapi.responses import JSONResponse

from connect.errors import ConnectError
from connect.ledger.records import RunRecord
from connect.pipeline.snapshot import drop_of
from connect.project.project import Project
from connect.project.targets import safer
from connect.schedule import by_hand
from connect.schedule.steering import Change, steer
from connect.schedule.work import Works
from connect.server.api_reads import Name, RunId, standing
from connect.server.site import Site


class Control:
    """Of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._going_on: dict[asyncio.Task[None], asyncio.Event] = {}

    def pause_campaign(self, name: Name) -> JSONResponse:
        """Skip what comes due for a campaign, and answer its calls with 409, until it is resumed."""
        return self._steer(name, lambda: by_hand.paused)

    def resume_campaign(self, name: Name) -> JSONResponse:
        """Let a campaign fire again, from its next time on. What came due meanwhile stays skipped."""
        return self._steer(name, lambda: by_hand.resumed(self._site.project, self._site.ledger))

    def pause_run(self, id: RunId) -> JSONResponse:
        """Pause a run: what is in the air is finished, nobody new is written to until it is resumed."""
        ledger = self._site.ledger
        return JSONResponse(standing(self._site, by_hand.pause_run(ledger, by_hand.found(ledger, id))))

    def cancel_run(self, id: RunId) -> JSONResponse:
        """End a run for good: nobody else of its audience is written to."""
        ledger, project = self._site.ledger, self._site.project
        ended = by_hand.cancel_run(ledger, by_hand.found(ledger, id))
        drop_of(project, ended, self._site.doors.source)
        return JSONResponse(standing(self._site, ended))

    async def resume_run(self, id: RunId) -> JSONResponse:
        """Go on with a run that was paused or stopped. The answer comes before it does."""
        record = await asyncio.to_thread(by_hand.found, self._site.ledger, id)
        by_hand.must_go_on(record)
        project = self._site.project
        mode = safer(project.mode, record.mode, project.target, project.tree)
        stop = asyncio.Event()
        task = asyncio.create_task(self._go_on(record, replace(project, mode=mode), stop))
        self._going_on[task] = stop
        task.add_done_callback(lambda done: self._going_on.pop(done, None))
        return JSONResponse(await asyncio.to_thread(standing, self._site, record), 202)

    async def end(self) -> None:
        """Stop well what goes on here; a daemon takes it up."""
        for stop in self._going_on.values():
            stop.set()
        if self._going_on:
            await asyncio.wait(list(self._going_on))

    async def _go_on(self, record: RunRecord, project: Project, stop: asyncio.Event) -> None:
        site = self._site
        works = Works(site.doors, site.ledger, site.clock, herald=site.herald)
        try:
            await works(record, project, site.house.loaded(record.campaign), stop)
        except ConnectError as problem:
            if problem.problems:
                site.log.trouble("run-trouble", problem, campaign=record.campaign, run=record.id)
        except Exception as problem:  # noqa: BLE001 - one run's bug is not the server's
            site.log.trouble("run-trouble", problem, campaign=record.campaign, run=record.id)

    def _steer(self, name: str, change: Callable[[], Change]) -> JSONResponse:
        ledger = self._site.ledger
        steered = steer(self._site.project, ledger, name, ledger.now(), change())
        told = {
            "name": name,
            "mode": steered.schedule.mode.value,
            "paused": steered.schedule.paused,
            "runs": [run.id for run in steered.runs],
        }
        return JSONResponse(told)
