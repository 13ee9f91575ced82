"""What Connect does in each of the project's warehouses: the tables that it reads, and those that it writes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connect.pipeline.snapshot import scratch_of
from connect.project.audience import Audience
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.project.text import Text
from connect.warehouses import mentions
from connect.warehouses.interface import Access, Warehouse


@dataclass(frozen=True, slots=True)
class Accesses:
    """To read people and opt-outs; and to write what connect.yml asks for."""

    reading: Access
    writing: Access


def accesses(
    project: Project, campaigns: Iterable[Campaign], warehouses: Mapping[str, Warehouse]
) -> dict[str, Accesses]:
    """Source → what is done there, by what its queries name."""
    campaigns = list(campaigns)
    texts = _texts(project, campaigns)
    return {
        name: Accesses(_reading(texts.get(name, []), warehouse.dialect.sqlglot), _writing(project, campaigns, name))
        for name, warehouse in warehouses.items()
    }


def _texts(project: Project, campaigns: Iterable[Campaign]) -> dict[str, list[Text]]:
    """Source → the queries that are run there."""
    found: dict[str, list[Text]] = {}
    if project.subscriptions is not None:
        found.setdefault(project.subscriptions.source, []).append(project.subscriptions.sql)
    if project.profile is not None:
        found.setdefault(project.profile.source, []).append(project.profile.sql)
    for campaign in campaigns:
        found.setdefault(campaign.audience.source, []).extend(_asked(campaign.audience))
    return found


def _asked(audience: Audience) -> Iterator[Text]:
    if audience.sql is not None:
        yield audience.sql
    if audience.segments is not None:
        yield from (segment.sql for segment in audience.segments.each)


def _reading(texts: Iterable[Text], dialect: str) -> Access:
    return Access(reads=tuple(dict.fromkeys(table for text in texts for table in mentions.tables(text, dialect))))


def _writing(project: Project, campaigns: Iterable[Campaign], source: str) -> Access:
    """Whatever else is written to a warehouse belongs here too."""
    into = project.subscriptions
    history = project.destination
    tables: tuple[str, ...] = (into.write,) if into and into.write and into.source == source else ()
    tables += (history.deliveries, history.events) if history and history.source == source else ()
    copies = any(campaign.audience.snapshot and campaign.audience.source == source for campaign in campaigns)
    return Access(
        adds=tables,
        makes=(scratch_of(project, source) or "",) if copies else (),
    )
