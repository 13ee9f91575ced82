"""What flows through a run: a person, the deliveries their row makes, and how each ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connect.channels.message import Outgoing
from connect.vocabulary import Channel, Mode, Outcome


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What stays the same for every delivery of a run, also when it is resumed."""

    run_id: str
    campaign: str
    target: str
    mode: Mode
    fire_time: datetime
    secret: bytes
    parameters: Mapping[str, object] = field(default_factory=dict)
    """What a call of the API gave."""


@dataclass(frozen=True, slots=True)
class Person:
    """One row of the audience, in memory between the warehouse and the provider."""

    key: str
    user: Mapping[str, object]
    optouts: Mapping[Channel, int]


@dataclass(frozen=True, slots=True)
class Ended:
    """A delivery that ends before any provider hears of it, or after."""

    outcome: Outcome
    reason: str


@dataclass(slots=True)  # frozen in spirit: freezing costs a microsecond
class Delivery:
    """One row × one channel × one address: ended already, or on its way to an account."""

    channel: Channel
    result: Ended | Outgoing
    route: tuple[str, ...] = ()
    """The accounts that carry it, in the order in which one takes over from another."""
