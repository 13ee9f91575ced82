"""More calls at once than the server takes, to a provider that is slow."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import pytest

from connect.channels.message import Outgoing
from connect.providers import memory
from connect.schedule import direct
from connect.schedule.places import Places

PEOPLE = [{"id": "3", "email": "cleo@example.com", "name": "Cleo", "total": 1}]
BOTH, HELD, CALLS = 3, 2, 12


def test_some_are_sent_the_others_come_again_and_nobody_else_waits(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "Places", partial(Places, at_once=HELD, in_line=BOTH - HELD))
    in_the_air, let_go = threading.Semaphore(0), threading.Event()

    async def slow(outgoing: Outgoing, attempt: int) -> None:
        in_the_air.release()
        await asyncio.to_thread(let_go.wait)

    memory.script("outbox", slow)

    def call(number: int) -> Any:
        return shop.ask("POST", "/messages/receipt", {"recipients": PEOPLE}, Idempotency_Key=f"call-{number}")

    with ThreadPoolExecutor(CALLS) as callers:
        calls = [callers.submit(call, number) for number in range(CALLS)]
        for _ in range(HELD):
            assert in_the_air.acquire(timeout=60)
        while len(refused := [one.result() for one in calls if one.done()]) < CALLS - BOTH:
            wait([one for one in calls if not one.done()], return_when="FIRST_COMPLETED", timeout=60)
        assert shop.ask("GET", "/runs?state=running").status == 200  # as opt-outs and webhooks do
        assert len(memory.sent("outbox")) == 0
        let_go.set()
        answers = [one.result() for one in calls]

    assert {(one.status, one.code, one.headers["retry-after"]) for one in refused} == {(503, "too-busy", "2")}
    assert [one.status for one in answers].count(200) == BOTH == len(memory.sent("outbox"))
    again = [call(number) for number, one in enumerate(answers) if one.status == 503]
    assert {one.status for one in again} == {200}
    assert len(memory.sent("outbox")) == CALLS
