"""What the ledger says of a campaign's runs, as far as a decision about its trigger depends on it."""

from __future__ import annotations

import json

from connect.ledger.records import RunRecord, Schedule
from connect.ledger.store import Ledger
from connect.project.campaign import Campaign
from connect.project.trigger import Immediate, Recurring, Scheduled
from connect.vocabulary import Mode, Overlap


def ran(ledger: Ledger, campaign: Campaign, schedule: Schedule) -> str:
    """The run by which a campaign that fires once has run already; blank where there is none."""
    if schedule.fired:
        return ""
    match campaign.trigger:
        case Immediate():
            run = _last(ledger, schedule.mode, campaign.name)
        case Scheduled() as trigger:
            run = _by_hand(ledger, schedule.mode, campaign.name, trigger)
        case _:
            return ""
    return run.id if run else ""


def busy(ledger: Ledger, campaign: Campaign, schedule: Schedule) -> bool:
    """Whether a run of it is queued or has not ended, where that matters to its trigger."""
    trigger = campaign.trigger
    if not isinstance(trigger, Immediate | Scheduled | Recurring) or trigger.overlap is not Overlap.skip:
        return False
    unfinished = ledger.unfinished(schedule.mode, campaign.name)
    return unfinished is not None or bool(ledger.queued(schedule.mode, campaign.name))


def _last(ledger: Ledger, mode: Mode, name: str) -> RunRecord | None:
    return ledger.has_run_live(name) if mode is Mode.live else ledger.last_completed(mode, name)


def _by_hand(ledger: Ledger, mode: Mode, name: str, trigger: Scheduled) -> RunRecord | None:
    """A run that sent early, by hand, what was to be sent at this time.

    Not one from when the campaign had another time, or another kind of trigger.
    """
    run = ledger.has_run_live(name) if mode is Mode.live else None
    if run is None or not run.manual:
        return None
    stored = json.loads(run.campaign_json).get("campaign", {}).get("trigger", {})
    now = trigger.model_dump(mode="json")
    return run if all(stored.get(key) == now[key] for key in ("type", "at")) else None
