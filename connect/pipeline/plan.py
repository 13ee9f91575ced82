"""What a run is going to do, known before it does anything: its fire time, its audience and how large that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connect.clock import Clock
from connect.errors import Problem, Severity, UserError, raise_errors
from connect.identity import RandomBytes, SealBroken, new_run_id
from connect.ledger.records import NewRun, RunRecord, Tally
from connect.ledger.store import Ledger
from connect.liquid.library import Library
from connect.pipeline import gates, safety
from connect.pipeline.accounts import Accounts
from connect.pipeline.audience import Sweep, sizes
from connect.pipeline.bundle import Bundle
from connect.pipeline.checking import check_campaign, wrap
from connect.pipeline.deliveries import RunFacts
from connect.pipeline.kit import Kit
from connect.pipeline.moment import Moment
from connect.pipeline.run import Job
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded
from connect.project.project import Project
from connect.project.text import Text
from connect.schedule.due import latest_due
from connect.vocabulary import Channel, Mode
from connect.warehouses.interface import Warehouse

_SALT, _SECRET = "run salt", "run secret"


@dataclass(frozen=True)
class Plan:
    """A run before it has begun, or before it goes on."""

    project: Project
    bundle: Bundle
    warehouse: Warehouse
    fire_time: datetime
    manual: bool
    """No fire time of the trigger was due: somebody runs it now."""
    rows: int
    """Rows of the audience, those without a key included."""
    rows_without_key: int
    warnings: tuple[Problem, ...]
    again: bool = False
    """It may run although the campaign has run live before."""
    resumes: RunRecord | None = None

    @property
    def campaign(self) -> Campaign:
        return self.bundle.campaign


def plan_run(
    project: Project,
    loaded: Loaded,
    library: Library,
    templates: Mapping[str, Text],
    warehouse: Warehouse,
    ledger: Ledger,
    clock: Clock,
    *,
    reaches_people: bool,
    again: bool = False,
) -> Plan:
    """What `connect run` would do now. Raises UserError when the campaign, its audience or its history says no."""
    name = loaded.campaign.name if loaded.campaign else ""
    unfinished = ledger.unfinished(project.mode, name) if name else None
    if unfinished is not None:
        return _resumed(project, loaded, warehouse, unfinished)
    checked = check_campaign(project, loaded, name, library, warehouse, clock.now(), goes_live=reaches_people)
    drafts = safety.draft_problems(loaded.campaign, project.mode, reaches_people) if loaded.campaign else []
    raise_errors([*drafts, *checked.problems])
    assert loaded.campaign is not None
    fire_time, manual = _fire_time(ledger, project.mode, loaded.campaign, clock.now())
    if manual and not again:
        _must_not_repeat(ledger, project, loaded.campaign)
    bundle = Bundle.of(loaded.campaign, library, templates, project.unsubscribe.url if project.unsubscribe else None)
    plan = _sized(project, bundle, warehouse, fire_time, manual, checked.problems)
    last = ledger.last_completed(Mode.live, loaded.campaign.name)
    raise_errors(safety.limit_problems(loaded.campaign, plan.rows, last.audience_rows if last else None))
    return replace(plan, again=again or not manual)


def _fire_time(ledger: Ledger, mode: Mode, campaign: Campaign, now: datetime) -> tuple[datetime, bool]:
    """The latest fire time that is due and has not run; else now, by hand."""
    due = latest_due(campaign.trigger, now)
    if due is not None and ledger.ran(mode, campaign.name, due) is None:
        return due, False
    return now, True


def _must_not_repeat(ledger: Ledger, project: Project, campaign: Campaign) -> None:
    before = ledger.has_run_live(campaign.name) if project.mode is Mode.live else None
    if before is not None:
        raise UserError.of(
            "already-ran",
            f"{campaign.name} has already run live: run {before.id} for {before.fire_time:%Y-%m-%d %H:%M} UTC",
            "nothing is due now; `--again` runs it once more, to everyone in its audience",
        )


def _sized(
    project: Project,
    bundle: Bundle,
    warehouse: Warehouse,
    fire_time: datetime,
    manual: bool,
    warnings: Sequence[Problem],
    resumes: RunRecord | None = None,
) -> Plan:
    campaign = bundle.campaign
    wrapping = wrap(project, campaign, warehouse, Moment(fire_time))
    size = sizes(warehouse, wrapping, campaign.audience.timeout)
    return Plan(
        project=project,
        bundle=bundle,
        warehouse=warehouse,
        fire_time=fire_time,
        manual=manual,
        rows=size.rows,
        rows_without_key=size.without_key,
        warnings=tuple(warnings),
        resumes=resumes,
    )


def _resumed(project: Project, loaded: Loaded, warehouse: Warehouse, run: RunRecord) -> Plan:
    """The plan of a run that was interrupted: its own campaign as it was, people from the file."""
    bundle = Bundle.restore(run.campaign_json, loaded.campaign)
    _open_seals(project, run)
    changed = loaded.campaign is None or loaded.campaign.digest != run.digest
    return _sized(project, bundle, warehouse, run.fire_time, run.manual, [_changed(run)] if changed else (), run)


def _changed(run: RunRecord) -> Problem:
    return Problem(
        "campaign-changed",
        f"{run.campaign} has changed since run {run.id} was begun; the run goes on with what it was begun with",
        f"`connect runs cancel {run.id}` ends it; then `connect run {run.campaign} --again` runs the new one",
        severity=Severity.warning,
    )


def _open_seals(project: Project, run: RunRecord) -> tuple[str, bytes]:
    """(salt, secret) of a run. Raises UserError when the project's secret no longer opens them."""
    try:
        assert run.salt is not None
        assert run.secret is not None
        return project.secret.open(_SALT, run.salt).decode(), project.secret.open(_SECRET, run.secret)
    except SealBroken:
        raise UserError.of(
            "run-sealed",
            f"run {run.id} was begun under another project secret, and can not go on without it",
            "add the old secret to the list under `secret:` in connect.yml",
        ) from None


def begin(plan: Plan, ledger: Ledger, clock: Clock, random: RandomBytes, accounts: Accounts) -> Job:
    """Give the plan its row in the ledger (or take up the one that it has), and everything that it runs with."""
    record = plan.resumes or _create(plan, ledger, clock, random)
    salt, secret = _open_seals(plan.project, record)
    campaign, project = plan.campaign, plan.project
    facts = RunFacts(record.id, campaign.name, project.target, record.mode, record.fire_time, secret)
    wrapping = wrap(project, campaign, plan.warehouse, Moment(record.fire_time, record.since, record.until), salt)
    timeout = campaign.audience.timeout
    return Job(
        record=record,
        sweep=lambda after: Sweep(plan.warehouse, wrapping, rows=plan.rows, after=after, timeout=timeout, clock=clock),
        kit=_kit(plan, facts),
        channels=_channels(campaign),
        accounts=accounts,
        in_doubt=campaign.policy.in_doubt,
        maximum=campaign.audience.limits.max,
    )


def _create(plan: Plan, ledger: Ledger, clock: Clock, random: RandomBytes) -> RunRecord:
    now, seal = clock.now(), plan.project.secret.seal
    keyless = plan.rows_without_key
    missing, channels = gates.MISSING_KEY, _channels(plan.campaign)
    return ledger.create_run(
        NewRun(
            id=new_run_id(int(now.timestamp()), random),
            mode=plan.project.mode,
            campaign=plan.campaign.name,
            fire_time=plan.fire_time,
            manual=plan.manual,
            digest=plan.campaign.digest,
            campaign_json=plan.bundle.stored(),
            salt=seal(_SALT, random(16).hex().encode()),
            secret=seal(_SECRET, random(32)),
            audience_rows=plan.rows,
            tallies=tuple(Tally(channel, "", missing.outcome, missing.reason, keyless) for channel in channels)
            if keyless
            else (),
        ),
        again=plan.again,
    )


def _channels(campaign: Campaign) -> tuple[Channel, ...]:
    return tuple(dict.fromkeys(content.channel for content in campaign.message.content))


def _kit(plan: Plan, facts: RunFacts) -> Kit:
    project = plan.project
    return Kit(
        bundle=plan.bundle,
        facts=facts,
        ring=project.secret,
        base_url=project.serve_base_url,
        mailto=project.unsubscribe.mailto if project.unsubscribe else None,
        test_recipient=safe_recipients(project),
    )


def safe_recipients(project: Project) -> dict[Channel, str]:
    """Where test mode sends, for the channels that have somewhere."""
    found = {Channel.email: project.test_recipient.email, Channel.sms: project.test_recipient.phone_number}
    return {channel: address for channel, address in found.items() if address}
