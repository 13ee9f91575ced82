"""Who converted after a campaign's messages: asked of the warehouse when a report is asked for, and never kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from connect.errors import Problem, UserError
from connect.pipeline.correspondence import HistoryTables
from connect.pipeline.mistakes import placed_in
from connect.pipeline.recounting import PATIENCE, read_rows
from connect.project.campaign import Campaign
from connect.project.conversions import Conversions
from connect.project.project import Project
from connect.reports.parts import ConversionCount, Via
from connect.vocabulary import Channel, Personal
from connect.warehouses import query
from connect.warehouses.conversions import Converting, conversions_query, converting
from connect.warehouses.counting import Told
from connect.warehouses.interface import Warehouse

OpenWarehouse = Callable[[str], Warehouse]
MAY_BIND = ("since", "until")
"""The fire time of the oldest run that the report counts, and now."""


def problems(project: Project, campaign: Campaign, opens: OpenWarehouse | None, now: datetime) -> Iterator[Problem]:
    """What is wrong with a campaign's query of conversions; without a way to its warehouse, what can be told so."""
    asked, destination = campaign.conversions, project.destination
    if asked is None:
        return
    if destination is None:
        hint = "add `destination: {}` to connect.yml, then `connect destination init`"
        said = "`conversions` are joined with what was sent, and nothing is written of that"
        yield Problem("conversions-without-destination", said, hint, asked.sql.at(0))
    elif asked.source not in ("", destination.source):
        said = f"`conversions` are read from `{asked.source}`, and what was sent is in `{destination.source}`"
        yield Problem("conversions-elsewhere", said, "keep both in one warehouse", asked.sql.at(0))
    elif Personal.id not in destination.include:
        said = "`conversions` go by people's ids, and the destination does not include them"
        yield Problem("conversions-without-ids", said, "add `id` to `destination.include`", asked.sql.at(0))
    elif opens is not None:
        with closing(opens(destination.source)) as warehouse:
            yield from _looked_at(asked, warehouse, now)


def _looked_at(asked: Conversions, warehouse: Warehouse, now: datetime) -> Iterator[Problem]:
    found = query.check(asked.sql, dialect=warehouse.dialect.sqlglot, parameters=MAY_BIND, clock_warehouse=True)
    told = [problem for problem in found if problem.code != "unused-parameter"]
    yield from told
    if not told:
        try:
            _converting(asked, warehouse, {"since": now, "until": now})
        except UserError as error:
            yield from error.problems


def _converting(asked: Conversions, warehouse: Warehouse, values: Mapping[str, object]) -> Converting:
    """Raises UserError at the place in the query that is wrong."""
    bound = query.bound(asked.sql, warehouse.dialect, values)
    with placed_in(asked.sql, asked.sql.file, warehouse.dialect):
        return converting(bound, warehouse.columns(bound, PATIENCE), warehouse.dialect)


class _Converted(NamedTuple):
    """A conversion beside the delivery that it counts for, as the query gives it."""

    run: str
    message_key: str
    channel: str
    arm: str | None
    sent_at: datetime
    at: datetime | date
    value: Any
    clicked_at: datetime | None
    opened_at: datetime | None

    @property
    def instant(self) -> datetime:
        return _aware(self.at)

    @property
    def via(self) -> Via:
        """What had been reported of the message by then."""
        for via, at in ((Via.clicked, self.clicked_at), (Via.opened, self.opened_at)):
            if at is not None and _aware(at) <= self.instant:
                return via
        return Via.received


def _aware(at: datetime | date) -> datetime:
    """In UTC where it has no zone; a date is its midnight."""
    instant = at if isinstance(at, datetime) else datetime(at.year, at.month, at.day, tzinfo=UTC)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


class _Place(NamedTuple):
    """What a count is of."""

    run: str
    channel: Channel
    arm: str
    via: Via
    day: date


@dataclass
class _Sum:
    count: int = 0
    firsts: int = 0
    value: Decimal | None = None

    def add(self, value: Any, is_first: bool) -> None:
        self.count += 1
        self.firsts += is_first
        number = _number(value)
        if number is not None:
            self.value = (self.value or Decimal(0)) + number


def _number(value: Any) -> Decimal | None:
    """None of what is missing, and of what no sum can hold. Raises UserError for what is no number."""
    if value is None:
        return None
    if not isinstance(value, int | float | Decimal):
        said = "`value` of the query of conversions is no number, and would be added up"
        raise UserError.of("conversions-columns", said, "`cast(… as decimal(18, 2)) as value`, or leave it out")
    number = Decimal(str(value))
    return number if number.is_finite() else None


def converted(
    asked: Conversions,
    warehouse: Warehouse,
    tables: HistoryTables,
    place: tuple[str, str],
    zone: str,
    values: Mapping[str, object],
) -> dict[str, tuple[ConversionCount, ...]]:
    """Run → who converted after what it sent. `place` is target and campaign; `values` are those of MAY_BIND.

    Raises UserError at the place in the query that is wrong, and OutsideError where the warehouse is in the way.
    """
    found = _converting(asked, warehouse, values)
    told = Told(tables.deliveries, tables.events, *place, runs=())
    joined = conversions_query(found, told, warehouse.dialect)
    with placed_in(asked.sql, asked.sql.file, warehouse.dialect), closing(read_rows(warehouse, joined)) as read:
        rows = map(_Converted._make, read)
        return _counted((row for row in rows if row.instant - _aware(row.sent_at) <= asked.within), ZoneInfo(zone))


def _counted(rows: Iterable[_Converted], zone: ZoneInfo) -> dict[str, tuple[ConversionCount, ...]]:
    """Each delivery's conversions come together, the earliest first."""
    sums: dict[_Place, _Sum] = defaultdict(_Sum)
    delivery: tuple[str, str] | None = None
    for row in rows:
        day = row.instant.astimezone(zone).date()
        place = _Place(row.run, Channel(row.channel), row.arm or "", row.via, day)
        sums[place].add(row.value, delivery != (row.run, row.message_key))
        delivery = row.run, row.message_key
    found: dict[str, list[ConversionCount]] = defaultdict(list)
    for place, sum in sums.items():
        told = place.channel, place.arm, place.via, place.day
        found[place.run].append(ConversionCount(*told, sum.count, sum.firsts, sum.value))
    return {run: tuple(counts) for run, counts in found.items()}
