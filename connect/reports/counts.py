"""The numbers of a run, which always add up: deliveries = sent + skipped + refused + failed + unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from connect.ledger.records import RunRecord, StateChange, Tally
from connect.vocabulary import Channel, Outcome, segments_of

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
        }


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
