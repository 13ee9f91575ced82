"""Where somebody is: zones by name, and what a number tells by how it begins."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType, timezone

from connect.channels.zones import (
    FEW_DIGITS,
    Place,
    all_phone_zones,
    phone_place,
    phone_places,
    start_of,
    zone_country,
    zone_of,
)

KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.TOLL_FREE, PhoneNumberType.VOIP)
EXAMPLES = [
    (region, kind, number)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in KINDS
    if (number := phonenumbers.example_number_for_type(region, kind))
]


def phone_zones(number):
    return phone_place(start_of(number)).zones


def phone_country(number):
    return phone_place(start_of(number)).country


def e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


@pytest.mark.parametrize(
    ("timezone", "region", "zone"),
    [
        ("Australia/Sydney", None, "Australia/Sydney"),
        (" australia/sydney ", None, "Australia/Sydney"),
        ("AMERICA/NEW_YORK", "Europe/Paris", "America/New_York"),
        (None, "Europe/Paris", "Europe/Paris"),
        ("Sydney", "Europe/Paris", "Europe/Paris"),
        ("", "", None),
        ("+10:00", None, None),
        ("localtime", None, None),
        ("Factory", None, None),
        (10, 3.5, None),
        ("../../etc/passwd", None, None),
    ],
)
def test_the_zone_that_a_row_names(timezone: object, region: object, zone: str | None) -> None:
    assert zone_of(timezone, region) == zone


def test_every_zone_is_known_in_any_case() -> None:
    for name in available_timezones() - {"Factory", "localtime"}:
        assert zone_of(name) == name
        assert ZoneInfo(zone_of(name.upper()) or "").key.lower() == name.lower()


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("America/Sao_Paulo", "BR"),
        ("Brazil/East", "BR"),
        ("Asia/Kolkata", "IN"),
        ("Asia/Calcutta", "IN"),
        ("Asia/Almaty", "KZ"),
        ("US/Eastern", "US"),
        ("UTC", ""),
        ("Etc/GMT+3", ""),
    ],
)
def test_the_country_of_a_zone(zone: str, country: str) -> None:
    assert zone_country(zone) == country


@pytest.mark.parametrize(
    ("number", "start"),
    [
        ("+61412345678", "+614123456"),
        ("  +61 412-345 (678)", "+614123456"),
        ("+1 (212) 555-1234", "+121255512"),
        ("0412 345 678", ""),
        ("61412345678", ""),
        ("+", ""),
        ("+12", "+12"),
        ("", ""),
        (None, ""),
        (61412345678, ""),
    ],
)
def test_how_a_number_begins(number: object, start: str) -> None:
    assert start_of(number) == start


@pytest.mark.parametrize(
    ("number", "zones", "country"),
    [
        ("+12125551234", ("America/New_York",), "US"),
        ("+1 415 555 2671", ("America/Los_Angeles",), "US"),
        ("+14165551234", ("America/Toronto",), "CA"),
        ("+13105551234", ("America/Los_Angeles",), "US"),
        ("+18765551234", ("America/Jamaica",), "JM"),
        ("+442079460958", ("Europe/London",), "GB"),
        ("+5511987654321", ("America/Sao_Paulo",), "BR"),
        ("+77011234567", ("Asia/Almaty", "Asia/Aqtobe"), "KZ"),
        ("+74951234567", ("Europe/Moscow",), "RU"),
        ("+351912345678", ("Atlantic/Azores", "Europe/Lisbon"), "PT"),
        ("+34612345678", ("Atlantic/Canary", "Europe/Madrid"), "ES"),
        ("+61299999999", ("Australia/Sydney",), "AU"),
        ("+80012345678", (), ""),
        ("+999123456", (), ""),
        ("nobody", (), ""),
    ],
)
def test_what_a_number_tells(number: str, zones: tuple[str, ...], country: str) -> None:
    assert (phone_zones(number), phone_country(number)) == (zones, country)


def test_an_australian_mobile_may_be_anywhere_in_australia() -> None:
    zones = phone_zones("+61412345678")
    assert {"Australia/Perth", "Australia/Sydney", "Australia/Lord_Howe", "Indian/Cocos"} <= set(zones)


def test_a_russian_mobile_may_be_anywhere_in_russia_and_is_not_in_kazakhstan() -> None:
    zones = set(phone_zones("+79161234567"))
    assert {"Asia/Vladivostok", "Europe/Moscow"} <= zones
    assert "Asia/Almaty" not in zones


def test_the_country_is_what_phonenumbers_says_of_the_whole_number() -> None:
    """For an example of every region and kind: no more than nine digits are needed."""
    wrong = [e164(number) for _, _, number in EXAMPLES if phone_country(e164(number)) != _region(number)]
    assert wrong == []


def test_so_it_is_for_any_number_of_countries_that_share_a_code() -> None:
    random, asked = Random(7), 0
    people = [one for one in EXAMPLES if one[1] != PhoneNumberType.TOLL_FREE]  # one of +1 800 is Dominican
    for region, _, number in people:
        text, shared = e164(number)[1:], phonenumbers.COUNTRY_CODE_TO_REGION_CODE[number.country_code]
        for _ in range(20 if len(shared) > 1 else 0):
            kept = random.randrange(len(str(number.country_code)) + 1, len(text) + 1)
            other = text[:kept] + "".join(random.choice("0123456789") for _ in text[kept:])
            parsed = phonenumbers.parse(f"+{other}", None)
            if phonenumbers.is_valid_number(parsed):
                asked += 1
                assert phone_country(f"+{other}") == _region(parsed), region
    assert asked > 1000


def _region(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.region_code_for_number(number) or ""


def test_a_fixed_line_is_where_phonenumbers_says() -> None:
    for _, kind, number in EXAMPLES:
        if kind is PhoneNumberType.FIXED_LINE:
            expected = timezone.time_zones_for_geographical_number(number)
            assert phone_zones(e164(number)) == tuple(zone for zone in expected if zone != "Etc/Unknown")


def test_no_mobile_is_taken_to_be_in_one_city_of_a_country_with_several_zones() -> None:
    """phonenumbers knows the zones of a mobile's country, and of the countries that share its code."""
    for region, kind, number in EXAMPLES:
        if kind is PhoneNumberType.MOBILE and number.country_code != 1:
            possible = {zone for zone in timezone.time_zones_for_number(number) if zone_country(zone) == region}
            assert _clocks(possible) <= _clocks(phone_zones(e164(number))), region


def _clocks(zones: Iterable[str]) -> set[tuple[timedelta | None, ...]]:
    """How zones differ: their offsets in each month."""
    return {tuple(ZoneInfo(zone).utcoffset(datetime(2026, month, 1)) for month in range(1, 13)) for zone in zones}


def test_the_first_four_digits_foretell_every_place() -> None:
    for _, _, number in EXAMPLES:
        start = start_of(e164(number))
        assert phone_place(start) in set(phone_places(start[: FEW_DIGITS + 1]))
    for zones in all_phone_zones():
        assert all(ZoneInfo(zone) for zone in zones)


def test_the_places_of_all_beginnings_are_few() -> None:
    assert max(len(list(phone_places(f"+{digits}"))) for digits in range(1000, 10_000, 7)) < 40


def test_the_places_of_a_short_or_strange_beginning() -> None:
    assert set(phone_places("+1")) >= {Place(("America/New_York",), "US"), Place(("America/Toronto",), "CA")}
    assert set(phone_places("+0000")) == {Place()}
