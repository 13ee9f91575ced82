"""Events: what was reported about the deliveries of a run, counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import BigInteger, Boolean, Connection, Row, Text, select

from connect.ledger import many, seen
from connect.ledger.many import Given, Insert, ManyRows
from connect.ledger.records import EventCount, Reported
from connect.ledger.tables import EVENTS, RUNS
from connect.vocabulary import Channel


def read(connection: Connection, run_id: str) -> list[EventCount]:
    rows = connection.execute(select(EVENTS).where(EVENTS.c.run_id == run_id))
    # Sorted here: databases differ in how they sort text.
    return sorted(map(_count_of, rows), key=_place)


def _count_of(row: Row[*tuple[object, ...]]) -> EventCount:
    fields = {name: value for name, value in row._mapping.items() if name != "run_id"}
    return EventCount(**{**fields, "channel": Channel(row.channel), "day": date.fromisoformat(row.day)})


def _place(one: EventCount) -> tuple[object, ...]:
    return one.day, one.channel, one.type, one.bounce, one.machine, one.link, one.arm


def count(connection: Connection, events: Sequence[Reported], now: datetime) -> set[bytes]:
    """Count those that are new, once each; returns the names of the new ones, those that are not counted included.

    An event of a run that is not here any more is only remembered.
    """
    new = seen.add(connection, [event.names for event in events], now)
    told = list(_each_once(events, new))
    here = _here(connection, {event.run_id for event in told})
    counted = [event for event in told if event.run_id in here]
    firsts = seen.add(connection, [names for event in counted for names, _ in _firsts_of(event)], now)
    _add(connection, _totals(counted, firsts))
    return new


def _each_once(events: Iterable[Reported], new: set[bytes]) -> Iterator[Reported]:
    left = set(new)
    for event in events:
        if event.names[0] in left:
            left.discard(event.names[0])
            yield event


def _here(connection: Connection, ids: set[str]) -> set[str]:
    listed = sorted(ids - {""})
    return set(connection.execute(select(RUNS.c.id).where(RUNS.c.id.in_(listed))).scalars()) if listed else set()


def _firsts_of(event: Reported) -> Iterator[tuple[seen.Names, str]]:
    """What it may be the first of: its link, and any link at all."""
    yield event.first, ""
    if event.link:
        yield event.first_of_link, event.link


_Key = tuple[str, str, str, str, str, bool, str, str]
_Totals = Mapping[_Key, Sequence[int]]


def _totals(events: Iterable[Reported], firsts: set[bytes]) -> _Totals:
    """Row → how many, and how many of them were first. By when they happened, of those that came together."""
    totals: dict[_Key, list[int]] = defaultdict(lambda: [0, 0])
    left = set(firsts)
    for event in sorted(events, key=lambda event: event.at):
        day = event.day.isoformat()
        row = (event.run_id, event.channel.value, event.arm, event.type, event.bounce, event.machine, day)
        for names, link in _firsts_of(event):
            is_first = names[0] in left
            left.discard(names[0])
            if is_first or link == event.link:
                total = totals[(*row, link)]
                total[0] += link == event.link
                total[1] += is_first
    return totals


_KEYS = ("run_id", "channel", "arm", "type", "bounce", "machine", "day", "link")


def _adding(given: Given) -> Insert:
    insert = given.insert_into(EVENTS)
    totals = {name: EVENTS.c[name] + insert.excluded[name] for name in ("count", "firsts")}
    return insert.on_conflict_do_update(index_elements=EVENTS.primary_key, set_=totals)


_ADD = ManyRows(
    {
        **{name: Boolean() if name == "machine" else Text() for name in _KEYS},
        "count": BigInteger(),
        "firsts": BigInteger(),
    },
    _adding,
)


def _add(connection: Connection, totals: _Totals) -> None:
    # Sorted: two who count for one run then wait for each other's rows, and never both for both.
    rows: list[many.Row] = [(*key, *numbers) for key, numbers in sorted(totals.items())]
    _ADD.run(connection, rows)
