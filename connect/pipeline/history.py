"""What a campaign asks of the deliveries before it, and what it needs for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connect.errors import Location, Problem, UserError, raise_errors
from connect.pipeline.sources import OpenSource
from connect.project.campaign import Campaign
from connect.project.destination import Destination
from connect.project.policy import FrequencyCap
from connect.project.project import Project
from connect.project.trigger import Recurring, Scheduled
from connect.vocabulary import Across, Channel, Mode, Personal
from connect.warehouses.destination import deliveries_table, events_table, lacking
from connect.warehouses.history import Cap, History
from connect.warehouses.interface import Column, Query, SqlError, Table, Warehouse

_LOOKING = timedelta(minutes=1)


def destination_of(project: Project) -> Destination | None:
    """Where this project's deliveries are written; None where they are not. Other modes than live have no history."""
    return project.destination if project.mode is Mode.live else None


def open_destination(project: Project, opens: OpenSource) -> Warehouse | None:
    """To write to, apart from where audiences are read: closing those stops nothing here."""
    destination = destination_of(project)
    return opens(project, destination.source) if destination is not None else None


def history_of(project: Project, campaign: Campaign, fire_time: datetime, run: str = "") -> History | None:
    """What a run asks; None where nothing is written, and nothing asked. Raises UserError where it can not be."""
    raise_errors(list(problems(project, campaign, lambda *paths: Location(campaign.file, 1, 1))))
    destination, policy = destination_of(project), campaign.policy
    if destination is None:
        return None
    cap = _cap(policy.frequency_cap, campaign, fire_time) if policy.frequency_cap else None
    return History(
        table=destination.deliveries,
        target=project.target,
        campaign=campaign.name,
        run=run,
        once=policy.once,
        cap=None if campaign.message.transactional else cap,
        waves=_answers(destination, campaign) and _has_waves(campaign),
    )


def _is_beside(destination: Destination, campaign: Campaign) -> bool:
    """Whether the audience is read from the warehouse that the deliveries are in."""
    audience = campaign.audience
    return audience.sql is not None and destination.source == audience.source


def _answers(destination: Destination, campaign: Campaign) -> bool:
    """Whether who was sent something before can be asked with the audience."""
    return _is_beside(destination, campaign) and Personal.id in destination.include


def keeps_apart(project: Project, campaign: Campaign) -> bool:
    """Whether somebody who moves from one wave of a run to another is met once, or their zone stays as it was."""
    destination = project.destination
    return campaign.audience.snapshot or (destination is not None and _answers(destination, campaign))


def _cap(cap: FrequencyCap, campaign: Campaign, fire_time: datetime) -> Cap:
    return Cap(cap.max, fire_time - cap.per, cap.across, campaign.message.topic)


def cap_of(project: Project, campaign: Campaign) -> str:
    """Whose deliveries decide about this campaign's people, as the ledger names it; blank for nobody's."""
    cap = campaign.policy.frequency_cap
    if project.mode is not Mode.live or project.destination is None:
        return ""
    if cap is None or campaign.message.transactional:
        return f"campaign:{campaign.name}" if campaign.policy.once else ""
    named = {Across.all: "all", Across.topic: f"topic:{campaign.message.topic}"}
    return named.get(cap.across, f"campaign:{campaign.name}")


def _has_waves(campaign: Campaign) -> bool:
    """Whether it may have: text messages have quiet hours also where nobody says so."""
    trigger = campaign.trigger
    local = isinstance(trigger, Scheduled | Recurring) and trigger.local_time
    return local or campaign.policy.quiet_hours is not None or Channel.sms in campaign.message.channels


def problems(project: Project, campaign: Campaign, at: Callable[..., Location]) -> Iterator[Problem]:
    """What the gates of a campaign's history lack. `at`: the place of the first of these paths that is written."""
    policy, destination = campaign.policy, project.destination
    asked = "once" if policy.once else "frequency_cap" if policy.frequency_cap else ""
    if not asked:
        return
    place = at(f"policy.{asked}", "policy")
    if destination is None:
        said = f"`{asked}` asks who has heard before, and nothing is written of that"
        hint = "add `destination: {}` to connect.yml, then `connect destination init`"
        yield Problem("history-without-destination", said, hint, place)
    elif not _is_beside(destination, campaign):
        said = f"`{asked}` joins the audience with the deliveries in `{destination.source}`, and is not read from there"
        hint = "keep both in one warehouse: `destination.source` and `audience.source`, and an audience in SQL"
        yield Problem("history-elsewhere", said, hint, place)
    elif Personal.id not in destination.include:
        said = f"`{asked}` goes by people's ids, and the destination does not include them"
        yield Problem("history-without-ids", said, "add `id` to `destination.include`", place)
    if policy.frequency_cap and policy.frequency_cap.across is Across.topic and campaign.message.topic is None:
        said = "`frequency_cap` counts the messages of a topic, and this message has none"
        place = at("policy.frequency_cap.across", "policy.frequency_cap", "policy")
        yield Problem("cap-without-topic", said, "give `message.topic`, or count `across: campaign` or `all`", place)


def must_be_there(warehouse: Warehouse, project: Project) -> None:
    """The tables of the destination are there, with columns that take the rows. Raises UserError where one is not."""
    destination = project.destination
    assert destination is not None
    place = project.tree.key_places.get("destination")
    for table in (deliveries_table(destination.deliveries), events_table(destination.events)):
        found = columns_of(warehouse, table, destination.source, place)
        problem = lacking(table, found, warehouse.dialect.takes)
        if problem is not None:
            raise UserError(replace(problem, location=place))


def columns_of(warehouse: Warehouse, table: Table, source: str, place: Location | None = None) -> Sequence[Column]:
    """Raises UserError where there is no such table, or it may not be read; `place` is where that is asked for."""
    try:
        return warehouse.columns(Query(f"select * from {table.name}", {}), _LOOKING)
    except SqlError:
        said = f"there is no table {table.name} in `{source}` that may be read, and deliveries are written to it"
        hint = "`connect destination init` shows and makes it"
        raise UserError.of("destination-missing", said, hint, place) from None
