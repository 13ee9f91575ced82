"""What is done to a run, and when: all of it drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from benchmarks.chaos.scenario import Scenario


class Fault(StrEnum):
    kill = "kill"  # SIGKILL
    stop = "stop"  # SIGSTOP past the lease; another process takes over, then SIGCONT
    term = "term"  # SIGTERM: what is in the air is finished
    cut = "cut"  # the ledger is locked, or its connections are ended


_DECK = (Fault.kill,) * 6 + (Fault.stop,) * 2 + (Fault.term, Fault.cut)


@dataclass(frozen=True)
class Strike:
    fault: Fault
    seconds: float | None
    """This long after the process was started, whatever it does then, though never later than its deliveries say."""
    deliveries: int
    """After so many more deliveries than there were before."""
    jitter: float
    """And this many seconds later, when it was the deliveries that were waited for."""
    lasts: float
    """For how long the ledger is cut."""


def strikes(scenario: Scenario, faults: Sequence[Fault], random: Random, *, patient: bool) -> Iterator[Strike]:
    """When to do these. Impatient ones never cut the ledger for longer than a run bears."""
    early = False
    for fault in faults:
        early = not early and fault is not Fault.cut and random.random() < 0.25
        longer = patient and random.random() < 0.25
        yield Strike(
            fault,
            seconds=random.uniform(0, 2.0) if early else None,
            deliveries=random.randint(1, scenario.step),
            jitter=random.uniform(0, 0.03),
            lasts=random.uniform(16, 18) if longer else random.uniform(0.1, 1.5),
        )


def dealt(kills: int, random: Random) -> list[Fault]:
    """Every kind as often as in the deck, in any order."""
    dealt: list[Fault] = []
    while len(dealt) < kills:
        dealt += random.sample(_DECK, len(_DECK))
    return dealt[:kills]
