"""Endpoints are told what happens: signed, tried again, never waited for; what they miss is counted."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from standardwebhooks import Webhook

from connect.clock import Clock, SystemClock
from connect.pipeline import listener
from connect.pipeline.counters import Counters
from connect.pipeline.happening import Happening
from connect.pipeline.herald import Herald
from connect.project.webhooks import Hook
from connect.redact import Secret
from connect.testing import FakeClock
from connect.testing.api import DROP, HANG, Answer, ApiServer, Call
from connect.vocabulary import Channel, HappeningType

SECRET = "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz"
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def hook(url: str, **values: Any) -> Hook:
    return Hook(url=url, signing_secret=Secret(SECRET), **{"allow_private": True, **values})


def clicked(number: int = 0) -> Happening:
    return Happening(
        *(HappeningType.clicked, AT, "weekly", "0run", Channel.email, f"{number:032x}"),
        id=str(number),
        address=f"person-{number}@example.com",
        link="https://shop.example/p/7?who=ada",
        user_agent="Mozilla/5.0",
    )


class Receiver:
    """Answers in this order, the last answer for ever; remembers ids."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [Answer(204)]
        self.ids: list[str] = []
        self.heard = threading.Condition()

    def __call__(self, call: Call) -> Answer:
        with self.heard:
            self.ids.append(call.headers["webhook-id"])
            self.heard.notify_all()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def until(self, count: int) -> None:
        def wait() -> None:
            with self.heard:
                assert self.heard.wait_for(lambda: len(self.ids) >= count, 30)

        await asyncio.to_thread(wait)


class Told(Counters):
    """Counters that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    def add(self, name: str, times: int = 1, **labels: str) -> None:
        super().add(name, times, **labels)
        self.changed.set()


class World:
    def __init__(self, clock: Clock, **hooks: Hook) -> None:
        self.hooks, self.counters, self.said = hooks, Told(), list[tuple[str, str, int]]()
        self.herald = Herald(
            lambda: self.hooks, "prod", clock, Random(7), self.counters, lambda *said: self.said.append(said)
        )

    @property
    def results(self) -> Counter[tuple[str, str]]:
        """(endpoint, result) → how many."""
        found = self.counters.read().items()
        return Counter({(dict(labels)["webhook"], dict(labels)["result"]): count for (_, labels), count in found})

    async def until(self, name: str, result: str, count: int) -> None:
        while self.results[name, result] < count:
            self.counters.changed.clear()
            await self.counters.changed.wait()


@pytest.fixture
def dead() -> Iterator[str]:
    """Where nobody listens."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}/"


async def told(world: World, *happenings: Happening, until: Callable[[], Any] | None = None) -> None:
    async with world.herald.telling():
        world.herald.tell(happenings)
        if until is not None:
            await until()


async def test_what_is_told_is_signed_and_whole() -> None:
    with ApiServer(Receiver()) as server:
        world = World(SystemClock(), crm=hook(f"{server.url}/hooks?from=connect"))
        await told(world, clicked(7))
    (call,) = server.calls
    heard = Webhook(SECRET).verify(call.body, dict(call.headers))
    assert heard == {
        "type": "clicked",
        "timestamp": "2026-11-20T12:00:00.000Z",
        "version": 1,
        "data": {
            "target": "prod",
            "campaign": "weekly",
            "run": "0run",
            "message": f"{7:032x}",
            "channel": "email",
            "user": {"id": "7", "address": "person-7@example.com"},
            "bounce": None,
            "reason": None,
            "link": "https://shop.example/p/7?who=ada",
            "user_agent": "Mozilla/5.0",
            "machine": False,
        },
    }
    assert (call.method, call.path, call.query) == ("POST", "/hooks", {"from": "connect"})
    assert world.results == {("crm", "taken"): 1}


async def test_each_endpoint_hears_what_it_wants() -> None:
    everything, bounces, off = Receiver(), Receiver(), Receiver()
    with ApiServer(everything) as one, ApiServer(bounces) as two, ApiServer(off) as three:
        world = World(
            SystemClock(),
            crm=hook(one.url),
            hygiene=hook(two.url, events=(HappeningType.bounced,)),
            off=hook(three.url, enabled=False),
        )
        await told(world, clicked(), Happening(HappeningType.bounced, AT, bounce="hard"))
    assert (len(everything.ids), len(bounces.ids), len(off.ids)) == (2, 1, 0)
    assert len({*everything.ids, *bounces.ids}) == 2


async def test_what_fails_for_now_is_tried_again_under_the_same_id() -> None:
    receiver = Receiver(Answer(500), DROP, Answer(408), Answer(200))
    clock = FakeClock()
    with ApiServer(receiver) as server:
        world = World(clock, crm=hook(server.url))
        await clock.hurry(told(world, clicked(), until=lambda: receiver.until(4)))
    assert len(receiver.ids) == 4
    assert len(set(receiver.ids)) == 1
    assert world.results == {("crm", "taken"): 1}
    assert 0.5 <= clock.slept[0] <= 1 <= clock.slept[1] <= 2 <= clock.slept[2] <= 4


async def test_an_endpoint_that_asks_for_a_pause_gets_it() -> None:
    receiver = Receiver(Answer(429, headers={"retry-after": "120"}), Answer(200))
    clock = FakeClock()
    with ApiServer(receiver) as server:
        world = World(clock, crm=hook(server.url))
        began = clock.monotonic()
        await clock.hurry(told(world, clicked(), until=lambda: receiver.until(2)))
    assert world.results == {("crm", "taken"): 1}
    assert clock.monotonic() - began >= 120


async def test_who_never_answers_well_is_given_up(dead: str) -> None:
    clock = FakeClock()
    world = World(clock, crm=hook(dead))

    await clock.hurry(told(world, clicked(1), clicked(2), until=lambda: world.until("crm", "gave_up", 2)))
    assert world.results == {("crm", "gave_up"): 2}
    assert clock.monotonic() < 300
    assert world.said[-1][:2] == ("crm", "the process ends")
    assert sum(dropped for _, _, dropped in world.said) == 2


async def test_an_answer_that_is_no_is_not_asked_again() -> None:
    receiver = Receiver(Answer(302, headers={"location": "http://127.0.0.1:1/"}), Answer(400))
    with ApiServer(receiver) as server:
        world = World(SystemClock(), crm=hook(server.url))
        await told(world, clicked(1), clicked(2))
    assert len(receiver.ids) == 2
    assert world.results == {("crm", "refused"): 2}
    assert world.herald.dropped() == 2


async def test_what_was_taken_is_not_dropped() -> None:
    with ApiServer(Receiver(Answer(204), Answer(400))) as server:
        world = World(SystemClock(), crm=hook(server.url))
        await told(world, clicked(1), clicked(2))
    assert world.results == {("crm", "taken"): 1, ("crm", "refused"): 1}
    assert world.herald.dropped() == 1


async def test_an_endpoint_that_is_gone_is_left_alone() -> None:
    receiver = Receiver(Answer(410))
    with ApiServer(receiver) as server:
        world = World(SystemClock(), crm=hook(server.url))

        async def gone() -> None:
            await world.until("crm", "gone", 1)
            world.herald.tell([clicked(2)])

        await told(world, clicked(1), until=gone)
    assert len(receiver.ids) == 1
    assert world.results == {("crm", "gone"): 2}
    assert any("410" in why for _, why, _ in world.said)


async def test_a_full_queue_drops_and_telling_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_WAITING", 50)
    receiver = Receiver(HANG)
    with ApiServer(receiver) as server:
        world = World(SystemClock(), crm=hook(server.url))
        async with world.herald.telling(drain=0.0):
            world.herald.tell([clicked(number) for number in range(200)])
            assert world.herald.waiting() == {"crm": 50}
            await receiver.until(listener.AT_ONCE)
    assert world.results == {("crm", "queue_full"): 150, ("crm", "stopped"): 50}


async def test_one_slow_endpoint_is_in_nobodys_way() -> None:
    slow, quick = Receiver(HANG), Receiver()
    with ApiServer(slow) as one, ApiServer(quick) as two:
        world = World(SystemClock(), slow=hook(one.url), quick=hook(two.url))
        async with world.herald.telling(drain=0.0):
            world.herald.tell([clicked(number) for number in range(100)])
            await quick.until(100)
            await slow.until(listener.AT_ONCE)
    assert len(set(quick.ids)) == 100


async def test_a_process_that_ends_does_not_wait_for_who_does_not_answer(dead: str) -> None:
    world = World(SystemClock(), crm=hook(dead))
    async with asyncio.timeout(60), world.herald.telling(drain=3600):
        world.herald.tell(map(clicked, range(1000)))
    assert world.results == {("crm", "stopped"): 1000}


async def test_a_private_address_is_not_asked() -> None:
    receiver = Receiver()
    with ApiServer(receiver) as server:
        world = World(SystemClock(), crm=hook(server.url, allow_private=False))
        await told(world, clicked())
    assert receiver.ids == []
    assert world.results == {("crm", "refused"): 1}


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch, dead: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, dead)
    with ApiServer(Receiver()) as server:
        world = World(SystemClock(), crm=hook(server.url))
        await told(world, clicked())
    assert world.results == {("crm", "taken"): 1}


async def test_endpoints_change_while_it_runs() -> None:
    before, after = Receiver(), Receiver()
    with ApiServer(before) as one, ApiServer(after) as two:
        world = World(SystemClock(), crm=hook(one.url))
        async with world.herald.telling():
            world.herald.tell([clicked(1)])
            world.hooks = {"crm": hook(two.url)}
            world.herald.tell([clicked(2)])
            world.hooks = {}
            world.herald.tell([clicked(3)])
    assert (len(before.ids), len(after.ids)) == (1, 1)
    assert world.results == {("crm", "taken"): 2}


async def test_it_is_told_from_any_thread() -> None:
    receiver = Receiver()
    with ApiServer(receiver) as server:
        world = World(SystemClock(), crm=hook(server.url))
        async with world.herald.telling():
            threads = [
                threading.Thread(
                    target=lambda first=first: [world.herald.tell([clicked(first + n)]) for n in range(50)]
                )
                for first in (0, 50, 100, 150)
            ]
            for thread in threads:
                thread.start()
            await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
    assert len(set(receiver.ids)) == 200
    assert world.results == {("crm", "taken"): 200}


def test_nobody_wants_what_nobody_listens_to() -> None:
    world = World(SystemClock(), crm=hook("http://127.0.0.1:1/", events=(HappeningType.bounced,)))
    assert world.herald.of_runs() is None
    world.hooks = {"crm": hook("http://127.0.0.1:1/", events=(HappeningType.failed,))}
    assert world.herald.of_runs() is not None


def test_a_happening_says_nothing_of_a_person() -> None:
    assert "person-7" not in repr(clicked(7))
    assert "ada" not in repr(clicked(7))
