"""The receivers of `make chaos`, spoken to by the adapters that people use."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connect.channels.message import Device
from connect.providers.fcm import Fcm
from connect.providers.interface import Account, Status
from connect.providers.postmark import Postmark
from connect.providers.resend import Resend
from connect.redact import Secret
from connect.testing.fakes.fcm import FcmFake
from connect.testing.messages import a_push, an_email
from connect.testing.receivers import DEAD, Manners, Receivers
from connect.vocabulary import Platform

KIND = Manners(latency=0, unavailable=0, later=0, drops=0)
KEY = Secret("only for tests")
ADAPTERS = {"postmark": (Postmark, an_email), "resend": (Resend, an_email), "fcm": (Fcm, a_push)}


def settings(name: str, url: str) -> dict[str, object]:
    keys = {
        "postmark": {"server_token": KEY},
        "resend": {"api_key": KEY},
        "fcm": {"service_account": Secret(FcmFake().service_account(url))},
    }
    return {"endpoint_url": url, **keys[name]}


@asynccontextmanager
async def sending(name, receivers, seconds=30.0):
    adapter, _ = ADAPTERS[name]
    known = adapter.Settings.model_validate(settings(name, f"http://127.0.0.1:{receivers.http_port}"))
    provider = adapter(Account("account", known, Path(), 4, timedelta(seconds=seconds)))
    await provider.open()
    yield provider
    await provider.close()


def statuses(receipts):
    return [receipt.status for receipt in receipts]


@pytest.mark.parametrize("name", ADAPTERS)
async def test_what_is_taken_is_counted_by_address_and_key(name) -> None:
    _, make = ADAPTERS[name]
    first, second = make(1), make(2)
    with Receivers(KIND) as receivers:
        async with sending(name, receivers) as provider:
            batch = [first, second]
            sent = [*await provider.send([first]), *await provider.send(batch[: provider.capabilities.max_batch])]
        received = receivers.tallies()
    assert set(statuses(sent)) == {Status.accepted}
    assert received.people[first.message.address] == 2
    assert received.keys[first.key.hex()] == first.message.address
    assert received.deliveries == len(sent)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize(
    ("manners", "status"),
    [
        ({"unavailable": 1}, Status.transient),
        ({"throttled": 1}, Status.throttled),
        ({"drops": 1}, Status.ambiguous),
    ],
)
async def test_bad_manners(name, manners, status) -> None:
    _, make = ADAPTERS[name]
    with Receivers(replace(KIND, **manners)) as receivers:
        async with sending(name, receivers) as provider:
            (receipt,) = await provider.send([make(1)])
        received = receivers.tallies()
    assert receipt.status is status
    assert receipt.retry_after == (timedelta(seconds=1) if status is Status.throttled else None)
    assert received.dropped == [make(1).message.address] * ("drops" in manners)
    assert received.deliveries == len(received.dropped)


@pytest.mark.parametrize("name", ["postmark", "fcm"])
async def test_one_message_is_to_come_later(name) -> None:
    with Receivers(replace(KIND, later=1)) as receivers:
        async with sending(name, receivers) as provider:
            assert statuses(await provider.send([ADAPTERS[name][1](1)])) == [Status.transient]
        assert receivers.deliveries() == 0


async def test_slow_is_too_slow_for_one_who_does_not_wait() -> None:
    with Receivers(replace(KIND, latency=0.5, slow=1)) as receivers:
        async with sending("postmark", receivers, seconds=2) as provider:
            assert statuses(await provider.send([an_email(1)])) == [Status.ambiguous]
        assert receivers.deliveries() == 1


async def test_resend_knows_a_call_by_its_key() -> None:
    batch = [an_email(1), an_email(2)]
    changed = [batch[0], replace(batch[1], message=an_email(2, text="something else").message)]
    with Receivers(replace(KIND, remembers_calls=True, drops=1)) as dropping:
        async with sending("resend", dropping) as provider:
            for _ in range(2):
                assert statuses(await provider.send(batch)) == [Status.ambiguous] * 2
        received = dropping.tallies()
    assert (received.deliveries, received.repeats) == (2, 2)
    with Receivers(replace(KIND, remembers_calls=True)) as receivers:
        async with sending("resend", receivers) as provider:
            for _ in range(2):
                assert statuses(await provider.send(batch)) == [Status.accepted] * 2
            assert statuses(await provider.send(changed)) == [Status.undecidable] * 2
        received = receivers.tallies()
    assert (received.deliveries, received.repeats, received.other_bodies) == (2, 2, 2)


async def test_resend_does_not_know_yet_what_became_of_a_call_that_is_still_going() -> None:
    with Receivers(replace(KIND, latency=1, remembers_calls=True)) as receivers:
        async with sending("resend", receivers) as provider:
            both = await asyncio.gather(*(provider.send([an_email(1)]) for _ in range(2)))
        assert receivers.deliveries() == 1
    receipts = [receipt for (receipt,) in both]
    assert sorted(statuses(receipts)) == [Status.accepted, Status.ambiguous]
    assert {receipt.reason for receipt in receipts} == {"", "still_in_progress"}


async def test_fcm_devices_die_and_access_tokens_wear_out() -> None:
    message = a_push(1).message
    dead = replace(a_push(1), message=replace(message, device=Device(f"{DEAD}device", Platform.ios)))
    with Receivers(KIND) as receivers:
        async with sending("fcm", receivers) as provider:
            (receipt,) = await provider.send([dead])
            assert (receipt.status, receipt.reason) == (Status.rejected_recipient, "unregistered")
            for _ in range(20):
                batch = [a_push(number) for number in range(25)]
                assert set(statuses(await provider.send(batch))) == {Status.accepted}
        assert receivers.deliveries() == 500
