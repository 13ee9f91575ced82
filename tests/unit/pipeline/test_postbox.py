"""Certificates of webhooks: fetched once for many, a few at a time, and kept whatever else is asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from connect.errors import OutsideError
from connect.pipeline import postbox
from connect.pipeline.postbox import Postbox, Posted
from connect.providers.events import CertificateWanted, Event, EventType, Webhook
from connect.providers.interface import ProviderSettings
from connect.testing.clock import FakeClock
from connect.vocabulary import Channel

AT = datetime(2026, 11, 22, tzinfo=UTC)


def parse(webhook: Webhook, settings: object) -> list[Event]:
    """Of a provider whose webhooks are proved by a certificate, whose URL is all of the body."""
    url = webhook.body.decode()
    if url not in webhook.certificates:
        raise CertificateWanted(url)
    return [Event(EventType.delivered, AT, webhook.certificates[url].decode(), Channel.email)]


def posted(url: str) -> Posted:
    return Posted(parse, ProviderSettings(), {}, url.encode(), "https://hooks.acme.example/webhooks/post")


class Network:
    """What is behind URLs; those that begin with `no` are not to be had."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.coming = asyncio.Semaphore(0)
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, url: str) -> bytes | None:
        self.asked[url] += 1
        self.coming.release()
        await self.open.wait()
        return None if url.startswith("no") else f"pem of {url}".encode()


async def test_one_is_fetched_once_for_many_and_kept_for_a_day() -> None:
    network, clock = Network(), FakeClock()
    box = Postbox(network.fetch, clock)
    network.open.clear()
    many = [asyncio.create_task(box.read(posted("good"))) for _ in range(20)]
    await network.coming.acquire()
    network.open.set()
    assert {event.id for events in await asyncio.gather(*many) for event in events} == {"pem of good"}
    clock.advance(timedelta(hours=23).total_seconds())
    await box.read(posted("good"))
    assert network.asked == {"good": 1}
    clock.advance(timedelta(hours=2).total_seconds())
    await box.read(posted("good"))
    assert network.asked == {"good": 2}


async def test_one_that_is_not_to_be_had_pushes_out_no_other() -> None:
    network, clock = Network(), FakeClock()
    box = Postbox(network.fetch, clock)
    await box.read(posted("good"))
    for number in range(postbox._MOST_MISSING + 10):
        with pytest.raises(OutsideError, match="can not be fetched now"):
            await box.read(posted(f"no {number}"))
    await box.read(posted("good"))
    assert network.asked["good"] == 1


async def test_one_that_is_not_to_be_had_is_not_asked_for_again_at_once() -> None:
    network, clock = Network(), FakeClock()
    box = Postbox(network.fetch, clock)
    for seconds, times in ((0, 1), (29, 1), (2, 2)):
        clock.advance(seconds)
        with pytest.raises(OutsideError):
            await box.read(posted("no"))
        assert network.asked["no"] == times


async def test_four_are_fetched_at_a_time() -> None:
    network = Network()
    box = Postbox(network.fetch, FakeClock())
    await box.read(posted("good"))
    network.open.clear()
    four = [asyncio.create_task(box.read(posted(f"good {number}"))) for number in range(4)]
    for _ in range(5):
        await network.coming.acquire()
    with pytest.raises(OutsideError, match="too many certificates"):
        await box.read(posted("good 5"))
    assert [event.id for event in await box.read(posted("good"))] == ["pem of good"]  # nothing is fetched for that
    network.open.set()
    await asyncio.gather(*four)
    await box.read(posted("good 5"))
    assert set(network.asked.values()) == {1}


async def test_who_gives_up_keeps_nobody_else_from_it() -> None:
    network = Network()
    box = Postbox(network.fetch, FakeClock())
    network.open.clear()
    first, second = (asyncio.create_task(box.read(posted("good"))) for _ in range(2))
    await network.coming.acquire()
    first.cancel()
    await asyncio.wait([first])
    network.open.set()
    assert [event.id for event in await second] == ["pem of good"]
    assert network.asked == {"good": 1}
