"""A campaign that is called: a run for its own audience, which whichever daemon takes up."""

from __future__ import annotations

from dataclasses import replace

from connect.clock import Clock
from connect.errors import UserError
from connect.identity import RandomBytes, system_random
from connect.ledger.records import Named, RunRecord
from connect.ledger.store import Ledger
from connect.liquid.library import Library
from connect.pipeline.beginning import new_run
from connect.pipeline.bundle import Bundle
from connect.pipeline.moment import Moment
from connect.pipeline.parameters import Parameters, checked
from connect.project.campaign import Campaign
from connect.project.files import templates
from connect.project.project import Project
from connect.project.trigger import Api
from connect.vocabulary import CampaignStatus, Mode, Overlap


def must_be_callable(campaign: Campaign, ledger: Ledger, mode: Mode) -> Api:
    """Its trigger. Raises UserError where it has another one, is not live, or is paused by hand."""
    trigger = campaign.trigger
    if not isinstance(trigger, Api):
        said = f"{campaign.name} is not called: its trigger is {trigger.type}"
        raise UserError.of("not-callable", said, "a campaign that is called has `trigger: {type: api}`")
    if campaign.status is not CampaignStatus.live:
        said = f"{campaign.name} is {'a draft' if campaign.status is CampaignStatus.draft else 'paused in its file'}"
        raise UserError.of("campaign-not-live", said, "set `status: live` in the campaign when it has been reviewed")
    schedule = ledger.schedules(mode).get(campaign.name)
    if schedule is not None and schedule.paused:
        said = f"{campaign.name} is paused by hand"
        raise UserError.of("campaign-paused", said, f"`connect resume {campaign.name}` lets it be called again")
    return trigger


def queue(
    project: Project,
    campaign: Campaign,
    parameters: Parameters,
    ledger: Ledger,
    clock: Clock,
    *,
    named: Named | None = None,
    random: RandomBytes = system_random,
) -> RunRecord:
    """The run of a call, queued, with the campaign and its templates as they are now.

    Raises UserError `bad-parameters`, `run-going-on`, and what is wrong in its templates; CallKnown.
    """
    given = checked(campaign, parameters)
    if campaign.trigger.overlap is Overlap.skip:
        _must_be_free(ledger, project.mode, campaign)
    texts = templates(project.root)
    page = project.unsubscribe.url if project.unsubscribe else None
    bundle = Bundle.of(campaign, Library(texts), texts, page)
    made = new_run(project, bundle, Moment(ledger.now(), parameters=given), clock, random, manual=True)
    return ledger.create_run(replace(made, named=named))


def _must_be_free(ledger: Ledger, mode: Mode, campaign: Campaign) -> None:
    before = ledger.unfinished(mode, campaign.name)
    waiting = [before] if before else ledger.queued(mode, campaign.name)
    if waiting:
        said = f"{campaign.name} has run {waiting[0].id}, which has not ended, and says `overlap: skip`"
        raise UserError.of("run-going-on", said, "call again when it has ended")
