"""Where somebody is, as far as a row says: the zone that a column names, or what a phone number tells.

What a number tells depends only on how it begins (`start_of`), so that a warehouse can list the beginnings of an
audience's numbers and all of its zones are known before anybody is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import available_timezones

DIGITS = 9
"""No entry of the tables of phonenumbers is longer."""
FEW_DIGITS = 4
"""Enough for nearly all of them; and few enough that an audience of millions has some hundreds."""


class Place(NamedTuple):
    """Where somebody is."""

    zones: tuple[str, ...] = ()
    """IANA names; several where a number may be in any of them, none where nothing is known."""
    country: str = ""
    """ISO 3166; blank where it is not known."""


# Columns


def zone_of(timezone: object, region_code: object = None) -> str | None:
    """The IANA zone that one of these cells names, in any case of its letters; the first one counts."""
    return _named(timezone) or _named(region_code)


def _named(cell: object) -> str | None:
    return _zones().get(cell) or _zones().get(cell.strip().lower()) if isinstance(cell, str) else None


@cache
def _zones() -> dict[str, str]:
    """Every zone by its name, and by its name in lower case."""
    names = available_timezones() - {"Factory", "localtime"}  # of no place, and of wherever this machine stands
    return {name.lower(): name for name in names} | {name: name for name in names}


@cache
def zone_country(zone: str) -> str:
    """The country that a zone is in (ISO 3166); blank for zones of no country, such as UTC."""
    from babel.core import get_global

    canonical = get_global("zone_aliases").get(zone, zone)
    country = str(get_global("zone_territories").get(canonical, ""))
    return "" if country in ("001", "ZZ") else country


# Phone numbers

_PLAIN = re.compile(rf"\+[0-9]{{{DIGITS}}}")
_NOT_DIGIT = re.compile(r"[^0-9]+")


def start_of(number: object) -> str:
    """The `+` and the first nine digits of an international number, however it is written; blank where it is none."""
    if not isinstance(number, str):
        return ""
    if _PLAIN.match(number):
        return number[: DIGITS + 1]
    digits = _NOT_DIGIT.sub("", number)[:DIGITS] if number.strip().startswith("+") else ""
    return f"+{digits}" if digits else ""


def phone_place(start: str) -> Place:
    """What the first nine digits of a number tell. `start` is what `start_of` gives.

    Its zones are one for a fixed line, all of the country's for most mobiles, none where that is unknown.
    """
    return _only_place(start[: FEW_DIGITS + 1]) or _place(start)


@lru_cache(maxsize=65536)
def _place(start: str) -> Place:
    digits = start[1:]
    return Place(_zones_of(digits), _country_of(digits)) if digits else Place()


@lru_cache(maxsize=16384)
def _only_place(start: str) -> Place | None:
    """Where all numbers are that begin so, if the further digits tell nothing more: then they need not be looked at."""
    places = set(phone_places(start)) if len(start) > FEW_DIGITS else set()
    return places.pop() if len(places) == 1 else None


def phone_places(start: str) -> Iterator[Place]:
    """Every place that numbers with this shorter beginning (`+` and four digits) may be in, and a few more."""
    digits = start[1:]
    countries = _countries(digits)
    zones = {_zones_of(digits), *(_zones_of(longer) for longer in _table() if longer.startswith(digits))}
    zones |= {_zones_of(moving) for moving in _MOVING if moving.startswith(digits)}
    return (Place(some, country) for some in sorted(zones) for country in countries)


# Mobile numbers, which people keep wherever they go in a country of several zones, and for which the table of
# phonenumbers names the largest city: how they begin → the entry of their country. The others of this kind have all
# zones of their country there.
_MOVING = {"614": "61", "79": "7", "346": "34", "628": "62", "642": "64"}  # Australia, Russia, Spain, Indonesia, NZ
_MOVING |= {"5939": "593", "9768": "976", "9769": "976"}  # Ecuador, Mongolia
_MOVING |= {"2992": "299", "2994": "299", "2995": "299"}  # Greenland
_KAZAKH = "77"  # shares +7 with Russia


def _zones_of(digits: str) -> tuple[str, ...]:
    moving = next((code for begins, code in _MOVING.items() if digits.startswith(begins)), None)
    if moving is None:
        return _longest(digits)
    return tuple(zone for zone in _table()[moving] if moving != "7" or zone not in _table()[_KAZAKH])


def _longest(digits: str) -> tuple[str, ...]:
    """As `phonenumbers.timezone.time_zones_for_geographical_number`, of which this is the whole."""
    found = (_table().get(digits[:length]) for length in range(min(DIGITS, len(digits)), 0, -1))
    return next((zones for zones in found if zones), ())


@cache
def _table() -> dict[str, tuple[str, ...]]:
    """How numbers begin → the zones that are known on this machine."""
    from phonenumbers.tzdata import TIMEZONE_DATA

    return {begins: tuple(zone for zone in zones if zone in _zones()) for begins, zones in TIMEZONE_DATA.items()}


def all_phone_zones() -> set[tuple[str, ...]]:
    """All the zones that `phone_place` can give, but none."""
    return {_zones_of(begins) for begins in (*_table(), *_MOVING)}


@cache
def _regions(code: str) -> tuple[str, ...]:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    names = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if code.isdigit() and not code.startswith("0") else ()
    return tuple(name for name in names if name != "001")


def _code_of(digits: str) -> str:
    """The country code that a number begins with; blank where there is none."""
    return next((digits[:end] for end in (1, 2, 3) if _regions(digits[:end])), "")


_COUNTRY_DIGITS = {"1": FEW_DIGITS, "262": 8, "590": 8}
"""So many digits tell the country where several share a code; 7 for the other codes. An area code of +1 is of one."""


def _country_of(digits: str) -> str:
    code = _code_of(digits)
    regions = _regions(code)
    if len(regions) < 2:
        return "".join(regions)
    return _completed(digits[: _COUNTRY_DIGITS.get(code, 7)]) or regions[0]


@lru_cache(maxsize=65536)
def _completed(digits: str) -> str:
    """The country of the longest valid number that begins so; blank if there is none.

    Short ones are services: `310 xxxx` is one of Canada, and +1 310 is Los Angeles.
    """
    import phonenumbers

    for length in range(15, max(len(digits), 7) - 1, -1):
        number = phonenumbers.parse("+" + digits.ljust(length, "2"), None)
        if region := phonenumbers.region_code_for_number(number):
            return str(region)
    return ""


def _countries(digits: str) -> tuple[str, ...]:
    """Every country that numbers with this beginning may be of."""
    code = _code_of(digits)
    whole = len(_regions(code)) < 2 or (code == "1" and len(digits) >= FEW_DIGITS)
    return (_country_of(digits),) if whole else _regions(code)
