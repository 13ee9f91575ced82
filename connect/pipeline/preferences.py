"""What somebody receives, as far as opt-outs say, and what is written when they choose otherwise. Pure.

Of rows on record, and of opt-outs that wait for the warehouse, which count already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from connect.identity import KeyRing, open_unsubscribe_token
from connect.pipeline.subscriber import Entry, Person, Subscriber, Verdict, coming_back
from connect.pipeline.subscriptions import Change, compared, normal, unheard
from connect.vocabulary import Channel, SubscriptionStatus

_GRAVE = (SubscriptionStatus.bounced, SubscriptionStatus.complained)
_FLAGS = {status: flag for flag, status in enumerate(SubscriptionStatus)}


@dataclass(frozen=True, slots=True)
class Claims:
    """What an unsubscribe link says, of whom it was made for."""

    channel: Channel
    topic: str | None
    correlation: str
    """The correlation id of the message that it came in; blank in messages of long ago."""
    id: str | None = field(repr=False)
    address: str | None = field(repr=False)

    @classmethod
    def of(cls, ring: KeyRing, token: str) -> Claims:
        """Raises SealBroken."""
        said = open_unsubscribe_token(ring, token)
        channel = Channel(said["channel"])
        address = said.get("address") if channel in (Channel.email, Channel.sms) else None
        return cls(channel, said.get("topic") or None, said.get("correlation", ""), said.get("id") or None, address)

    @property
    def person(self) -> Person:
        email = self.address if self.channel is Channel.email else None
        return Person(self.id, email, self.address if self.channel is Channel.sms else None)

    def left(self, topic: str | None, at: datetime, source: str) -> Change:
        """No more of this topic on this channel; None is every topic."""
        return Change(SubscriptionStatus.unsubscribed, at, source, self.id, self.address, self.channel, topic)

    @property
    def can_leave(self) -> bool:
        """Whether runs would find what is written for them."""
        return not unheard(self.left(None, datetime.now(UTC), ""))


def with_held(entries: Sequence[Entry], held: Iterable[Change], who: Person) -> tuple[Entry, ...]:
    """What is on record with what waits for the warehouse: each scope by its latest."""
    mine = [_entry(change, by) for change in map(normal, held) if (by := _by(change, who))]
    together = [*mine, *entries]
    return tuple(_standing(one, one in mine, together) for one in together) if mine else tuple(entries)


def heeding(found: Subscriber, held: Sequence[Change], who: Person) -> Subscriber:
    """As runs know somebody: opt-outs that wait for the warehouse count already, returns that wait do not yet."""
    entries = with_held(found.entries, held, who)
    waiting = [one for one in entries if one.held and one.stands]
    return Subscriber(entries, tuple(_raised(verdict, waiting) for verdict in found.verdicts)) if waiting else found


def _raised(verdict: Verdict, waiting: Sequence[Entry]) -> Verdict:
    about = (one for one in waiting if _reaches(one, verdict))
    return replace(verdict, flag=max([verdict.flag, *(_FLAGS[one.status] for one in about)]))


def _reaches(one: Entry, verdict: Verdict) -> bool:
    of_channel = one.channel in (None, verdict.channel.value)
    return of_channel and (one.topic in (None, verdict.topic) or one.status in _GRAVE)


def _by(change: Change, who: Person) -> str:
    is_id = change.id is not None and change.id == who.id
    known = {who.device} if change.channel is Channel.push else {compared(one) for one in who.addresses}
    is_address = change.address is not None and change.address in known
    return " and ".join(name for name, match in (("id", is_id), ("address", is_address)) if match)


def _entry(change: Change, by: str) -> Entry:
    channel = change.channel.value if change.channel else None
    return Entry(change.status, channel, change.topic, change.at, False, by, change.id, change.address, held=True)


def _standing(one: Entry, is_new: bool, others: Sequence[Entry]) -> Entry:
    """As a run's query decides: an opt-out stands unless somebody came back to its scope later."""
    if one.status is SubscriptionStatus.subscribed or not (is_new or one.stands):
        return one
    same = (other for other in others if _scope(other) == _scope(one))
    back = [_instant(other.at) for other in same if other.status is SubscriptionStatus.subscribed]
    return replace(one, stands=not any(time > _instant(one.at) for time in back))


def _scope(one: Entry) -> tuple[str | None, ...]:
    return one.id, one.address, one.channel, one.topic


_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def _instant(at: object) -> datetime:
    """A row without a time is older than any other."""
    if isinstance(at, datetime):
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return datetime(at.year, at.month, at.day, tzinfo=UTC) if isinstance(at, date) else _LONG_AGO


@dataclass(frozen=True)
class Preferences:
    """What one person receives on the channel of a link."""

    claims: Claims
    entries: tuple[Entry, ...]
    """What is on record, with what is held."""

    @property
    def _standing(self) -> list[Entry]:
        return [one for one in self.entries if one.stands and one.about(self.claims.channel, None)]

    @property
    def held_back(self) -> bool:
        """Their address bounced, or they complained: no page takes that back."""
        return any(one.status in _GRAVE for one in self._standing)

    @property
    def all_off(self) -> bool:
        return any(one.topic is None for one in self._standing)

    def is_on(self, topic: str) -> bool:
        return not self.all_off and all(one.topic != topic for one in self._standing)

    def chosen(
        self, wanted: Collection[str], shown: Collection[str], at: datetime, source: str, *, back: bool = False
    ) -> list[Change]:
        """What is written so that they receive the wanted ones of the topics shown, and no others of these.

        back: they come back to the channel, also where no topic is wanted.
        """
        off = [topic for topic in shown if topic not in wanted]
        taken_back = [one for one in self._standing if one.topic in wanted]
        if back or wanted:
            taken_back += [one for one in self._standing if one.topic is None]
        at = self._after(at)
        returns = [replace(change, source=source) for change in coming_back(taken_back, at, None)]
        narrowed = [change for one in taken_back if one.channel is None for change in self._elsewhere(one, at, source)]
        left = [self.claims.left(topic, at, source) for topic in off if self.is_on(topic) or taken_back]
        return [*returns, *narrowed, *left]

    def _after(self, at: datetime) -> datetime:
        """Later than what is on record, whatever clock said when that was: of one scope the latest decides."""
        return max([at, *(_instant(one.at) + timedelta(microseconds=1) for one in self.entries)])

    def _elsewhere(self, entry: Entry, at: datetime, source: str) -> Iterator[Change]:
        """Who left every channel comes back to this one alone: they have still left the others."""
        for channel in Channel:
            made = Change(
                SubscriptionStatus.unsubscribed, at, source, entry.id, entry.address, channel, entry.topic, None
            )
            if channel is not self.claims.channel and not unheard(made):
                yield made
