"""Plain international numbers, judged by the patterns of phonenumbers without its forty microseconds a number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_CODE = 3
_KINDS = [
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
]


def is_plainly_valid(text: str) -> bool:
    """Whether this is a valid number in E.164 as it stands. False means that phonenumbers has to be asked."""
    if _E164.fullmatch(text) is None:
        return False
    for length in range(1, _LONGEST_CODE + 1):
        regions = _regions(text[1 : length + 1])
        if regions:
            return _is_valid(text[length + 1 :], regions)
    return False


@dataclass(frozen=True, slots=True)
class _Region:
    """What phonenumbers knows of one region's numbers."""

    leading: re.Pattern[str] | None
    """Where several regions share a country code: how the numbers of this one begin."""
    prefix: re.Pattern[str] | None
    """What is dialled before a number inside the region, and might be taken off one that begins like it."""
    general: re.Pattern[str]
    kinds: tuple[tuple[frozenset[int], re.Pattern[str]], ...]
    """(lengths, pattern) of each kind of number; no lengths is any."""

    def has(self, number: str) -> bool:
        return self.general.fullmatch(number) is not None and any(
            (not lengths or len(number) in lengths) and pattern.fullmatch(number) for lengths, pattern in self.kinds
        )


def _is_valid(number: str, regions: tuple[_Region, ...]) -> bool:
    """The first region that claims a number decides, as in `phonenumbers.is_valid_number`."""
    if number.startswith("0") or any(region.prefix and region.prefix.match(number) for region in regions):
        return False  # leading zeros and national prefixes have rules of their own
    for region in regions:
        if region.leading is not None:
            if region.leading.match(number):
                return region.has(number)
        elif region.has(number):
            return True
    return False


@cache
def _regions(code: str) -> tuple[_Region, ...]:
    """The regions of a country code; none where there is no such code, or where it is of no country."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    names = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if not code.startswith("0") else ()
    if "001" in names:
        return ()
    return tuple(_region(PhoneMetadata.metadata_for_region(name, None)) for name in names)


def _region(metadata: Any) -> _Region:
    described = [getattr(metadata, kind) for kind in _KINDS]
    known = [kind for kind in described if kind is not None and kind.national_number_pattern]
    return _Region(
        re.compile(metadata.leading_digits) if metadata.leading_digits else None,
        re.compile(metadata.national_prefix_for_parsing) if metadata.national_prefix_for_parsing else None,
        re.compile(metadata.general_desc.national_number_pattern),
        tuple((frozenset(kind.possible_length), re.compile(kind.national_number_pattern)) for kind in known),
    )
