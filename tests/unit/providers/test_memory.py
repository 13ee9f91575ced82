"""The provider for tests: it keeps, counts, and does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connect.channels.message import Outgoing
from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory
from connect.providers.interface import Account, Receipt, Status
from connect.testing import an_email
from connect.testing.messages import MAKE, a_push, a_request


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    memory.reset()
    yield
    memory.reset()


def account(**fields: bool) -> Account:
    return Account("mail", memory.Settings(**fields), Path(), concurrency=1)


async def test_it_keeps_what_was_accepted_by_account() -> None:
    await memory.Memory(account()).send([an_email(1), an_email(2)])
    assert memory.sent("mail") == [an_email(1), an_email(2)]
    assert memory.sent("other") == []


async def test_it_keeps_messages_of_every_channel() -> None:
    batch = [make(1) for make in MAKE.values()]
    assert set(MAKE) == memory.Memory.capabilities.channels == memory.MemoryIdempotent.capabilities.channels
    await memory.Memory(account()).send(batch)
    assert memory.sent("mail") == batch


@pytest.mark.parametrize("make", [a_push, a_request])
async def test_a_repeated_message_is_known_by_its_key_on_every_channel(make: Callable[..., Outgoing]) -> None:
    provider = memory.MemoryIdempotent(account())
    first = make(1)
    other = replace(first, message=make(2).message)
    receipts = [(await provider.send([each]))[0] for each in (first, first, other)]
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.accepted, Status.undecidable]
    assert memory.sent("mail") == [first]


async def test_counting_keeps_nothing() -> None:
    provider = memory.Memory(account(keep=False))
    await provider.send([an_email(1), an_email(2)])
    await provider.send([an_email(3)])
    assert memory.sent("mail") == []
    assert memory.counts("mail") == memory.Counts(calls=2, messages=3, accepted=3, largest_call=2)


async def test_a_script_answers_by_message_and_attempt() -> None:
    def script(outgoing: Outgoing, attempt: int) -> Receipt | None:
        return Receipt(Status.throttled, "slow_down") if outgoing == an_email(1) and attempt < 3 else None

    memory.script("mail", script)
    provider = memory.Memory(account())
    statuses = [[receipt.status for receipt in await provider.send([an_email(1), an_email(2)])] for _ in range(3)]
    assert statuses == [[Status.throttled, Status.accepted]] * 2 + [[Status.accepted] * 2]
    assert memory.counts("mail").accepted == 4


async def test_a_script_can_hold_a_call() -> None:
    held, go = asyncio.Event(), asyncio.Event()

    async def script(outgoing: Outgoing, attempt: int) -> Receipt | None:
        held.set()
        await go.wait()
        return None

    memory.script("mail", script)
    sending = asyncio.create_task(memory.Memory(account()).send([an_email(1)]))
    await held.wait()
    assert memory.sent("mail") == []
    go.set()
    assert [receipt.status for receipt in await sending] == [Status.accepted]


async def test_a_message_can_be_taken_and_its_answer_lost() -> None:
    lost = Receipt(Status.ambiguous, "connection_lost", provider_id="taken")
    memory.script("mail", lambda outgoing, attempt: lost if attempt == 1 else None)
    provider = memory.MemoryIdempotent(account())
    statuses = [(await provider.send([an_email(1)]))[0].status for _ in range(2)]
    assert statuses == [Status.ambiguous, Status.accepted]
    assert memory.sent("mail") == [an_email(1)], "the provider knew the key the second time"


async def test_it_can_refuse_to_open() -> None:
    trouble = RunTrouble(Disposition.pause, Problem("smtp-auth", "535"))
    memory.refuse_open("mail", trouble)
    with pytest.raises(RunTrouble):
        await memory.Memory(account()).open()
    memory.refuse_open("mail", None)
    await memory.Memory(account()).open()
