"""What somebody does by hand: to a campaign's trigger (changes, for `steer`), and to a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from connect.errors import UserError
from connect.ledger.records import NewRun, RunRecord, Schedule
from connect.ledger.store import Ledger
from connect.pipeline.sending import is_a_send
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.project.trigger import Immediate, Scheduled
from connect.schedule.claims import decide, is_ahead, set_back
from connect.schedule.history import busy, ran
from connect.schedule.steering import Change
from connect.schedule.work import make_run
from connect.vocabulary import RunState

Changed = tuple[Schedule, Sequence[NewRun]]


# A campaign's trigger


def paused(campaign: Campaign | None, schedule: Schedule, now: datetime) -> Changed:
    """What comes due is skipped."""
    return replace(schedule, paused=True), ()


def resumed(project: Project, ledger: Ledger) -> Change:
    """What came due while it was paused is skipped first: perhaps no daemon was there to do so."""

    def change(campaign: Campaign | None, schedule: Schedule, now: datetime) -> Changed:
        if campaign and is_ahead(schedule, now):
            return replace(set_back(campaign, schedule, now), paused=False), ()
        if schedule.paused:
            schedule, runs = _decided(project, ledger, campaign, schedule, now)
            return replace(schedule, paused=False), runs
        return schedule, ()

    return change


def skipping(project: Project, ledger: Ledger) -> Change:
    """What has come due already is not the next time: it gets its run, or not, as if a daemon had looked just now."""

    def change(campaign: Campaign | None, schedule: Schedule, now: datetime) -> Changed:
        _must_have_a_next_time(schedule)
        if campaign is None or fires_once(campaign):  # of which the time that is due is the only one
            return replace(schedule, skip_next=True), ()
        schedule, runs = _decided(project, ledger, campaign, schedule, now)
        return replace(schedule, skip_next=True), runs

    return change


def fires_once(campaign: Campaign) -> bool:
    return isinstance(campaign.trigger, Immediate | Scheduled)


def _decided(project: Project, ledger: Ledger, campaign: Campaign | None, schedule: Schedule, now: datetime) -> Changed:
    """What a daemon would write now. Nothing where only it has the campaign's last good version."""
    if campaign is None:
        return schedule, ()
    before, going_on = ran(ledger, campaign, schedule), busy(ledger, campaign, schedule)
    decision = decide(campaign, schedule, now, ran=before, busy=going_on)
    if decision is None:
        return schedule, ()
    return decision.schedule_after, [make_run(project, campaign, fire) for fire in decision.fires]


def _must_have_a_next_time(schedule: Schedule) -> None:
    if schedule.fired:
        said = f"{schedule.campaign} fires once, and has: there is no next time"
        raise UserError.of("nothing-to-skip", said, f"`connect launch {schedule.campaign}` fires it by hand")


# A run


def found(ledger: Ledger, run: str) -> RunRecord:
    """A run by its id, or the beginning of it. Raises UserError `unknown-run` and `ambiguous-run`."""
    record = ledger.run(run)
    if record is None:
        raise UserError.of("unknown-run", f"there is no run `{run}`", "`connect runs list` lists them")
    return record


def pause_run(ledger: Ledger, run: RunRecord) -> RunRecord:
    """What is in the air is finished, nobody new is written to until it is resumed."""
    ledger.set_state(run.id, RunState.paused, "paused by hand")
    return found(ledger, run.id)


def cancel_run(ledger: Ledger, run: RunRecord) -> RunRecord:
    """End it for good: nobody else of its audience is written to. The copy of that is to be dropped then."""
    ledger.finish(run.id, RunState.cancelled, "cancelled by hand")
    return found(ledger, run.id)


def must_go_on(run: RunRecord) -> None:
    """Raises UserError where a run has ended, has not begun, or can not go on without its people."""
    if run.state.ended:
        raise UserError.of("run-ended", f"run {run.id} has ended: {run.state}", "start a new one: `connect run`")
    if run.state is RunState.queued:
        raise UserError.of(
            "run-queued",
            f"run {run.id} waits for its turn",
            f"a daemon starts it when the run before it has ended; `connect runs cancel {run.id}` ends it",
        )
    if run.fleeting or is_a_send(run.campaign):
        said = f"run {run.id} can not go on: its people were in the memory of the process that began it"
        raise UserError.of("run-fleeting", said, f"`connect runs cancel {run.id}` ends it")
