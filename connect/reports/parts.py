"""What a report is made of: the counts of each of its runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from connect.ledger.records import EventCount, RunRecord, Tally
from connect.vocabulary import Channel


class Via(StrEnum):
    """What somebody had done with the message before they converted: the most that was reported."""

    clicked = "clicked"
    opened = "opened"
    received = "received"  # neither, as far as anything was reported


@dataclass(frozen=True, slots=True)
class ConversionCount:
    """How often people converted on a day, after the last delivery of the campaign to them."""

    channel: Channel
    """Of that delivery, as is the arm."""
    arm: str
    via: Via
    day: date
    """In the project's zone."""
    count: int
    firsts: int
    """Of them, the first after their delivery."""
    value: Decimal | None
    """The sum of their values; None where the query gives none."""


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one run, and of what it sent."""

    run: RunRecord
    tallies: tuple[Tally, ...]
    events: tuple[EventCount, ...] = ()
    conversions: tuple[ConversionCount, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """How it was asked who converted."""

    within: timedelta
    """After a delivery."""
    trouble: str = ""
    """Why it could not be; blank where it was."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which runs count: those whose fire time is from `since` on and before `until`."""

    since: datetime | None = None
    until: datetime | None = None

    def has(self, at: datetime) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


ALWAYS = Period()
