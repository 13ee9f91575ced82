"""Amounts and numbers as a locale writes them (CLDR data, through Babel)."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal, is_currency

from connect.liquid.numbers import exact, number
from connect.liquid.printing import text_of
from connect.liquid.trouble import BadValue

DEFAULT_LOCALE = "en_US"


@lru_cache(maxsize=64)
def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        raise BadValue("the locale is unknown", "use a code such as 'en-AU', 'de' or 'pt-BR'") from None


def check_locale(name: str) -> None:
    _locale(name)


def check_currency(code: str, locale: str = DEFAULT_LOCALE) -> None:
    if not is_currency(code.upper()):
        raise BadValue("the currency is unknown", "use its ISO 4217 code, such as 'USD', 'EUR' or 'AUD'")
    check_locale(locale)


def _blank(value: object) -> bool:
    return not text_of(value).strip()


def money(value: object, currency: object, locale: object = DEFAULT_LOCALE) -> str:
    """`1234.5 | money: 'USD'` → `$1,234.50`. Blank stays blank; currencies without cents have none."""
    if _blank(value):
        return ""
    code, where = text_of(currency).upper(), text_of(locale)
    check_currency(code, where)
    return str(format_currency(exact(value), code, locale=_locale(where)))


def localized_number(value: object, locale: object = DEFAULT_LOCALE) -> str:
    """`1234.5 | number: 'de'` → `1.234,5`. Every digit is kept; blank stays blank."""
    if _blank(value):
        return ""
    number(value)
    return str(format_decimal(exact(value), locale=_locale(text_of(locale)), decimal_quantization=False))
