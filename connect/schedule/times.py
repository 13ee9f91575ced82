"""Instants and durations as people read them: with a weekday, in a zone."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_UNITS = ((timedelta(days=2), "day"), (timedelta(hours=2), "hour"), (timedelta(minutes=2), "minute"))
"""From twice a unit on, it is told in that unit: 90 minutes say more than one hour."""


def in_zone(at: datetime, zone: str | tzinfo) -> str:
    """`Tue 2026-11-24 09:00 AEDT`; with seconds where it has some."""
    local = at.astimezone(ZoneInfo(zone) if isinstance(zone, str) else zone)
    return local.strftime(f"%a %Y-%m-%d {'%H:%M:%S' if local.second else '%H:%M'} %Z")


def utc(at: datetime) -> str:
    return in_zone(at, UTC)


def lasted(duration: timedelta) -> str:
    """`45 seconds`, `90 minutes`, `5 days`."""
    for least, unit in _UNITS:
        if duration >= least:
            return f"{duration // (least / 2)} {unit}s"
    seconds = int(duration.total_seconds())
    return f"{seconds} second{'' if seconds == 1 else 's'}"


_YEARS = range(1970, 2200)
"""What a fire time can be in. Beyond, time zones are nobody's knowledge, and Python's years end."""


def given(text: str, zone: str, option: str) -> datetime:
    """An instant from the command line: ISO 8601, local to the zone where it has no offset. Raises UserError."""
    from pydantic_core import PydanticCustomError

    from connect.errors import UserError
    from connect.project.nodes import Scalar
    from connect.project.types import instant

    with suppress(PydanticCustomError):
        found = instant(Scalar(text))
        if found.year in _YEARS:
            return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    said = f"`{option} {text}` is not a time between {_YEARS[0]} and {_YEARS[-1]}"
    raise UserError.of("bad-time", said, "ISO 8601, such as 2026-11-27 or 2026-11-27T09:00")
