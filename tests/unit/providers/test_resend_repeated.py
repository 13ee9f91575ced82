"""Whatever breaks, and whenever the process is killed: Resend never sends a message twice.

The adapter talks to a Resend that lives in memory, and its answers are read by the pipeline's own rules, which decide
what is repeated exactly, what is tried again in other company, and what is given up as in doubt.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from email.utils import getaddresses
from pathlib import Path
from random import Random

import pytest

from connect.channels.message import Attachment, Outgoing
from connect.pipeline.answers import Answers
from connect.pipeline.breaker import Breaker
from connect.pipeline.packing import Packed
from connect.pipeline.verdicts import Ticket, Verdicts
from connect.providers.http import Reply
from connect.providers.interface import Account, Receipt, Status
from connect.providers.resend import Resend
from connect.providers.resend_settings import Settings
from connect.redact import Secret
from connect.testing import FakeClock, an_email
from connect.testing.api import Answer, Call
from connect.testing.fakes.resend import KEY, FakeResend, failure
from connect.vocabulary import InDoubt

_PEOPLE = 40
_LATE = failure(429, "rate_limit_exceeded", "Too many")
_DOWN = failure(503, "service_unavailable", "Later")
_BUSY = failure(409, "concurrent_idempotent_requests", "Not yet")
_BROKEN = failure(500, "application_error", "Oh")


class Line:
    """Between the adapter and Resend: a call may be answered, lost before it is written, or its answer may be lost."""

    def __init__(self, fake: FakeResend, random: Random) -> None:
        self._fake, self._random = fake, random
        self.calm = False

    async def ask(
        self, url: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST", deadline: float | None = None
    ) -> Reply | Receipt:
        call = Call(method, url.removeprefix("https://api.resend.com"), {}, headers, body)
        if not self.calm:
            mood = self._random.random()
            if mood < 0.15:
                return Receipt(Status.transient, "unreachable")
            if mood < 0.40:
                return _reply(self._random.choice([_LATE, _DOWN, _BUSY]))
            if mood < 0.55:
                self._fake(call)
                return self._random.choice([Receipt(Status.ambiguous, "timed_out_after_write"), _reply(_BROKEN)])
        return _reply(self._fake(call))

    async def close(self) -> None:
        """There is nothing to let go of."""


def _reply(answer: Answer) -> Reply:
    return Reply(answer.status, {}, json.dumps(answer.body).encode())


def _person(number: int, random: Random) -> Outgoing:
    files = (Attachment("a.pdf", "application/pdf", b"%PDF"),) if random.random() < 0.3 else ()
    headers = (("X-Code", "a"), ("x-code", "b")) if random.random() < 0.1 else ()
    return an_email(number, attachments=files, headers=headers)


class Run:
    """A lane without a ledger, that is killed now and then: what was in the air is in doubt, and repeated exactly."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.fake = FakeResend()
        self._line = Line(self.fake, self._random)
        settings = Settings.model_validate({"api_key": Secret(KEY)})
        self._provider = Resend(Account("mail", settings, Path(), concurrency=1, timeout=timedelta(seconds=5)))
        self._provider._api = self._line  # type: ignore[assignment]
        verdicts = Verdicts(
            "mail",
            FakeClock(),
            self._random,
            Breaker(),
            repeats=True,
            halt=lambda trouble: None,
            throttled=lambda wait, words: None,
        )
        self._answers = Answers(verdicts, keyed=True, in_doubt=InDoubt.skip, halt=lambda trouble: None)
        tickets = [Ticket(_person(number, self._random), 0, number, number) for number in range(_PEOPLE)]
        self._waiting = [Packed([ticket]) for ticket in tickets]
        self.ended: Counter[str] = Counter()

    async def go(self) -> None:
        for turn in range(400):
            if not self._waiting:
                return
            self._line.calm = turn > 300
            call = self._next()
            receipts = await self._provider.send([ticket.outgoing for ticket in call.tickets])
            if self._random.random() < 0.2 and not self._line.calm:
                self._killed(call)
                continue
            answer = self._answers.to(call, receipts)
            self.ended.update(str(each.outcome) for each in answer.settled)
            self._waiting += [again for _, again in answer.again]
        raise AssertionError("it never ends")

    def _next(self) -> Packed:
        """A call that must stay as it was, or some of the others in new company, in order."""
        self._random.shuffle(self._waiting)
        if self._waiting[0].exact:
            return self._waiting.pop(0)
        free = [call for call in self._waiting if not call.exact][: self._random.randint(1, 8)]
        self._waiting = [call for call in self._waiting if call not in free]
        return Packed(sorted((ticket for call in free for ticket in call.tickets), key=lambda each: each.sequence))

    def _killed(self, call: Packed) -> None:
        """Nobody heard the answers: the ledger knows the whole call, and nothing of what became of it."""
        for ticket in call.tickets:
            ticket.in_doubt = True
        self._waiting.append(Packed(call.tickets, exact=True))


@pytest.mark.parametrize("seed", range(60))
async def test_nobody_gets_a_message_twice(seed: int) -> None:
    run = Run(seed)
    async with asyncio.timeout(60):
        await run.go()
    delivered = Counter(address for item in run.fake.delivered for _, address in getaddresses(item["to"]))
    assert max(delivered.values()) == 1
    assert run.fake.misfits == []
    assert sum(run.ended.values()) == _PEOPLE
    assert run.ended["sent"] <= len(delivered) <= run.ended["sent"] + run.ended["unknown"]
