"""What a daemon does with a run that is due: start it, or go on with it, until it ends, pauses or waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random, SystemRandom

from connect.clock import Clock, SystemClock
from connect.errors import ConnectError, Problem, UserError
from connect.executors import local
from connect.identity import RandomBytes, system_random
from connect.ledger.records import NewRun, RunRecord
from connect.ledger.refusals import RunEnded, RunExists
from connect.ledger.store import Ledger
from connect.liquid.library import Library
from connect.pipeline.accounts import Accounts, providers_of, reaches_people
from connect.pipeline.beginning import begin, new_run
from connect.pipeline.bundle import Bundle
from connect.pipeline.herald import Herald
from connect.pipeline.history import open_destination
from connect.pipeline.job import LEASE, Job, Stopped, Tools
from connect.pipeline.moment import Moment
from connect.pipeline.plan import plan_queued, plan_resumed
from connect.pipeline.run import execute
from connect.pipeline.sealing import drain_project
from connect.pipeline.sources import OpenSource
from connect.project.audience import Audience
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded
from connect.project.files import templates
from connect.project.project import Project
from connect.project.trigger import Api, Immediate
from connect.project.types import written_duration
from connect.schedule.claims import Fire
from connect.schedule.turns import NotHere
from connect.vocabulary import CampaignStatus, RunState
from connect.warehouses.interface import Warehouse


def _unknown(project: Project, source: str) -> Warehouse:
    raise RuntimeError(f"nothing here opens {source}")


@dataclass(frozen=True)
class Doors:
    """How what is outside is opened: given by `connect.wiring`."""

    warehouse: Callable[[Project, Audience], Warehouse]
    accounts: Callable[[Project, Iterable[str]], Accounts]
    source: OpenSource = _unknown
    """A warehouse by its name, for what is written."""


def make_run(
    project: Project,
    campaign: Campaign,
    fire: Fire,
    clock: Clock = SystemClock(),
    random: RandomBytes = system_random,
    *,
    manual: bool = False,
) -> NewRun:
    """The run of a fire time, with the campaign and its templates as they are now. Raises UserError.

    manual: somebody has asked for it, whatever has run before.
    """
    bundle = Bundle(campaign=campaign, templates={})
    if fire.state is not RunState.skipped:  # of which nothing is ever sent
        texts = templates(project.root)
        page = project.unsubscribe.url if project.unsubscribe else None
        bundle = Bundle.of(campaign, Library(texts), texts, page)
    moment = Moment(fire.fire_time, fire.since, fire.until)
    return new_run(project, bundle, moment, clock, random, state=fire.state, reason=fire.reason, manual=manual)


@dataclass(frozen=True)
class Works:
    """Works on runs in this process and its workers."""

    doors: Doors
    ledger: Ledger
    clock: Clock
    random: Random = SystemRandom()
    seeds: RandomBytes = system_random
    lease: timedelta = LEASE
    workers: int | None = None
    herald: Herald | None = None
    """Who tells the project's endpoints what is sent."""

    async def __call__(
        self, record: RunRecord, project: Project, loaded: Loaded | None, stop: asyncio.Event
    ) -> RunState:
        """Work on it until it ends, pauses, or waits for a time that is not at hand. Returns the state it is left in.

        Raises what keeps it from starting, and what paused it; NotHere. A queued run that may not start ends as
        `failed`.
        """
        if record.state is RunState.queued and await asyncio.to_thread(self._has_waited_too_long, record):
            return RunState.skipped
        doubtful = record.state is RunState.queued and not _is_live(loaded)
        if doubtful and not await asyncio.to_thread(self._is_wanted, record, renamed=_is_gone(loaded)):
            return RunState.skipped
        campaigns_own = loaded or Loaded(None, (), ())
        warehouse, accounts, job = await asyncio.to_thread(self._job, record, project, campaigns_own)
        try:
            crew = local.workers_for(self.workers, job.record.audience_rows or 0, accounts, project.mode)
            tools = Tools(
                self.ledger,
                self.clock,
                self.random,
                stop,
                lease=self.lease,
                crew=local.crew_of(crew),
                waits=False,
                hands_over=True,
                tell=self.herald.of_runs() if self.herald else None,
            )
            return await execute(job, tools)
        except Stopped:
            return RunState.running
        finally:
            warehouse.close()

    def _is_wanted(self, record: RunRecord, *, renamed: bool) -> bool:
        """Whether a queued run goes on although no campaign of its name is live here; else it is skipped now.

        Raises NotHere where this daemon alone does not know its campaign as live: it may not have read a new file yet,
        or it was started beside a broken one, which leaves other daemons their last good version. What the ledger
        says was written by those who know.
        """
        schedules = self.ledger.schedules(record.mode)
        own = schedules.get(record.campaign)
        if own is not None and own.live_since is not None:
            said = f"{record.campaign} is live, and its file here is missing, broken or of another version"
            raise NotHere(Problem("campaign-elsewhere", said, "the run waits for a daemon that has the file"))
        if renamed and own is not None:
            others = (other for other in schedules.values() if other.live_since is not None)
            if any(other.content == own.content for other in others):
                return True  # the new name fires from where the old one ended, and this is from before
        self._skip(record, "the campaign is not live any more")
        return False

    def _has_waited_too_long(self, record: RunRecord) -> bool:
        """Whether its fire time has been missed while it waited for its turn; then it is skipped now."""
        trigger = Bundle.model_validate_json(record.campaign_json).campaign.trigger
        if record.manual or isinstance(trigger, Immediate | Api):
            return False
        now = self.ledger.now()
        if now - record.fire_time > trigger.grace:
            self._skip(record, f"missed: it waited for longer than {written_duration(trigger.grace)}")
            return True
        return False

    def _skip(self, record: RunRecord, reason: str) -> None:
        self.ledger.finish(record.id, RunState.skipped, reason, only_from=RunState.queued)

    def _job(self, record: RunRecord, project: Project, loaded: Loaded) -> tuple[Warehouse, Accounts, Job]:
        stored = Bundle.restore(record.campaign_json, loaded.campaign).campaign
        warehouse = self.doors.warehouse(project, stored.audience)
        try:
            accounts = self.doors.accounts(project, providers_of(stored))
            return warehouse, accounts, self._begun(record, project, loaded, warehouse, accounts)
        except BaseException:
            warehouse.close()
            raise

    def _begun(
        self, record: RunRecord, project: Project, loaded: Loaded, warehouse: Warehouse, accounts: Accounts
    ) -> Job:
        ledger, clock = self.ledger, self.clock
        with suppress(ConnectError):  # what stays held is heeded all the same
            drain_project(project, ledger, self.doors.source)
        destination = open_destination(project, self.doors.source)
        if record.state is not RunState.queued:
            plan = plan_resumed(project, loaded, warehouse, record)
            return begin(plan, ledger, clock, self.seeds, accounts, destination, self.doors.source)
        try:
            plan = plan_queued(
                project, loaded, warehouse, ledger, clock, record, reaches_people=reaches_people(accounts)
            )
            return begin(plan, ledger, clock, self.seeds, accounts, destination, self.doors.source)
        except RunExists as other:  # others were faster, with this run or with another one of its campaign
            if other.record.state.ended and other.record.id != record.id:
                self._skip(record, f"it has run already: run {other.record.id}")
            raise
        except RunEnded:
            raise
        except UserError as error:
            first = error.problems[0]
            if first.code in _OF_THIS_MACHINE:
                raise NotHere(first) from None
            ledger.finish(record.id, RunState.failed, first.message, only_from=RunState.queued)
            raise


_OF_THIS_MACHINE = frozenset({"run-sealed", "missing-extra"})
"""What keeps this daemon from a run, and others perhaps not."""


def _is_gone(loaded: Loaded | None) -> bool:
    return loaded is None or loaded.campaign is None


def _is_live(loaded: Loaded | None) -> bool:
    """A file that is broken leaves its last good version, which is what comes here."""
    return loaded is not None and loaded.campaign is not None and loaded.campaign.status is CampaignStatus.live
