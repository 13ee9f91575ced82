"""When a campaign fires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator

from connect.project.cron import CronField
from connect.project.reading import Written
from connect.project.types import Boolean, Duration, Instant, Values, Zone
from connect.vocabulary import Missed, Overlap


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
    cron: CronField = Field(description="five fields, with names, `L` and `#`")
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
