"""A send that is cancelled, or whose account is closed meanwhile, leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.interface import Provider, Receipt, Status
from connect.testing import rigs
from connect.testing.api import HANG, Answer, ApiServer, Call
from connect.testing.messages import MAKE
from connect.testing.passage import Passage

NAMES = sorted(set(catalog.providers) - {"memory", "memory_idempotent", "outbox", "smtp", "apns"})
"""Those that are spoken to over HTTP/1.1; the others have tests of their own."""


class Desk:
    """Calls come here, and are kept waiting until it opens."""

    def __init__(self, url: str) -> None:
        self._passage = Passage(url)
        self._came = threading.Semaphore(0)
        self.is_open = False
        self.calls = 0

    def __call__(self, call: Call) -> Answer:
        self.calls += 1
        self._came.release()
        return self._passage(call) if self.is_open else HANG

    async def sees_somebody(self) -> None:
        await asyncio.to_thread(self._came.acquire)


@asynccontextmanager
async def waiting(name: str, root: Path) -> AsyncIterator[tuple[Provider, list[Outgoing], Desk]]:
    """An open provider, a batch, and who keeps it waiting."""
    setting = "url" if name == "http" else "endpoint_url"
    with rigs.rig(name, root) as rig:
        account = rig.account()
        desk = Desk(getattr(account.settings, setting))
        with ApiServer(desk) as server:
            settings = account.settings.model_copy(update={setting: server.url})
            provider = rig.adapter(replace(account, settings=settings, timeout=timedelta(seconds=60)))
            make = getattr(rig, "make", MAKE)[sorted(rig.adapter.capabilities.channels)[0]]
            try:
                await provider.open()
                yield provider, [make(number) for number in range(min(5, rig.adapter.capabilities.max_batch))], desk
            finally:
                await provider.close()


def begun(provider: Provider, batch: Sequence[Outgoing]) -> asyncio.Task[list[Receipt]]:
    return asyncio.create_task(provider.send(batch))


@pytest.mark.parametrize("name", NAMES)
async def test_who_is_cancelled_lets_go_at_once_and_the_next_gets_through(name: str, tmp_path: Path) -> None:
    async with waiting(name, tmp_path) as (provider, batch, desk):
        for _ in range(6):  # more often than there are connections
            sending = begun(provider, batch)
            await desk.sees_somebody()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
        assert desk.calls == 6
        desk.is_open = True
        assert {receipt.status for receipt in await provider.send(batch)} == {Status.accepted}
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_in_the_air_when_it_is_closed_is_in_doubt(name: str, tmp_path: Path) -> None:
    async with waiting(name, tmp_path) as (provider, batch, desk):
        sending = begun(provider, batch)
        await desk.sees_somebody()
        await provider.close()
        assert {receipt.status for receipt in await sending} == {Status.ambiguous}
        assert {receipt.status for receipt in await provider.send(batch)} == {Status.transient}
        assert desk.calls == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}
