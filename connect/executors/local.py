"""Several worker processes on this machine, dealt rows in memory by the one that reads and keeps the books."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace

from connect.executors import flat
from connect.executors.process import Task
from connect.executors.remote import Remote
from connect.executors.several import Several
from connect.pipeline import tracing
from connect.pipeline.accounts import Accounts
from connect.pipeline.books import Books
from connect.pipeline.crew import Crew, Orders, alone
from connect.pipeline.lease import Lease
from connect.pipeline.pace import Pace
from connect.providers.interface import Account, Idempotency
from connect.vocabulary import Mode

SMALL = 20_000
"""Rows up to which one process is quicker than starting several."""

StartCrew = Callable[[Orders, Books, Lease], AbstractAsyncContextManager[Crew]]


def crew_of(workers: int) -> StartCrew:
    """A crew of so many; one works in the process that reads."""
    if workers == 1:
        return alone

    def start(orders: Orders, books: Books, lease: Lease) -> AbstractAsyncContextManager[Crew]:
        return several(orders, books, lease, workers)

    return start


def workers_for(asked: int | None, rows: int, accounts: Accounts, mode: Mode) -> int:
    """How many workers a run has: as many as were asked for, else one for each core where that pays.

    Never more than an account takes messages at once. A test sends one copy, and so has one worker.
    """
    if mode is not Mode.live:
        return 1
    most = min((account.concurrency for _, account in accounts.values()), default=1)
    if asked is not None:
        return max(1, min(asked, most))
    reaches = all(provider.capabilities.reaches_people for provider, _ in accounts.values())
    return max(1, min(_cores(), most)) if rows > SMALL and reaches else 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@asynccontextmanager
async def several(orders: Orders, books: Books, lease: Lease, workers: int) -> AsyncIterator[Crew]:
    """Compose and send in so many processes, each with its share of every account's concurrency."""
    remotes: list[Remote] = []
    try:
        for number in range(workers):
            remotes.append(await Remote.start(_task(orders, lease, number, workers), Pace(orders.clock)))
        async with AsyncExitStack() as stack:
            crew = Several(remotes, books, lease, lambda: lease.until, _together(orders))
            stack.push_async_callback(crew.close)
            await crew.ready()
            yield crew
    finally:
        await asyncio.gather(*(remote.end() for remote in remotes))


def _task(orders: Orders, lease: Lease, number: int, of: int) -> Task:
    accounts = [(type(provider), _share(account, number, of)) for provider, account in orders.accounts.values()]
    sending = replace(orders.sending, worker=number, of=of)
    intents = flat.intents(orders.recovered.intents())
    return Task(orders.kit, accounts, intents, frozenset(orders.copied), sending, lease.until, tracing.carried())


def _share(account: Account, number: int, of: int) -> Account:
    return replace(account, concurrency=account.concurrency // of + (number < account.concurrency % of))


def _together(orders: Orders) -> set[bytes]:
    """Members of calls that are in doubt, to providers that know a call again by its key and members only."""
    return {
        key
        for name, (provider, _) in orders.accounts.items()
        if provider.capabilities.idempotency is Idempotency.request_key
        for keys in orders.recovered.whole_calls(name).values()
        if len(keys) > 1
        for key in keys
    }
