"""A report divided: by run, day, channel, arm or link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connect.reports.measures import EVENTS, OUTCOMES, Fact, Figure, Figures, Known, Measure, Rate, figures
from connect.vocabulary import Outcome


class By(StrEnum):
    run = "run"
    day = "day"
    channel = "channel"
    arm = "arm"
    link = "link"


@dataclass(frozen=True, slots=True)
class Group:
    """One row of a divided report."""

    name: str
    """A run's id, a day in ISO 8601, a channel, an arm (blank: none), or a link as its template has it."""
    figures: Figures
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """How deliveries ended, and why."""

    outcome: Outcome
    reason: str
    count: int


_NAMES: Mapping[By, Callable[[Fact], str]] = {
    By.run: lambda fact: fact.run,
    By.day: lambda fact: fact.day.isoformat(),
    By.channel: lambda fact: fact.channel.value,
    By.arm: lambda fact: fact.arm,
    By.link: lambda fact: fact.link,
}


def groups(facts: Sequence[Fact], by: By, known: Known) -> list[Group]:
    """Days have no rates: what happens on one day is not a share of what was delivered on it."""
    if by is By.link:
        return _links(facts, known)
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        found.setdefault(_NAMES[by](fact), []).append(fact)
    made = [Group(name, _figures(some, by, known), reasons(some)) for name, some in found.items()]
    return made if by is By.run else sorted(made, key=lambda group: group.name)


def _figures(some: Sequence[Fact], by: By, known: Known) -> Figures:
    """Where nothing at all was reported, that is not nought."""
    found = figures(some, known, rates=by is not By.day)
    if any(fact.measure in EVENTS for fact in some):
        return found
    return {measure: figure for measure, figure in found.items() if measure not in EVENTS}


def reasons(facts: Sequence[Fact]) -> tuple[Reason, ...]:
    """In the order of outcomes, most frequent first. What was sent has none, whatever parts it was sent in."""
    counts: Counter[tuple[Outcome, str]] = Counter()
    for fact in facts:
        if (outcome := _ENDINGS.get(fact.measure)) is not None:
            counts[outcome, "" if outcome is Outcome.sent else fact.reason] += fact.total
    order = list(Outcome)
    made = [Reason(outcome, reason, count) for (outcome, reason), count in counts.items() if count]
    return tuple(sorted(made, key=lambda one: (order.index(one.outcome), -one.count, one.reason)))


_ENDINGS = {measure: outcome for outcome, measure in OUTCOMES.items()}


_CLICKS = (Measure.clicked, Measure.machine_clicked)


def _links(facts: Sequence[Fact], known: Known) -> list[Group]:
    """Most clicked first. A link's rate is of all that could have been clicked: each message has each link."""
    totals: dict[str, dict[Measure, list[int]]] = {}
    for fact in facts:
        if fact.measure in _CLICKS and fact.total:
            sums = totals.setdefault(fact.link, {}).setdefault(fact.measure, [0, 0])
            sums[0] += fact.total
            sums[1] += fact.unique if fact.link else 0
    whole = figures(facts, known).get(Measure.clicked)
    rate = whole.rate if whole else None
    made = [
        Group(link, {measure: _of_all(sums, measure, rate) for measure, sums in found.items()})
        for link, found in totals.items()
    ]
    return sorted(made, key=lambda group: (-_clicks(group), group.name))


def _of_all(sums: Sequence[int], measure: Measure, whole: Rate | None) -> Figure:
    total, unique = sums
    if whole is None or measure is not Measure.clicked or not unique:
        return Figure(total, unique, None)
    return Figure(total, unique, Rate(whole.of, whole.base, unique / whole.base))


def _clicks(group: Group) -> int:
    figure = group.figures.get(Measure.clicked)
    return figure.total if figure else 0
