"""Numbers in English words: 10 → ten."""

from __future__ import annotations

from decimal import Decimal

_SMALL = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ("", "thousand", "million", "billion", "trillion")
LARGEST = 10 ** (3 * len(_SCALES)) - 1


def in_words(number: int | Decimal) -> str:
    """`1234` → `one thousand two hundred and thirty-four`; `-2.5` → `minus two point five`. Up to 10**15 - 1."""
    if number < 0:
        return f"minus {in_words(-number)}"
    whole = int(number)
    _, _, fraction = format(number, "f").partition(".") if isinstance(number, Decimal) else ("", "", "")
    fraction = fraction.rstrip("0")
    words = _whole(whole)
    return f"{words} point {' '.join(_SMALL[int(digit)] for digit in fraction)}" if fraction else words


def _whole(number: int) -> str:
    if number == 0:
        return _SMALL[0]
    groups: list[str] = []
    rest = number
    for scale in _SCALES:
        rest, group = divmod(rest, 1000)
        if group:
            groups.insert(0, f"{_below_thousand(group)} {scale}".rstrip())
    last = number % 1000
    if len(groups) > 1 and 0 < last < 100:
        groups.insert(-1, "and")
    return " ".join(groups)


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_SMALL[hundreds]} hundred"] if hundreds else []
    if rest:
        words.append(_below_hundred(rest))
    return " and ".join(words)


def _below_hundred(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_SMALL[ones]}" if ones else _TENS[tens]
