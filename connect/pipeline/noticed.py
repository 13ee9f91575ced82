"""What an event means here: a row, an opt-out, a count, something to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from connect.clock import Clock
from connect.identity import KeyRing
from connect.ledger.records import Reported
from connect.pipeline.event_rows import event_key
from connect.pipeline.happening import Happening
from connect.pipeline.known_runs import KnownRun, KnownRuns
from connect.pipeline.subscriptions import Change, unheard
from connect.project.project import Project
from connect.providers.events import Bounce, Event, EventType
from connect.vocabulary import OURSELVES as OURSELVES
from connect.vocabulary import Channel, HappeningType, Mode, SubscriptionStatus

SOURCE = "webhook"
"""Of an opt-out: how it came."""
ADDRESSED = frozenset({Channel.email, Channel.sms})
"""Channels on which people are known by their address. On the others by their id, which no event says."""
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_STATUSES = {
    EventType.complained: SubscriptionStatus.complained,
    EventType.unsubscribed: SubscriptionStatus.unsubscribed,
    EventType.resubscribed: SubscriptionStatus.subscribed,
}


@dataclass(slots=True)  # frozen in spirit: freezing costs two microseconds
class Noticed:
    """One event, and all that becomes of it. Its repr says nothing about a person."""

    account: str
    event: Event
    at: datetime
    """When it happened: never later than now, whatever a provider says."""
    key: str
    written: bool
    """It is to be in connect_events."""
    change: Change | None
    reported: Reported
    told: bool
    """The user's endpoints hear of it."""
    campaign: str
    """Blank where its run is not known here."""

    @property
    def happening(self) -> Happening:
        """As it is told."""
        event = self.event
        return Happening(
            HappeningType(event.type.value),
            self.at,
            self.campaign,
            event.run_id,
            event.channel,
            event.key.hex() if event.key else "",
            address=event.address,
            bounce=event.bounce.value if event.bounce else "",
            reason=event.reason,
            link=event.link,
            user_agent=event.user_agent,
            machine=event.machine,
            source=self.key,
        )


class Noticing:
    """Used by one thread at a time."""

    def __init__(self, runs: KnownRuns, clock: Clock) -> None:
        self._runs, self._clock = runs, clock

    def of(self, project: Project, account: str, events: Sequence[Event]) -> list[Noticed]:
        """In their order. Raises OutsideError where the ledger can not be asked."""
        now, base_url, days = self._clock.now().astimezone(UTC), project.serve.base_url, _Days(project.timezone)
        found = []
        for event in events:
            run = self._runs.of(event.run_id, base_url) if event.run_id else None
            found.append(_noticed(project, account, event, run, now, days))
        return found


class _Days:
    """The day of the project's time zone. Events come in bursts: nearly all are of the day of the one before."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._day, self._begins, self._ends = date.min, _LONG_AGO, _LONG_AGO

    def of(self, at: datetime) -> date:
        if not self._begins <= at < self._ends:
            self._day = at.astimezone(self._zone).date()
            self._begins, self._ends = self._midnight(self._day), self._midnight(self._day + timedelta(days=1))
        return self._day

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)


def _noticed(project: Project, account: str, event: Event, run: KnownRun | None, now: datetime, days: _Days) -> Noticed:
    at = min(event.at.astimezone(UTC), now) if event.at > _LONG_AGO else _LONG_AGO
    key = event_key(account, event.id)
    counts = run is None or run.mode is Mode.live  # what comes of a test changes nothing but its own report
    return Noticed(
        account,
        event,
        at,
        key,
        written=counts and event.key is not None and project.destination is not None,
        change=_change(event, at) if counts and account != OURSELVES else None,
        reported=_reported(project.secret, event, run, at, days.of(at), key),
        told=counts,
        campaign=run.campaign if run else "",
    )


def _change(event: Event, at: datetime) -> Change | None:
    """The opt-out that it is, if it says whose."""
    status = _STATUSES.get(event.type)
    if event.type is EventType.bounced and event.bounce is Bounce.hard:
        status = SubscriptionStatus.bounced
    if status is None or not event.address or event.channel not in ADDRESSED:
        return None
    change = Change(status, at, SOURCE, address=event.address, channel=event.channel, reason=event.reason)
    return None if unheard(change) else change


def _reported(ring: KeyRing, event: Event, run: KnownRun | None, at: datetime, day: date, key: str) -> Reported:
    names = ring.marks("event", key.encode())
    if run is None or event.run_id is None or event.key is None:
        return Reported(names, at, day)
    link = run.clicked.link(event.link) if event.link else ""
    bounce = event.bounce.value if event.bounce else ""
    said = f"{event.run_id} {event.key.hex()} {event.type} {bounce} {event.machine} "
    return Reported(
        names,
        at,
        day,
        event.run_id,
        event.channel,
        "",
        event.type.value,
        bounce,
        event.machine,
        link,
        ring.marks("first", said.encode()),
        ring.marks("first", (said + link).encode()) if link else (),
    )
