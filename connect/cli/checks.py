"""Campaigns held against their warehouses, for commands that show what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from connect import wiring
from connect.clock import SystemClock
from connect.errors import ConnectError, OutsideError
from connect.liquid.library import Library
from connect.pipeline import firing
from connect.pipeline.accounts import providers_of, reaches_people, route_problems
from connect.pipeline.checking import Checked, check_campaign
from connect.project.campaigns import Loaded, load_campaign, load_campaigns
from connect.project.load import templates
from connect.vocabulary import CampaignStatus

if TYPE_CHECKING:
    from connect.project.project import Project


def check_campaigns(project: Project, names: list[str], *, ask_warehouse: bool) -> list[Checked]:
    """Each named campaign, or all of them, with everything that is wrong."""
    loaded = {name: load_campaign(project, name) for name in names} if names else load_campaigns(project)
    library = Library(templates(project.root))
    return [_check(project, name, one, library, ask_warehouse) for name, one in loaded.items()]


def _check(project: Project, name: str, loaded: Loaded, library: Library, ask_warehouse: bool) -> Checked:
    now = SystemClock().now()
    checked = _checked(project, name, loaded, library, ask_warehouse, now)
    return replace(checked, problems=(*checked.problems, *firing.warnings(loaded, now)))


def _checked(
    project: Project, name: str, loaded: Loaded, library: Library, ask_warehouse: bool, now: datetime
) -> Checked:
    if loaded.campaign is None or not ask_warehouse:
        return check_campaign(project, loaded, name, library, None, now, goes_live=False)
    warehouse = wiring.open_warehouse(project, loaded.campaign.audience.source)
    try:
        accounts = wiring.open_accounts(project, providers_of(loaded.campaign))
        goes_live = loaded.campaign.status is CampaignStatus.live and reaches_people(accounts)
        checked = check_campaign(project, loaded, name, library, warehouse, now, goes_live=goes_live)
        return replace(checked, problems=(*checked.problems, *route_problems(loaded.campaign, accounts)))
    except ConnectError as outside:
        return Checked(
            name, loaded.campaign, (*loaded.problems, *outside.problems), outside=isinstance(outside, OutsideError)
        )
    finally:
        warehouse.close()
