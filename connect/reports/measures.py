"""What is measured of what was sent: how often, of how many deliveries, and as a share of what.

Nothing is known until it is reported. What no provider has reported of a channel is not zero, and has no rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

from connect.reports.parts import Part
from connect.vocabulary import Channel, Outcome


class Measure(StrEnum):
    """In the order in which they are told."""

    sent = "sent"
    skipped = "skipped"
    refused = "refused"
    failed = "failed"
    unknown = "unknown"
    delivered = "delivered"
    opened = "opened"
    machine_opened = "machine_opened"
    clicked = "clicked"
    machine_clicked = "machine_clicked"
    hard_bounced = "hard_bounced"
    soft_bounced = "soft_bounced"
    complained = "complained"
    unsubscribed = "unsubscribed"
    resubscribed = "resubscribed"
    converted = "converted"


OUTCOMES: Mapping[Outcome, Measure] = {outcome: Measure(outcome.value) for outcome in Outcome}
_MEASURES: Mapping[tuple[str, str, bool], Measure] = {
    ("delivered", "", False): Measure.delivered,
    ("opened", "", False): Measure.opened,
    ("opened", "", True): Measure.machine_opened,
    ("clicked", "", False): Measure.clicked,
    ("clicked", "", True): Measure.machine_clicked,
    ("bounced", "hard", False): Measure.hard_bounced,
    ("bounced", "soft", False): Measure.soft_bounced,
    ("bounced", "", False): Measure.soft_bounced,  # nobody says that the address is dead
    ("complained", "", False): Measure.complained,
    ("unsubscribed", "", False): Measure.unsubscribed,
    ("resubscribed", "", False): Measure.resubscribed,
}
"""Type, bounce and machine of an event → what it is counted as."""

EVENTS = frozenset(_MEASURES.values())
"""What is only known by being reported."""
_OF_SENT = (Measure.delivered, Measure.hard_bounced, Measure.soft_bounced)
_OF_DELIVERED = (
    *(Measure.opened, Measure.clicked),
    *(Measure.complained, Measure.unsubscribed, Measure.converted),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was counted, with all that a report may be divided by."""

    measure: Measure
    run: str
    channel: Channel
    arm: str
    day: date
    """On which it happened, in the project's zone; of an outcome, the day of its run's fire time."""
    link: str
    total: int
    unique: int
    """Deliveries, each once; of a link, who clicked that link."""
    reason: str = ""
    """Of an outcome."""

    @property
    def own(self) -> int:
        """The deliveries that count for the measure as a whole, where a click on each of two links is one."""
        return 0 if self.link else self.unique


def facts(parts: Iterable[Part], zone: str) -> Iterator[Fact]:
    for part in parts:
        yield from _ended(part, part.run.fire_time.astimezone(ZoneInfo(zone)).date())
        yield from _heard(part)
        yield from _converted(part)


def _ended(part: Part, day: date) -> Iterator[Fact]:
    for tally in part.tallies:
        place = part.run.id, tally.channel, tally.arm, day, ""
        yield Fact(OUTCOMES[tally.outcome], *place, tally.count, tally.count, tally.reason)


def _heard(part: Part) -> Iterator[Fact]:
    for one in part.events:
        measure = _MEASURES.get((one.type, one.bounce, one.machine)) or _MEASURES.get((one.type, one.bounce, False))
        if measure is not None:
            yield Fact(measure, part.run.id, one.channel, one.arm, one.day, one.link, one.count, one.firsts)


def _converted(part: Part) -> Iterator[Fact]:
    for one in part.conversions:
        yield Fact(Measure.converted, part.run.id, one.channel, one.arm, one.day, "", one.count, one.firsts)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, and of what."""

    of: str
    """`sent`, `delivered`, or `delivered or sent` where only some channels' deliveries are reported."""
    base: int
    share: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of a part of the report."""

    total: int
    unique: int
    """Deliveries."""
    rate: Rate | None
    """Of the unique ones; None where nothing sensible can be said."""


@dataclass(frozen=True)
class Known:
    """What has been reported at all, in a whole report. A part of it is judged by the whole."""

    all: Sequence[Fact]
    asked: bool = False
    """Who converted was asked for: then nobody is 0."""

    @cached_property
    def reported(self) -> frozenset[tuple[Channel, Measure]]:
        found = {(fact.channel, fact.measure) for fact in self.all if fact.total or fact.unique}
        converts = {(channel, Measure.converted) for channel, measure in found if measure is Measure.sent}
        return frozenset(found | converts if self.asked else found)

    @property
    def events(self) -> bool:
        """Whether anything was reported of what became of messages."""
        return any(measure in EVENTS for _, measure in self.reported)

    @cached_property
    def _unique(self) -> Counter[tuple[Channel, Measure]]:
        found: Counter[tuple[Channel, Measure]] = Counter()
        for fact in self.all:
            found[fact.channel, fact.measure] += fact.own
        return found

    def tells_delivered(self, channel: Channel) -> bool:
        """Whether deliveries of a channel are reported, and not only those of some of its messages.

        Where more were opened than delivered, the latter are not all told, and would make rates too high.
        """
        delivered = self._unique[channel, Measure.delivered]
        return delivered > 0 and all(self._unique[channel, measure] <= delivered for measure in _OF_DELIVERED)

    def base(self, channel: Channel, measure: Measure) -> Measure | None:
        """What a measure of a channel is a share of."""
        if measure in _OF_SENT:
            return Measure.sent
        if measure not in _OF_DELIVERED:
            return None
        told = self.tells_delivered(channel) and not (measure is Measure.converted and channel in self._silent)
        return Measure.delivered if told else Measure.sent

    @cached_property
    def _silent(self) -> frozenset[Channel]:
        """Channels of which some run has sent, and nothing is known to be delivered. People convert all the same."""
        known = {(fact.run, fact.channel) for fact in self.all if fact.measure is Measure.delivered}
        sent = {(fact.run, fact.channel) for fact in self.all if fact.measure is Measure.sent}
        return frozenset(channel for _, channel in sent - known)


Figures = Mapping[Measure, Figure]
"""Only what has been reported of the channel; where it was, but not here, it is 0."""


def figures(some: Sequence[Fact], known: Known, *, rates: bool = True) -> Figures:
    """The measures of some of a report's facts."""
    totals: Counter[tuple[Channel, Measure]] = Counter()
    uniques: Counter[tuple[Channel, Measure]] = Counter()
    for fact in some:
        totals[fact.channel, fact.measure] += fact.total
        uniques[fact.channel, fact.measure] += fact.own
    here = {fact.channel for fact in some}
    found: dict[Measure, Figure] = {}
    for measure in Measure:
        channels = [channel for channel in Channel if channel in here and (channel, measure) in known.reported]
        if channels:
            total = sum(totals[channel, measure] for channel in channels)
            unique = sum(uniques[channel, measure] for channel in channels)
            rate = _rate(measure, unique, channels, uniques, known) if rates else None
            found[measure] = Figure(total, unique, rate)
    return found


def _rate(
    measure: Measure,
    unique: int,
    channels: Sequence[Channel],
    uniques: Mapping[tuple[Channel, Measure], int],
    known: Known,
) -> Rate | None:
    """None also where more are counted than there are: those of a run before anything was reported of it."""
    bases = {channel: known.base(channel, measure) for channel in channels}
    kinds = dict.fromkeys(base for base in bases.values() if base is not None)
    base = sum(uniques.get((channel, of), 0) for channel, of in bases.items() if of is not None)
    if not kinds or base == 0 or unique > base:
        return None
    return Rate(" or ".join(sorted(kinds)), base, unique / base)
