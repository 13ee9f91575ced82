"""Arithmetic on ordinary floats, without Decimals and with their results.

A float with at most four decimals and fifteen digits stands for exactly one such decimal, the one that it prints as.
Its ten-thousandths are a whole number then, sums and products of those are exact, and Python divides whole numbers with
one correct rounding: the same float that the Decimal would have become. Anything else, and every zero that may be
negative, is left alone.
"""

from __future__ import annotations

from math import copysign

_SCALE = 10_000
_DIGITS = 10**15
_STEPS = (10_000, 1_000, 100, 10, 1)


def _scaled(value: object) -> int:
    """The number's ten-thousandths; 0 for what this module leaves alone."""
    if type(value) is float and -1e11 < value < 1e11:
        whole = round(value * _SCALE)
        return whole if whole / _SCALE == value else 0
    return value * _SCALE if type(value) is int and -_DIGITS < value < _DIGITS else 0


def plus(left: object, right: object) -> float | None:
    if type(left) is not float and type(right) is not float:
        return None
    a, b = _scaled(left), _scaled(right)
    return (a + b) / _SCALE if a and b else None


def minus(left: object, right: object) -> float | None:
    if type(left) is not float and type(right) is not float:
        return None
    a, b = _scaled(left), _scaled(right)
    return (a - b) / _SCALE if a and b else None


def times(left: object, right: object) -> float | None:
    if type(left) is not float and type(right) is not float:
        return None
    a, b = _scaled(left), _scaled(right)
    return a * b / (_SCALE * _SCALE) if a and b else None


def neither(left: object, right: object) -> float | None:
    return None


def rounded(value: object, places: object) -> int | None:
    """The float times ten to the power of `places`, halves away from zero; None for what this module leaves alone."""
    if type(value) is not float or type(places) is not int or not 0 <= places <= 4 or not -1e11 < value < 1e11:
        return None
    step, found = _STEPS[places], round(value * _SCALE)
    if found / _SCALE != value:
        return None
    if found > 0:
        return (found + step // 2) // step
    return -((-found + step // 2) // step) or (None if copysign(1.0, value) < 0 else 0)  # a zero may have a sign
