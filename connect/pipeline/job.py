"""What a run is made of, and what it works with."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from connect.channels.zones import Place
from connect.clock import Clock
from connect.errors import ConnectError
from connect.ledger.records import RunRecord, Slice
from connect.ledger.store import Ledger
from connect.pipeline.accounts import Accounts
from connect.pipeline.audience import Sweep
from connect.pipeline.books import Books
from connect.pipeline.crew import Crew, Orders, alone
from connect.pipeline.devices import Dead
from connect.pipeline.happening import Tell
from connect.pipeline.kit import Kit
from connect.pipeline.lease import Lease
from connect.pipeline.rates import Limit
from connect.pipeline.snapshot import Snapshot
from connect.pipeline.waiting import Heeded
from connect.pipeline.waves import Timing
from connect.pipeline.writeback import Diary
from connect.project.campaign import Campaign
from connect.vocabulary import Channel, Outcome
from connect.warehouses.wrapping import Audience

LEASE = timedelta(seconds=30)


@dataclass(frozen=True)
class Copied:
    """The copy of an audience, and of which one."""

    snapshot: Snapshot
    audience: Audience

    def make(self, slices: Sequence[Slice]) -> None:
        """Before anybody is read."""
        self.snapshot.make(self.audience, slices)


@dataclass(frozen=True)
class Job:
    """A run that has its row in the ledger, with everything that it needs."""

    record: RunRecord
    sweep: Callable[[Slice], Sweep]
    """The audience of a slice, behind its cursor."""
    kit: Kit
    accounts: Accounts
    timing: Timing
    """When its deliveries may go out."""
    places: Callable[[], Collection[Place]]
    """Where the people of its audience are: asked of the warehouse, now."""
    buckets: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    """Account → what its messages are counted against."""
    copied: Copied | None = None
    """The copy of the audience that it reads instead of the audience itself."""
    diary: Diary | None = None
    """Where its deliveries are written; None where they are not."""
    heeded: Heeded | None = None
    """Opt-outs that wait for the warehouse; None in a project that has none."""
    dead: Dead | None = None
    """Where devices are written that turn out to be dead; None where they are not."""

    @property
    def campaign(self) -> Campaign:
        return self.kit.bundle.campaign


@dataclass
class Progress:
    """How far a run is, for people who watch it."""

    rows: int = 0
    share: float = 0.0
    """How much of its work is behind the cursors: 0 to 1."""
    waiting: str = ""
    totals: Mapping[tuple[Channel, str, Outcome, str], int] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    """What was wrong with templates for some people, without a word about them."""


@dataclass(frozen=True)
class Tools:
    """What a run works with."""

    ledger: Ledger
    clock: Clock
    random: Random
    stop: asyncio.Event
    """Set to stop well: what is in the air is finished, the rest goes on with the next `connect run`."""
    watch: Callable[[Progress], None] = lambda progress: None
    lease: timedelta = LEASE
    """How long others wait for this process when it says nothing."""
    crew: Callable[[Orders, Books, Lease], AbstractAsyncContextManager[Crew]] = alone
    """Who composes and sends."""
    waits: bool = True
    """Whether to wait for slices that open later; else the run is left to whoever looks at it then."""
    hands_over: bool = False
    """A run that is stopped stays `running`: another process takes it up by itself."""
    tell: Tell | None = None
    """Who tells the user's endpoints what was sent, and what failed; None where nobody wants to hear of it."""


class Stopped(ConnectError):
    """The run was asked to stop; it goes on with the next `connect run`."""

    exit_code = 0
