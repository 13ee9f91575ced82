"""When a campaign fires."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from connect.project.cron import CronField
from connect.project.reading import Written, refuse
from connect.project.types import Boolean, Duration, Instant, Values, Zone, between
from connect.vocabulary import Missed, Overlap

_DAY = timedelta(days=1)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a zone's clock shows a time: the first of two instants, the end of the gap for a time that it skips."""
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    found = wall.replace(tzinfo=zone, fold=1, second=0, microsecond=0).astimezone(UTC)  # not later than the gap
    while found.astimezone(zone).replace(tzinfo=None) < wall:
        found += timedelta(minutes=1)
    return found


class _Trigger(Written):
    section: ClassVar[str] = "trigger"

    timezone: Zone = Field("UTC", description="IANA zone; the project's where it is left out")
    grace: Annotated[Duration, between(timedelta(seconds=1), 366 * _DAY)] = Field(
        timedelta(hours=6), description="how late a fire time that was missed may still run"
    )
    missed: Missed = Field(Missed.latest, description="which fire times run that passed while nothing ran")
    overlap: Overlap = Field(Overlap.queue, description="what a fire time does while an earlier run is still going")

    @field_validator("at", "starts_at", "ends_at", mode="after", check_fields=False)
    @classmethod
    def _in_zone(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        """The instant in UTC; a time without an offset is local to the zone."""
        if value is None:
            return None
        if not 1970 <= value.year < 2200:
            raise refuse("bad-time", f"{value.year} is not a year in which a campaign fires", "from 1970 to 2199")
        return value.astimezone(UTC) if value.tzinfo else _instant(value, ZoneInfo(info.data.get("timezone", "UTC")))


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
    cron: CronField = Field(description="five fields, with names, `L` and `#`")
    starts_at: Instant | None = Field(None, description="no fire time before this")
    ends_at: Instant | None = Field(None, description="no fire time after this")
    local_time: Boolean = Field(False, description="at these wall-clock times of each person's own zone")

    @field_validator("ends_at", mode="after")
    @classmethod
    def _after_its_start(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        starts_at = info.data.get("starts_at")
        if value and starts_at and value <= starts_at:
            raise refuse("bad-value", "`ends_at` is not after `starts_at`", "the campaign would never fire")
        return value


class Event(_Trigger):
    """Polls: the audience's query gives the events of a window of time."""

    type: Literal["event"]
    every: Annotated[Duration, between(timedelta(seconds=10), 31 * _DAY)] = Field(
        description="how often the query is asked"
    )
    lag: Annotated[Duration, between(timedelta(0), 30 * _DAY)] = Field(
        timedelta(minutes=1), description="how late a row may appear in the warehouse"
    )

    @field_validator("overlap", mode="after")
    @classmethod
    def _every_window(cls, value: Overlap) -> Overlap:
        if value is Overlap.skip:
            said = "a poll that is skipped loses the events of its window; `queue` is the default"
            raise refuse("bad-value", "`overlap: skip` is not for events", said)
        return value


def _schema_of_an_object(value: dict[str, Any]) -> dict[str, Any]:
    """What a JSON Schema of an object looks like; a validator would pass over everything that does not."""
    properties, required = value.get("properties", {}), value.get("required", [])
    shaped = (
        value.get("type", "object") == "object"
        and isinstance(properties, Mapping)
        and all(isinstance(each, Mapping | bool) for each in properties.values())
        and isinstance(required, list)
        and all(isinstance(each, str) for each in required)
    )
    if shaped and (not value or "type" in value or "properties" in value):
        return value
    hint = "such as {type: object, properties: {order: {type: string}}, required: [order]}"
    raise refuse("bad-value", "`parameters` is not the JSON Schema of an object", hint)


class Api(_Trigger):
    """Fires when it is called."""

    type: Literal["api"]
    parameters: Annotated[Values, AfterValidator(_schema_of_an_object)] = Field(
        {}, description="a JSON Schema of what a call gives"
    )
    recipients: Boolean = Field(False, description="a call may bring its own recipients")


Trigger = Annotated[Immediate | Scheduled | Recurring | Event | Api, Field(discriminator="type")]
