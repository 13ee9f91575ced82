"""Where the people of an audience are: row by row from its columns, and all of them at once from its warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from connect.channels.zones import Place, phone_place, phone_places, start_of, zone_country, zone_of
from connect.warehouses.interface import Warehouse
from connect.warehouses.wrapping import PHONE, REGION, TIMEZONE, Wrapping

_REMEMBERED = 100_000
_BATCH_ROWS = 4096
_NOWHERE = Place()


class Places:
    """Where the person of a row is: the zone of `timezone`, else of `region_code`, else what their number tells.

    Their country is their number's, else their zone's. `phone` is the column of the number. What was found is
    remembered by what it came from, which is never a number.
    """

    def __init__(self, phone: str) -> None:
        self._names = ("timezone", "region_code", phone)
        self._known: dict[tuple[object, object, Place], Place] = {}

    def over(self, columns: Mapping[str, Sequence[Any]]) -> Callable[[int], Place]:
        """Bound to a batch of rows."""
        zones, regions, numbers = (_column(columns, name) for name in self._names)

        def place(row: int) -> Place:
            zone = zones[row] if zones else None
            region = regions[row] if regions else None
            return self._of(zone, region, phone_place(start_of(numbers[row])) if numbers else _NOWHERE)

        return place

    def _of(self, zone: object, region: object, number: Place) -> Place:
        if not (zone is None or isinstance(zone, str)) or not (region is None or isinstance(region, str)):
            return _place(zone_of(zone, region), number)
        told = zone, region, number
        if told not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[told] = _place(zone_of(zone, region), number)
        return self._known[told]


def places_of(warehouse: Warehouse, wrapping: Wrapping, phone: str, timeout: timedelta) -> set[Place]:
    """Every place that somebody of an audience is in, and a few more; asked in one query.

    Numbers are asked for by their first four digits, of which millions of people have some hundreds. Where more
    digits would tell more, every place that they could tell is one.
    """
    query = wrapping.zones_query(phone)
    if query is None:
        return {Place()}
    found: set[Place] = set()
    with warehouse.read(query, timeout, _BATCH_ROWS) as batches:
        for batch in batches:
            cells = zip(*(batch.column(name).to_pylist() for name in (TIMEZONE, REGION, PHONE)), strict=True)
            for zone, region, start in cells:
                found.update(_possible(zone_of(zone, region), start or ""))
    return found


def _possible(zone: str | None, start: str) -> Iterator[Place]:
    numbers: Iterable[Place] = phone_places(start) if start.startswith("+") else (Place(),)
    return (_place(zone, number) for number in numbers)


def _place(zone: str | None, number: Place) -> Place:
    return Place((zone,), number.country or zone_country(zone)) if zone else number


def _column(columns: Mapping[str, Sequence[Any]], name: str) -> Sequence[Any] | None:
    """As `connect.warehouses.wrapping.find`: as it is written, else in another case."""
    if name in columns:
        return columns[name]
    folded = [each for each in columns if each.casefold() == name.casefold()]
    return columns[folded[0]] if folded else None
