"""When a campaign fires."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from connect.project.nodes import Scalar
from connect.project.reading import Written, refuse
from connect.project.types import Boolean, Duration, Instant, Values, Zone
from connect.vocabulary import Missed, Overlap

_FIELDS = "five fields: minute, hour, day of month, month, day of week, such as `0 9 * * mon-fri`"
_WORD = re.compile(r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat|l", re.IGNORECASE)


def _cron(value: object) -> object:
    if not isinstance(value, Scalar):
        return value
    fields = str(value).split()
    if value.startswith("@"):
        raise refuse("bad-cron", f"`{value.written}`: short names are not read", _FIELDS)
    if len(fields) != 5:
        raise refuse("bad-cron", f"`{value.written}` has {len(fields)} fields", _FIELDS)
    if strange := [word for word in re.findall(r"[A-Za-z?]+", value) if not _WORD.fullmatch(word)]:
        said = "random (`R`), hashed (`H`) and `W` fields are not read" if len(strange[0]) == 1 else _FIELDS
        raise refuse("bad-cron", f"`{strange[0]}` means nothing in a cron", said)
    _check_comes(" ".join(fields), value)
    return " ".join(fields)


def _check_comes(cron: str, value: Scalar) -> None:
    from croniter import CroniterBadDateError, croniter

    try:
        croniter(cron, datetime(2024, 1, 1, tzinfo=UTC), max_years_between_matches=30).get_next(datetime)
    except CroniterBadDateError:
        raise refuse("bad-cron", f"`{value.written}` never comes", "no month has such a day") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        said = str(error).removeprefix(f"[{cron}] ")
        raise refuse("bad-cron", f"`{value.written}`: {said}", _FIELDS) from None


Cron = Annotated[
    str,
    BeforeValidator(_cron),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[^@\s]\S*(\s+\S+){4}\s*$", "examples": ["0 9 * * mon-fri"]}),
]


class _Trigger(Written):
    section: ClassVar[str] = "trigger"

    timezone: Zone = Field("UTC", description="IANA zone; the project's where it is left out")
    grace: Duration = Field(timedelta(hours=6), description="how late a fire time that was missed may still run")
    missed: Missed = Field(Missed.latest, description="which fire times run that passed while nothing ran")
    overlap: Overlap = Field(Overlap.queue, description="what a fire time does while an earlier run is still going")

    @field_validator("at", "starts_at", "ends_at", mode="after", check_fields=False)
    @classmethod
    def _in_zone(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        """The instant in UTC; a time without an offset is local to the zone."""
        if value is None:
            return None
        local = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(info.data.get("timezone", "UTC")))
        return local.astimezone(UTC)


class Immediate(_Trigger):
    """Fires once, when the campaign becomes live."""

    type: Literal["immediate"]


class Scheduled(_Trigger):
    """Fires once, at a time."""

    type: Literal["scheduled"]
    at: Instant = Field(description="ISO 8601; with an offset, or local to `timezone`")
    local_time: Boolean = Field(False, description="at this wall-clock time of each person's own zone")


class Recurring(_Trigger):
    """Fires at every match of a cron."""

    type: Literal["recurring"]
    cron: Cron = Field(description="five fields, with names, `L` and `#`")
    starts_at: Instant | None = Field(None, description="no fire time before this")
    ends_at: Instant | None = Field(None, description="no fire time after this")
    local_time: Boolean = Field(False, description="at these wall-clock times of each person's own zone")


class Event(_Trigger):
    """Polls: the audience's query gives the events of a window of time."""

    type: Literal["event"]
    every: Duration = Field(description="how often the query is asked")
    lag: Duration = Field(timedelta(minutes=1), description="how late a row may appear in the warehouse")


class Api(_Trigger):
    """Fires when it is called."""

    type: Literal["api"]
    parameters: Values = Field({}, description="a JSON Schema of what a call gives")
    recipients: Boolean = Field(False, description="a call may bring its own recipients")


Trigger = Annotated[Immediate | Scheduled | Recurring | Event | Api, Field(discriminator="type")]
