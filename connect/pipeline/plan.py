"""What a run is going to do, known before it does anything: its fire time, its audience and how large that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connect.channels.message import Device
from connect.clock import Clock
from connect.errors import Problem, Severity, UserError, raise_errors
from connect.identity import SealBroken
from connect.ledger.records import Named, RunRecord
from connect.ledger.store import Ledger
from connect.liquid.library import Library
from connect.pipeline import lint, reads, safety
from connect.pipeline.audience import Sizes, sizes
from connect.pipeline.bundle import Bundle
from connect.pipeline.checking import check_campaign, wrap, wrapped_problems
from connect.pipeline.lint import contents
from connect.pipeline.moment import Moment
from connect.pipeline.parameters import checked, opened
from connect.pipeline.recipients import keys_of
from connect.pipeline.snapshot import Snapshot
from connect.project.campaign import Campaign, digest
from connect.project.campaigns import Loaded
from connect.project.project import Project
from connect.project.text import Text, TextKind
from connect.schedule.due import latest_due
from connect.vocabulary import Channel, Mode
from connect.warehouses.interface import Query, Warehouse
from connect.warehouses.wrapping import Wrapping

SALT, SECRET = "run salt", "run secret"


@dataclass(frozen=True)
class Plan:
    """A run before it has begun, or before it goes on."""

    project: Project
    bundle: Bundle
    warehouse: Warehouse
    wrapping: Wrapping
    """The queries of the run, but for its salt."""
    moment: Moment
    manual: bool
    """No fire time of the trigger was due: somebody runs it now."""
    rows: int
    """Rows of the audience, those without a key included."""
    rows_without_key: int
    warnings: tuple[Problem, ...]
    bill: reads.Bill | None = None
    """What its reads are billed for, where the warehouse tells."""
    again: bool = False
    """It may run although the campaign has run live before."""
    resumes: RunRecord | None = None
    queued: RunRecord | None = None
    """It has its row already, and waits for its turn."""
    fleeting: bool = False
    """Its people are in this process's memory only."""
    named: Named | None = None
    """The call of the API that it is for, where that named itself."""

    @property
    def fire_time(self) -> datetime:
        return self.moment.fire_time

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
    window: tuple[datetime, datetime] | None = None,
    parameters: Mapping[str, object] | None = None,
) -> Plan:
    """What `connect run` would do now. Raises UserError when the campaign, its audience or its history says no.

    window: the events after the first instant up to the second, by hand. parameters: of a campaign that is called.
    """
    name = loaded.campaign.name if loaded.campaign else ""
    unfinished = ledger.unfinished(project.mode, name) if name else None
    if unfinished is not None:
        return plan_resumed(project, loaded, warehouse, unfinished)
    waiting = ledger.queued(project.mode, name)[:1] if name and window is None else []
    if waiting:
        return plan_queued(project, loaded, warehouse, ledger, clock, waiting[0], reaches_people=reaches_people)
    campaign, warnings = _sound(project, loaded, library, warehouse, clock, reaches_people)
    moment, manual = _moment(ledger, project.mode, campaign, clock.now(), window)
    moment = replace(moment, parameters=checked(campaign, parameters or {}))
    if manual and window is None and not again:
        _must_not_repeat(ledger, project, campaign)
    bundle = Bundle.of(campaign, library, templates, project.unsubscribe.url if project.unsubscribe else None)
    plan = _sized(project, bundle, warehouse, moment, manual, warnings)
    _must_fit(plan, ledger)
    return replace(plan, again=again or not manual or window is not None)


def plan_fleeting(
    project: Project,
    loaded: Loaded,
    library: Library,
    templates: Mapping[str, Text],
    warehouse: Warehouse,
    ledger: Ledger,
    clock: Clock,
    *,
    reaches_people: bool,
    parameters: Mapping[str, object] | None = None,
    named: Named | None = None,
) -> Plan:
    """A run now, for people who are in this process's memory only, whatever else its campaign is about.

    Nobody looks at it before it begins, so it has no warnings.
    """
    campaign = loaded.campaign
    raise_errors([*loaded.problems, *lint.text_problems(loaded, library, warehouse.dialect.sqlglot)])
    assert campaign is not None
    moment = Moment(clock.now(), parameters=checked(campaign, parameters or {}))
    wrapping = wrap(project, campaign, warehouse, moment)
    drafts = safety.draft_problems(campaign, project.mode, reaches_people)
    raise_errors([*drafts, *wrapped_problems(project, campaign, library, warehouse, wrapping, reaches_people)])
    bundle = Bundle.of(campaign, library, templates, project.unsubscribe.url if project.unsubscribe else None)
    counted = _written_out(campaign)
    plan = _sized(project, bundle, warehouse, moment, True, (), counted, wrapping=wrapping)
    _must_fit(plan, ledger)
    return replace(plan, again=True, fleeting=True, named=named)


def _written_out(campaign: Campaign) -> Sizes | None:
    """How many people are written out in the campaign; None where a query says who of them is meant."""
    audience = campaign.audience
    if audience.people is None or audience.segments is not None:
        return None
    keyed = sum(key is not None for key in keys_of(audience.people, audience.key))
    return Sizes(len(audience.people), keyed, len(audience.people) - keyed)


def warnings_of(
    project: Project, loaded: Loaded, library: Library, warehouse: Warehouse, clock: Clock, *, reaches_people: bool
) -> tuple[Problem, ...]:
    """What somebody should know who looks at a run before it begins."""
    return tuple(_sound(project, loaded, library, warehouse, clock, reaches_people)[1])


def plan_queued(
    project: Project,
    loaded: Loaded,
    warehouse: Warehouse,
    ledger: Ledger,
    clock: Clock,
    run: RunRecord,
    *,
    reaches_people: bool,
) -> Plan:
    """The plan of a run that waits for its turn: its campaign as it was when its fire time came."""
    bundle = Bundle.restore(run.campaign_json, loaded.campaign)
    open_seals(project, run)
    as_it_was = Loaded(bundle.campaign, (), tuple(_texts(bundle.campaign)), bundle.campaign.file)
    library = Library(bundle.templates)
    _, warnings = _sound(project, as_it_was, library, warehouse, clock, reaches_people)
    plan = _sized(project, bundle, warehouse, _moment_of(project, run), run.manual, warnings)
    _must_fit(plan, ledger)
    return replace(plan, queued=run)


def _texts(campaign: Campaign) -> Iterator[tuple[TextKind, Text]]:
    for text, escape in contents(campaign):
        yield TextKind.liquid_html if escape else TextKind.liquid, text
    if campaign.audience.sql is not None:
        yield TextKind.sql, campaign.audience.sql
    if campaign.audience.segments is not None:
        yield from ((TextKind.segment, segment.sql) for segment in campaign.audience.segments.each)


def plan_resumed(project: Project, loaded: Loaded, warehouse: Warehouse, run: RunRecord) -> Plan:
    """The plan of a run that was interrupted: its own campaign as it was, people from the file."""
    bundle = Bundle.restore(run.campaign_json, loaded.campaign)
    open_seals(project, run)
    # An earlier version may have made another digest of the same campaign: it is made anew of what is stored.
    changed = loaded.campaign is None or loaded.campaign.digest != digest(bundle.campaign)
    warnings = [_changed(run)] if changed else ()
    counted = None if run.audience_rows is None else Sizes(run.audience_rows, run.audience_rows, 0)
    snapshot = Snapshot.of(project, bundle.campaign, warehouse, run.id)
    copied = snapshot.query if snapshot and snapshot.exists() else None
    plan = _sized(project, bundle, warehouse, _moment_of(project, run), run.manual, warnings, counted, copied)
    return replace(plan, resumes=run)


def _sound(
    project: Project, loaded: Loaded, library: Library, warehouse: Warehouse, clock: Clock, reaches_people: bool
) -> tuple[Campaign, Sequence[Problem]]:
    """The campaign, and warnings. Raises UserError where it may not run."""
    name = loaded.campaign.name if loaded.campaign else ""
    checked = check_campaign(project, loaded, name, library, warehouse, clock.now(), goes_live=reaches_people)
    drafts = safety.draft_problems(loaded.campaign, project.mode, reaches_people) if loaded.campaign else []
    raise_errors([*drafts, *checked.problems])
    assert loaded.campaign is not None
    return loaded.campaign, checked.problems


def _must_fit(plan: Plan, ledger: Ledger) -> None:
    """The audience is within its limits."""
    changes = plan.campaign.audience.limits.max_change is not None
    last = ledger.last_completed(Mode.live, plan.campaign.name) if changes else None
    raise_errors(safety.limit_problems(plan.campaign, plan.rows, last.audience_rows if last else None))


def _moment(
    ledger: Ledger, mode: Mode, campaign: Campaign, now: datetime, window: tuple[datetime, datetime] | None
) -> tuple[Moment, bool]:
    """The latest fire time that is due and has not run; else now, by hand."""
    if window is not None:
        return Moment(now, *window), True
    due = latest_due(campaign.trigger, now)
    if due is not None and ledger.ran(mode, campaign.name, due) is None:
        return Moment(due), False
    return Moment(now), True


def _moment_of(project: Project, run: RunRecord) -> Moment:
    return Moment(run.fire_time, run.since, run.until, opened(project.secret, run.parameters, run.id))


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
    moment: Moment,
    manual: bool,
    warnings: Sequence[Problem],
    counted: Sizes | None = None,
    copied: Query | None = None,
    wrapping: Wrapping | None = None,
) -> Plan:
    """`counted`: what it was when the run began. A run of many waves would else count its audience before each.

    copied: reads the copy of the audience, where there is one.
    """
    campaign = bundle.campaign
    wrapping = wrapping or wrap(project, campaign, warehouse, moment, copied=copied)
    size = counted or sizes(warehouse, wrapping, campaign.audience.timeout)
    read_size = reads.read_size(warehouse, wrapping, campaign.audience.timeout)
    bill = reads.bill(project, campaign, warehouse, read_size, size.rows)
    return Plan(
        project=project,
        bundle=bundle,
        warehouse=warehouse,
        wrapping=wrapping,
        moment=moment,
        manual=manual,
        rows=size.rows,
        rows_without_key=size.without_key,
        warnings=(*warnings, *reads.warnings(bill)),
        bill=bill,
    )


def _changed(run: RunRecord) -> Problem:
    return Problem(
        "campaign-changed",
        f"{run.campaign} has changed since run {run.id} was begun; the run goes on with what it was begun with",
        f"`connect runs cancel {run.id}` ends it; then `connect run {run.campaign} --again` runs the new one",
        severity=Severity.warning,
    )


def open_seals(project: Project, run: RunRecord) -> tuple[str, bytes]:
    """(salt, secret) of a run. Raises UserError when the project's secret no longer opens them."""
    try:
        assert run.salt is not None
        assert run.secret is not None
        return project.secret.open(SALT, run.salt).decode(), project.secret.open(SECRET, run.secret)
    except SealBroken:
        raise UserError.of(
            "run-sealed",
            f"run {run.id} was begun under another project secret, and can not go on without it",
            "add the old secret to the list under `secret:` in connect.yml",
        ) from None


def safe_recipients(project: Project) -> dict[Channel, str | Device]:
    """Where test mode sends, for the channels that have somewhere."""
    given = project.test_recipient
    device = Device(given.device_token, given.platform) if given.device_token else None
    found = {
        Channel.email: given.email,
        Channel.sms: given.phone_number,
        Channel.push: device,
        Channel.http: given.http,
    }
    return {channel: address for channel, address in found.items() if address}
