"""The numbers of a run, which always add up: deliveries = sent + skipped + refused + failed + unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cached_property

from connect.ledger.records import RunRecord, StateChange, Tally
from connect.reports.documents import figures_as_json, group_as_json
from connect.reports.groups import By, Group, groups
from connect.reports.measures import EVENTS, Fact, Figures, Known, facts, figures
from connect.reports.parts import ALWAYS, Asking, Part, Period, Via
from connect.vocabulary import Channel, Outcome, segments_of

_INTERRUPTED = "interrupted: its process is gone"
IN_SEGMENTS = (Channel.sms,)
"""Channels whose messages are sent, and paid for, in parts."""


@dataclass(frozen=True)
class Report:
    """What became of a run, or of several runs of a campaign together."""

    campaign: str
    runs: tuple[RunRecord, ...]
    tallies: tuple[Tally, ...]
    states: tuple[StateChange, ...] = ()
    problems: Counter[str] = field(default_factory=Counter)
    """What was wrong with templates or fields for some people; known only to the process that ran."""
    parts: tuple[Part, ...] = ()
    """Each run's own counts, in the order of `runs`."""
    zone: str = "UTC"
    """The project's: days are its days."""
    period: Period = ALWAYS
    more: bool = False
    """There are older runs that are not counted here."""
    asking: Asking | None = None
    """None where the campaign does not say who converted."""
    from_warehouse: bool = False
    """Counted in the tables of the destination, and not by the ledger."""

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(facts(self.parts, self.zone))

    @cached_property
    def known(self) -> Known:
        return Known(self.facts, asked=self.asking is not None and not self.asking.trouble)

    @cached_property
    def figures(self) -> Figures:
        """What became of all that was sent."""
        return figures(self.facts, self.known)

    def by(self, by: By) -> list[Group]:
        return groups(self.facts, by, self.known)

    @property
    def first_day(self) -> date | None:
        """The first day of which anything was reported."""
        return min((fact.day for fact in self.facts if fact.measure in EVENTS), default=None)

    def via(self) -> dict[Via, int]:
        """Deliveries after which somebody converted, by what they had done with them."""
        found = dict.fromkeys(Via, 0)
        for part in self.parts:
            for one in part.conversions:
                found[one.via] += one.firsts
        return found

    @property
    def value(self) -> Decimal | None:
        """Of all conversions together; None where they have none."""
        values = [one.value for part in self.parts for one in part.conversions if one.value is not None]
        return sum(values, Decimal(0)) if values else None

    @property
    def deliveries(self) -> int:
        return sum(tally.count for tally in self.tallies)

    def total(self, outcome: Outcome, channel: Channel | None = None) -> int:
        """How many deliveries ended so, on one channel or on all."""
        return sum(
            tally.count
            for tally in self.tallies
            if tally.outcome is outcome and (channel is None or tally.channel is channel)
        )

    @property
    def channels(self) -> list[Channel]:
        present = {tally.channel for tally in self.tallies}
        return [channel for channel in Channel if channel in present]

    def segments(self, channel: Channel) -> int:
        """Of how many parts the sent messages of a channel were: more than messages where texts were long."""
        mine = (tally for tally in self.tallies if tally.outcome is Outcome.sent and tally.channel is channel)
        return sum(tally.count * segments_of(tally.reason) for tally in mine)

    def reasons(self, outcome: Outcome) -> list[tuple[str, dict[Channel, int]]]:
        """(reason, count by channel) of one outcome, most frequent first.

        What was sent has none: the parts that a text message was sent in are in its tallies, and no reason.
        """
        found: dict[str, dict[Channel, int]] = {}
        for tally in self.tallies:
            if tally.outcome is outcome:
                by_channel = found.setdefault("" if outcome is Outcome.sent else tally.reason, {})
                by_channel[tally.channel] = by_channel.get(tally.channel, 0) + tally.count
        return sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0]))

    def as_json(self) -> dict[str, object]:
        """The report for machines: stable keys, counts as numbers, instants in ISO 8601."""
        return {
            "campaign": self.campaign,
            "runs": [run_as_json(run) for run in self.runs],
            "deliveries": self.deliveries,
            "outcomes": {outcome.value: self.total(outcome) for outcome in Outcome},
            "segments": {channel.value: self.segments(channel) for channel in self.channels if channel in IN_SEGMENTS},
            "tallies": [
                {
                    "channel": tally.channel.value,
                    "outcome": tally.outcome.value,
                    "reason": tally.reason,
                    "count": tally.count,
                }
                for tally in sorted(self.tallies, key=lambda tally: (tally.channel, tally.outcome, tally.reason))
            ],
            "states": [
                {"at": change.at.isoformat(), "state": change.state.value, "reason": change.reason}
                for change in self.states
            ],
            "problems": [{"problem": text, "count": count} for text, count in self.problems.most_common()],
            **(self._heard() if self.parts or not self.runs else {}),
        }

    def _heard(self) -> dict[str, object]:
        """What was reported, where it was looked for."""
        return {
            "zone": self.zone,
            "since": self.period.since.isoformat() if self.period.since else None,
            "until": self.period.until.isoformat() if self.period.until else None,
            "from": "warehouse" if self.from_warehouse else "ledger",
            "more_runs": self.more,
            "events_reported": self.known.events,
            "figures": figures_as_json(self.figures),
            "conversions": self._conversions(),
            "by": {by.value: [group_as_json(group) for group in self.by(by)] for by in By},
        }

    def _conversions(self) -> dict[str, object] | None:
        """`value` is text, as exact as the warehouse has it."""
        if self.asking is None:
            return None
        return {
            "within_seconds": int(self.asking.within.total_seconds()),
            "trouble": self.asking.trouble,
            "after": {via.value: count for via, count in self.via().items()},
            "value": None if self.value is None else f"{self.value:f}",
        }


def as_they_are(runs: Sequence[RunRecord], interrupted: Collection[str]) -> list[RunRecord]:
    """Runs as they are told to people: one whose process is gone can not have said so itself."""
    return [replace(run, reason=_INTERRUPTED) if run.id in interrupted else run for run in runs]


def run_as_json(run: RunRecord) -> dict[str, object]:
    return {
        "id": run.id,
        "target": run.target,
        "mode": run.mode.value,
        "campaign": run.campaign,
        "fire_time": run.fire_time.isoformat(),
        "manual": run.manual,
        "state": run.state.value,
        "reason": run.reason,
        "audience_rows": run.audience_rows,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
    }


def merged(tallies: Sequence[Tally]) -> tuple[Tally, ...]:
    """Tallies of several runs, added up."""
    counts: Counter[tuple[Channel, str, Outcome, str]] = Counter()
    for tally in tallies:
        counts[tally.channel, tally.arm, tally.outcome, tally.reason] += tally.count
    return tuple(Tally(*key, count) for key, count in counts.items())
