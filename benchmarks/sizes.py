"""How much of everything is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    people: int = 250_000
    """In the audience of a whole run."""
    script: int = 2_000
    """In the audience of the straightforward script, whose start-up is small beside its rate."""
    seconds: float = 0.4
    """Of CPU, for each turn of something that is measured in this process."""
    rounds: int = 5
    starts: int = 9
    """How often a command is started."""
    memory: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    """Audiences whose peak memory is compared."""
    deliveries: int = 128_000
    """That a ledger alone is given."""
    phase: float = 30.0
    """Seconds after which what a provider takes changes."""
    campaigns: int = 500
    """That a daemon follows."""
    idle: float = 60.0
    """Seconds for which it is watched doing nothing."""
    read: int = 1_000_000
    """People in an audience that is only read."""
    webhooks: float = 60.0
    """Seconds for which providers report."""
    calls: int = 300
    """For one message each, one after the other, and again by several callers."""


FULL = Size()
QUICK = Size(
    10_000, 500, 0.1, 3, 3, (100_000, 1_000_000), 32_000, 10.0, idle=20.0, read=200_000, webhooks=15.0, calls=100
)
"""For a look while working on something: start-up weighs on these figures."""
TINY = Size(200, 20, 0.0, 1, 1, (100, 1_000), 4_096, 0.3, campaigns=10, idle=0.1, read=2_000, webhooks=0.3, calls=4)
"""For the tests, which only want to know that everything still runs."""
