"""A project, its people in many zones, and a daemon that follows it through the year on a clock that stands still.

The daemon is the real one, and so are the ledger, the warehouse and the pipeline. The clock is moved to where something
is due next, so that a year passes in seconds.
"""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from connect import wiring
from connect.channels.message import Email, Outgoing
from connect.ledger.records import RunRecord
from connect.project.audience import Audience
from connect.project.campaigns import Loaded, load_campaigns
from connect.project.project import Project
from connect.providers import memory
from connect.providers.interface import Account
from connect.providers.memory import Memory
from connect.schedule import claims
from connect.schedule.daemon import Daemon, Pace, Tools
from connect.schedule.house import House
from connect.schedule.log import Log
from connect.schedule.watching import Watch
from connect.schedule.work import Doors, Works, make_run
from connect.testing import FakeClock
from connect.vocabulary import Mode, RunState
from connect.warehouses.interface import Query, Warehouse

PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
timezone: Europe/London
mode: live
sources: {shop: {url: "duckdb:///shop.duckdb"}}
providers: {mail: {type: memory}, texts: {type: memory}}
channels: {email: mail, sms: texts}
unsubscribe: {url: "https://acme.example/off?t={{ url.token }}"}
"""
CAMPAIGN = """\
status: live
trigger: {trigger}
audience:
  sql: select * from people
  limits: {{max: 100000}}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "Good morning"
      text: "Good morning"
    - channel: sms
      body: "Good morning. {{{{ url.unsubscribe_link }}}}"
policy: {policy}
"""
ENVIRONMENT = {"CONNECT_SECRET": "a secret that is long enough"}
EVERY_TICK = Pace(look=0.5, beat=86_400)
"""A daemon that looks at what there is to do whenever it comes round: it comes round when something is due."""


@dataclass(frozen=True)
class Person:
    name: str
    zone: str
    """Where they are. The warehouse knows it from `timezone`, or from their number alone."""
    phone: str | None = None
    zone_is_written: bool = True


@dataclass(frozen=True, order=True)
class Message:
    """What came to somebody, and when."""

    channel: str
    name: str
    at: datetime


class ToPeople(Memory):
    """Keeps what it is given, as `memory`, and says that it reaches people: all that protects them is on."""

    capabilities = replace(Memory.capabilities, reaches_people=True)


class World:
    def __init__(self, root: Path, start: datetime) -> None:
        self.root, self.clock = root, FakeClock(start)
        self.came: list[Message] = []
        self.counts = 0
        """How often an audience was counted."""
        self._names: dict[str, str] = {}
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(PROJECT)
        for account in ("mail", "texts"):
            memory.script(account, self._take)
        self.ledger = wiring.open_ledger(self._load()[0], self.clock)
        self._lines = io.StringIO()
        self._open = ExitStack()
        self.daemon: Daemon

    def close(self) -> None:
        self._open.close()
        self.ledger.close()

    def campaign(self, trigger: str, policy: str = "{}", name: str = "morning") -> None:
        (self.root / f"campaigns/{name}.yml").write_text(CAMPAIGN.format(trigger=trigger, policy=policy))

    def people(self, people: Iterable[Person]) -> None:
        rows = [
            (one.name, f"{one.name}@mail.example", one.phone, one.zone if one.zone_is_written else None)
            for one in people
        ]
        self._names = {contact: name for name, email, phone, _ in rows for contact in (email, phone) if contact}
        with duckdb.connect(str(self.root / "shop.duckdb")) as warehouse:
            warehouse.execute("create table people (id text, email text, phone_number text, timezone text)")
            warehouse.execute("alter table people add column subscribed bool default true")
            warehouse.executemany("insert into people (id, email, phone_number, timezone) values (?, ?, ?, ?)", rows)
        # Opening the file costs more than all that is asked of it: all connections of a process share what is open.
        warehouse = wiring.open_warehouse(self._load()[0], "shop")
        self._open.enter_context(warehouse.read(Query("select 1 as one", {}), timedelta(hours=1), 1))

    # Time

    def start_daemon(self) -> None:
        """Another daemon than before, if there was one."""
        house, watch = House(self._load), Watch(self.root)
        works = Works(Doors(self._warehouse, _accounts), self.ledger, self.clock, workers=1)

        async def work(record: RunRecord, stop: asyncio.Event) -> None:
            campaign = house.campaigns.get(record.campaign)
            loaded = Loaded(campaign, (), (), campaign.file) if campaign else None
            await works(record, house.project, loaded, stop)

        log = Log(self._lines, "text", house.project.redactor, self.clock)
        made = partial(make_run, clock=self.clock)
        self.daemon = Daemon(house, watch, Tools(self.ledger, self.clock, log, made, work, pace=EVERY_TICK))

    async def until(self, end: datetime) -> None:
        """Let time pass; the daemon comes round whenever something is due, and its runs end meanwhile."""
        while True:
            seconds = await self.daemon.tick()
            while self.daemon.at_work:
                await self.daemon.a_run_has_ended()
                await self.daemon.tick()
            now = self.clock.now()
            if now >= end:
                return
            coming = max(self._coming(now), now + timedelta(seconds=seconds))
            self.clock.advance((min(coming, end) - now).total_seconds())

    def _coming(self, now: datetime) -> datetime:
        """When something is due next, by the ledger."""
        schedules, live = self.ledger.schedules(Mode.live), self.daemon.house.campaigns
        begins = [claims.next_begin(one, schedules[name]) for name, one in live.items() if name in schedules]
        running = [run for name in live if (run := self.ledger.unfinished(Mode.live, name))]
        slices = [one for run in running for one in self.ledger.slices(run.id) if not one.ended]
        return min([*filter(None, begins), *(one.opens_at or now for one in slices)], default=now)

    # What came of it

    def came_to(self, channel: str) -> Counter[Message]:
        return Counter(message for message in self.came if message.channel == channel)

    def runs(self, state: RunState | None = None) -> list[RunRecord]:
        """Oldest fire time first."""
        found = self.ledger.runs(limit=5000)
        return sorted((run for run in found if state in (None, run.state)), key=lambda run: run.fire_time)

    def counted(self, run: RunRecord) -> Counter[str]:
        """`channel outcome reason` → how many."""
        found: Counter[str] = Counter()
        for tally in self.ledger.tallies(run.id):
            found[f"{tally.channel} {tally.outcome} {tally.reason}".strip()] += tally.count
        return found

    @property
    def said(self) -> str:
        """The daemon's log."""
        return self._lines.getvalue()

    def _warehouse(self, project: Project, audience: Audience) -> Warehouse:
        warehouse = wiring.open_audience(project, audience)
        rows = warehouse.rows

        def counted(query: Query, timeout: timedelta) -> list[dict[str, object]]:
            self.counts += "without_key" in query.sql
            return rows(query, timeout)

        warehouse.rows = counted  # type: ignore[method-assign]
        return warehouse

    def _load(self) -> tuple[Project, dict[str, Loaded]]:
        project = wiring.open_project(self.root, None, None, ENVIRONMENT)
        return project, dict(load_campaigns(project))

    def _take(self, outgoing: Outgoing, attempt: int) -> None:
        message = outgoing.message
        to = message.to[0].address if isinstance(message, Email) else message.to
        channel = "email" if isinstance(message, Email) else "sms"
        self.came.append(Message(channel, self._names[to], self.clock.now()))


def _accounts(project: Project, names: Iterable[str]) -> dict[str, tuple[Memory, Account]]:
    return {name: (ToPeople(account), account) for name, (_, account) in wiring.open_accounts(project, names).items()}


# What a clock on the wall says, by looking at it every quarter of an hour: nobody moves clocks at other times any more

_QUARTER = timedelta(minutes=15)


def wall(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def first_shown(moment: datetime, zone: str) -> datetime:
    """The first instant at which a zone's clock shows this wall-clock time, or has jumped over it."""
    instant = moment.replace(tzinfo=UTC) - timedelta(hours=15)
    while wall(instant, zone) < moment:
        instant += _QUARTER
    return instant


def after_quiet(instant: datetime, zone: str, begin: int, end: int) -> datetime:
    """The first instant from this one on at which the hours from `begin` to `end`, over midnight, are not."""
    while not end <= wall(instant, zone).hour < begin:
        instant += _QUARTER
    return instant
