"""Plain international numbers, judged by the patterns of phonenumbers without its forty microseconds a number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_CODE = 3
_KINDS = [
    "mobile",
    "fixed_line",
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
]


def is_plainly_valid(text: str) -> bool:
    """Whether this is a valid number in E.164 as it stands. False means that phonenumbers has to be asked."""
    if _E164.fullmatch(text) is None:
        return False
    for end in range(2, _LONGEST_CODE + 2):
        country = _country(text[1:end])
        if country is not None:
            return country.has(text[end:])
    return False


@dataclass(frozen=True, slots=True)
class _Country:
    """What phonenumbers knows of the numbers behind one country code."""

    special: re.Pattern[str]
    """How numbers begin that have rules of their own: with a zero, or as what is dialled inside a region does."""
    regions: tuple[tuple[re.Pattern[str] | None, re.Pattern[str]], ...]
    """(how the region's numbers begin, where several share the code; what they are) of each region."""

    def has(self, number: str) -> bool:
        """The first region that claims a number decides, as in `phonenumbers.is_valid_number`."""
        if self.special.match(number):
            return False
        for leading, valid in self.regions:
            if leading is None:
                if valid.fullmatch(number):
                    return True
            elif leading.match(number):
                return valid.fullmatch(number) is not None
        return False


@cache
def _country(code: str) -> _Country | None:
    """None where there is no such code, or where it is of no country."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    names = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if not code.startswith("0") else ()
    if not names or "001" in names:
        return None
    regions: list[Any] = [PhoneMetadata.metadata_for_region(name, None) for name in names]
    prefixes = {region.national_prefix_for_parsing for region in regions} - {None, ""}
    special = "|".join(["0", *(f"(?:{prefix})" for prefix in sorted(prefixes))])
    return _Country(re.compile(special), tuple((_leading(region), _valid(region)) for region in regions))


def _leading(region: Any) -> re.Pattern[str] | None:
    return re.compile(region.leading_digits) if region.leading_digits else None


def _valid(region: Any) -> re.Pattern[str]:
    """One pattern for `is_valid_number`: the general description, and one kind of number at least."""
    described = [getattr(region, kind) for kind in _KINDS]
    kinds = [_kind(kind) for kind in described if kind is not None and kind.national_number_pattern]
    return re.compile(rf"(?=(?:{region.general_desc.national_number_pattern})\Z)(?:{'|'.join(kinds)})")


def _kind(description: Any) -> str:
    lengths = "|".join(f"[0-9]{{{length}}}" for length in description.possible_length)
    pattern = f"(?:{description.national_number_pattern})"
    return rf"(?=(?:{lengths})\Z){pattern}" if lengths else pattern
