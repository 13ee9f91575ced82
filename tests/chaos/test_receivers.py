"""The receivers of `make chaos`, and the provider that posts to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connect.identity import correlation_id
from connect.providers.interface import Account, Idempotency, Status
from connect.providers.smtp import Settings as SmtpSettings
from connect.providers.smtp import Smtp
from connect.testing import an_email
from connect.testing.http_provider import (
    Http,
    Http1000,
    HttpRemembered,
    HttpRemembered100,
    HttpRequestKey,
    HttpRequestKey100,
    HttpRequestKey1000,
    Settings,
)
from connect.testing.receivers import Manners, Receivers

KIND = Manners(latency=0, unavailable=0, later=0, drops=0)


@asynccontextmanager
async def sending(adapter, port, seconds=30.0):
    provider = adapter(Account("mail", Settings(port=port), Path(), 4, timedelta(seconds=seconds)))
    yield provider
    await provider.close()


def statuses(receipts):
    return [receipt.status for receipt in receipts]


@pytest.fixture(scope="module")
def kind() -> Iterator[Receivers]:
    with Receivers(KIND) as receivers:
        yield receivers


async def test_what_is_taken_is_counted_by_address_and_key(kind) -> None:
    batch = [an_email(1), an_email(2)]
    before = kind.deliveries()
    async with sending(Http1000, kind.http_port) as provider:
        assert statuses(await provider.send(batch)) == [Status.accepted] * 2
        assert statuses(await provider.send(batch[:1])) == [Status.accepted]
        assert "answers" in await provider.check()
    assert kind.deliveries() == before + 3
    received = kind.tallies()
    first, second = (email.message.to[0].address for email in batch)
    assert (received.people[first], received.people[second]) == (2, 1)
    assert received.keys[batch[0].key.hex()] == first
    assert (received.repeats, received.dropped) == (0, [])


async def test_one_that_remembers_answers_again_and_refuses_another_body() -> None:
    with Receivers(Manners(latency=0, unavailable=0, later=0, drops=0, remembers=True)) as receivers:
        async with sending(HttpRemembered100, receivers.http_port) as provider:
            first = an_email(1)
            other = replace(first, message=replace(first.message, text="something else"))
            assert statuses(await provider.send([first])) == [Status.accepted]
            assert statuses(await provider.send([first, an_email(2)])) == [Status.accepted] * 2
            assert statuses(await provider.send([other])) == [Status.undecidable]
        received = receivers.tallies()
    assert (received.deliveries, received.repeats, received.other_bodies) == (2, 1, 1)


@pytest.mark.parametrize(
    ("manners", "status", "deliveries"),
    [
        (Manners(latency=0, unavailable=1), Status.transient, 0),
        (Manners(latency=0, unavailable=0, later=1, drops=0), Status.transient, 0),
        (Manners(latency=0, unavailable=0, later=0, drops=1), Status.ambiguous, 1),
    ],
)
async def test_bad_manners(manners, status, deliveries) -> None:
    email = an_email(1)
    with Receivers(manners) as receivers:
        async with sending(Http, receivers.http_port) as provider:
            assert statuses(await provider.send([email])) == [status]
        assert receivers.deliveries() == deliveries
        assert receivers.tallies().dropped == [email.message.to[0].address] * deliveries


async def test_no_answer_in_time_is_ambiguous_and_nobody_there_is_not() -> None:
    with Receivers(Manners(latency=60)) as receivers:
        for seconds in (0.05, 2, 60):  # on a busy machine a short one is over before anything was written
            async with sending(Http, receivers.http_port, seconds=seconds) as provider:
                found = statuses(await provider.send([an_email(1)]))
            if found != [Status.transient]:
                break
        assert found == [Status.ambiguous]
    async with sending(Http, receivers.http_port) as provider:
        assert statuses(await provider.send([an_email(1)])) == [Status.transient]


@pytest.mark.parametrize(
    ("manners", "status"),
    [
        (KIND, Status.accepted),
        (Manners(latency=0, unavailable=1), Status.transient),
        (Manners(latency=0, unavailable=0, later=0, drops=1), Status.ambiguous),
    ],
)
async def test_smtp_counts_the_same(manners, status) -> None:
    email = an_email(1)
    message_id = f"{correlation_id('0123456789abcdef', email.key)}@sender.example"
    email = replace(email, message=replace(email.message, message_id=message_id))
    with Receivers(manners) as receivers:
        settings = {"host": "localhost", "port": receivers.smtp_port, "security": "none", "local_hostname": "here"}
        provider = Smtp(Account("mail", SmtpSettings.model_validate(settings), Path(), 1))
        assert statuses(await provider.send([email])) == [status]
        await provider.close()
        received = receivers.tallies()
    assert received.keys == ({} if status is Status.transient else {email.key.hex(): email.message.to[0].address})


def test_what_the_adapters_say_of_themselves() -> None:
    assert [adapter.capabilities.max_batch for adapter in (Http, Http1000, HttpRemembered100)] == [1, 1000, 100]
    assert Http.capabilities.idempotency is Idempotency.none
    assert HttpRemembered.capabilities.idempotency is Idempotency.message_key
    keyed = [HttpRequestKey, HttpRequestKey100, HttpRequestKey1000]
    assert {adapter.capabilities.idempotency for adapter in keyed} == {Idempotency.request_key}
    assert [adapter.capabilities.max_batch for adapter in keyed] == [1, 100, 1000]


async def test_one_that_remembers_calls_answers_a_whole_call_again() -> None:
    batch, other = [an_email(1), an_email(2)], an_email(2, text="something else")
    changed = [batch[0], replace(batch[1], message=other.message)]
    with Receivers(replace(KIND, remembers_calls=True)) as receivers:
        async with sending(HttpRequestKey100, receivers.http_port) as provider:
            for _ in range(2):
                assert statuses(await provider.send(batch)) == [Status.accepted] * 2
            assert statuses(await provider.send(changed)) == [Status.undecidable] * 2
            assert statuses(await provider.send(batch[:1])) == [Status.accepted], "another call"
        received = receivers.tallies()
    assert (received.deliveries, received.repeats, received.other_bodies) == (3, 2, 2)


async def test_a_call_that_was_dropped_is_remembered_and_one_of_which_nothing_was_taken_is_not() -> None:
    batch = [an_email(1)]
    for manners, status, deliveries in [
        (Manners(latency=0, unavailable=0, later=0, drops=1, remembers_calls=True), Status.ambiguous, 1),
        (Manners(latency=0, unavailable=0, later=1, drops=0, remembers_calls=True), Status.transient, 0),
    ]:
        with Receivers(manners) as receivers:
            async with sending(HttpRequestKey, receivers.http_port) as provider:
                for _ in range(2):
                    assert statuses(await provider.send(batch)) == [status]
            received = receivers.tallies()
        assert (received.deliveries, received.repeats) == (deliveries, deliveries)
