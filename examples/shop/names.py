"""The shop's customers: where they live, how they are called, and how they are reached. All of it is invented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import phonenumbers


@dataclass(frozen=True)
class Country:
    code: str
    locale: str
    currency: str
    timezone: str
    weight: int
    """How many of a hundred customers live there."""
    first_names: tuple[str, ...]
    """As they are written; `latin/native` where the two differ."""
    last_names: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ENGLISH = _words("Amelia Björk Chidi Edith Fergus Gwen Hamza Imogen Jasper Keir Lorna Maeve Nnamdi Olive Priya")
_ENGLISH_LAST = _words("Abara Birch Calloway Drummond Ellery Fenwick Grieve Hale Ibbotson Khan O’Dowd Marlowe")
_FRENCH = _words("Aurélie Benoît Cédric Élodie François Gaëlle Hélène Jérôme Léa Maëlys Noé Océane Zoé")
_FRENCH_LAST = _words("Allard Béranger Chênevert D’Aubigné Émond Lefèvre Noël Péguy Thévenot Vétillart")
_GERMAN = _words("Anneliese Björn Doğan Götz Jörg Käthe Lüder Mäxi Sönke Ute Zübeyde Änne Friedrich")
_GERMAN_LAST = _words("Böhm Dürr Fähnrich Großmann Höffner Krüger Müßig Özdemir Schröter Weiß Zöllner")
_JAPANESE = ("Misaki/美咲", "Haruto/陽翔", "Yui/結衣", "Sōta/颯太", "Aoi/葵", "Ren/蓮")
_JAPANESE_LAST = ("Satō/佐藤", "Suzuki/鈴木", "Takahashi/高橋", "Tanaka/田中", "Itō/伊藤")
_TAIWANESE = ("Ya-ting/雅婷", "Chia-hao/家豪", "Shu-fen/淑芬", "Chih-ming/志明")
_TAIWANESE_LAST = ("Chen/陳", "Lin/林", "Huang/黃", "Chang/張")
_KOREAN = ("Seo-yeon/서연", "Min-jun/민준", "Ji-woo/지우", "Ha-eun/하은")
_KOREAN_LAST = ("Kim/김", "Lee/이", "Park/박", "Choi/최")

COUNTRIES = (
    Country("GB", "en-GB", "GBP", "Europe/London", 24, _ENGLISH, _ENGLISH_LAST),
    Country("US", "en-US", "USD", "America/New_York", 12, _ENGLISH, _ENGLISH_LAST),
    Country("AU", "en-AU", "AUD", "Australia/Sydney", 7, _ENGLISH, _ENGLISH_LAST),
    Country("IE", "en-IE", "EUR", "Europe/Dublin", 4, _ENGLISH, _ENGLISH_LAST),
    Country("FR", "fr-FR", "EUR", "Europe/Paris", 16, _FRENCH, _FRENCH_LAST),
    Country("CA", "fr-CA", "CAD", "America/Toronto", 4, _FRENCH, _FRENCH_LAST),
    Country("BE", "fr", "EUR", "Europe/Brussels", 3, _FRENCH, _FRENCH_LAST),
    Country("DE", "de-DE", "EUR", "Europe/Berlin", 15, _GERMAN, _GERMAN_LAST),
    Country("AT", "de-AT", "EUR", "Europe/Vienna", 4, _GERMAN, _GERMAN_LAST),
    Country("CH", "de-CH", "CHF", "Europe/Zurich", 3, _GERMAN, _GERMAN_LAST),
    Country("JP", "ja", "JPY", "Asia/Tokyo", 4, _JAPANESE, _JAPANESE_LAST),
    Country("TW", "zh-TW", "TWD", "Asia/Taipei", 2, _TAIWANESE, _TAIWANESE_LAST),
    Country("KR", "ko", "KRW", "Asia/Seoul", 2, _KOREAN, _KOREAN_LAST),
)
BY_CODE = {country.code: country for country in COUNTRIES}

_RATES = _words("EUR 1 GBP 0.86 USD 1.09 AUD 1.66 CAD 1.49 CHF 0.95 JPY 164 TWD 35 KRW 1490")
PER_EURO = {code: Decimal(rate) for code, rate in zip(_RATES[::2], _RATES[1::2], strict=True)}
WITHOUT_CENTS = {"JPY", "TWD", "KRW"}


@dataclass(frozen=True)
class Name:
    first: str
    last: str
    mail: str
    """The part before the @: Latin letters, no accents."""


def name(country: Country, random: Random) -> Name:
    first, last = random.choice(country.first_names), random.choice(country.last_names)
    latin = f"{_latin(first)}.{_latin(last)}"
    return Name(first.split("/")[-1], last.split("/")[-1], "".join(c for c in latin if c.isalpha() or c == "."))


_PLAIN = str.maketrans(
    "áàâäãåéèêëíîïóôöōøúùûüçğñßœ", "aaaaaaeeeeiiiooooouuuucgnso"
)  # fmt: skip


def _latin(written: str) -> str:
    return written.split("/")[0].lower().translate(_PLAIN)


def phone_numbers(country: Country) -> Iterator[str]:
    """Numbers that are valid where this country's example number is, in its form: E.164, no two alike."""
    example = phonenumbers.example_number_for_type(country.code, phonenumbers.PhoneNumberType.MOBILE)
    assert example is not None
    text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    for ending in range(1000, 10_000, 7):
        varied = text[:-4] + str(ending)
        if phonenumbers.is_valid_number(phonenumbers.parse(varied)):
            yield varied
