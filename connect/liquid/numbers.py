"""Filters on numbers. Warehouses answer with Decimal, which python-liquid's own arithmetic takes for zero."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, InvalidOperation

from liquid import Undefined
from markupsafe import Markup

from connect.liquid import quick
from connect.liquid.printing import text_of
from connect.liquid.trouble import BadValue
from connect.liquid.words import LARGEST, in_words

Number = int | float | Decimal
_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_LARGEST_EXPONENT = 300
_EXACT = Context(prec=640, rounding=ROUND_HALF_UP)
_QUOTIENT = Context(prec=34, rounding=ROUND_HALF_UP)
_NOT_A_NUMBER = BadValue("the value is not a number")


def number(value: object) -> Number:
    """The value as a number; nil and blank text are 0, as in Liquid. Other text is refused, not taken for 0."""
    if isinstance(value, bool) or value is None or isinstance(value, Undefined):
        return 0
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, int):
        return value
    if isinstance(value, (float, Decimal)):
        _bounded(_decimal(value))
        return value
    raise _NOT_A_NUMBER


def _from_text(text: str) -> Number:
    if not text:
        return 0
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        return _bounded(Decimal(text))
    except InvalidOperation:
        raise _NOT_A_NUMBER from None


def _bounded(value: Decimal) -> Decimal:
    if not value.is_finite() or abs(value.adjusted()) > _LARGEST_EXPONENT or len(value.as_tuple().digits) > 600:
        raise BadValue("the number is too large")
    return value


def exact(value: object) -> Decimal:
    """The value as a Decimal: a float by its shortest text, so that 0.1 is 0.1."""
    return _decimal(number(value))


def _decimal(found: Number) -> Decimal:
    return found if isinstance(found, Decimal) else Decimal(str(found))


def integer(value: object, what: str) -> int:
    """A whole number, as an argument."""
    found = number(value)
    if found != int(found):
        raise BadValue(f"{what} must be a whole number")
    return int(found)


def _like(result: Decimal, *operands: Number) -> Number:
    """Decimals stay Decimals; floats stay floats, as Liquid prints them."""
    for operand in operands:
        if isinstance(operand, Decimal):
            return result
    return float(result)


def _arithmetic(
    whole: Callable[[int, int], int],
    broken: Callable[[Decimal, Decimal], Decimal],
    short: Callable[[object, object], float | None] = quick.neither,
) -> Callable[[object, object], Number]:
    def apply(left: object, right: object) -> Number:
        if type(left) is int and type(right) is int:
            return whole(left, right)
        if (found := short(left, right)) is not None:
            return found
        a, b = number(left), number(right)
        if isinstance(a, int) and isinstance(b, int):
            return whole(a, b)
        return _like(broken(_decimal(a), _decimal(b)), a, b)

    return apply


def times(left: object, right: object) -> Number:
    found = quick.times(left, right)
    return _product(left, right) if found is None else found


def _divisor(value: Number) -> None:
    if value == 0:
        raise BadValue("division by zero")


def _divide(left: Decimal, right: Decimal) -> Decimal:
    return _QUOTIENT.divide(left, right)


def _modulo(left: Decimal, right: Decimal) -> Decimal:
    """The sign of the divisor, as in Ruby and for whole numbers."""
    rest = _EXACT.remainder(left, right)
    return rest + right if rest and (rest < 0) != (right < 0) else rest


plus = _arithmetic(lambda a, b: a + b, _EXACT.add, quick.plus)
minus = _arithmetic(lambda a, b: a - b, _EXACT.subtract, quick.minus)
_product = _arithmetic(lambda a, b: a * b, _EXACT.multiply)
_quotient = _arithmetic(lambda a, b: a // b, _divide)
_remainder = _arithmetic(lambda a, b: a % b, _modulo)


def divided_by(left: object, right: object) -> Number:
    _divisor(number(right))
    return _quotient(left, right)


def modulo(left: object, right: object) -> Number:
    _divisor(number(right))
    return _remainder(left, right)


def absolute(value: object) -> Number:
    found = number(value)
    return -found if found < 0 else found


def at_most(value: object, limit: object) -> Number:
    if type(value) is int and type(limit) is int:
        return min(value, limit)
    return min(number(value), number(limit))


def at_least(value: object, limit: object) -> Number:
    if type(value) is int and type(limit) is int:
        return max(value, limit)
    return max(number(value), number(limit))


def ceil(value: object) -> int:
    return int(exact(value).to_integral_value(ROUND_CEILING))


def floor(value: object) -> int:
    return int(exact(value).to_integral_value(ROUND_FLOOR))


def _places(value: object, what: str) -> int:
    places = integer(value, what)
    if not 0 <= places <= 20:
        raise BadValue(f"{what} must be between 0 and 20")
    return places


def _rounded(value: object, places: int) -> Decimal:
    return exact(value).quantize(Decimal(1).scaleb(-places), context=_EXACT)


def rounded(value: object, places: object = None) -> Number:
    """Halves away from zero, as in Ruby: 2.5 → 3."""
    if (short := quick.rounded(value, places)) is not None:
        return short / 10**places if places else short  # type: ignore[operator]
    digits = _places(places, "the number of digits")
    found = number(value)
    if digits == 0 or isinstance(found, int):
        return int(_rounded(found, 0))
    return _like(_rounded(found, digits), found)


def summed(items: Iterable[Number]) -> Number:
    total: Number = 0
    for item in items:
        total = plus(total, item)
    return total


def _blank(value: object) -> bool:
    return value is None or isinstance(value, Undefined) or (isinstance(value, str) and not value.strip())


def precision(value: object, places: object) -> str:
    """`3.14159 | precision: 2` → `3.14`. Blank stays blank."""
    if _blank(value):
        return ""
    if (short := quick.rounded(value, places)) is not None:
        return _with_point(short, places)  # type: ignore[arg-type]
    return format(_rounded(value, _places(places, "the precision")), "f")


def _with_point(number: int, places: int) -> str:
    """12345 with 2 places → `123.45`."""
    digits = str(abs(number)).rjust(places + 1, "0")
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits


def delimiter(value: object, mark: object = ",") -> str:
    """`1234567.5 | delimiter` → `1,234,567.5`. Blank stays blank."""
    if _blank(value):
        return ""
    number(value)
    whole, point, fraction = text_of(number(value)).partition(".")
    return (
        f"{int(whole):,}".replace(",", text_of(mark)) + point + fraction
        if whole not in ("-0",)
        else whole + point + fraction
    )


_DIRECTIVE = re.compile(r"%(?:%|[-+ 0#]*\d{0,2}(?:\.\d{1,2})?[sdifFeEgGxXo])")


def check_format(pattern: str) -> None:
    """A printf pattern with exactly one directive."""
    directives = [found for found in _DIRECTIVE.findall(pattern) if found != "%%"]
    if len(directives) != 1 or "%" in _DIRECTIVE.sub("", pattern):
        raise BadValue("the format must hold one directive", "such as '%05d', '%.2f' or '%s'; a percent sign is '%%'")


def formatted(value: object, pattern: object) -> str:
    """`7 | format: '%05d'` → `00007`."""
    text = pattern if isinstance(pattern, str) else text_of(pattern)
    check_format(text)
    kind = next(found for found in _DIRECTIVE.findall(text) if found != "%%")[-1]
    if kind == "s":
        return text % (value if isinstance(value, str) else text_of(value),)
    if _blank(value):
        return ""
    plain = str(text) % (int(exact(value)) if kind in "dixXo" else exact(value))
    return Markup(plain) if isinstance(text, Markup) else plain


def humanize(value: object) -> str:
    """`10 | humanize` → `ten`. Beyond 10**15, digits with delimiters; blank stays blank."""
    if _blank(value):
        return ""
    found = number(value)
    if abs(found) > LARGEST:
        return delimiter(found)
    return in_words(found if isinstance(found, int) else exact(found))
