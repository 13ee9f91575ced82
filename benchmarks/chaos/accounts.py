"""The accounts of a trial: what the ledger says, what the receiver counted, and what must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.chaos.people import Audience
from benchmarks.chaos.scenario import Scenario
from benchmarks.chaos.written import Ended
from benchmarks.chaos.written import violations as written_violations
from connect.ledger.records import Tally
from connect.testing.receivers import Received
from connect.vocabulary import Outcome, Reason


@dataclass
class Doubts:
    """Whose deliveries were left in doubt, as the ledger said while nobody worked on it."""

    certain: set[int] = field(default_factory=set)
    """Their process is dead, or was taken over from."""
    possible: set[int] = field(default_factory=set)
    """Their process was suspended for longer than a call may take, and went on itself."""
    most: int = 0
    """The most that one fault left."""

    def leave(self, people: set[int]) -> int:
        """These are in doubt after a fault; returns how many were not before, and not taken up yet."""
        more = len(people - self.certain)
        self.most = max(self.most, more)
        self.certain |= people
        return more


@dataclass(frozen=True)
class Evidence:
    """All that is known when the run has completed."""

    scenario: Scenario
    kills: Counter[str]
    people: Audience
    doubts: Doubts
    received: Received
    tallies: list[Tally]
    diary: list[str] = field(default_factory=list)
    """What was done and found, in order."""
    rows: list[Ended] | None = None
    """The table of deliveries, where they are written back."""

    def counted(self, outcome: Outcome, reason: str | None = None) -> int:
        """How many the ledger's report counts so."""
        return sum(t.count for t in self.tallies if t.outcome is outcome and reason in (None, t.reason))

    @property
    def delivered(self) -> Counter[int]:
        """How often each person heard, under whatever address."""
        heard: Counter[int] = Counter()
        for address, count in self.received.people.items():
            heard[self.people.of(address)] += count
        return heard

    @property
    def dropped(self) -> set[int]:
        """People whose message was written and never answered."""
        return {self.people.of(address) for address in self.received.dropped}

    @property
    def perhaps(self) -> set[int]:
        """Who may be `unknown` in the end, besides."""
        if self.scenario.whole_calls:
            return self.people.parted
        return set() if self.scenario.resends else self.doubts.possible

    @property
    def unknown(self) -> set[int]:
        """Who must be `unknown` in the end, those in `perhaps` aside."""
        if self.scenario.resends:
            return self.people.gone | self.people.moved
        return self.doubts.certain | self.people.gone | self.people.moved | self.dropped


@dataclass(frozen=True)
class Account:
    """One row of the table."""

    kills: int
    audience: int
    """Everybody whom the run had to count, worked out from positions, cursors and churn."""
    sent: int
    duplicates: int
    lost: int
    unknown: int
    of_those_delivered: int
    gone: int
    otherwise: int
    """People without a device, and devices whose token is dead."""
    sum: int
    bound: int
    """What `unknown` (skip) or `duplicates` (resend) must not exceed: a window for each kill, and what was dropped."""
    worst: int
    """The most deliveries that one fault left in doubt."""
    repeats: int
    """What a receiver that remembers keys answered again."""
    dropped: int
    """Messages that were taken and never answered, without any crash."""


def account(evidence: Evidence) -> Account:
    delivered = evidence.delivered
    sent, unknown = evidence.counted(Outcome.sent), evidence.counted(Outcome.unknown)
    kills = evidence.kills.total()
    return Account(
        kills=kills,
        audience=len(evidence.people.expected),
        sent=sent,
        duplicates=delivered.total() - len(delivered),
        lost=len(_lost(evidence, delivered)) + max(0, sent - len(delivered)),
        unknown=unknown,
        of_those_delivered=len(delivered) - sent,
        gone=evidence.counted(Outcome.unknown, Reason.gone),
        otherwise=evidence.counted(Outcome.skipped, Reason.no_address)
        + evidence.counted(Outcome.failed, Reason.unregistered),
        sum=sum(tally.count for tally in evidence.tallies),
        bound=kills * evidence.scenario.window + len(evidence.received.dropped),
        worst=evidence.doubts.most,
        repeats=evidence.received.repeats,
        dropped=len(evidence.received.dropped),
    )


def _lost(evidence: Evidence, delivered: Counter[int]) -> set[int]:
    """People who should have heard, did not, and whose delivery is not reported as in doubt."""
    excused = evidence.people.left | evidence.unknown | evidence.perhaps
    excused |= evidence.people.without | evidence.people.dead
    return evidence.people.expected - delivered.keys() - excused


def violations(evidence: Evidence, found: Account) -> Iterator[str]:
    """Everything that must hold and does not."""
    scenario, delivered = evidence.scenario, evidence.delivered
    if found.sum != found.audience:
        yield f"the run counted {found.sum} deliveries, and the audience was {found.audience}"
    others = found.sum - found.sent - found.unknown - found.otherwise
    if others:
        yield f"{others} deliveries are neither sent nor unknown"
    yield from _unreachable_violations(evidence)
    if found.lost:
        yield f"{found.lost} are lost"
    if found.duplicates > (found.bound if scenario.policy == "resend" and not scenario.idempotent else 0):
        yield f"{found.duplicates} duplicates"
    if not scenario.resends and found.unknown > found.bound:
        yield f"{found.unknown} unknown, and {found.bound} are the most that {found.kills} kills and drops may leave"
    waiting = found.dropped if scenario.resends else 0  # without an answer, and not yet sent again
    if found.worst > scenario.window + waiting:
        yield f"one fault left {found.worst} in doubt, and the window is {scenario.window}"
    if strangers := delivered.keys() - evidence.people.expected:
        yield f"{len(strangers)} heard who were not in the audience"
    if evidence.received.other_bodies:
        yield f"{evidence.received.other_bodies} messages came again with the same key and another body"
    if found.gone != len(evidence.people.gone) and not evidence.doubts.possible:
        yield f"{found.gone} are counted as gone, and {len(evidence.people.gone)} left while in doubt"
    yield from _unknown_violations(evidence, found)
    if evidence.rows is not None:
        yield from written_violations(evidence.rows, evidence.tallies)


def _unreachable_violations(evidence: Evidence) -> Iterator[str]:
    """Who has no address is skipped; whose address is dead has failed, or is in doubt."""
    skipped, without = evidence.counted(Outcome.skipped), len(evidence.people.without)
    if skipped != without:
        yield f"{skipped} are skipped, and {without} have no address"
    failed, most = evidence.counted(Outcome.failed), evidence.people.dead - evidence.unknown
    if not len(most - evidence.perhaps) <= failed <= len(most):
        yield f"{failed} have failed, and {len(most)} addresses are dead"


def _unknown_violations(evidence: Evidence, found: Account) -> Iterator[str]:
    """Sent, and those unknown that were delivered, are what the receiver counted: person by person."""
    certain, heard = evidence.unknown, evidence.delivered.keys()
    possible = evidence.perhaps
    if not len(certain) <= found.unknown <= len(certain | possible):
        yield f"{found.unknown} are unknown, and {len(certain)} were left in doubt (perhaps {len(possible)} more)"
    told = found.of_those_delivered
    if not len(certain & heard) <= told <= len((certain | possible) & heard):
        yield f"{told} of the unknown were delivered by the totals, and {len(certain & heard)} by their names"
