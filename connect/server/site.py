"""What the server works with, and the pieces that it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol

from connect.clock import Clock
from connect.ledger.shared_clock import SharedClock
from connect.ledger.store import Ledger
from connect.pipeline.counters import Counters
from connect.pipeline.desk import Desk
from connect.pipeline.herald import Herald
from connect.pipeline.intake import Intake, Outlets
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.schedule.house import House
from connect.schedule.log import Log
from connect.schedule.work import Doors
from connect.warehouses.interface import Warehouse

if TYPE_CHECKING:
    from fastapi import APIRouter

    from connect.server.speed import Speed


@dataclass(frozen=True)
class Site:
    """One project on one target, as a server has it."""

    house: House
    ledger: Ledger
    clock: Clock
    log: Log
    doors: Doors

    @property
    def project(self) -> Project:
        """The last good version of connect.yml."""
        return self.house.project

    @property
    def campaigns(self) -> Mapping[str, Campaign]:
        """By name, in the last good version of each."""
        return self.house.campaigns

    @cached_property
    def time(self) -> SharedClock:
        """The ledger's, for what is compared with what other servers write."""
        return SharedClock(self.ledger)

    @cached_property
    def counters(self) -> Counters:
        """How often things have happened here, for `/metrics`."""
        return Counters()

    @cached_property
    def speed(self) -> Speed:
        """How many requests are answered, and how fast."""
        from connect.server.speed import Speed

        return Speed(self.clock, self.counters)

    @cached_property
    def herald(self) -> Herald:
        """Tells the project's endpoints what happens."""

        def say(name: str, why: str, dropped: int) -> None:
            self.log.warning("webhook-dropped", webhook=name, reason=why, dropped=dropped)

        return Herald(
            lambda: self.project.webhooks, self.project.target, self.clock, SystemRandom(), self.counters, say
        )

    def warehouse(self, source: str) -> Warehouse:
        """A source by its name, opened anew."""
        return self.doors.source(self.project, source)

    @cached_property
    def desk(self) -> Desk:
        """Takes opt-outs."""
        return Desk(lambda: self.project, self.doors.source, self.ledger, self.log, self.counters)

    @cached_property
    def intake(self) -> Intake:
        """Takes what is reported about messages."""
        return Intake(
            Outlets(
                lambda: self.project,
                self.doors.source,
                self.ledger,
                self.time,
                self.desk.take,
                self.herald.tell,
                self.counters,
                self.log.trouble,
            )
        )


class Part(Protocol):
    """A piece of the server: its routes, and what it does beside them."""

    def routes(self) -> APIRouter: ...

    async def run(self, stop: asyncio.Event) -> None:
        """Work for as long as the server runs. When `stop` is set no request comes any more: finish, and return."""


MakePart = Callable[[Site], Part]
