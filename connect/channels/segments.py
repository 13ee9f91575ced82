"""Of how many parts a text message is sent: what it costs, and what `max_segments` limits.

Documented in 3GPP TS 23.038 (the alphabets) and TS 23.040, 9.2.3.24.1 (parts of a long message: six octets of each
are its number). National alphabets are not counted with: few networks carry them.
"""

from __future__ import annotations

import re
from typing import Literal

Encoding = Literal["GSM-7", "UCS-2"]

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""One septet each."""
EXTENSION = "\f^{}\\[~]|€"
"""Two septets each: an escape and another."""

_SINGLE_SEPTETS, _PART_SEPTETS = 160, 153
_SINGLE_UNITS, _PART_UNITS = 70, 67

_ONLY_BASIC = re.compile(f"[{re.escape(BASIC)}]*")
_OUTSIDE = re.compile(f"[^{re.escape(BASIC + EXTENSION)}]")
_EXTENDED = re.compile(f"[{re.escape(EXTENSION)}]")
_ESCAPE = "\x1b"


def segments(text: str) -> int:
    """The number of parts that this text is sent in, at least one."""
    if _ONLY_BASIC.fullmatch(text):
        return 1 if len(text) <= _SINGLE_SEPTETS else -(-len(text) // _PART_SEPTETS)
    if _OUTSIDE.search(text):
        return _of_units(text.encode("utf-16-be", "surrogatepass"))
    return _of_septets(_EXTENDED.sub(_ESCAPE + r"\g<0>", text))


def encoding(text: str) -> Encoding:
    """How this text goes over the air: one character outside GSM-7 makes all of it UCS-2."""
    return "UCS-2" if _OUTSIDE.search(text) else "GSM-7"


def first_outside(text: str) -> str:
    """The first character that forces UCS-2; blank if none does."""
    found = _OUTSIDE.search(text)
    return found.group() if found else ""


def _of_septets(septets: str) -> int:
    """An escape and its character are never parted."""
    if len(septets) <= _SINGLE_SEPTETS:
        return 1
    count = start = 0
    while start < len(septets):
        end = start + _PART_SEPTETS
        start = end - 1 if septets[end - 1 : end] == _ESCAPE else end
        count += 1
    return count


def _of_units(octets: bytes) -> int:
    """The two halves of a character beyond the basic plane are never parted."""
    units = len(octets) // 2
    if units <= _SINGLE_UNITS:
        return 1
    count = start = 0
    while start < units:
        end = start + _PART_UNITS
        start = end - 1 if _is_pair(octets[2 * end - 2 : 2 * end + 2]) else end
        count += 1
    return count


def _is_pair(octets: bytes) -> bool:
    return len(octets) == 4 and octets[0] & 0xFC == 0xD8 and octets[2] & 0xFC == 0xDC
