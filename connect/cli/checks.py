"""Campaigns held against their warehouses, for commands that show what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from connect import wiring
from connect.clock import SystemClock
from connect.errors import ConnectError, OutsideError, Problem
from connect.liquid.library import Library
from connect.pipeline import conversions, deliverability, firing, hearing
from connect.pipeline.accounts import Accounts, providers_of, reaches_people, route_problems
from connect.pipeline.checking import Checked, check_campaign
from connect.pipeline.history import keeps_apart
from connect.pipeline.senders import is_free_mail, sender, signings
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded, load_campaign, load_campaigns
from connect.project.load import templates
from connect.project.message import EmailContent
from connect.vocabulary import CampaignStatus

if TYPE_CHECKING:
    from connect.pipeline.domains import Lookups, Records
    from connect.pipeline.senders import Sender
    from connect.project.project import Project
    from connect.warehouses.interface import Warehouse


def check_campaigns(
    project: Project, names: list[str], *, ask_warehouse: bool, lookups: Lookups | None = None
) -> list[Checked]:
    """Each named campaign, or all of them, with everything that is wrong; with `lookups`, also in the DNS."""
    loaded = {name: load_campaign(project, name) for name in names} if names else load_campaigns(project)
    library = Library(templates(project.root))
    checked = [_check(project, name, one, library, ask_warehouse) for name, one in loaded.items()]
    return [_looked_up(project, one, lookups) for one in checked] if lookups else checked


def _check(project: Project, name: str, loaded: Loaded, library: Library, ask_warehouse: bool) -> Checked:
    now = SystemClock().now()
    checked = _checked(project, name, loaded, library, ask_warehouse, now)
    kept_apart = loaded.campaign is not None and keeps_apart(project, loaded.campaign)
    return replace(checked, problems=(*checked.problems, *firing.warnings(loaded, now, kept_apart=kept_apart)))


def _checked(
    project: Project, name: str, loaded: Loaded, library: Library, ask_warehouse: bool, now: datetime
) -> Checked:
    if loaded.campaign is None:
        return check_campaign(project, loaded, name, library, None, now, goes_live=False)
    warehouse = wiring.open_audience(project, loaded.campaign.audience) if ask_warehouse else None
    try:
        accounts = wiring.open_accounts(project, providers_of(loaded.campaign))
        reaches = reaches_people(accounts)
        goes_live = loaded.campaign.status is CampaignStatus.live and reaches
        checked = check_campaign(
            project, loaded, name, library, warehouse, now, goes_live=goes_live, reaches_people=reaches
        )
        notes = _reservations(warehouse, loaded.campaign.audience.source) if warehouse else ()
        problems = (*checked.problems, *route_problems(loaded.campaign, accounts), *hearing.warnings(project, accounts))
        opens = partial(wiring.open_warehouse, project) if ask_warehouse else None
        problems = (*problems, *conversions.problems(project, loaded.campaign, opens, now))
        return replace(checked, problems=problems, notes=(*checked.notes, *notes))
    except ConnectError as outside:
        return Checked(
            name, loaded.campaign, (*loaded.problems, *outside.problems), outside=isinstance(outside, OutsideError)
        )
    finally:
        if warehouse is not None:
            warehouse.close()


def _reservations(warehouse: Warehouse, source: str) -> tuple[str, ...]:
    """What the warehouse can not promise."""
    return tuple(f"source {source}: {said}" for said in warehouse.capabilities.reservations)


def mail_warnings(project: Project) -> dict[str, list[Problem]]:
    """What may keep messages from being seen: for each campaign in whose files nothing is wrong."""
    library = Library(templates(project.root))
    found = {}
    for name, loaded in load_campaigns(project).items():
        if loaded.campaign is not None and _check(project, name, loaded, library, ask_warehouse=False).sound:
            accounts = wiring.open_accounts(project, providers_of(loaded.campaign))
            found[name] = deliverability.warnings(
                project, loaded.campaign, library, reaches_people=reaches_people(accounts)
            )
    return found


def _looked_up(project: Project, checked: Checked, lookups: Lookups) -> Checked:
    found = [*domains_of(project, checked.campaign, lookups)] if checked.campaign else []
    problems = [replace(problem, location=at.location) for at, records in found for problem in records.problems]
    notes = dict.fromkeys(note for _, records in found for note in records.notes)
    return replace(checked, problems=(*checked.problems, *problems), notes=(*checked.notes, *notes))


def domains_of(project: Project, campaign: Campaign, lookups: Lookups) -> Iterator[tuple[Sender, Records]]:
    """Each domain that the campaign's e-mails are from, and what the DNS says of it."""
    from connect.pipeline.domains import look_up

    accounts = wiring.open_accounts(project, providers_of(campaign))
    for content in campaign.message.content:
        found = sender(content) if isinstance(content, EmailContent) else None
        if found is not None and not is_free_mail(found.domain):
            assert isinstance(content, EmailContent)
            signed = signings(project, content)
            elsewhere = _reaching(content, accounts) - signed.keys()
            yield found, look_up(found.domain, [*chain(*signed.values())], elsewhere, lookups)


def _reaching(content: EmailContent, accounts: Accounts) -> set[str]:
    return {name for name in content.provider.names if accounts[name][0].capabilities.reaches_people}
