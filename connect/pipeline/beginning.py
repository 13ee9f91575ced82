"""How a run comes into the ledger: at once, or as one that waits for its turn; and with what it is taken up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from connect.channels.zones import Place
from connect.clock import Clock
from connect.errors import UserError, raise_errors
from connect.identity import RandomBytes, new_run_id
from connect.ledger.optouts import KEPT
from connect.ledger.records import NewRun, NewSlice, RunRecord, Slice, Tally
from connect.ledger.store import Ledger
from connect.liquid.library import Library
from connect.pipeline import gates, parameters
from connect.pipeline.accounts import Accounts, reaches_people, route_problems
from connect.pipeline.asked import unread
from connect.pipeline.audience import Sweep
from connect.pipeline.bundle import Bundle
from connect.pipeline.deliveries import RunFacts
from connect.pipeline.devices import Dead, Known
from connect.pipeline.history import cap_of, destination_of, must_be_there
from connect.pipeline.job import Copied, Job
from connect.pipeline.kit import Kit
from connect.pipeline.moment import Moment
from connect.pipeline.places import places_of
from connect.pipeline.plan import SALT, SECRET, Plan, open_seals, safe_recipients
from connect.pipeline.rates import limits_of
from connect.pipeline.sealing import unreadable
from connect.pipeline.snapshot import Snapshot
from connect.pipeline.sources import OpenSource
from connect.pipeline.waiting import Heeded, Waiting
from connect.pipeline.waves import Timing
from connect.pipeline.writeback import Diary
from connect.project.campaign import Campaign
from connect.project.message import HttpContent
from connect.project.project import Project
from connect.project.trigger import Api, Immediate, Recurring, Scheduled
from connect.redact import Secret
from connect.vocabulary import Channel, Mode, RunState
from connect.warehouses.interface import Warehouse


def new_run(
    project: Project,
    bundle: Bundle,
    moment: Moment,
    clock: Clock,
    random: RandomBytes,
    *,
    state: RunState = RunState.queued,
    reason: str = "",
    manual: bool = False,
) -> NewRun:
    """A run for the ledger, with all that it needs to go on without the checkout."""
    seal = project.secret.seal
    return NewRun(
        id=new_run_id(int(clock.now().timestamp()), random),
        mode=project.mode,
        campaign=bundle.campaign.name,
        fire_time=moment.fire_time,
        manual=manual,
        digest=bundle.campaign.digest,
        campaign_json=bundle.stored() if state is not RunState.skipped else "",
        salt=seal(SALT, random(16).hex().encode()),
        secret=seal(SECRET, random(32)),
        state=state,
        reason=reason,
        since=moment.since,
        until=moment.until,
        beside=_lasts(bundle.campaign),
        cap=cap_of(project, bundle.campaign),
        parameters=parameters.seal(project.secret, moment.parameters),
        called=isinstance(bundle.campaign.trigger, Api),
    )


def _nothing() -> None:
    """Before a read of an audience without opt-outs."""


def _lasts(campaign: Campaign) -> bool:
    """Whether a run may take more than a day, until its time has come everywhere: the next one does not wait for it."""
    trigger = campaign.trigger
    return isinstance(trigger, Scheduled | Recurring) and trigger.local_time


def begin(
    plan: Plan,
    ledger: Ledger,
    clock: Clock,
    random: RandomBytes,
    accounts: Accounts,
    destination: Warehouse | None = None,
    source: OpenSource | None = None,
) -> Job:
    """Give the plan its row in the ledger (or take up the one that it has), and everything that it runs with.

    `destination` is where its deliveries are written, opened apart from where the audience is read: see
    `destination_of`. `source` opens where devices are written that turn out to be dead. Raises UserError where its
    accounts can not carry its contents, or the destination has no table.
    """
    campaign, project = plan.campaign, plan.project
    raise_errors(route_problems(campaign, accounts))
    written = destination_of(project)
    if written is not None:
        if destination is None:
            raise RuntimeError("this run writes back, and was given no destination")
        must_be_there(destination, project)
    timing = _timing(plan, accounts)
    heeded = None
    if project.subscriptions is not None:
        waiting = Waiting(ledger, project.secret, clock, KEPT + campaign.audience.timeout)
        _must_open(waiting, campaign, project.mode)
        heeded = Heeded(waiting, plan.wrapping.audience, plan.wrapping.optouts)
    record = plan.resumes or _begun(plan, timing, ledger, clock, random)
    salt, secret = open_seals(project, record)
    history = replace(plan.wrapping.history, run=record.id) if plan.wrapping.history else None
    audience = replace(plan.wrapping.audience, unread=_unread(plan, timing))
    wrapping = replace(plan.wrapping, audience=audience, salt=salt, history=history)
    snapshot = Snapshot.of(project, campaign, plan.warehouse, record.id)

    devices = Known.of(plan.warehouse, wrapping.optouts, campaign.audience.timeout)

    def sweep(slice: Slice) -> Sweep:
        return Sweep(
            plan.warehouse,
            snapshot.over(wrapping) if snapshot else wrapping,
            rows=plan.rows,
            after=slice.cursor or slice.low or None,
            upto=slice.high,
            timeout=campaign.audience.timeout,
            clock=clock,
            before=heeded.look if heeded else _nothing,
            few=campaign.audience.people is not None,
            devices=devices,
        )

    facts = RunFacts(
        record.id, campaign.name, project.target, record.mode, record.fire_time, secret, plan.moment.parameters
    )
    rates = {name: project.providers[name].rate for name in accounts}
    buckets = limits_of(accounts, rates, campaign, project.mode)
    diary = None
    if destination is not None and written is not None:
        topic = campaign.message.topic
        diary = Diary.of(destination, written.source, written.deliveries, facts, topic, written.include)
    places = partial(_places, plan, timing, snapshot)
    copied = Copied(snapshot, wrapping.audience) if snapshot else None
    return Job(
        record,
        sweep,
        _kit(plan, facts, accounts),
        accounts,
        timing,
        places,
        buckets,
        copied,
        diary,
        heeded,
        _dead(plan, ledger, source),
    )


def _unread(plan: Plan, timing: Timing) -> frozenset[str]:
    """The columns that stay where they are; none of people who are in memory already."""
    if plan.fleeting or plan.campaign.audience.people is not None:
        return frozenset()
    page = plan.bundle.unsubscribe_page
    return unread(plan.wrapping, plan.campaign, Library(plan.bundle.templates), page, timing.phone)


def _dead(plan: Plan, ledger: Ledger, source: OpenSource | None) -> Dead | None:
    subscriptions, real = plan.project.subscriptions, plan.project.mode is Mode.live
    if source is None or not real or Channel.push not in plan.campaign.message.channels:
        return None
    if subscriptions is None or subscriptions.write is None:
        return None
    return Dead(plan.project, subscriptions, ledger, source)


def _must_open(waiting: Waiting, campaign: Campaign, mode: Mode) -> None:
    """Nobody is let pass who may have left, in an opt-out that nobody can read."""
    if mode is Mode.live and not campaign.message.transactional:
        waiting.look()
        if waiting.unopened:
            raise UserError(unreadable(waiting.unopened))


def _begun(plan: Plan, timing: Timing, ledger: Ledger, clock: Clock, random: RandomBytes) -> RunRecord:
    slices, tallies = _slices(plan, timing, clock.now()), tuple(_without_key(plan))
    if plan.queued is not None:
        once = isinstance(plan.campaign.trigger, Immediate) and not plan.queued.manual
        return ledger.start_run(
            plan.queued.id, audience_rows=plan.rows, tallies=tallies, slices=slices, not_if_live=once
        )
    made = new_run(plan.project, plan.bundle, plan.moment, clock, random, state=RunState.running, manual=plan.manual)
    made = replace(made, audience_rows=plan.rows, tallies=tallies, slices=slices, named=plan.named)
    if plan.fleeting:  # others of its campaign neither wait for it, nor it for them
        made = replace(made, fleeting=True, beside=True, called=True)
    return ledger.create_run(made, again=plan.again)


def _without_key(plan: Plan) -> Iterator[Tally]:
    if plan.rows_without_key:
        missing = gates.MISSING_KEY
        for channel in plan.campaign.message.channels:
            yield Tally(channel, "", missing.outcome, missing.reason, plan.rows_without_key)


def _timing(plan: Plan, accounts: Accounts) -> Timing:
    campaign, project = plan.campaign, plan.project
    reached = {
        content.channel
        for content in campaign.message.content
        if any(accounts[name][0].capabilities.reaches_people for name in content.provider.names)
    }
    return Timing.of_run(campaign, fire_time=plan.fire_time, zone=project.timezone, mode=project.mode, reaches=reached)


def _slices(plan: Plan, timing: Timing, now: datetime) -> tuple[NewSlice, ...]:
    """The parts of a run that is about to begin. Asks the warehouse which zones there are, where that matters."""
    return timing.slices(_places(plan, timing) if timing.waits else (), now)


def _places(plan: Plan, timing: Timing, snapshot: Snapshot | None = None) -> set[Place]:
    wrapping = snapshot.over(plan.wrapping) if snapshot else plan.wrapping
    return places_of(plan.warehouse, wrapping, timing.phone, plan.campaign.audience.timeout)


def _kit(plan: Plan, facts: RunFacts, accounts: Accounts) -> Kit:
    project = plan.project
    return Kit(
        bundle=plan.bundle,
        facts=facts,
        ring=project.secret,
        base_url=project.serve.base_url,
        mailto=project.unsubscribe.mailto if project.unsubscribe else None,
        test_recipient=safe_recipients(project),
        secrets=_secrets(plan, accounts),
        platforms={name: provider.capabilities.platforms for name, (provider, _) in accounts.items()},
        project=project.name,
        by_themselves=frozenset(name for name, (provider, _) in accounts.items() if provider.capabilities.tracks),
    )


def _secrets(plan: Plan, accounts: Accounts) -> dict[str, Secret]:
    """Those of the contents. Of a content that reaches nobody, and may be kept on disk, they stay as they stand.

    So do those in headers in test mode: the test recipient's endpoint is not the one that they are for.
    """
    live = plan.project.mode is Mode.live
    found: dict[str, Secret] = {}
    for content in plan.campaign.message.content:
        real = reaches_people({name: accounts[name] for name in content.provider.names})
        signing = (content.signing_secret,) if isinstance(content, HttpContent) else ()
        for secret in content.secrets():
            text = secret.references
            told = real and (live or secret in signing)
            found[text] = Secret(plan.project.reveal(text)) if told else found.get(text, Secret(text))
    return found
