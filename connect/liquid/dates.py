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
from typing import Any

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

# directive → (value, width, padding). Numbers are padded; text has width 0.
_Part = tuple[Callable[[datetime], int | str], int, str]
_DIRECTIVES: dict[str, _Part] = {
    "Y": (lambda at: at.year, 4, "0"),
    "C": (lambda at: at.year // 100, 2, "0"),
    "y": (lambda at: at.year % 100, 2, "0"),
    "m": (lambda at: at.month, 2, "0"),
    "B": (lambda at: _MONTHS[at.month - 1], 0, " "),
    "b": (lambda at: _MONTHS[at.month - 1][:3], 0, " "),
    "h": (lambda at: _MONTHS[at.month - 1][:3], 0, " "),
    "d": (lambda at: at.day, 2, "0"),
    "e": (lambda at: at.day, 2, " "),
    "j": (lambda at: at.timetuple().tm_yday, 3, "0"),
    "H": (lambda at: at.hour, 2, "0"),
    "k": (lambda at: at.hour, 2, " "),
    "I": (lambda at: at.hour % 12 or 12, 2, "0"),
    "l": (lambda at: at.hour % 12 or 12, 2, " "),
    "P": (lambda at: "am" if at.hour < 12 else "pm", 0, " "),
    "p": (lambda at: "AM" if at.hour < 12 else "PM", 0, " "),
    "M": (lambda at: at.minute, 2, "0"),
    "S": (lambda at: at.second, 2, "0"),
    "L": (lambda at: at.microsecond // 1000, 3, "0"),
    "N": (lambda at: at.microsecond * 1000, 9, "0"),
    "z": (lambda at: _offset(at, ""), 0, " "),
    "Z": (lambda at: at.tzname() or "UTC", 0, " "),
    "A": (lambda at: _DAYS[at.weekday()], 0, " "),
    "a": (lambda at: _DAYS[at.weekday()][:3], 0, " "),
    "u": (lambda at: at.isoweekday(), 1, "0"),
    "w": (lambda at: at.isoweekday() % 7, 1, "0"),
    "G": (lambda at: at.isocalendar().year, 4, "0"),
    "V": (lambda at: at.isocalendar().week, 2, "0"),
    "U": (lambda at: (at.timetuple().tm_yday + 6 - at.isoweekday() % 7) // 7, 2, "0"),
    "W": (lambda at: (at.timetuple().tm_yday + 6 - at.weekday()) // 7, 2, "0"),
    "s": (lambda at: int(instant(at).timestamp()), 1, "0"),
    "n": (lambda at: "\n", 0, " "),
    "t": (lambda at: "\t", 0, " "),
    "%": (lambda at: "%", 0, " "),
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


@dataclass(frozen=True, slots=True)
class Writer:
    """A printf pattern, and what is filled in; `of_day` where nothing of that is a time or a zone."""

    form: str
    parts: tuple[Callable[[datetime], int | str], ...]
    of_day: bool


_OF_DAY = frozenset("YCymBbhdejAauwGVUWDFxvnt%")


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Writer:
    """The pattern, prepared for `dated`. Raises BadValue for an unknown directive."""
    form, end, of_day = "", 0, True
    parts: list[Callable[[datetime], int | str]] = []
    for found in _DIRECTIVE.finditer(pattern):
        inner = _directive(*found.groups())
        form += pattern[end : found.start()].replace("%", "%%") + inner.form
        parts += inner.parts
        of_day = of_day and inner.of_day
        end = found.end()
    return Writer(form + pattern[end:].replace("%", "%%"), tuple(parts), of_day)


def _directive(flags: str, width: str, colon: str, letter: str) -> Writer:
    if colon and letter != "z":
        raise BadValue("the date format has an unknown directive", "the colon belongs to %:z only")
    if letter in _SHORTHANDS:
        return compiled(_SHORTHANDS[letter])
    if colon:
        return Writer("%s", (lambda at: _offset(at, ":"),), of_day=False)
    if letter not in _DIRECTIVES:
        raise BadValue("the date format has an unknown directive", "see the reference for `date`; a percent sign is %%")
    form, part = _part(flags, width, _DIRECTIVES[letter])
    return Writer(form, (part,), letter in _OF_DAY)


def _part(flags: str, width: str, part: _Part) -> tuple[str, Callable[[datetime], int | str]]:
    value, default_width, default_padding = part
    padding = "0" if "0" in flags else " " if "_" in flags else default_padding
    wanted = int(width) if width else 0 if "-" in flags else default_width

    def write(at: datetime) -> str:
        text = str(value(at)).rjust(wanted, padding)
        return text.upper() if "^" in flags else text.swapcase() if "#" in flags else text

    if "^" in flags or "#" in flags:
        return "%s", write
    if padding == " " or not wanted:
        return f"%{wanted or ''}s", value
    if default_width > 1:  # these are numbers, and never negative
        return f"%0{wanted}d", value
    return "%s", write


def dated(value: datetime | date, prepared: Writer) -> str:
    """What `date` prints of a date or time."""
    at: Any = value
    if not prepared.of_day and not isinstance(value, datetime):
        at = datetime.combine(value, time.min)
    return prepared.form % tuple([part(at) for part in prepared.parts])


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
