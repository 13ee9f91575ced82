"""A campaign's report as people ask for it: the ledger's counts, or the warehouse's, and who converted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from connect.errors import ConnectError, UserError
from connect.ledger.records import RunRecord
from connect.ledger.store import Ledger
from connect.pipeline.clicked import Clicked
from connect.pipeline.conversions import converted, problems
from connect.pipeline.correspondence import HistoryTables, history_tables
from connect.pipeline.recounting import LinkOf, recounted
from connect.pipeline.reporting import Wanted, counted, counting_runs, report_of
from connect.project.campaign import Campaign
from connect.project.campaigns import campaign_names, load_campaign
from connect.project.project import Project
from connect.reports.counts import Report
from connect.reports.parts import Asking, Part
from connect.vocabulary import Mode
from connect.warehouses.interface import Warehouse

_RUNS_LINKS = 16
"""Campaigns whose links are kept at a time: one for each time that its templates have changed."""

OpenWarehouse = Callable[[str], Warehouse]


@dataclass(frozen=True)
class Inquiry:
    """Where reports are asked for."""

    project: Project
    ledger: Ledger
    opens: OpenWarehouse
    now: datetime

    def report(self, campaign: str, wanted: Wanted = Wanted(), *, from_warehouse: bool = False) -> Report:
        """The newest runs of a campaign, added up. The warehouse is asked only for what the ledger does not have.

        With `from_warehouse` everything is counted in the tables of the destination: raises UserError where there are
        none, OutsideError where they can not be read.
        """
        runs, more = counting_runs(self.ledger, campaign, wanted)
        parts = self._recounted(runs) if from_warehouse else [counted(self.ledger, run) for run in runs]
        asking, parts = self._converted(campaign, parts)
        report = report_of(campaign, parts, self.project.timezone)
        return replace(report, period=wanted.period, more=more, asking=asking, from_warehouse=from_warehouse)

    def _recounted(self, runs: Sequence[RunRecord]) -> list[Part]:
        tables = history_tables(self.project)
        if tables is None:
            said, hint = "connect.yml does not say where deliveries are written", "add `destination: {}` to connect.yml"
            raise UserError.of("no-destination", said, hint)
        if any(run.mode is not Mode.live for run in runs):
            said = "only live runs are written into the destination, and this campaign has not run live"
            raise UserError.of("never-ran", said, "leave out `--from-warehouse`")
        with closing(self.opens(tables.source)) as warehouse:
            return recounted(warehouse, tables, runs, self.project.timezone, self._link_of())

    def _link_of(self) -> LinkOf:
        """Each run's links, read once."""
        base = self.project.serve.base_url

        @lru_cache(maxsize=_RUNS_LINKS)
        def links(campaign_json: str) -> Clicked:
            return Clicked.of(campaign_json, base)

        return lambda run, url: links(run.campaign_json).link(url)

    def _converted(self, name: str, parts: list[Part]) -> tuple[Asking | None, list[Part]]:
        """What could not be asked is told: the rest of the report is as good without it."""
        campaign, tables = self._campaign(name), history_tables(self.project)
        if campaign is None or campaign.conversions is None or not parts or parts[0].run.mode is not Mode.live:
            return None, parts
        within = campaign.conversions.within
        try:
            for problem in problems(self.project, campaign, None, self.now):
                return Asking(within, problem.message), parts
            assert tables is not None
            return Asking(within), self._with_conversions(campaign, tables, parts)
        except ConnectError as error:
            return Asking(within, error.problems[0].message), parts

    def _with_conversions(self, campaign: Campaign, tables: HistoryTables, parts: Sequence[Part]) -> list[Part]:
        assert campaign.conversions is not None
        oldest = min(part.run.fire_time for part in parts)
        place = self.project.target, campaign.name
        values = {"since": oldest, "until": self.now}
        with closing(self.opens(tables.source)) as warehouse:
            found = converted(campaign.conversions, warehouse, tables, place, self.project.timezone, values)
        return [replace(part, conversions=found.get(part.run.id, ())) for part in parts]

    def _campaign(self, name: str) -> Campaign | None:
        """None where its file is gone, or wrong: that is nothing to a report."""
        return load_campaign(self.project, name).campaign if name in campaign_names(self.project) else None
