"""Who composes and sends what the sweep reads: this process, or several."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Protocol

from connect.clock import Clock
from connect.pipeline.accounts import Accounts
from connect.pipeline.books import Books
from connect.pipeline.dispatch import Hold
from connect.pipeline.kit import Kit
from connect.pipeline.pace import Pace
from connect.pipeline.recovery import Recovered
from connect.pipeline.worker import Dealt, Sending, Worker
from connect.vocabulary import Channel


@dataclass(frozen=True)
class Orders:
    """What a crew has to do."""

    kit: Kit
    accounts: Accounts
    recovered: Recovered
    copied: Collection[Channel]
    """Channels of which a test run has sent its one copy."""
    sending: Sending
    clock: Clock
    random: Random


class Crew(Protocol):
    """Takes rows in the order of the sweep. Whatever stops one of its workers is raised by `deal` and `drain`."""

    @property
    def piece(self) -> int:
        """How many rows to deal at a time."""

    @property
    def waiting(self) -> str:
        """What is waited for, for people to read."""

    async def deal(self, dealt: Dealt) -> None:
        """Give these rows to a worker; waits until one has room."""

    def flush(self) -> None:
        """No more rows are at hand: calls leave as they are."""

    async def drain(self) -> None:
        """Wait until every delivery has ended."""

    async def stop(self) -> None:
        """Finish what is in the air, start nothing new."""

    def abandon(self) -> None:
        """Let go at once: what is in the air stays in doubt."""

    def halt(self, trouble: BaseException) -> None:
        """Start nothing new, and raise this to whoever deals or drains."""


class Alone:
    """A crew of one, in this process."""

    def __init__(self, worker: Worker, clock: Clock) -> None:
        self._worker = worker
        self._pace = Pace(clock)
        self.flush, self.drain, self.stop = worker.flush, worker.drain, worker.stop
        self.abandon, self.halt = worker.abandon, worker.halt

    @property
    def piece(self) -> int:
        return self._pace.rows

    @property
    def waiting(self) -> str:
        return self._worker.waiting

    async def deal(self, dealt: Dealt) -> None:
        with self._pace.measured():
            await self._worker.deliver(dealt)


@asynccontextmanager
async def alone(orders: Orders, books: Books, hold: Hold) -> AsyncIterator[Crew]:
    """Compose and send in this process."""
    worker = Worker(
        orders.kit.composer(orders.recovered, orders.copied),
        orders.accounts,
        orders.recovered,
        orders.sending,
        books,
        hold,
        orders.clock,
        orders.random,
    )
    async with AsyncExitStack() as stack:
        await worker.open(stack)
        yield Alone(worker, orders.clock)
