"""One person's opt-outs: what is on record, and on which channels and topics runs would therefore skip them.

Asked with the SQL of runs, over an audience of this one person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connect.errors import UserError
from connect.pipeline.gates import opted_out
from connect.pipeline.subscriptions import TIMEOUT, Change, asking, compared, unheard
from connect.project.project import Project, Subscriptions
from connect.vocabulary import Channel, Reason, SubscriptionStatus
from connect.warehouses import query, tokens
from connect.warehouses.interface import Column, Warehouse
from connect.warehouses.wrapping import BOUNCED, Audience, OptOuts, Wrapping, find, optout_column

_STATUSES = tuple(SubscriptionStatus)
"""By their flags."""
_ADDRESSES = {Channel.email: "email", Channel.sms: "phone_number"}
_KNOWN_BY = ("id", "email", "phone_number", "device")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is meant: as many of these as are known."""

    id: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone_number: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)
    """The token of one device of theirs, and then nothing else: a row about it is about no other."""

    @property
    def known_by(self) -> tuple[str, ...]:
        return tuple(name for name in _KNOWN_BY if getattr(self, name) is not None)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for address in (self.email, self.phone_number) if address is not None)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those on which a run would find this person's opt-outs."""
        if self.id is not None:
            return tuple(Channel)
        if self.device is not None:
            return (Channel.push,)
        return tuple(channel for channel, name in _ADDRESSES.items() if name in self.known_by)

    def on(self, channel: Channel | None) -> tuple[Channel, ...]:
        """This channel, or all of them. Raises UserError where a device is asked about on another one than push."""
        if channel is not None and self.device is not None and channel is not Channel.push:
            raise UserError.of("bad-person", f"a device gets no messages on {channel}", "leave out `--channel`")
        return (channel,) if channel else self.channels


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the subscriptions query about this person."""

    status: SubscriptionStatus
    """What it counts as."""
    channel: str | None
    topic: str | None
    at: object
    stands: bool
    """Whether it keeps messages back: it is an opt-out, and was not taken back."""
    by: str
    """What it is about: `id`, `address` or both."""
    id: str | None = field(repr=False)
    address: str | None = field(repr=False)
    held: bool = False
    """It waits for the warehouse, and counts already."""

    def about(self, channel: Channel | None, topic: str | None) -> bool:
        """Whether it concerns this channel and this topic; None is any."""
        bounced = self.status in (SubscriptionStatus.bounced, SubscriptionStatus.complained)
        same_topic = topic is None or self.topic in (None, topic) or bounced
        return same_topic and (channel is None or self.channel in (None, channel.value))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of messages of one topic on one channel."""

    channel: Channel
    topic: str | None
    """None for every topic that is not listed, and for messages without one."""
    flag: int

    @property
    def reason(self) -> Reason | None:
        """Why a marketing message would be skipped; None where it would not."""
        ended = opted_out(self.flag)
        return Reason(ended.reason) if ended else None

    @property
    def transactional(self) -> bool:
        """Whether a transactional message would be sent."""
        return self.flag < BOUNCED


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One person, as the subscriptions query knows them."""

    entries: tuple[Entry, ...]
    """The latest first."""
    verdicts: tuple[Verdict, ...]

    def verdict(self, channel: Channel, topic: str | None) -> Verdict:
        others = {one.topic: one for one in self.verdicts if one.channel is channel}
        return others.get(topic) or others[None]


def person(words: Sequence[str]) -> Person:
    """Who the words of a command line mean: `7`, `ada@example.com`, `+61 412 345 678`, or `id=7` where it is unclear.

    `device=…` is one device, by its token. Raises UserError, which does not repeat them.
    """
    cells: dict[str, str] = {}
    for word in words:
        name, value = _named(word)
        if not value or name in cells:
            said = "a person is given by an id, an e-mail address or a phone number with its +, each once"
            hint = "such as: 7, ada@example.com, +61412345678; or id=7, email=…, phone_number=…; or device=… alone"
            raise UserError.of("bad-person", said, hint)
        cells[name] = value
    if "device" in cells and len(cells) > 1:
        said = "a device stands alone: what is on record by its token says nothing of the person"
        raise UserError.of("bad-person", said, "ask about the person and about the device one after the other")
    return Person(**cells)


def _named(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if name in _KNOWN_BY:
        return name, value.strip()
    bare = word.strip()
    if "@" in bare:
        return "email", bare
    is_number = re.fullmatch(r"\+[0-9\s().\-/]{6,40}", bare)
    return ("phone_number" if is_number else "id"), bare


def look_up(
    project: Project, warehouse: Warehouse, who: Person, now: datetime, topics: Sequence[str] = ()
) -> Subscriber:
    """What is on record about somebody, and what it means. Topics on record are told apart; so are these.

    Raises UserError where the subscriptions query does not do, or tells people apart by what is not known of this one.
    """
    if who.device is not None:
        return _device(_read(project), project, warehouse, who, now, topics)
    wrapping = _wrapping(project, warehouse, who, now)
    entries = _entries(warehouse, wrapping, who)
    found = dict.fromkeys([None, *topics, *sorted({entry.topic for entry in entries if entry.topic})])
    verdicts = [verdict for topic in found for verdict in _verdicts(warehouse, wrapping, topic)]
    return Subscriber(entries, tuple(verdicts))


def on_record(project: Project, warehouse: Warehouse, who: Person, now: datetime) -> tuple[Entry, ...]:
    """What is on record about somebody alone. Raises as `look_up` does."""
    return _entries(warehouse, _wrapping(project, warehouse, who, now), who)


def _wrapping(project: Project, warehouse: Warehouse, who: Person, now: datetime) -> Wrapping:
    optouts = _optouts(project, _read(project), warehouse, who, now)
    _must_be_comparable(who, optouts)
    return Wrapping(warehouse.dialect, _audience(warehouse, who), optouts)


def _read(project: Project) -> Subscriptions:
    """Where opt-outs are read. Raises UserError."""
    if project.subscriptions is None:
        hint = "add `subscriptions` to connect.yml"
        raise UserError.of("no-subscriptions", "connect.yml does not say where opt-outs are read", hint)
    return project.subscriptions


def _device(
    read: Subscriptions, project: Project, warehouse: Warehouse, who: Person, now: datetime, topics: Sequence[str]
) -> Subscriber:
    """What is on record about one device, by its token."""
    optouts = _optouts(project, read, warehouse, who, now)
    if not tokens.answers(optouts):
        said = "the subscriptions query returns no `address`, by which devices are known"
        raise UserError.of("optouts-unmatched", said, "give the id of the person, or have it return `address`")
    asked = [who.device or ""]
    rows = sorted(tokens.told(warehouse, optouts, asked, TIMEOUT), key=_when, reverse=True)
    entries = tuple(
        Entry(_STATUSES[one.flag], one.channel, one.topic, one.at, one.stands, "address", None, one.token)
        for one in rows
    )
    found = dict.fromkeys([None, *topics, *sorted({entry.topic for entry in entries if entry.topic})])
    flags = {
        topic: tokens.opted_out(warehouse, replace(optouts, topic=topic), asked, TIMEOUT).get(asked[0], 0)
        for topic in found
    }
    return Subscriber(entries, tuple(Verdict(Channel.push, topic, flag) for topic, flag in flags.items()))


def _when(one: tokens.Told) -> tuple[bool, Any]:
    return one.at is not None, one.at if one.at is not None else ""


def _entries(warehouse: Warehouse, wrapping: Wrapping, who: Person) -> tuple[Entry, ...]:
    asked = wrapping.optouts_query()
    rows = warehouse.rows(asked, TIMEOUT) if asked else []
    return tuple(_entry(row, who) for row in rows)


def _audience(warehouse: Warehouse, who: Person) -> Audience:
    row = {name: getattr(who, name) for name in who.known_by}
    asked = query.people([row], warehouse.dialect)
    key = (next(name for name in ("id", "email", "phone_number") if name in row),)
    return Audience(asked.sql, asked.parameters, key, tuple(Column(name, "TEXT") for name in row))


def _optouts(
    project: Project, subscriptions: Subscriptions, warehouse: Warehouse, who: Person, now: datetime
) -> OptOuts:
    values = {"fire_time": now, "fire_date": now.astimezone(ZoneInfo(project.timezone)).date()}
    asked = query.bound(subscriptions.sql, warehouse.dialect, values)
    with asking(subscriptions, warehouse.dialect):
        columns = tuple(warehouse.columns(asked, TIMEOUT))
    return OptOuts(
        sql=asked.sql,
        parameters=asked.parameters,
        columns=columns,
        subscribed_values=subscriptions.subscribed_values,
        addresses={channel: name for channel, name in _ADDRESSES.items() if name in who.known_by},
    )


def _must_be_comparable(who: Person, optouts: OptOuts) -> None:
    by_id, by_address = (find(optouts.columns, name) is not None for name in ("id", "address"))
    if (by_id or by_address) and not (by_id and who.id is not None) and not (by_address and who.addresses):
        lacking, given = ("id", "address") if who.id is None else ("address", "id")
        said = f"the subscriptions query returns no `{given}`, and an {given} is all that is known of this person"
        raise UserError.of("optouts-unmatched", said, f"give their {lacking} too")


def _entry(row: dict[str, object], who: Person) -> Entry:
    id, address, channel, topic = (_text(row[name]) for name in ("id", "address", "channel", "topic"))
    is_id = id is not None and id in (who.id, who.email and who.email.lower(), who.phone_number)
    is_address = address is not None and address in {compared(one) for one in who.addresses}
    by = " and ".join(name for name, match in (("id", is_id), ("address", is_address)) if match)
    status = _STATUSES[int(str(row["flag"]))]
    return Entry(status, channel, topic, row["changed"], bool(row["stands"]), by or "id", id, address)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _verdicts(warehouse: Warehouse, wrapping: Wrapping, topic: str | None) -> Iterator[Verdict]:
    asked = replace(wrapping, optouts=replace(wrapping.optouts, topic=topic))
    (row,) = warehouse.rows(asked.sweep_query(None, None), TIMEOUT)
    for channel in Channel:
        yield Verdict(channel, topic, int(str(row[optout_column(channel)])))


# Changes by hand


def leaving(who: Person, channel: Channel | None, topic: str | None, at: datetime, reason: str | None) -> list[Change]:
    """What is written for somebody who wants to hear no more; an address and an id in one row belong together.

    Of several addresses, those are left out that the channel does not use.
    """
    made = Change(SubscriptionStatus.unsubscribed, at, "command", who.id, None, channel, topic, reason)
    if who.device is not None:
        return [replace(made, address=who.device, channel=Channel.push)]
    changes = [replace(made, address=address) for address in who.addresses or (None,)]
    return [change for change in changes if not unheard(change)] or changes


def coming_back(entries: Sequence[Entry], at: datetime, reason: str | None) -> list[Change]:
    """What is written to take these rows back: one for each scope that they are of."""
    made = Change(SubscriptionStatus.subscribed, at, "command", reason=reason)
    known = {channel.value for channel in Channel}
    scopes = {(one.id, one.address, one.channel, one.topic) for one in entries if one.channel in {None, *known}}
    return [
        replace(made, id=id, address=address, channel=Channel(channel) if channel else None, topic=topic)
        for id, address, channel, topic in scopes
    ]
