"""A project whose campaigns fire all the time: its files, and the people and events in its warehouses."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import duckdb

from connect.clock import Clock
from connect.testing.receivers import Receivers

PEOPLE = 20
"""In the audience of every campaign but those that answer to events."""
LAG = timedelta(minutes=2)


@dataclass(frozen=True)
class Plan:
    """One campaign, as its file says it."""

    name: str
    trigger: str
    """recurring, event, immediate or scheduled"""
    minutes: int = 0
    """From one fire time to the next, on the whole multiples since the full hour."""
    missed: str = "latest"
    overlap: str = "queue"
    grace: timedelta = timedelta(hours=6)
    at: datetime | None = None

    @property
    def events(self) -> bool:
        return self.trigger == "event"

    def text(self) -> str:
        return _CAMPAIGN.format(
            trigger=self._trigger(),
            audience=(_EVENTS if self.events else _PEOPLE).format(title=self.name),
        )

    def _trigger(self) -> str:
        when = {
            "recurring": f'cron: "*/{self.minutes} * * * *", overlap: {self.overlap}, ',
            "event": f"every: {self.minutes}m, lag: {LAG.seconds // 60}m, ",
            "scheduled": f'at: "{self.at.isoformat() if self.at else ""}", ',
        }.get(self.trigger, "")
        return f"type: {self.trigger}, {when}missed: {self.missed}, grace: {self.grace.total_seconds():.0f}s"


_CAMPAIGN = """\
status: live
trigger: {{{trigger}}}
audience:
{audience}
  limits: {{max: 100000}}
message:
  content:
    - channel: email
      from: Chaos <chaos@chaos.example>
      subject: "Hello"
      text: "At {{{{ run.fire_time }}}}."
policy: {{in_doubt: skip}}
"""
# The address says for whom, for which fire time and of which campaign a message is: the receiver counts by address.
_PEOPLE = """\
  sql: >-
    select id, id || '.' || epoch_us(cast(:fire_time as timestamptz)) || '.{title}@mail.example' as email, subscribed
    from people"""
_EVENTS = """\
  source: events
  sql: >-
    select id, event_id, subscribed,
    event_id || '.' || epoch_us(cast(:fire_time as timestamptz)) || '.{title}@mail.example' as email
    from events where happened_at > :since and happened_at <= :until
  key: [id, event_id]"""

_PROJECT = """\
name: chaos
secret: ${{CONNECT_SECRET}}
mode: live
state: "{state}"
sources:
  shop: {{url: "duckdb:///shop.duckdb"}}
  events: {{url: "duckdb:///events.duckdb"}}
providers:
  mail: {{type: chaos_plain_1, port: {port}, concurrency: 4, timeout: 60s}}
channels: {{email: mail}}
unsubscribe: {{url: "https://chaos.example/off?t={{{{ url.token }}}}"}}
"""
_ENTRY_POINTS = "[connect.providers]\nchaos_plain_1 = connect.testing.http_provider:Http\n"


@dataclass(frozen=True)
class Happened:
    """One event, and when the warehouse had it."""

    number: int
    at: datetime
    there: datetime

    @property
    def in_time(self) -> bool:
        """With a margin for daemons whose clock is ahead."""
        return self.there + timedelta(seconds=10) < self.at + LAG


@dataclass
class Estate:
    root: Path
    random: Random
    happened: list[Happened] = field(default_factory=list)

    def settle(self, receivers: Receivers, state: str) -> None:
        plugin = self.root / "plugins" / "chaos-0.dist-info"
        for folder in (self.root / "campaigns", plugin):
            folder.mkdir(parents=True)
        (self.root / "connect.yml").write_text(_PROJECT.format(state=state, port=receivers.http_port))
        (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 0\n")
        (plugin / "entry_points.txt").write_text(_ENTRY_POINTS)
        with duckdb.connect(str(self.root / "shop.duckdb")) as connection:
            connection.execute(
                f"create table people as select i as id, true as subscribed from range({PEOPLE}) people(i)"
            )
        with duckdb.connect(str(self.root / "events.duckdb")) as connection:
            connection.execute(
                "create table events (id integer, event_id integer, subscribed boolean, happened_at timestamptz)"
            )

    def put(self, plan: Plan) -> None:
        self.write(plan.name, plan.text())

    def write(self, name: str, text: str) -> None:
        """At once: nobody sees half a file."""
        new = self.root / "new.yml"
        new.write_text(text)
        os.replace(new, self._file(name))

    def rename(self, old: str, new: str) -> None:
        os.replace(self._file(old), self._file(new))

    def _file(self, name: str) -> Path:
        return self.root / "campaigns" / f"{name}.yml"

    def happen(self, since: datetime, clock: Clock) -> bool:
        """Some events since then, now and then on the full minute. False while somebody reads the warehouse."""
        try:
            connection = duckdb.connect(str(self.root / "events.duckdb"))
        except duckdb.IOException:
            return False
        now, first = clock.now(), len(self.happened) + 1
        instants = [since + self.random.random() * (now - since) for _ in range(self.random.randint(1, 4))]
        if self.random.random() < 0.2:
            instants[0] = max(now.replace(second=0, microsecond=0), since)
        rows = [(number % PEOPLE, number, True, at) for number, at in enumerate(instants, first)]
        with connection:
            connection.executemany("insert into events values (?, ?, ?, ?)", rows)
        there = clock.now()
        self.happened += [Happened(number, at, there) for number, at in enumerate(instants, first)]
        return True
