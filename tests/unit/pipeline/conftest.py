"""A lane on a real ledger, an account that answers as it is told, and a clock that moves when everybody waits."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from connect.identity import new_run_id
from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent, NewRun, Slice
from connect.ledger.store import Ledger
from connect.pipeline.books import Composed
from connect.pipeline.dispatch import Lane, Terms
from connect.pipeline.failover import Taker
from connect.pipeline.outcomes import Outcomes
from connect.pipeline.rates import Limit
from connect.pipeline.verdicts import Ticket
from connect.providers import memory
from connect.providers.interface import Account, Capabilities
from connect.testing import FakeClock, an_email
from connect.vocabulary import InDoubt, Mode

ACCOUNT = "mail"


class Held:
    """A lease that is asked each time where the test says how, and holds for ever where it does not."""

    def __init__(self, ask: Callable[[], Awaitable[None]] | None) -> None:
        self._ask = ask

    def fresh(self) -> bool:
        return self._ask is None

    async def held(self) -> None:
        assert self._ask is not None
        await self._ask()


class Bench:
    """One run with its slice, and lanes that write to it."""

    def __init__(self, ledger: Ledger, clock: FakeClock, root: Path, posts: bool = False) -> None:
        self.ledger, self.clock, self._root, self._posts = ledger, clock, root, posts
        self.run = ledger.create_run(
            NewRun(
                id=new_run_id(int(clock.now().timestamp())),
                mode=Mode.live,
                campaign="spring",
                fire_time=clock.now(),
                manual=True,
                digest="d1",
                campaign_json="{}",
                salt=b"sealed salt",
                secret=b"sealed secret",
            )
        )
        self.claimed: Slice = ledger.claim_slice(self.run.id, owner=Owner.here(), lease=timedelta(hours=9))
        self.commits = Commits(ledger, self.claimed, linger=0)
        self.outcomes = Outcomes(self.commits, ledger.take_slots)
        self.offered: list[list[int]] = []
        """The sequence numbers of every call, as the provider saw it."""
        self.lanes: list[Lane] = []
        self._calls = itertools.count(1)

    def lane(
        self,
        answer: memory.Script | None = None,
        *,
        concurrency: int = 1,
        in_doubt: InDoubt = InDoubt.skip,
        idempotent: bool = False,
        held: Callable[[], Awaitable[None]] | None = None,
        whole: Mapping[int, Sequence[bytes]] | None = None,
        limits: Sequence[Limit] = (),
        closes_at: datetime | None = None,
        expires_at: datetime | None = None,
        name: str = ACCOUNT,
        successor: Callable[[Ticket], Taker | None] = lambda ticket: None,
        comes_back: Callable[[Ticket], bool] = lambda ticket: False,
        **capabilities: Any,
    ) -> Lane:
        """A lane of an account that answers like this; None accepts."""
        memory.script(name, answer)
        kind = memory.MemoryIdempotent if idempotent else memory.Memory
        offered = self.offered

        class Told(kind):  # type: ignore[misc, valid-type]
            capabilities: Capabilities

            async def send(self, batch):
                offered.append([number_of(outgoing) for outgoing in batch])
                return await super().send(batch)

        class Posting(Told):
            """The same, told at once or later what became of a message."""

            def __init__(self, account):
                super().__init__(account)
                self._sending = set()

            def post(self, outgoing, heard):
                if not inspect.iscoroutinefunction(answer):
                    try:
                        self.send([outgoing]).send(None)
                    except StopIteration as taken:
                        heard(*taken.value)
                    return
                task = asyncio.create_task(self._tell(outgoing, heard))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

            async def _tell(self, outgoing, heard):
                try:
                    (said,) = await self.send([outgoing])
                except Exception as problem:  # noqa: BLE001 - told, as adapters do
                    said = problem
                heard(said)

            def drop(self):
                for task in self._sending:
                    task.cancel()

        Told.capabilities = replace(kind.capabilities, **{"max_batch": 1, **capabilities})
        account = Account(name, memory.Settings(), self._root, concurrency)
        self._terms = Terms(in_doubt, self.clock, Random(7), Held(held), self._calls, closes_at, expires_at)
        self._lane = Lane(
            (Posting if self._posts else Told)(account),
            account,
            self.outcomes,
            self._terms,
            whole=whole,
            limits=limits,
            successor=successor,
            comes_back=comes_back,
        )
        self.lanes.append(self._lane)
        return self._lane

    def ticket(self, number: int, before: Intent | None = None, route: tuple[str, ...] = (ACCOUNT,)) -> Ticket:
        """Person `number`, whose row is number `number` of the sweep."""
        self.outcomes.begin(number, [f"{number:032x}"])
        self.outcomes.composed(Composed(number, 0, [1]))
        return Ticket(an_email(number), number, 0, number, route, before, in_doubt=before is not None)

    async def send(self, lane: Lane, *numbers: int, longest: float = math.inf) -> None:
        """Put these people and wait for all of them; time passes whenever everybody waits for it."""
        for number in numbers:
            await self.clock.hurry(lane.put(self.ticket(number)), longest)
        await self.clock.hurry(lane.drain(), longest)
        await self.outcomes.flush()

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        """Let everything go on until this holds; the test's own time limit is for when it never does."""
        while not condition():  # noqa: ASYNC110 - what is waited for is in the ledger, which has no events
            await asyncio.sleep(0)

    def counted(self) -> dict[str, int]:
        """What the ledger has counted: `outcome: reason` → how many."""
        found: Counter[str] = Counter()
        for tally in self.ledger.tallies(self.run.id):
            found[f"{tally.outcome}: {tally.reason}" if tally.reason else str(tally.outcome)] += tally.count
        return dict(found)

    def near(self) -> dict[int, str | None]:
        """The intents in the ledger: number → outcome."""
        return {intent.sequence: intent.outcome for intent in self.ledger.intents(self.claimed.id)}

    def cursor(self) -> int | None:
        """The number of the last person behind whom everything is settled."""
        cursor = self.ledger.slice(self.run.id).cursor
        return int(cursor, 16) if cursor else None

    def delivered(self, account: str = ACCOUNT) -> list[int]:
        return [number_of(outgoing) for outgoing in memory.sent(account)]


def number_of(outgoing: Any) -> int:
    return int(outgoing.message.message_id.partition(".")[0])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def number() -> Callable[[Any], int]:
    return number_of


@pytest.fixture(params=["called", "posted"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock):
    memory.reset()
    ledger = Ledger.open(f"sqlite:///{tmp_path}/state.db", project="acme", target="dev", clock=clock)
    bench = Bench(ledger, clock, tmp_path, posts=request.param == "posted")
    yield bench
    for lane in bench.lanes:
        await lane.close()
    await bench.commits.close()
    ledger.close()
    memory.reset()
