"""Runs with counts, for the tests of reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from connect.ledger.records import EventCount, RunRecord, Tally
from connect.reports.counts import Report, merged
from connect.reports.parts import Part
from connect.vocabulary import Channel, Mode, Outcome, RunState

EMAIL, SMS = Channel.email, Channel.sms
FIRED = datetime(2026, 9, 2, 23, 30, tzinfo=UTC)
DAY = date(2026, 9, 3)


def run(name: str = "r1", at: datetime = FIRED) -> RunRecord:
    """A completed live run."""
    facts = {"digest": "", "campaign_json": "{}", "salt": None, "secret": None, "recoveries": 0}
    place = {"target": "prod", "mode": Mode.live, "campaign": "hello", "fire_time": at, "manual": False}
    ended = {"state": RunState.completed, "reason": "", "audience_rows": 1000, "started_at": at, "ended_at": at}
    return RunRecord(name, **place, **ended, **facts)  # type: ignore[arg-type]


def ended(outcome: Outcome, count: int, reason: str = "", channel: Channel = EMAIL, arm: str = "") -> Tally:
    return Tally(channel, arm, outcome, reason, count)


def sent(count: int, channel: Channel = EMAIL, arm: str = "") -> Tally:
    return ended(Outcome.sent, count, "", channel, arm)


def event(
    type: str,
    count: int,
    firsts: int | None = None,
    *,
    channel: Channel = EMAIL,
    bounce: str = "",
    machine: bool = False,
    day: date = DAY,
    link: str = "",
) -> EventCount:
    return EventCount(channel, "", type, bounce, machine, day, link, count, count if firsts is None else firsts)


def report(*parts: Part, zone: str = "UTC") -> Report:
    tallies = merged([tally for part in parts for tally in part.tallies])
    return Report("hello", tuple(part.run for part in parts), tallies, parts=parts, zone=zone)


def one_run(tallies: Sequence[Tally], *events: EventCount, zone: str = "UTC") -> Report:
    return report(Part(run(), tuple(tallies), events), zone=zone)
