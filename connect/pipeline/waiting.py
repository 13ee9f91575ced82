"""Opt-outs that wait for the warehouse count already: every gate heeds them as if it had read them there.

Who reads on behind the last one that it knows misses none, so looking costs two small queries, once a second at most.
It is looked right before each read, too, so that what is on its way from here to there is in one of both. What the
warehouse has taken goes on counting for rows that were read before that was known; also what it took so quickly that it
never waited, or waited for less than the time between two looks: that stays in the ledger for a while.

A return that waits takes back what waits with it, by time. What the warehouse has says no until it has the return.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connect.clock import Clock
from connect.identity import KeyRing
from connect.ledger.optouts import KEPT
from connect.ledger.records import HeldOptOut
from connect.ledger.store import Ledger
from connect.pipeline.audience import Columns, Rows
from connect.pipeline.sealing import opened
from connect.pipeline.subscriptions import Change, Scope, compared, normal, scope_of
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses.audience import Audience, find, person_column
from connect.warehouses.wrapping import BOUNCED, COMPLAINED, UNSUBSCRIBED, OptOuts

EVERY = 1.0
"""Seconds after which it is looked again."""
_FLAGS = {
    SubscriptionStatus.unsubscribed: UNSUBSCRIBED,
    SubscriptionStatus.bounced: BOUNCED,
    SubscriptionStatus.complained: COMPLAINED,
}


@dataclass(frozen=True, slots=True)
class _Known:
    change: Change
    gone_at: float | None = None
    """By `Clock.monotonic`: when it was seen that the warehouse has it."""


class Waiting:
    """What waits now, as far as was looked. Safe to use from several threads."""

    def __init__(self, ledger: Ledger, ring: KeyRing, clock: Clock, kept: timedelta = KEPT) -> None:
        """`kept`: how long what the warehouse has taken is remembered, for what was read before."""
        self._ledger, self._ring, self._clock, self._kept = ledger, ring, clock, kept.total_seconds()
        self._known: dict[int, _Known] = {}
        self._last, self._sealed = 0, 0
        self._looked_at: float | None = None
        self.version = 0
        """Changes with what is known."""
        self._guard = threading.Lock()

    @property
    def is_due(self) -> bool:
        return self._looked_at is None or self._clock.monotonic() - self._looked_at >= EVERY

    def look(self) -> None:
        """Learn what has come, and what the warehouse has taken. Raises OutsideError: nobody is let pass unasked."""
        with self._guard:
            now = self._clock.monotonic()
            while found := self._ledger.taken(self._last):
                self._last = found[-1].id
                self.version += 1
                for one in found:
                    self._learn(one, now)
            self._let_go(now)
            self._forget(now)
            self._looked_at = now

    def _learn(self, one: HeldOptOut, now: float) -> None:
        if one.is_gone and self._looked_at is None:
            return  # nothing is read before the first look: the warehouse says it
        change = opened(self._ring, one)
        if change is not None:
            self._known[one.id] = _Known(normal(change), now if one.is_gone else None)
        elif not one.is_gone:
            self._sealed += 1

    def _forget(self, now: float) -> None:
        past = [
            id for id, known in self._known.items() if known.gone_at is not None and now - known.gone_at > self._kept
        ]
        for id in past:
            del self._known[id]

    def _let_go(self, now: float) -> None:
        waiting = sum(known.gone_at is None for known in self._known.values())
        if waiting + self._sealed != self._ledger.held_count():
            ids = set(self._ledger.held_ids())
            for id, known in self._known.items():
                if known.gone_at is None and id not in ids:
                    self._known[id] = replace(known, gone_at=now)
            self._sealed = len(ids - self._known.keys())
            self.version += 1

    @property
    def unopened(self) -> int:
        """How many wait that no secret of the project opens."""
        return self._sealed

    def changes(self, read_at: float | None = None) -> list[Change]:
        """Those that what was read then does not have; those that the warehouse does not have now."""
        with self._guard:
            return [known.change for known in self._known.values() if known.gone_at is None or _after(known, read_at)]


def _after(known: _Known, read_at: float | None) -> bool:
    return read_at is not None and known.gone_at is not None and known.gone_at >= read_at


def standing(changes: Iterable[Change]) -> Iterator[Change]:
    """Opt-outs that nobody has taken back later, of these alone."""
    found = list(changes)
    back: dict[Scope, datetime] = {}
    for change in found:
        if change.status is SubscriptionStatus.subscribed:
            scope = scope_of(change)
            back[scope] = max(change.at, back.get(scope, change.at))
    for change in found:
        if change.status in _FLAGS and (scope_of(change) not in back or change.at >= back[scope_of(change)]):
            yield change


class Heeded:
    """What waits, for the audience and the message of one run."""

    def __init__(self, waiting: Waiting, audience: Audience, optouts: OptOuts) -> None:
        self._waiting, self._optouts = waiting, optouts
        person = person_column(audience)
        self._person = person.name if person else None
        self._by_email = person is not None and person.name.casefold() == "email"
        self._addresses = {
            channel: column.name
            for channel, name in optouts.addresses.items()
            if channel in optouts.channels and (column := find(audience.columns, name))
        }
        self._made: tuple[tuple[int, float], _Flags] | None = None

    @property
    def is_due(self) -> bool:
        return self._waiting.is_due

    def look(self) -> None:
        self._waiting.look()

    def over(self, rows: Rows) -> Rows:
        """The rows, flagged as the warehouse would flag them if it had what waits."""
        flags = self._flags(rows.read_at)
        if not flags:
            return rows
        optouts = {
            channel: self._flagged(channel, found, rows.columns, flags) for channel, found in rows.optouts.items()
        }
        tokens = flags.by_address.get(Channel.push, {}) if Channel.push in rows.optouts else {}
        return replace(rows, optouts=optouts, dead={**rows.dead, **tokens} if tokens else rows.dead)

    def _flags(self, read_at: float) -> _Flags:
        known = self._waiting.version, read_at
        if self._made is None or self._made[0] != known:
            flags = _Flags.of(standing(self._waiting.changes(read_at)), self._optouts, self._by_email)
            self._made = known, flags
        return self._made[1]

    def _flagged(self, channel: Channel, found: Sequence[int], columns: Columns, flags: _Flags) -> list[int]:
        flagged = list(found)
        if self._person is not None and (by_id := flags.by_id.get(channel)):
            _raise(flagged, map(self._id, columns[self._person]), by_id)
        if channel in self._addresses and (by_address := flags.by_address.get(channel)):
            _raise(flagged, map(_address, columns[self._addresses[channel]]), by_address)
        return flagged

    def _id(self, value: object) -> str | None:
        text = None if value is None else str(value).strip()
        return text.lower() if text and self._by_email else text


def _address(value: object) -> str | None:
    return None if value is None else compared(str(value))


def _raise(flags: list[int], people: Iterable[str | None], known: Mapping[str, int]) -> None:
    for row, person in enumerate(people):
        if person is not None and (flag := known.get(person, 0)) > flags[row]:
            flags[row] = flag


@dataclass(frozen=True, slots=True)
class _Flags:
    """Channel → person → flag, for one message."""

    by_id: Mapping[Channel, Mapping[str, int]]
    by_address: Mapping[Channel, Mapping[str, int]]

    @classmethod
    def of(cls, changes: Iterable[Change], optouts: OptOuts, by_email: bool) -> _Flags:
        made: tuple[dict[Channel, dict[str, int]], dict[Channel, dict[str, int]]] = {}, {}
        for change in changes:
            flag = _FLAGS[change.status]
            if _counts(change, flag, optouts):
                id = change.id.lower() if change.id and by_email else change.id
                for person, flags in zip((id, change.address), made, strict=True):
                    _put(flags, person, flag, (change.channel,) if change.channel else optouts.channels)
        return cls(*made)

    def __bool__(self) -> bool:
        return bool(self.by_id or self.by_address)


def _counts(change: Change, flag: int, optouts: OptOuts) -> bool:
    """A bounce or a complaint is about every message."""
    if flag >= BOUNCED:
        return True
    return not optouts.transactional and change.topic in (None, optouts.topic)


def _put(flags: dict[Channel, dict[str, int]], person: str | None, flag: int, channels: Collection[Channel]) -> None:
    for channel in channels if person else ():
        known = flags.setdefault(channel, {})
        known[person or ""] = max(flag, known.get(person or "", 0))
