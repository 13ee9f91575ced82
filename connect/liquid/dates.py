"""Dates in templates: read from what warehouses give, written by strftime's directives.

Nothing here reads the machine's clock, zone or language: text without a zone and numbers are UTC, names are English.
Directives and flags are Ruby's, as in Liquid: https://docs.ruby-lang.org/en/3.4/strftime_formatting_rdoc.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

from liquid import Undefined
from markupsafe import Markup

from connect.liquid.printing import text_of
from connect.liquid.trouble import BadValue

_NOT_A_DATE = BadValue("the value is not a date", "dates are date or time columns, ISO 8601 text or epoch seconds")
_ISO_BASIC = re.compile(r"\d{8}")
_RUBY_ZONE = re.compile(r"\s+(UTC|GMT|Z|[+-]\d{2}:?\d{2})$")


def read(value: object) -> datetime | date:
    """The date or time that a value stands for. Raises BadValue."""
    if isinstance(value, (datetime, date)):
        return value
    if isinstance(value, bool):
        raise _NOT_A_DATE
    if isinstance(value, (int, float)):
        return _epoch(value)
    if isinstance(value, str):
        return _from_text(value.strip())
    raise _NOT_A_DATE


def _epoch(seconds: float) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise _NOT_A_DATE from None


def _from_text(text: str) -> datetime | date:
    if text.isascii() and text.isdigit() and not _ISO_BASIC.fullmatch(text):
        return _epoch(int(text[:20]))
    zoned = _RUBY_ZONE.sub(lambda zone: "+00:00" if zone[1].isalpha() else zone[1], text)
    attempts: tuple[tuple[Callable[[str], date], str], ...] = (
        (date.fromisoformat, text),
        (datetime.fromisoformat, zoned),
        (_mail_date, text),
    )
    for attempt, written in attempts:
        try:
            return attempt(written)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    raise _NOT_A_DATE


def _mail_date(text: str) -> datetime:
    """`Tue, 14 Mar 2026 09:30:00 +0000`; needs the year, so that nothing is filled in."""
    if not re.search(r"\b\d{4}\b", text):
        raise ValueError
    return parsedate_to_datetime(text)


def instant(value: datetime | date) -> datetime:
    """The instant: a day begins at midnight; a time without a zone is UTC."""
    moment = value if isinstance(value, datetime) else datetime.combine(value, time.min)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

# directive → (value, width, padding). Numbers are padded; text has width 0. Values are Python, so that those of a
# pattern make one function.
_Part = tuple[str, int, str]
_DIRECTIVES: dict[str, _Part] = {
    "Y": ("at.year", 4, "0"),
    "C": ("at.year // 100", 2, "0"),
    "y": ("at.year % 100", 2, "0"),
    "m": ("at.month", 2, "0"),
    "B": ("_MONTHS[at.month - 1]", 0, " "),
    "b": ("_MONTHS[at.month - 1][:3]", 0, " "),
    "h": ("_MONTHS[at.month - 1][:3]", 0, " "),
    "d": ("at.day", 2, "0"),
    "e": ("at.day", 2, " "),
    "j": ("at.timetuple().tm_yday", 3, "0"),
    "H": ("at.hour", 2, "0"),
    "k": ("at.hour", 2, " "),
    "I": ("at.hour % 12 or 12", 2, "0"),
    "l": ("at.hour % 12 or 12", 2, " "),
    "P": ('"am" if at.hour < 12 else "pm"', 0, " "),
    "p": ('"AM" if at.hour < 12 else "PM"', 0, " "),
    "M": ("at.minute", 2, "0"),
    "S": ("at.second", 2, "0"),
    "L": ("at.microsecond // 1000", 3, "0"),
    "N": ("at.microsecond * 1000", 9, "0"),
    "z": ('_offset(at, "")', 0, " "),
    "Z": ('at.tzname() or "UTC"', 0, " "),
    "A": ("_DAYS[at.weekday()]", 0, " "),
    "a": ("_DAYS[at.weekday()][:3]", 0, " "),
    "u": ("at.isoweekday()", 1, "0"),
    "w": ("at.isoweekday() % 7", 1, "0"),
    "G": ("at.isocalendar().year", 4, "0"),
    "V": ("at.isocalendar().week", 2, "0"),
    "U": ("(at.timetuple().tm_yday + 6 - at.isoweekday() % 7) // 7", 2, "0"),
    "W": ("(at.timetuple().tm_yday + 6 - at.weekday()) // 7", 2, "0"),
    "s": ("int(instant(at).timestamp())", 1, "0"),
    "n": (r'"\n"', 0, " "),
    "t": (r'"\t"', 0, " "),
    "%": ('"%"', 0, " "),
}
_SHORTHANDS = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "x": "%m/%d/%y",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "v": "%e-%^b-%Y",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}
_DIRECTIVE = re.compile(r"%([-_0^#]*)(\d{0,2})(:?)(.?)", re.DOTALL)


def _offset(at: datetime, colon: str) -> str:
    minutes = int((at.utcoffset() or timedelta()).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}{colon}{rest:02}"


_OF_DAY = frozenset("YCymBbhdejAauwGVUWDFxvnt%")


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A printf pattern, the Python of what is filled in, and the functions that this names."""

    form: str
    values: tuple[str, ...]
    functions: dict[str, Callable[[datetime], str]]
    of_day: bool


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes dates by one pattern; `of_day` where that needs neither a time nor a zone."""

    write: Callable[[date], str]
    of_day: bool


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Writer:
    """The pattern, prepared for `dated`. Raises BadValue for an unknown directive."""
    pieces = _pieces(pattern)
    # nothing of the pattern is evaluated: it names directives, and what stands for them is written above
    names = {**globals(), **pieces.functions, "form": pieces.form}
    values = "".join(f"{value}, " for value in pieces.values)
    return Writer(eval(f"lambda at: form % ({values})", names), pieces.of_day)


def _pieces(pattern: str) -> _Pieces:
    form, end, of_day = "", 0, True
    values: list[str] = []
    functions: dict[str, Callable[[datetime], str]] = {}
    for found in _DIRECTIVE.finditer(pattern):
        inner = _directive(*found.groups())
        form += pattern[end : found.start()].replace("%", "%%") + inner.form
        values += inner.values
        functions |= inner.functions
        of_day = of_day and inner.of_day
        end = found.end()
    return _Pieces(form + pattern[end:].replace("%", "%%"), tuple(values), functions, of_day)


def _directive(flags: str, width: str, colon: str, letter: str) -> _Pieces:
    if colon and letter != "z":
        raise BadValue("the date format has an unknown directive", "the colon belongs to %:z only")
    if letter in _SHORTHANDS:
        return _pieces(_SHORTHANDS[letter])
    if colon:
        return _Pieces("%s", ('_offset(at, ":")',), {}, of_day=False)
    if letter not in _DIRECTIVES:
        raise BadValue("the date format has an unknown directive", "see the reference for `date`; a percent sign is %%")
    return _part(flags, width, letter)


def _part(flags: str, width: str, letter: str) -> _Pieces:
    value, default_width, default_padding = _DIRECTIVES[letter]
    padding = "0" if "0" in flags else " " if "_" in flags else default_padding
    wanted = int(width) if width else 0 if "-" in flags else default_width
    plain = not {"^", "#"} & {*flags}
    if plain and (padding == " " or not wanted):
        return _Pieces(f"%{wanted or ''}s", (value,), {}, letter in _OF_DAY)
    if plain and default_width > 1:  # these are numbers, and never negative
        return _Pieces(f"%0{wanted}d", (value,), {}, letter in _OF_DAY)
    written = eval(f"lambda at: {value}")

    def write(at: datetime) -> str:
        text = str(written(at)).rjust(wanted, padding)
        return text.upper() if "^" in flags else text.swapcase() if "#" in flags else text

    name = f"write_{len(flags)}_{''.join(f'{ord(each)}_' for each in flags + width + letter)}"
    return _Pieces("%s", (f"{name}(at)",), {name: write}, letter in _OF_DAY)


def dated(value: datetime | date, prepared: Writer) -> str:
    """What `date` prints of a date or time."""
    if not prepared.of_day and not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    return prepared.write(value)


def check_date_format(pattern: str) -> None:
    compiled(pattern)


def strftime(at: datetime | date, pattern: str) -> str:
    return dated(at, compiled(pattern))


def date_filter(value: object, pattern: object, *, now: object) -> str:
    """`user.ends_at | date: '%e %B'`. `'now'` and `'today'` are the run's fire time. Blank stays blank."""
    if not isinstance(value, date):
        if value in ("now", "today"):
            value = now
        if value is None or isinstance(value, Undefined) or (isinstance(value, str) and not value.strip()):
            return ""
    text = dated(read(value), compiled(str(text_of(pattern))))
    return Markup(text) if isinstance(pattern, Markup) else text
