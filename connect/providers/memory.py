"""A provider that keeps what it is given in this process: for tests of projects, and for counting at full speed.

    from connect.providers import memory

    memory.script("mail", lambda outgoing, attempt: Receipt(Status.throttled) if attempt == 1 else None)
    …run…
    assert len(memory.sent("mail")) == 3

Everything is found by the name of the account in connect.yml.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

from connect.channels.message import Outgoing
from connect.errors import RunTrouble
from connect.providers.interface import (
    Account,
    Capabilities,
    Idempotency,
    ProviderSettings,
    Receipt,
    Status,
)
from connect.vocabulary import Channel

Script = Callable[[Outgoing, int], Receipt | Awaitable[Receipt | None] | None]
"""(message, attempt from 1) → what the provider answers; None accepts.

A coroutine function can hold a call until its test lets it go. An `ambiguous` receipt that carries a `provider_id`
stands for a message that was taken although the answer was lost: it is kept and counted as accepted.
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What an account was asked to do so far."""

    calls: int = 0
    messages: int = 0
    """Messages handed over, refused and repeated ones included."""
    accepted: int = 0
    largest_call: int = 0


@dataclass
class _Record:
    """All that one account remembers."""

    sent: list[Outgoing] = field(default_factory=list)
    calls: int = 0
    messages: int = 0
    accepted: int = 0
    largest_call: int = 0
    script: Script | None = None
    attempts: dict[bytes, int] = field(default_factory=dict)
    trouble: RunTrouble | None = None
    answered: dict[bytes, tuple[bytes, Receipt]] = field(default_factory=dict)

    def count(self, messages: int) -> None:
        self.calls += 1
        self.messages += messages
        self.largest_call = max(self.largest_call, messages)

    def take(self, outgoing: Outgoing, keep: bool) -> None:
        self.accepted += 1
        if keep:
            self.sent.append(outgoing)


_ACCEPTED = Receipt(Status.accepted)
_records: dict[str, _Record] = {}


def _record(account_name: str) -> _Record:
    return _records.setdefault(account_name, _Record())


def sent(account_name: str) -> list[Outgoing]:
    """What the account accepted, in order. Empty in counting mode (`keep: false`)."""
    return list(_record(account_name).sent)


def counts(account_name: str) -> Counts:
    """How often the account was called and with how much; kept in counting mode too."""
    record = _record(account_name)
    return Counts(record.calls, record.messages, record.accepted, record.largest_call)


def script(account_name: str, function: Script | None) -> None:
    """Let a function answer for the account; None takes it away again."""
    _record(account_name).script = function


def refuse_open(account_name: str, trouble: RunTrouble | None) -> None:
    """Let `open` and `check` raise this, as a provider with wrong credentials would."""
    _record(account_name).trouble = trouble


def reset() -> None:
    """Forget every account: what was sent, what was counted and what was scripted."""
    _records.clear()


class Settings(ProviderSettings):
    keep: bool = True
    """False only counts, so that memory stays flat however many are sent."""


class Memory:
    """Accepts everything, unless a script says otherwise."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset(Channel),
        max_batch=1000,
        reaches_people=False,
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._name = account.name
        self._keep = account.settings.keep

    async def open(self) -> None:
        trouble = _record(self._name).trouble
        if trouble:
            raise trouble

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        record = _record(self._name)
        record.count(len(batch))
        if record.script is None:
            return [self._accept(record, outgoing, _ACCEPTED) for outgoing in batch]
        return [await self._answer(record, outgoing) for outgoing in batch]

    async def _answer(self, record: _Record, outgoing: Outgoing) -> Receipt:
        receipt = await _scripted(record, outgoing) or _ACCEPTED
        taken = receipt.status is Status.accepted or (receipt.status is Status.ambiguous and receipt.provider_id)
        return self._accept(record, outgoing, receipt) if taken else receipt

    def _accept(self, record: _Record, outgoing: Outgoing, receipt: Receipt) -> Receipt:
        record.take(outgoing, self._keep)
        return receipt

    async def check(self) -> str:
        await self.open()
        return "keeps messages in this process; nothing is sent to anyone"

    async def close(self) -> None:
        """Nothing to let go of: what was sent stays, for tests to look at."""


class MemoryIdempotent(Memory):
    """As `memory`, with a provider's memory for keys: a repeated message is answered again and not sent again."""

    capabilities: ClassVar[Capabilities] = replace(
        Memory.capabilities, idempotency=Idempotency.message_key, idempotency_lifetime=timedelta(hours=24)
    )

    def _accept(self, record: _Record, outgoing: Outgoing, receipt: Receipt) -> Receipt:
        body = hashlib.blake2b(repr(outgoing).encode(), digest_size=16).digest()
        known = record.answered.get(outgoing.key)
        if known is None:
            answer = receipt if receipt.status is Status.accepted else _ACCEPTED
            record.answered[outgoing.key] = (body, answer)
            return super()._accept(record, outgoing, receipt)
        if known[0] != body:
            return Receipt(Status.undecidable, "same_key_other_body")
        return known[1]


async def _scripted(record: _Record, outgoing: Outgoing) -> Receipt | None:
    assert record.script is not None
    attempt = record.attempts[outgoing.key] = record.attempts.get(outgoing.key, 0) + 1
    answer = record.script(outgoing, attempt)
    return await answer if inspect.isawaitable(answer) else answer
