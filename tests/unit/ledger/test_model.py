"""Whatever workers do, lose and repeat: the ledger holds exactly what was answered, and never less.

A model of one run in plain Python walks beside the ledger. Workers claim, write, die without a word, wake up as
zombies after another took over, and recover what they find.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Call, Intent, NewRun
from connect.ledger.refusals import LeaseLost, SliceHeld, Unaccounted
from connect.ledger.store import Ledger
from connect.testing.ledgers import Engine, ledger_rig
from connect.testing.postgres import NoServer, shared_server
from connect.vocabulary import Channel, Mode, Outcome, RunState
from tests.examples import some

LEASE = timedelta(minutes=1)
REASONS = ["other", "mailbox_full", "in_doubt", 'said "no", \\ and Ω']
OUTCOMES = st.sampled_from([(Outcome.sent, ""), *((Outcome.failed, reason) for reason in REASONS)])


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def number_of(intent: Intent) -> int:
    return int.from_bytes(intent.key, "big")


@dataclass
class Model:
    """What must be in the ledger."""

    near: dict[int, tuple[Outcome, str] | None] = field(default_factory=dict)
    """Deliveries near the air, by number (which is also their position), with their outcome."""
    passed: Counter[tuple[Outcome, str]] = field(default_factory=Counter)
    cursor: int | None = None
    released: int = 0
    """How many there ever were."""
    calls: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The call in which each was last released, and how many were released in it."""


class Worker:
    def __init__(self, ledger: Ledger, run_id: str, number: int) -> None:
        self.slice = ledger.claim_slice(run_id, owner=Owner(f"machine-{number}", 1, "1"), lease=LEASE)
        self.commits = Commits(ledger, self.slice, linger=0)


class LedgerMachine(RuleBasedStateMachine):
    engine: Engine

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.stack = ExitStack()
        self.rig = self.stack.enter_context(ledger_rig(self.engine, Path(self.folder)))
        self.clock = self.rig.clock
        self.loop = asyncio.new_event_loop()
        self.reopen()
        run = NewRun("r" * 16, Mode.live, "c", self.clock.now(), True, "", "{}", b"salt", b"secret")
        self.run_id = self.ledger.create_run(run).id
        self.model = Model()
        self.holder: Worker | None = None
        self.zombies: list[Worker] = []
        self.workers = 0
        self.last_call = 0

    def reopen(self) -> None:
        self.ledger = self.rig.open()

    def wait(self, *writes):
        async def all_of_them():
            return await asyncio.gather(*writes, return_exceptions=True)

        answers = self.loop.run_until_complete(all_of_them())
        for answer in answers:
            if answer is not None:
                raise answer

    def near(self, data, among) -> list[int]:
        """Some of the deliveries near the air."""
        among = sorted(among)
        return data.draw(st.lists(st.sampled_from(among), unique=True, max_size=8)) if among else []

    # Who works

    @precondition(lambda self: not self.holder)
    @rule()
    def claim(self):
        self.workers += 1
        self.holder = Worker(self.ledger, self.run_id, self.workers)
        assert self.holder.slice.epoch == self.workers

    @precondition(lambda self: self.holder)
    @rule()
    def claim_what_is_held(self):
        with pytest.raises(SliceHeld):
            Worker(self.ledger, self.run_id, -1)

    @precondition(lambda self: self.holder)
    @rule()
    def renew(self):
        self.holder.slice = self.ledger.renew(self.holder.slice, LEASE)

    @precondition(lambda self: self.holder)
    @rule()
    def let_go(self):
        self.loop.run_until_complete(self.holder.commits.close())
        self.ledger.release(self.holder.slice)
        self.zombies.append(Worker.__new__(Worker))
        self.zombies[-1].slice = self.holder.slice
        self.zombies[-1].commits = Commits(self.ledger, self.holder.slice, linger=0)
        self.holder = None

    @precondition(lambda self: self.holder)
    @rule()
    def be_suspended(self):
        """Its lease runs out and another worker takes over; it will wake up and go on as if nothing had happened."""
        self.clock.pass_time(seconds=LEASE.total_seconds())
        self.zombies.append(self.holder)
        self.holder = None
        self.claim()

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def die_in_the_middle_of_a_write(self, data):
        """What was not answered may be written or not, as a whole; the ledger tells which."""
        numbers = range(self.model.released, self.model.released + data.draw(st.integers(1, 5)))
        self.model.released = numbers.stop
        write = self.loop.create_task(self.holder.commits.intend(self.released_in_one_call(numbers)))
        self.loop.run_until_complete(asyncio.sleep(0))
        write.cancel()
        self.loop.run_until_complete(self.holder.commits.close())
        self.loop.run_until_complete(asyncio.gather(write, return_exceptions=True))
        found = {number_of(each) for each in self.ledger.intents(self.holder.slice.id)}
        assert found.isdisjoint(numbers) or found.issuperset(numbers)
        self.model.near |= {number: None for number in numbers if number in found}
        self.holder = None
        self.clock.pass_time(seconds=LEASE.total_seconds())
        self.ledger.close()
        for zombie in self.zombies:
            self.loop.run_until_complete(zombie.commits.close())
        self.zombies = []
        self.reopen()

    # What the holder writes

    def intent(self, number: int, call: int = 0) -> Intent:
        return Intent(key(number), number, Channel.email, "smtp", call)

    def released_in_one_call(self, numbers) -> list[Intent]:
        self.last_call += 1
        self.model.calls |= dict.fromkeys(numbers, (self.last_call, len(numbers)))
        return [self.intent(number, self.last_call) for number in numbers]

    @precondition(lambda self: self.holder)
    @rule(counts=st.lists(st.sampled_from([0, 1, 3, 4, 99, 101, 205]), min_size=1, max_size=3))
    def intend(self, counts):
        writes = []
        for count in counts:
            numbers = range(self.model.released, self.model.released + count)
            self.model.released = numbers.stop
            self.model.near |= dict.fromkeys(numbers)
            writes.append(self.holder.commits.intend(self.released_in_one_call(numbers)))
        self.wait(*writes)

    @precondition(lambda self: self.holder)
    @rule(counts=st.lists(st.integers(1, 120), min_size=1, max_size=3))
    def release_calls(self, counts):
        calls = []
        for count in counts:
            numbers = range(self.model.released, self.model.released + count)
            self.model.released = numbers.stop
            self.model.near |= dict.fromkeys(numbers)
            self.released_in_one_call(numbers)
            keys = [key(number) for number in numbers]
            calls.append(Call(self.last_call, Channel.email, "smtp", keys, numbers))
        self.wait(self.holder.commits.release(calls))

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def intend_again(self, data):
        numbers, before = self.near(data, self.model.near), dict(self.model.calls)
        again = self.holder.commits.intend(self.released_in_one_call(numbers))
        if any(self.model.near[number] for number in numbers):
            self.model.calls = before
            with pytest.raises(Unaccounted):
                self.wait(again)
        else:
            self.wait(again)

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def settle(self, data):
        open_ones = [number for number, outcome in self.model.near.items() if outcome is None]
        if data.draw(st.booleans()):
            outcomes = dict.fromkeys(open_ones, data.draw(OUTCOMES))  # all of them, so that the cursor can move
        else:
            outcomes = {number: data.draw(OUTCOMES) for number in self.near(data, open_ones)}
        self.model.near |= outcomes
        told = [(key(number), *outcome) for number, outcome in outcomes.items()]
        self.wait(*(self.holder.commits.settle(some) for some in (told[:2], told[2:3], told[3:])))

    @precondition(lambda self: self.holder)
    @rule(data=st.data(), outcome=OUTCOMES)
    def settle_anything(self, data, outcome):
        """Also what is settled already, or was never released: only what is new to the ledger, or no news, is taken."""
        numbers = self.near(data, range(self.model.released + 1))
        settling = self.holder.commits.settle([(key(number), *outcome) for number in numbers])
        if all(self.model.near.get(number, "not near") in (None, outcome) for number in numbers):
            self.wait(settling)
            self.model.near |= dict.fromkeys(numbers, outcome)
        else:
            with pytest.raises(Unaccounted):
                self.wait(settling)

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def withdraw(self, data):
        numbers = self.near(data, self.model.near)
        withdrawing = self.holder.commits.withdraw([key(number) for number in numbers])
        if any(self.model.near[number] for number in numbers):
            with pytest.raises(Unaccounted):
                self.wait(withdrawing)
        else:
            self.wait(withdrawing)
            for number in numbers:
                del self.model.near[number]

    @precondition(lambda self: self.holder)
    @rule(data=st.data(), outcome=OUTCOMES, how=st.sampled_from(["settle", "advance"]))
    def tell_what_became_of_a_call(self, data, outcome, how):
        """Some are settled and some withdrawn: one write, of which all or nothing is kept."""
        settled, withdrawn = self.near(data, self.model.near), self.near(data, self.model.near)
        outcomes, keys = [(key(number), *outcome) for number in settled], [key(number) for number in withdrawn]
        if how == "settle":
            telling = self.holder.commits.settle(outcomes, keys)
        else:
            telling = self.holder.commits.advance(None, {}, [], settled=outcomes, withdrawn=keys)
        taken = all(self.model.near[number] in (None, outcome) for number in settled)
        if taken and all(self.model.near[number] is None and number not in settled for number in withdrawn):
            self.wait(telling)
            self.model.near |= dict.fromkeys(settled, outcome)
            for number in withdrawn:
                del self.model.near[number]
        else:
            with pytest.raises(Unaccounted):
                self.wait(telling)

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def write_through_another_hand_of_the_same_holder(self, data):
        """Whoever has written last, nobody works with an old idea of what is near the air."""
        open_ones = [number for number, outcome in self.model.near.items() if outcome is None]
        other, numbers = Commits(self.ledger, self.holder.slice, linger=0), self.near(data, open_ones)
        self.wait(other.withdraw([key(number) for number in numbers]))
        self.loop.run_until_complete(other.close())
        for number in numbers:
            del self.model.near[number]

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def advance(self, data):
        """Pass the prefix of what is settled, in one step or in several at once."""
        writes = []
        for _ in range(data.draw(st.integers(1, 3))):
            prefix = self.settled_prefix()[: data.draw(st.sampled_from([0, 1, 2, 6, 150]))]
            counted = Counter(self.model.near.pop(number) for number in prefix)
            self.model.passed += counted
            self.model.cursor = prefix[-1] if prefix else self.model.cursor
            writes.append(self.advancing(self.model.cursor, counted, prefix))
        self.wait(*writes)

    def settled_prefix(self) -> list[int]:
        prefix = []
        for number in sorted(self.model.near):
            if self.model.near[number] is None:
                break
            prefix.append(number)
        return [number for number in prefix if self.model.cursor is None or number >= self.model.cursor]

    def advancing(self, cursor, counted, numbers, worker=None):
        tallies = {(Channel.email, "", outcome, reason): count for (outcome, reason), count in counted.items()}
        text = None if cursor is None else f"{cursor:032x}"
        return (worker or self.holder).commits.advance(text, tallies, [key(number) for number in numbers])

    @precondition(lambda self: self.holder and self.model.cursor)
    @rule(back=st.integers(1, 10))
    def go_backwards(self, back):
        before = max(0, self.model.cursor - back)
        with pytest.raises(Unaccounted):
            self.wait(self.advancing(before, {(Outcome.sent, ""): 1}, self.model.near))

    @precondition(lambda self: self.zombies)
    @rule(data=st.data())
    def wake_up_as_a_zombie(self, data):
        zombie = data.draw(st.sampled_from(self.zombies))
        write = data.draw(st.integers(0, 4))
        near = list(self.model.near)
        attempts = [
            lambda: zombie.commits.intend([self.intent(self.model.released)]),
            lambda: zombie.commits.settle([(key(number), Outcome.sent, "") for number in near]),
            lambda: zombie.commits.withdraw([key(number) for number in near]),
            lambda: self.advancing(self.model.released, {(Outcome.sent, ""): 1}, near, zombie),
            lambda: zombie.commits.advance(None, {}, []),
        ]
        with pytest.raises(LeaseLost):
            self.wait(attempts[write]())
        with pytest.raises(LeaseLost):
            self.ledger.renew(zombie.slice, LEASE)
        with pytest.raises(LeaseLost):
            self.ledger.finish(self.run_id, RunState.completed, slice=zombie.slice)

    # What must hold after every step

    @invariant()
    def the_ledger_is_the_model(self):
        stored = self.ledger.slice(self.run_id)
        intents = self.ledger.intents(stored.id)
        near = {number_of(each): (each.outcome, each.reason) if each.outcome else None for each in intents}
        assert near == self.model.near
        assert [number_of(each) for each in intents] == sorted(near) == [each.sequence for each in intents]
        assert all((each.call, each.call_size) == self.model.calls[number_of(each)] for each in intents)
        assert self.tallied() == self.model.passed
        assert stored.cursor == (None if self.model.cursor is None else f"{self.model.cursor:032x}")

    def tallied(self) -> Counter[tuple[Outcome, str]]:
        return Counter({(each.outcome, each.reason): each.count for each in self.ledger.tallies(self.run_id)})

    def teardown(self):
        """At the end everything that was near the air is counted, and adds up."""
        if not hasattr(self, "model"):
            return
        expected = self.model.passed + Counter(
            outcome or (Outcome.unknown, "in_doubt") for outcome in self.model.near.values()
        )
        self.ledger.finish(self.run_id, RunState.cancelled)
        assert self.tallied() == expected
        assert self.ledger.intents(self.ledger.slice(self.run_id).id) == []
        for worker in [*self.zombies, *([self.holder] if self.holder else [])]:
            self.loop.run_until_complete(worker.commits.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.ledger.close()
        self.stack.close()
        shutil.rmtree(self.folder)


@pytest.mark.parametrize(("engine", "examples"), [("sqlite", 20), ("postgresql", 8)])
def test_the_ledger_holds_what_it_answered(engine: Engine, examples: int) -> None:
    if engine == "postgresql":
        try:
            shared_server()
        except NoServer as why:
            pytest.skip(str(why))
    run_state_machine_as_test(
        type("Machine", (LedgerMachine,), {"engine": engine}),
        settings=settings(
            max_examples=some(examples),
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
