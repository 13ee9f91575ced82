"""What the API tells: campaigns, runs, reports. Plain functions, which FastAPI runs in threads."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from fastapi.responses import JSONResponse

from connect.errors import UserError
from connect.ledger.records import RunRecord, Schedule
from connect.ledger.tables import instant, microseconds
from connect.pipeline.inquiry import Inquiry
from connect.pipeline.reporting import Wanted, run_report
from connect.project import suggest
from connect.project.campaign import Campaign
from connect.project.trigger import Api
from connect.reports.counts import Report, as_they_are, run_as_json
from connect.schedule.by_hand import found
from connect.schedule.calendar import rule
from connect.schedule.standing import CampaignStanding
from connect.server import cursors
from connect.server.problems import Refused
from connect.server.site import Site
from connect.vocabulary import Outcome, RunState

PAGE = 50

NO_NUL = r"^[^\x00]+$"
Name = Annotated[
    str, Path(description="The campaign's name.", max_length=200, pattern=NO_NUL, examples=["order-shipped"])
]
RunId = Annotated[str, Path(description="The run's id.", max_length=64, pattern=NO_NUL, examples=["2hnu3bo1a0l9s8vd"])]
Cursor = Annotated[str | None, Query(description="`next` of the page before.", max_length=1000)]
Limit = Annotated[int, Query(description="So many on a page.", ge=1, le=200)]


class Reads:
    """Of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def list_campaigns(self, cursor: Cursor = None, limit: Limit = PAGE) -> JSONResponse:
        """The project's campaigns, by name, and how they stand."""
        after = str(cursors.read(cursor, [str])[0]) if cursor else ""
        names = sorted(name for name in self._site.campaigns if name > after)
        schedules = self._site.ledger.schedules(self._site.project.mode)
        items = [self._campaign(self._site.campaigns[name], schedules.get(name)) for name in names[:limit]]
        more = cursors.cursor(names[limit - 1]) if len(names) > limit else None
        return JSONResponse({"items": items, "next": more})

    def get_campaign(self, name: Name) -> JSONResponse:
        """One campaign, and how it stands."""
        schedules = self._site.ledger.schedules(self._site.project.mode)
        return JSONResponse(self._campaign(campaign_of(self._site, name), schedules.get(name)))

    def list_runs(
        self,
        campaign: Annotated[
            str | None, Query(description="Only of this campaign.", max_length=200, pattern=NO_NUL)
        ] = None,
        state: Annotated[RunState | None, Query(description="Only in this state.")] = None,
        cursor: Cursor = None,
        limit: Limit = PAGE,
    ) -> JSONResponse:
        """Runs of every mode, newest first."""
        behind = _behind(cursor) if cursor else None
        ledger = self._site.ledger
        runs = as_they_are(
            ledger.runs(campaign=campaign, limit=limit + 1, state=state, behind=behind), ledger.interrupted()
        )
        items, last = runs[:limit], runs[limit - 1] if len(runs) > limit else None
        more = cursors.cursor(microseconds(last.started_at), last.id) if last else None
        return JSONResponse({"items": [run_as_json(run) for run in items], "next": more})

    def get_run(self, id: RunId) -> JSONResponse:
        """One run: its states with their reasons, and how its deliveries ended."""
        ledger = self._site.ledger
        (run,) = as_they_are([found(ledger, id)], ledger.interrupted())
        return JSONResponse(standing(self._site, run))

    def get_report(
        self,
        campaign: Name,
        runs: Annotated[int, Query(description="Of so many of its newest runs.", ge=1, le=1000)] = 50,
    ) -> JSONResponse:
        """What became of a campaign's deliveries: as `connect report --json`."""
        site = self._site
        inquiry = Inquiry(site.project, site.ledger, site.warehouse, site.clock.now())
        report = inquiry.report(campaign, Wanted(runs), from_warehouse=False)
        if not report.runs:
            raise UserError.of("never-ran", "this campaign has not run on this target")
        return JSONResponse(report.as_json())

    def _campaign(self, campaign: Campaign, schedule: Schedule | None) -> dict[str, Any]:
        trigger, now = campaign.trigger, self._site.clock.now()
        entry = CampaignStanding(campaign, schedule, False, now).next
        return {
            "name": campaign.name,
            "description": campaign.description,
            "status": campaign.status.value,
            "trigger": trigger.type,
            "timezone": trigger.timezone,
            "rule": rule(campaign),
            "next": {"at": entry.at.isoformat(), "local": entry.local} if entry else None,
            "paused": bool(schedule and schedule.paused),
            "channels": [channel.value for channel in campaign.message.channels],
            "transactional": campaign.message.transactional,
            "parameters": trigger.parameters if isinstance(trigger, Api) else None,
            "recipients": isinstance(trigger, Api) and trigger.recipients,
        }


def campaign_of(site: Site, name: str) -> Campaign:
    """Raises UserError `unknown-campaign`."""
    campaign = site.campaigns.get(name)
    if campaign is None:
        hint = suggest.hint(name, site.campaigns) or "`GET /campaigns` lists them"
        raise UserError.of("unknown-campaign", "there is no campaign of this name, or its file is broken", hint)
    return campaign


def standing(site: Site, run: RunRecord) -> dict[str, object]:
    """A run with its counts and its history."""
    report = run_report(site.ledger, run)
    told = report.as_json()
    return {**run_as_json(run), **counts(report), "tallies": told["tallies"], "states": told["states"]}


def counts(report: Report) -> dict[str, object]:
    return {
        "deliveries": report.deliveries,
        "outcomes": {outcome.value: report.total(outcome) for outcome in Outcome},
    }


def _behind(text: str) -> tuple[Any, str]:
    at, run_id = cursors.read(text, [int, str])
    try:
        return instant(int(at)), str(run_id)
    except OverflowError:
        raise Refused(422, "bad-cursor", "this is no cursor", "take it from `next` of the page before") from None
