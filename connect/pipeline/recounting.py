"""The counts of runs from the tables of the destination: what the ledger has counted, counted again.

Events are read in order, each delivery's together, so that memory does not grow with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from connect.ledger.records import EventCount, RunRecord, Tally
from connect.pipeline.correspondence import HistoryTables
from connect.reports.parts import Part
from connect.vocabulary import Channel, Outcome
from connect.warehouses.counting import Told, events_query, outcomes_query
from connect.warehouses.interface import Query, Warehouse, python_values

if TYPE_CHECKING:
    import pyarrow

PATIENCE = timedelta(minutes=10)
_AT_ONCE = 100
"""Runs that one query names."""
_BATCH = 10_000

LinkOf = Callable[[RunRecord, str], str]
"""The link as it stands in the campaign's templates, of one that was clicked; blank where nobody knows."""


def recounted(
    warehouse: Warehouse, tables: HistoryTables, runs: Sequence[RunRecord], zone: str, link_of: LinkOf
) -> list[Part]:
    """Raises UserError where there are no such tables, OutsideError where they can not be read."""
    parts: list[Part] = []
    for start in range(0, len(runs), _AT_ONCE):
        some = runs[start : start + _AT_ONCE]
        names = tuple(run.id for run in some)
        told = Told(tables.deliveries, tables.events, some[0].target, some[0].campaign, names)
        tallies = _tallies(warehouse, told)
        events = _events(warehouse, told, {run.id: run for run in some}, ZoneInfo(zone), link_of)
        parts += [Part(run, tallies.get(run.id, ()), events.get(run.id, ())) for run in some]
    return parts


def _tallies(warehouse: Warehouse, told: Told) -> dict[str, tuple[Tally, ...]]:
    found: dict[str, list[Tally]] = defaultdict(list)
    for row in read_rows(warehouse, outcomes_query(told, warehouse.dialect)):
        run, channel, arm, outcome, reason, count = row
        found[run].append(Tally(Channel(channel), arm or "", Outcome(outcome), reason or "", int(count)))
    return {run: tuple(tallies) for run, tallies in found.items()}


class _Heard(NamedTuple):
    """One event beside its delivery, as the query gives it."""

    run: str
    message_key: str
    channel: str
    arm: str | None
    type: str
    bounce: str | None
    machine: bool | None
    link: str | None
    happened_at: datetime


class _Place(NamedTuple):
    """What a count is of."""

    channel: Channel
    arm: str
    type: str
    bounce: str
    machine: bool
    day: date
    link: str


def _events(
    warehouse: Warehouse, told: Told, runs: Mapping[str, RunRecord], zone: ZoneInfo, link_of: LinkOf
) -> dict[str, tuple[EventCount, ...]]:
    counts: dict[str, Counter[_Place]] = defaultdict(Counter)
    firsts: dict[str, Counter[_Place]] = defaultdict(Counter)
    delivery: tuple[str, str] | None = None
    seen: set[tuple[str, str, bool, str]] = set()
    for row in read_rows(warehouse, events_query(told, warehouse.dialect)):
        one = _Heard(*row)
        if (one.run, one.message_key) != delivery:
            delivery, seen = (one.run, one.message_key), set()
        clicked = link_of(runs[one.run], one.link) if one.link else ""
        for link in dict.fromkeys((clicked, "")):
            place = _place(one, zone, link)
            counts[one.run][place] += link == clicked
            what = (place.type, place.bounce, place.machine, link)
            firsts[one.run][place] += what not in seen
            seen.add(what)
    return {run: tuple(_counts(counts[run], firsts[run])) for run in counts}


def _place(one: _Heard, zone: ZoneInfo, link: str) -> _Place:
    at = one.happened_at if one.happened_at.tzinfo else one.happened_at.replace(tzinfo=UTC)
    day = at.astimezone(zone).date()
    return _Place(Channel(one.channel), one.arm or "", one.type, one.bounce or "", bool(one.machine), day, link)


def _counts(counts: Mapping[_Place, int], firsts: Mapping[_Place, int]) -> Iterator[EventCount]:
    for place, count in counts.items():
        if count or firsts[place]:
            yield EventCount(**place._asdict(), count=count, firsts=firsts[place])


def read_rows(warehouse: Warehouse, query: Query) -> Generator[tuple[Any, ...]]:
    """All rows of a query, in its order, a batch in memory at a time; to be closed by who may not read to the end."""
    with warehouse.read(query, PATIENCE, _BATCH) as batches:
        yield from _cells(batches)


def _cells(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(python_values(column) for column in batch.columns), strict=True)
