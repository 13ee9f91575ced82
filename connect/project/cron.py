"""What a cron says: the naive wall times that it names, and why some expressions are refused.

croniter reads the fields. Its calendar is not used: it would take `1-31` for `*`, and iterates slowly.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from connect.project.nodes import Block, Items, Scalar
from connect.project.reading import refuse

_LAST: Final = -1


@dataclass(frozen=True, slots=True)
class Cron:
    """The wall times that an expression names."""

    times: tuple[time, ...]
    days: frozenset[int]
    """Days of the month; -1 is its last."""
    months: frozenset[int]
    weekdays: frozenset[tuple[int, int]]
    """Day of the week from Sunday, 0; and 0 for each, 1 for the first in a month, -1 for the last."""
    either: bool
    """Both day fields restrict, and one that fits is enough; else both must fit."""
    follows_the_clock: bool
    """`*` in minute or hour: it follows real time where the clock is changed."""

    def fits(self, wall: datetime) -> bool:
        at = bisect_left(self.times, wall.time())
        return self.times[at : at + 1] == (wall.time(),) and wall.day in _days(self, wall.year, wall.month)

    def walls(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Every naive wall time in [start, end), ascending."""
        for day in self._dates(start.date(), end.date()):
            first = bisect_left(self.times, start.time()) if day == start.date() else 0
            last = bisect_left(self.times, end.time()) if day == end.date() else None
            for moment in self.times[first:last]:
                yield datetime.combine(day, moment)

    def _dates(self, first: date, last: date) -> Iterator[date]:
        """Every day in [first, last] that fits; months that do not are stepped over."""
        for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
            year, month = number // 12, number % 12 + 1
            for day in _days(self, year, month):
                if first <= (found := date(year, month, day)) <= last:
                    yield found


@lru_cache(maxsize=8192)
def _days(cron: Cron, year: int, month: int) -> tuple[int, ...]:
    if month not in cron.months:
        return ()
    first, length = monthrange(year, month)
    return tuple(day for day in range(1, length + 1) if _is_day(cron, day, (first + day) % 7, length))


def _is_day(cron: Cron, day: int, weekday: int, length: int) -> bool:
    """`weekday` counts from Sunday, 0."""
    of_month = day in cron.days or (day == length and _LAST in cron.days)
    nths = (0, (day + 6) // 7, _LAST if day + 7 > length else 0)
    of_week = any((weekday, nth) in cron.weekdays for nth in nths)
    return of_month or of_week if cron.either else of_month and of_week


@dataclass(frozen=True, slots=True)
class _Unit:
    name: str
    first: int
    last: int
    also: str = ""
    names: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        return f"{self.name}: {self.first} to {self.last}{self.also}"

    @property
    def size(self) -> int:
        return 7 if self.last == 7 else self.last - self.first + 1  # Sunday is 0 and 7

    def number(self, word: str) -> int | None:
        """What a number or a name stands for; None for everything else."""
        if word.lower() in self.names:
            return self.names.index(word.lower()) + self.first
        number = int(word) if word.isdecimal() else -1
        return number if self.first <= number <= self.last else None


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEK: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WORDS: Final = {*_MONTHS, *_WEEK, "l"}
_OF_WEEK: Final = " (both are Sunday), or sun to sat; all or none with `#` or `L`, as in `1#2` and `L5`"
_UNITS: Final = (
    _Unit("minute", 0, 59),
    _Unit("hour", 0, 23),
    _Unit("day of month", 1, 31, ", or `L` for the last"),
    _Unit("month", 1, 12, ", or jan to dec", _MONTHS),
    _Unit("day of week", 0, 7, _OF_WEEK, _WEEK),
)


@lru_cache(maxsize=8192)
def read(expression: str) -> Cron:
    """What an expression says; ValueError where it says nothing."""
    fields, nths = _expanded(expression)
    minutes, hours, days, months, weekdays = fields
    written = expression.lower().split()
    starred = [field.startswith("*") for field in written]
    return Cron(
        times=tuple(time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(nths or {(day % 7, 0) for day in weekdays}),
        either=not (starred[2] or starred[4]),
        follows_the_clock=starred[0] or starred[1],
    )


def _expanded(expression: str) -> tuple[list[set[int]], set[tuple[int, int]]]:
    """The numbers of each field, and the `#` and `L` of the last."""
    from croniter import croniter

    try:
        fields, nths = croniter.expand(" ".join(map(_plain, expression.split(), _UNITS)))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"`{expression}` can not be read") from error
    numbers = [
        {number for part in field for number in _numbers(part, unit)}
        for field, unit in zip(fields, _UNITS, strict=True)
    ]
    return numbers, {(day, _LAST if nth == "l" else nth) for day, found in nths.items() for nth in found}


def _numbers(part: int | str, unit: _Unit) -> range:
    if part == "*":
        return range(unit.first, unit.last + 1)
    number = _LAST if part == "l" else int(part)
    return range(number, number + 1)


def _plain(field: str, unit: _Unit) -> str:
    """A field without the ranges that croniter 7 gets wrong.

    It reads `9-9` as everything, and miscounts the steps of one that goes on from the other side, such as `22-5/3`.
    """
    return ",".join(_plain_part(part, unit) for part in field.split(","))


def _plain_part(part: str, unit: _Unit) -> str:
    found = re.fullmatch(r"(\w+)-(\w+)(?:/(\d+))?", part)
    first, last = (unit.number(end) for end in found.groups()[:2]) if found else (None, None)
    if not found or first is None or last is None or first < last:
        return part
    end = last if first == last else last + unit.size
    numbers = range(first, end + 1, int(found[3] or 1))
    return ",".join(str((number - unit.first) % unit.size + unit.first) for number in numbers)


_FIELDS: Final = "five fields: minute, hour, day of month, month, day of week, such as `0 9 * * mon-fri`"
_SHORT: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def _written(value: object) -> object:
    if isinstance(value, Block | Items):
        raise refuse("wrong-type", "this must be a cron, not a list or a mapping")
    return _read_scalar(value) if isinstance(value, Scalar) else value


def _read_scalar(value: Scalar) -> str:
    fields = str(value).split()
    if value.startswith("@"):
        same = _SHORT.get(value.strip().lower())
        raise refuse("bad-cron", f"`{value.written}`: short names are not read", f"write `{same}`" if same else _FIELDS)
    if len(fields) != len(_UNITS):
        said = f"{_FIELDS}; seconds and years are not read" if len(fields) > len(_UNITS) else _FIELDS
        raise refuse("bad-cron", f"`{value.written}` has {len(fields)} field{'s'[len(fields) == 1 :]}", said)
    if strange := [word for word in re.findall(r"[^\W\d_]+|\?", value) if word.lower() not in _WORDS]:
        raise _means_nothing(strange[0])
    try:
        cron = read(" ".join(fields))
    except ValueError:
        raise _why(fields) from None
    if not _comes(cron):
        raise refuse("bad-cron", f"`{value.written}` never comes", "no such month has such a day")
    return " ".join(fields)


_STRANGE: Final = {
    "r": "random times (`R`) are not read: a fire time must be the same whenever it is computed",
    "h": "hashed times (`H`) are not read: write the minute or hour that is meant",
    "w": "nearest weekdays (`W`) are not read: `mon-fri` names the days of the week",
    "?": "write `*` where a field does not matter",
}


def _means_nothing(word: str) -> PydanticCustomError:
    return refuse("bad-cron", f"`{word}` means nothing in a cron", _STRANGE.get(word.lower(), _FIELDS))


def _why(fields: list[str]) -> PydanticCustomError:
    """The first field, and the first value in it, that can not be read when all else is `*`."""
    for at, (field, unit) in enumerate(zip(fields, _UNITS, strict=True)):
        for part in (*field.split(","), field):
            try:
                read(" ".join("*" * at) + f" {part} " + " ".join("*" * (4 - at)))
            except ValueError:
                step = "; behind `/` a step of 1 or more" if "/" in part else ""
                return refuse("bad-cron", f"`{part or field}` can not be the {unit.name}", unit.range + step)
    return refuse("bad-cron", f"`{' '.join(fields)}` is not a cron", _FIELDS)


def _comes(cron: Cron) -> bool:
    """Whether there is such a day; after 28 years every date has been every day of the week."""
    return any(_days(cron, year, month) for year in range(2024, 2052) for month in sorted(cron.months))


CronField = Annotated[
    str,
    BeforeValidator(_written),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[^@\s]\S*(\s+\S+){4}\s*$", "examples": ["0 9 * * mon-fri"]}),
]
