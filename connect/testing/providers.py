"""What every provider must do: a suite of tests for whoever writes an adapter.

    class TestMyProvider(ProviderContract):
        @pytest.fixture
        def rig(self, tmp_path):
            with MyRig(tmp_path) as rig:
                yield rig

A rig starts the adapter's real local server, brings about situations, and says what arrived. A situation that a
provider can not be in is declared in `cannot`, with the reason; one that reaches people may leave out few.
Needs pytest-asyncio (`asyncio_mode = auto`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import pytest

from connect.channels.message import Email, Outgoing, Push, Request, Sms
from connect.errors import Disposition, RunTrouble
from connect.identity import read_correlation_id
from connect.providers.events import (
    LARGEST,
    Bounce,
    Confirmation,
    Event,
    EventsRefused,
    EventType,
    Webhook,
    parse_events_of,
)
from connect.providers.interface import Account, Idempotency, Provider, ProviderSettings, Receipt, Status
from connect.testing.messages import MAKE, unusual_emails
from connect.vocabulary import Channel


class Situation(StrEnum):
    """What may become of a message on its way."""

    throttled = "throttled"
    throttled_until = "throttled_until"  # the provider says how long to wait
    quota = "quota"
    bad_credentials = "bad_credentials"
    bad_recipient = "bad_recipient"
    bad_content = "bad_content"
    transient = "transient"
    broken_before_write = "broken_before_write"
    broken_after_write = "broken_after_write"
    silent_after_write = "silent_after_write"


EXPECTED: dict[Situation, Status] = {
    Situation.throttled: Status.throttled,
    Situation.throttled_until: Status.throttled,
    Situation.quota: Status.quota,
    Situation.bad_credentials: Status.config,
    Situation.bad_recipient: Status.rejected_recipient,
    Situation.bad_content: Status.rejected_content,
    Situation.transient: Status.transient,
    Situation.broken_before_write: Status.transient,
    Situation.broken_after_write: Status.ambiguous,
    Situation.silent_after_write: Status.ambiguous,
}


_SHORT = [timedelta(seconds=seconds) for seconds in (0.5, 2, 8, 32)]
"""Time-outs where nobody answers: the first is waited for to its end."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message at the other end. What the other end can not tell is None."""

    address: str
    subject: str | None = None
    text: str | None = None
    html: str | None = None


class ProviderRig(Protocol):
    """One adapter's other end."""

    adapter: type[Provider]
    cannot: Mapping[Situation, str]
    """Situations that this provider can not be in, and why."""

    def account(self) -> Account:
        """An account that works, with a time-out that a busy machine keeps; the contract shortens it where it waits."""

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        """Bring this message into a situation, from now on; the provider says these words where it says any."""

    def relent(self) -> None:
        """Everything is well again."""

    def arrived(self) -> Sequence[Arrived]:
        """What came through, in any order."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What a provider is to report of a message."""

    type: EventType
    outgoing: Outgoing
    bounce: Bounce | None = None
    """Of a bounce."""
    link: str = ""
    """Of a click."""


class ReportingRig(Protocol):
    """What a rig offers besides, whose adapter has `parse_events`."""

    reports: frozenset[EventType]
    """What the provider reports."""
    bounces: frozenset[Bounce]
    """The kinds of bounces that it tells apart."""
    ages: bool
    """Its signatures say when they were made, so that an old one is refused."""

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        """A webhook as the provider would send it then, genuine; the same for the same arguments."""

    def forged(self, webhook: Webhook) -> Webhook:
        """The same, from somebody who does not know the secret."""

    def unconfigured(self) -> ProviderSettings:
        """The settings of an account that says nothing of webhooks."""

    def saying(self, content: bytes, at: datetime) -> Webhook:
        """A webhook that says this, be it what it may, with every proof that it is the provider's."""

    # A rig of a provider whose webhooks report one event each says `one_at_a_time = True`; one whose webhooks are
    # more than their content offers `said(webhook) -> bytes`, the content, too.


@asynccontextmanager
async def opened(rig: ProviderRig, patience: timedelta | None = None) -> AsyncIterator[Provider]:
    """The rig's provider, opened, and closed afterwards; with the rig's own time-out unless there is another."""
    account = rig.account()
    provider = rig.adapter(replace(account, timeout=patience or account.timeout))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


class ProviderContract:
    """Promises of `connect.providers.interface`, tried against a real other end."""

    async def test_a_message_is_accepted_and_arrives(self, rig: ProviderRig) -> None:
        outgoing = _message(rig)
        async with opened(rig) as provider:
            assert [receipt.status for receipt in await provider.send([outgoing])] == [Status.accepted]
        assert [arrived.address for arrived in rig.arrived()] == [_address(outgoing)]

    async def test_every_channel_is_carried(self, rig: ProviderRig) -> None:
        batches = [[_make(rig)[channel](1)] for channel in rig.adapter.capabilities.channels]
        async with opened(rig) as provider:
            statuses = [receipt.status for batch in batches for receipt in await provider.send(batch)]
        assert set(statuses) == {Status.accepted}
        assert len(rig.arrived()) == len(batches) > 0

    async def test_the_largest_batch_arrives_whole(self, rig: ProviderRig) -> None:
        batch = [_message(rig, number) for number in range(rig.adapter.capabilities.max_batch)]
        async with opened(rig) as provider:
            receipts = await provider.send(batch)
        assert [receipt.status for receipt in receipts] == [Status.accepted] * len(batch)
        assert sorted(arrived.address for arrived in rig.arrived()) == sorted(map(_address, batch))

    async def test_receipts_come_in_order(self, rig: ProviderRig) -> None:
        """The refused ones are exactly where they were put."""
        if _left_out(rig, Situation.bad_recipient):
            return
        batch = [_message(rig, number) for number in range(min(rig.adapter.capabilities.max_batch, 7))]
        refused = batch[::3]
        for outgoing in refused:
            rig.arrange(Situation.bad_recipient, outgoing, "no such user")
        async with opened(rig) as provider:
            receipts = await provider.send(batch)
        wanted = [Status.rejected_recipient if outgoing in refused else Status.accepted for outgoing in batch]
        assert [receipt.status for receipt in receipts] == wanted
        assert len(rig.arrived()) == len(batch) - len(refused)

    async def test_a_refused_recipient_does_not_hold_up_the_next(self, rig: ProviderRig) -> None:
        if _left_out(rig, Situation.bad_recipient):
            return
        first, second = _message(rig, 1), _message(rig, 2)
        rig.arrange(Situation.bad_recipient, first, "no such user")
        async with opened(rig) as provider:
            statuses = [(await provider.send([outgoing]))[0].status for outgoing in (first, second, first)]
        assert statuses == [Status.rejected_recipient, Status.accepted, Status.rejected_recipient]

    async def test_throttling_is_a_wait(self, rig: ProviderRig) -> None:
        await _meets(rig, Situation.throttled)

    async def test_a_wait_that_the_provider_names_is_passed_on(self, rig: ProviderRig) -> None:
        receipt = await _meets(rig, Situation.throttled_until)
        assert receipt is None or receipt.retry_after is not None

    async def test_a_quota_that_is_used_up_is_the_accounts(self, rig: ProviderRig) -> None:
        await _meets(rig, Situation.quota)

    async def test_a_bad_recipient_is_refused_alone(self, rig: ProviderRig) -> None:
        await _meets(rig, Situation.bad_recipient)

    async def test_bad_content_is_refused(self, rig: ProviderRig) -> None:
        await _meets(rig, Situation.bad_content)

    async def test_a_connection_that_breaks_first_is_transient(self, rig: ProviderRig) -> None:
        await _meets(rig, Situation.broken_before_write)

    async def test_a_connection_that_breaks_after_the_write_is_in_doubt(self, rig: ProviderRig) -> None:
        await _meets(rig, Situation.broken_after_write)

    async def test_silence_after_the_write_is_in_doubt(self, rig: ProviderRig) -> None:
        await _meets(rig, Situation.silent_after_write)

    async def test_transient_trouble_passes(self, rig: ProviderRig) -> None:
        if _left_out(rig, Situation.transient):
            return
        outgoing = _message(rig)
        rig.arrange(Situation.transient, outgoing, "later, please")
        async with opened(rig) as provider:
            first = await provider.send([outgoing])
            rig.relent()
            second = await provider.send([outgoing])
        assert (first[0].status, second[0].status) == (Status.transient, Status.accepted)
        assert len(rig.arrived()) == 1

    async def test_wrong_credentials_are_nobodys_fault_but_the_accounts(self, rig: ProviderRig) -> None:
        """Found out when opening, or at the latest by the first message, which is not marked failed for it."""
        if _left_out(rig, Situation.bad_credentials):
            return
        outgoing = _message(rig)
        rig.arrange(Situation.bad_credentials, outgoing, "who are you")
        statuses, trouble = await _attempt(rig, outgoing)
        assert statuses == [Status.config] or (trouble and trouble.disposition is Disposition.pause)
        assert trouble is None or trouble.problems[0].hint
        assert rig.arrived() == []

    async def test_unusual_text_arrives_as_it_was(self, rig: ProviderRig) -> None:
        if Channel.email not in rig.adapter.capabilities.channels:
            return
        batch = unusual_emails()
        async with opened(rig) as provider:
            for outgoing in batch:
                assert [receipt.status for receipt in await provider.send([outgoing])] == [Status.accepted]
        _same_texts(batch, rig.arrived())

    async def test_nothing_that_names_a_person_is_told(self, rig: ProviderRig) -> None:
        """Servers repeat addresses, names and subjects; receipts, exceptions and logs must not."""
        outgoing = _message(rig, 77)
        said = f"sorry: <{_address(outgoing)}> ({_spoken(outgoing)})"
        for situation in set(Situation) - set(rig.cannot):
            rig.relent()
            rig.arrange(situation, outgoing, said)
            patience = _SHORT[0] if situation is Situation.silent_after_write else None
            told = await _everything_told(rig, outgoing, patience)
            for value in _canaries(outgoing):
                assert value.lower() not in told.lower(), f"{situation}: {value!r} was told"

    async def test_it_opens_and_closes_as_often_as_one_likes(self, rig: ProviderRig) -> None:
        unopened = rig.adapter(rig.account())
        await unopened.close()
        for _ in range(2):
            async with opened(rig) as provider:
                pass
            await provider.close()

    async def test_check_says_what_was_found_and_sends_nothing(self, rig: ProviderRig) -> None:
        provider = rig.adapter(rig.account())
        try:
            assert await provider.check()
        finally:
            await provider.close()
        assert rig.arrived() == []

    async def test_messages_are_on_disk_only_where_that_is_said(self, rig: ProviderRig) -> None:
        outgoing = _message(rig, 5)
        async with opened(rig) as provider:
            await provider.send([outgoing])
        assert _on_disk(rig.account().root, _address(outgoing)) is rig.adapter.capabilities.persists_messages

    async def test_a_repeated_message_is_sent_once_where_that_is_promised(self, rig: ProviderRig) -> None:
        outgoing, changed = _message(rig, 6), _changed(_message(rig, 6))
        promised = rig.adapter.capabilities.idempotency is not Idempotency.none
        async with opened(rig) as provider:
            statuses = [(await provider.send([each]))[0].status for each in (outgoing, outgoing, changed)]
        assert statuses == [Status.accepted, Status.accepted, Status.undecidable if promised else Status.accepted]
        assert len(rig.arrived()) == (1 if promised else 3)

    async def test_the_sandbox_reaches_nobody(self, rig: ProviderRig) -> None:
        if not rig.adapter.capabilities.sandbox:
            return
        provider = rig.adapter(replace(rig.account(), sandbox=True))
        try:
            await provider.open()
            assert [receipt.status for receipt in await provider.send([_message(rig, 8)])] == [Status.accepted]
        finally:
            await provider.close()
        assert rig.arrived() == []

    def test_reported_events_find_their_message(self, rig: ProviderRig) -> None:
        for reporting, happened in _reports(rig):
            events = _parsed(rig, reporting.webhook(happened, _NOW))
            assert [event.type for event in events] == [each.type for each in happened]
            for event, each in zip(events, happened, strict=True):
                assert (event.run_id, event.key) == read_correlation_id(each.outgoing.correlation_id)
                assert event.channel is each.outgoing.channel
                assert event.address in ("", _address(each.outgoing))
                assert event.bounce is each.bounce
                assert event.link == each.link
                assert abs(event.at - _NOW) < timedelta(minutes=1)
                assert event.id
                for value in _canaries(each.outgoing):
                    assert value.lower() not in repr(event).lower()

    def test_what_is_reported_twice_has_one_id(self, rig: ProviderRig) -> None:
        for reporting, happened in _reports(rig):
            once, again = (_parsed(rig, reporting.webhook(happened, _NOW)) for _ in range(2))
            assert [event.id for event in once] == [event.id for event in again]
            assert len({event.id for event in once}) == len(once)

    def test_events_that_are_not_genuine_are_refused(self, rig: ProviderRig) -> None:
        for reporting, happened in _reports(rig):
            genuine = reporting.webhook(happened, _NOW)
            assert _refused(rig, reporting.forged(genuine)) == "bad_signature"
            assert _refused(rig, replace(genuine, headers={}, url=genuine.url.partition("?")[0]))
            assert _refused(rig, genuine, reporting.unconfigured()) == "not_configured"

    def test_broken_and_huge_bodies_are_refused(self, rig: ProviderRig) -> None:
        for reporting, happened in _reports(rig):
            genuine = reporting.webhook(happened, _NOW)
            assert _refused(rig, replace(genuine, body=genuine.body[: len(genuine.body) // 2]))
            huge = b'[{"filler": "' + b"x" * (10 << 20) + b'"}]'
            assert len(huge) > LARGEST
            assert _refused(rig, replace(genuine, body=huge)) == "too_large"

    def test_events_that_are_old_are_refused(self, rig: ProviderRig) -> None:
        for reporting, happened in _reports(rig):
            genuine = reporting.webhook(happened, _NOW)
            late = replace(genuine, at=genuine.at + timedelta(hours=1))
            if reporting.ages:
                assert _refused(rig, late) == "too_old"
            else:
                assert [event.id for event in _parsed(rig, late)] == [event.id for event in _parsed(rig, genuine)]

    def test_what_it_can_not_do_agrees_with_its_capabilities(self, rig: ProviderRig) -> None:
        """A provider that reaches people has a network and somebody who says no at its other end."""
        for situation in Situation:
            assert _left_out(rig, situation) is (situation in rig.cannot)


_MAY_NOT_BE = {Situation.throttled_until, Situation.quota, Situation.bad_recipient, Situation.bad_content}
"""Not every provider has quotas, or an opinion of addresses; all can throttle, break down and refuse credentials."""


def _left_out(rig: ProviderRig, situation: Situation) -> bool:
    """Whether the provider can not be in a situation; fails when the rig leaves out what it can well be in."""
    if situation not in rig.cannot:
        return False
    excused = not rig.adapter.capabilities.reaches_people or situation in _MAY_NOT_BE
    assert excused, f"the rig must bring about {situation.value}"
    assert rig.cannot[situation], f"say why {situation.value} can not be"
    return True


async def _meets(rig: ProviderRig, situation: Situation) -> Receipt | None:
    """Send one message into a situation; its receipt, or None where the provider can not be in it."""
    if _left_out(rig, situation):
        return None
    outgoing = _message(rig)
    rig.arrange(situation, outgoing, "as arranged")
    if situation is Situation.silent_after_write:
        receipt = await _in_silence(rig, outgoing)
    else:
        async with opened(rig) as provider:
            (receipt,) = await provider.send([outgoing])
    assert receipt.status is EXPECTED[situation], receipt
    assert re.fullmatch(r"[a-z][a-z0-9_]*", receipt.reason), "a normalised reason in snake_case"
    assert len(receipt.detail) <= 200
    return receipt


async def _in_silence(rig: ProviderRig, outgoing: Outgoing) -> Receipt:
    """On a busy machine a short time-out ends before anything was written; then a longer one is tried."""
    for patience in _SHORT[:-1]:
        try:
            async with opened(rig, patience) as provider:
                (receipt,) = await provider.send([outgoing])
        except RunTrouble:  # not even opened
            continue
        if receipt.status is not Status.transient:
            return receipt
    async with opened(rig, _SHORT[-1]) as provider:
        (receipt,) = await provider.send([outgoing])
    return receipt


async def _attempt(rig: ProviderRig, outgoing: Outgoing) -> tuple[list[Status], RunTrouble | None]:
    """What came of opening and sending: statuses, or the trouble that stopped it."""
    try:
        async with opened(rig) as provider:
            return [receipt.status for receipt in await provider.send([outgoing])], None
    except RunTrouble as trouble:
        return [], trouble


_NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def _reports(rig: ProviderRig) -> list[tuple[ReportingRig, list[Happened]]]:
    """The rig and everything that its provider reports, for each channel; nothing where it reports nothing."""
    if parse_events_of(rig.adapter) is None:
        return []
    reporting: ReportingRig = rig  # type: ignore[assignment]  # as its adapter is
    happened = []
    for type in sorted(reporting.reports):
        kinds: list[Bounce | None] = [*sorted(reporting.bounces)] if type is EventType.bounced else [None]
        link = "https://acme.example/offer?a=1&b=2" if type is EventType.clicked else ""
        happened += [Happened(type, _message(rig, number), kind, link) for number, kind in enumerate(kinds)]
    assert happened, "an adapter with `parse_events` reports something"
    if getattr(reporting, "one_at_a_time", False):
        return [(reporting, [each]) for each in happened]
    return [(reporting, happened)]


def _parsed(rig: ProviderRig, webhook: Webhook) -> list[Event]:
    parse = parse_events_of(rig.adapter)
    assert parse is not None
    events = parse(webhook, rig.account().settings)
    found = [event for event in events if not isinstance(event, Confirmation)]
    assert len(found) == len(events)
    return found


def _refused(rig: ProviderRig, webhook: Webhook, settings: ProviderSettings | None = None) -> str:
    """The reason for which a webhook is refused."""
    parse = parse_events_of(rig.adapter)
    assert parse is not None
    with pytest.raises(EventsRefused) as refused:
        parse(webhook, settings or rig.account().settings)
    return refused.value.reason


_FIRST = (Channel.email, Channel.push, Channel.sms, Channel.http)


def _message(rig: ProviderRig, number: int = 0) -> Outgoing:
    channel = next(channel for channel in _FIRST if channel in rig.adapter.capabilities.channels)
    return _make(rig)[channel](number)


def _make(rig: ProviderRig) -> Mapping[Channel, Callable[[int], Outgoing]]:
    """What makes the messages of each channel; a rig whose provider has addresses of its own brings its own `make`."""
    make: Mapping[Channel, Callable[[int], Outgoing]] = getattr(rig, "make", MAKE)
    return make


def _address(outgoing: Outgoing) -> str:
    return outgoing.message.address


def _spoken(outgoing: Outgoing) -> str:
    message = outgoing.message
    return f"{message.to[0].name}, {message.subject}" if isinstance(message, Email) else message.said


def _canaries(outgoing: Outgoing) -> list[str]:
    """What tells who was written to, and what about."""
    match outgoing.message:
        case Email(to=(to,), subject=subject):
            return [to.address, to.address.partition("@")[0], to.name, subject, "dear person"]
        case Sms(to=number, body=body):
            return [number, number.lstrip("+"), body]
        case Push(device=device, title=title, body=body):
            return [device.address, title, body]
        case Request(body=content):
            return [content.decode()]
    raise AssertionError("an e-mail here has one recipient")


def _changed(outgoing: Outgoing) -> Outgoing:
    """The same delivery, rendered to something else."""
    message = outgoing.message
    other: Email | Sms | Push | Request
    match message:
        case Email():
            other = replace(message, subject="Something else")
        case Request():
            other = replace(message, body=b'{"something": "else"}')
        case _:
            other = replace(message, body="Something else")
    return replace(outgoing, message=other)


def _same_texts(batch: Sequence[Outgoing], arrived: Sequence[Arrived]) -> None:
    """Line ends aside, every part that the other end can tell is what was sent."""
    by_address = {each.address: each for each in arrived}
    assert len(by_address) == len(batch)
    for outgoing in batch:
        email = outgoing.message
        assert isinstance(email, Email)
        got = by_address[_address(outgoing)]
        for sent, came in ((email.subject, got.subject), (email.text, got.text), (email.html, got.html)):
            assert came is None or sent is None or _lines(came) == _lines(sent)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip("\n")


def _on_disk(folder: Path, address: str) -> bool:
    return any(address.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def _everything_told(rig: ProviderRig, outgoing: Outgoing, patience: timedelta | None) -> str:
    """What receipts, exceptions and logs (at their most talkative) say of one send."""
    told: list[str] = []
    with _Listening(told):
        try:
            async with opened(rig, patience) as provider:
                told += [repr(receipt) for receipt in await provider.send([outgoing])]
        except RunTrouble as trouble:
            told += [str(trouble), repr(trouble)]
    assert told
    return "\n".join(told)


_SERVERS = ("mail.", "werkzeug", "aiosmtpd")
"""Loggers of the other end, which of course knows what it was sent."""


class _Listening(logging.Handler):
    """Everything that is logged in a block, with the root logger wide open."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._told = told
        self._level = logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_SERVERS):
            self._told.append(self.format(record))

    def __enter__(self) -> None:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
